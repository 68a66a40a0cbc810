"""What ``docs/operation.md`` says of Redis with Sentinel, on three of each."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.support.operating import ConfiguredRedis, ConfiguredSentinel, Operation
from tests.support.servers import PATIENCE


class FailOverTests(Operation):
    def setUp(self) -> None:
        super().setUp()
        self.several = [ConfiguredRedis("--repl-diskless-sync-delay", "0") for _ in range(3)]
        self.sentinels = [ConfiguredSentinel(self.several[0]) for _ in range(3)]
        for server in (*self.several, *self.sentinels):
            self.addCleanup(server.remove)
        self.places |= {
            "10.0.0.1": "127.0.0.1",
            "chat 10.0.0.1 6379": f"chat 127.0.0.1 {self.several[0].port}",
            "milliseconds chat 5000": "milliseconds chat 500",
        }
        for number, sentinel in enumerate(self.sentinels, 1):
            self.places[f"10.0.0.{number}:26379"] = f"127.0.0.1:{sentinel.port}"
        # The most precise first.
        self.places = dict(sorted(self.places.items(), key=lambda place: -len(place[0])))

    def start(self) -> None:
        """Start all of it, by the page."""
        for redis in self.several:
            conf = self.block("conf redis").replace("port 0\n", "")
            conf = conf.replace("min-replicas-to-write 0\n", "") + self.block("conf replicated")
            if redis is not self.several[0]:
                conf += f"replicaof 127.0.0.1 {self.several[0].port}\n"
            for place, here in {
                "port 6379": f"port {redis.port}",
                "/run/redis/redis.sock": redis.socket,
                "/etc/redis": str(redis.folder),
                "/var/lib/redis": str(redis.folder),
            }.items():
                conf = conf.replace(place, here)
            (redis.folder / "redis.conf").write_text(conf)
            acl = self.block("conf acl") + self.block("conf acl-replicated")
            (redis.folder / "users.acl").write_text(acl)
            redis.start()
        for sentinel in self.sentinels:
            conf = self.block("conf sentinel").replace("26379", str(sentinel.port))
            conf = conf.replace("/var/lib/redis", str(sentinel.folder))
            # Sentinels that do not agree at once try again after twice this.
            conf = conf.replace("failover-timeout chat 10000", "failover-timeout chat 2000")
            (sentinel.folder / "sentinel.conf").write_text(conf)
            sentinel.start()
        for number in range(3):
            self.until(lambda: b"num-other-sentinels\r\n$1\r\n2" in self.known(number))  # noqa: B023
            self.until(lambda: b"num-slaves\r\n$1\r\n2" in self.known(number))  # noqa: B023
        self.type("settings")
        self.type("sentinels")

    def known(self, number: int) -> bytes:
        """What a sentinel knows of the primary."""
        return self.sentinels[number].execute("SENTINEL", "MASTER", "chat")

    def ask(self, redis: ConfiguredRedis, command: str) -> str:
        """What a Redis answers to its admin."""
        line = f"redis-cli -s {redis.socket} --user admin {command}"
        return self.type_in(f"REDISCLI_AUTH=PASSWORD-3 {line}\n").strip()

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def test_primary_gone(self) -> None:
        """Set up by the page, the service would be away for as long as its first Redis is, or lose what others have."""
        self.start()
        zhang, li = self.accounts()
        writer = self.program(zhang)
        primary, *others = self.several
        self.assertEqual(writer.ask(type="msg", n=1, to=10002, text="one")["type"], "sent")
        for redis in others:
            self.until(lambda: self.ask(redis, "XLEN chat:{10002}:inbox") == "1")  # noqa: B023
        primary.kill()
        self.until(lambda: writer.ask(type="msg", n=2, to=10002, text="two")["type"] == "sent")
        reader = self.program(li)
        self.assertEqual([reader.await_type("msg")["text"] for _ in range(2)], ["one", "two"])
        self.until(lambda: self.health() == "ok")
        self.assertIn(" is back after ", self.server.log())
        for redis in others:
            self.assertEqual(self.ask(redis, "ACL LOG"), "")
        for sentinel in self.sentinels:
            self.assertEqual(sentinel.execute("ACL", "LOG"), b"*0\r\n")
        self.assertNotIn("NOPERM", self.server.log())
        self.assertNotIn("loses messages", self.server.log())
        self.assertEqual(self.server.tracebacks(), [])
