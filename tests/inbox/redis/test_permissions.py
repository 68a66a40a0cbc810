"""What a user of a real Redis may not do, found out before anybody logs in."""

from __future__ import annotations

import re

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from chatsvc.inbox.redis.permissions import NEEDED, require_permissions_at
from chatsvc.inbox.redis.script import BATCHES, REST, ROOM_BATCHES, ROOMS
from chatsvc.storage.url import StoreMisconfigured, StoreUnavailable, parse_store_url
from tests.support.pages import Page
from tests.support.servers import PrivateRedis, redis

_OF_THE_LOG_IN = {"select", "role"}
"""Commands by which a connection begins; the second only where sentinels know it."""

_SPARED = {"config|get", "xlen"}
"""What only makes the server say more, or what only nodes of the release before need."""


class PermissionsTests(TestCase):
    """Users with more and less rights."""

    def setUp(self) -> None:
        self.redis = redis()
        (line,) = re.findall(r"^user chatsvc on \S+ (.*)$", self.page(), re.MULTILINE)
        self.words = line.split()
        self.addCleanup(self.redis.execute, "ACL", "DELUSER", "limited")

    def page(self) -> str:
        """The page's ACL."""
        (text,) = Page("docs/operation.md").fences("conf acl")
        return text

    async def missing(self, words: list[str]) -> list[str]:
        """What a user with these rights is told to add."""
        before = self.redis.execute("ACL", "SETUSER", "limited", "reset", "on", ">pw", *words)
        self.assertEqual(before, b"+OK\r\n")
        url = f"redis://limited:pw@127.0.0.1:{self.redis.port}/62"
        try:
            await require_permissions_at(parse_store_url(url, ("redis",)), reactor)
        except StoreMisconfigured as problem:
            said = str(problem)
            self.assertNotIn("\n", said)
            self.assertNotIn("pw", said)
            found = re.search(r": add (.*) to its line in users\.acl, then ACL LOAD$", said)
            assert found is not None, said
            return found[1].split()
        return []

    async def test_enough(self) -> None:
        """A server with the rights of docs/operation.md would not start."""
        self.redis.execute("ACL", "LOG", "RESET")
        self.assertEqual(await self.missing(self.words), [])
        self.assertEqual(self.redis.execute("ACL", "LOG"), b"*0\r\n", "an admin would look for it")
        self.assertEqual(await self.missing(["~*", "&*", "+@all"]), [])

    async def test_each_word(self) -> None:
        """A right that is missing would show as a riddle, at the first message or when a device is forgotten."""
        words = set(self.words) - {"resetchannels", "-@all"}
        spared = {f"+{name}" for name in {"role"} | _SPARED}
        for word in sorted(words - spared):
            rest = [one for one in self.words if one != word]
            self.assertEqual(await self.missing(rest), [word])

    async def test_all_in_one_line(self) -> None:
        """An admin who adds what is named would be told the next word at the next start."""
        few = {"+time"}
        rest = [word for word in self.words if not word.startswith("+") or word in few]
        expected = {f"+{name}" for name in {*NEEDED, "select"} - {"time"}}
        self.assertEqual(set(await self.missing(rest)), expected)

    async def test_nothing_is_changed(self) -> None:
        """A look would leave keys behind, or change what is there."""
        self.redis.execute("FLUSHDB", db=62)
        self.redis.execute("SADD", "chat:nodes", "x", db=62)
        await self.missing(self.words)
        await self.missing(["~*", "&*", "+@all"])
        self.assertEqual(self.redis.execute("DBSIZE", db=62), b":1\r\n")
        self.redis.execute("FLUSHDB", db=62)


class OtherTests(TestCase):
    """What is no matter of rights."""

    def test_the_script(self) -> None:
        """The script would call a command that nobody has looked whether it may."""
        source = b"".join(one.source for one in (BATCHES, ROOM_BATCHES, ROOMS, REST))
        called = {name.lower() for name in re.findall(rb"redis\.p?call\('(\w+)'", source)}
        self.assertGreater(len(called), 15)
        needed = {name.partition("|")[0].encode() for name in NEEDED}
        self.assertEqual(called - needed, set())

    def test_the_page(self) -> None:
        """The page would give less than is needed, or more."""
        (text,) = Page("docs/operation.md").fences("conf acl")
        (line,) = re.findall(r"^user chatsvc on (.*)$", text, re.MULTILINE)
        given = {word[1:] for word in line.split() if word.startswith("+")}
        self.assertEqual(given, NEEDED | _OF_THE_LOG_IN | _SPARED)

    async def test_full_or_read_only(self) -> None:
        """A Redis that takes no writes would be said to lack rights; what is wrong with it, others say."""
        private = PrivateRedis("--maxmemory", "1")
        private.start()
        self.addCleanup(private.remove)
        url = parse_store_url(private.url(), ("redis",))
        await require_permissions_at(url, reactor)
        words = ("~chat:*", "~list_*", "resetchannels", "&chat:node:*", "+@all", "-acl")
        private.execute("ACL", "SETUSER", "limited", "on", ">pw", *words)
        limited = parse_store_url(f"redis://limited:pw@127.0.0.1:{private.port}/0", ("redis",))
        await require_permissions_at(limited, reactor)
        private.execute("CONFIG", "SET", "maxmemory", "0")
        private.execute("REPLICAOF", "127.0.0.1", "1")
        await require_permissions_at(limited, reactor)

    async def test_away(self) -> None:
        """A Redis that is away or refuses the log-in would end a look in a traceback, or show its password."""
        url = parse_store_url("redis://:secret@127.0.0.1:1/0", ("redis",))
        with self.assertRaises(StoreUnavailable) as caught:
            await require_permissions_at(url, reactor)
        self.assertIn("refused", str(caught.exception))
        url = parse_store_url(f"redis://nobody:secret@127.0.0.1:{redis().port}/0", ("redis",))
        with self.assertRaises(StoreUnavailable) as caught:
            await require_permissions_at(url, reactor)
        self.assertIn("WRONGPASS", str(caught.exception))
        self.assertNotIn("secret", str(caught.exception))

    async def test_hung(self) -> None:
        """A Redis that hangs would hold up a look for ever."""
        private = PrivateRedis()
        private.start()
        self.addCleanup(private.remove)
        private.freeze()
        try:
            with self.assertRaises(StoreUnavailable):
                url = parse_store_url(private.url(), ("redis",))
                await require_permissions_at(url, reactor, patience=0.2)
        finally:
            private.thaw()
