"""Whether a Redis is new enough, and which of its settings endanger messages."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.inbox.redis import inbox as module
from chatsvc.inbox.redis.checks import risks
from chatsvc.inbox.redis.inbox import RedisInbox
from chatsvc.storage.url import StoreMisconfigured, StoreURL
from tests.inbox.redis.stores import OnRedis


class RisksTests(SynchronousTestCase):
    """Settings that endanger messages."""

    def test_only_now_and_then(self) -> None:
        """Snapshots alone would pass for keeping everything."""
        url = StoreURL("redis", "0", redacted="redis://x")
        (warning,) = risks(url, {"appendonly": "no", "save": "3600 1"})
        self.assertIn("now and then", warning)

    def test_replicas(self) -> None:
        """An admin would not hear that a fail-over loses messages, or that Redis can store none."""
        url = StoreURL("redis", "0", redacted="redis://x")
        safe = {"appendonly": "yes", "appendfsync": "always", "role": "master"}
        self.assertEqual(risks(url, safe | {"connected_slaves": "0"}), [])
        for facts, words in (
            ({"connected_slaves": "2", "min-replicas-to-write": "0"}, "min-replicas-to-write 1"),
            ({"role": "slave", "connected_slaves": "2"}, "is a replica"),
            ({"aof_last_write_status": "err"}, "could not write"),
        ):
            (warning,) = risks(url, safe | facts)
            self.assertIn(words, warning)
        self.assertEqual(
            risks(url, safe | {"connected_slaves": "2", "min-replicas-to-write": "1"}), []
        )


_JOINED = b'[false,0,"e","r",0,false,"10"]'
"""The script's answer to a node that takes its lease."""


class _OldRedis(Protocol):
    """Answers as a Redis of a version would: enough to be asked for it."""

    version = "6.0.16"

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        for command in data.split(b"*")[1:]:
            upper = command.upper()
            if b"EVAL" in upper:
                self.transport.write(b"$30\r\n%b\r\n" % _JOINED)
            elif b"SUBSCRIBE" in upper:
                self.transport.write(b"*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n")
            elif b"INFO" in upper:
                facts = f"# Server\r\nredis_version:{self.version}\r\n".encode()
                self.transport.write(b"$%d\r\n%s\r\n" % (len(facts), facts))
            elif b"CONFIG" in upper:
                self.transport.write(b"-NOPERM this user has no permissions\r\n")
            elif b"SELECT" in upper:
                self.transport.write(b"+OK\r\n")


class VersionTests(OnRedis):
    """Redis servers of other versions."""

    async def open(self, version: str) -> list[str]:
        """Open a store at a Redis of this version; the warnings."""

        class Old(_OldRedis):
            script = b""

            def dataReceived(self, data: bytes) -> None:
                # SCRIPT LOAD comes in pieces and has stars in it.
                if b"LOAD" in data or self.script:
                    self.script += data
                    if self.script.rstrip().endswith(b"cjson.encode(answer)"):
                        self.script = b""
                        assert self.transport is not None
                        self.transport.write(b"$1\r\nx\r\n")
                    return
                super().dataReceived(data)

        async def may_all(*of_whom: Any) -> None:
            """Nothing is asked: what comes of it is no matter of the version."""

        self.patch(module, "require_permissions", may_all)
        Old.version = version
        factory = Factory.forProtocol(Old)
        factory.noisy = False
        listen: Any = reactor
        port = listen.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        url = f"redis://127.0.0.1:{port.getHost().port}/0"
        inbox: RedisInbox = self.store(url=url, patience=2.0)
        return await inbox.open(self.watcher)

    async def test_too_old(self) -> None:
        """A Redis without what the script needs would fail at the first message."""
        for version in ("6.0.16", "5.0.7", "2.8"):
            with self.assertRaises(StoreMisconfigured) as caught:
                await self.open(version)
            self.assertIn(f"Redis {version} is too old", str(caught.exception))

    async def test_secretive(self) -> None:
        """A hosted Redis that hides its settings could not be used, or pass for a safe one."""
        for version in ("6.2.0", "7.0.1", "8.0", "10.1.1"):
            (warning,) = await self.open(version)
            self.assertIn("does not tell its settings", warning)
