"""``chatsvc room``, run as a process as an admin runs it, on SQLite and on MariaDB."""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pexpect
from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.backends import inbox_at
from chatsvc.inbox.outcome import RoomDraft
from chatsvc.storage.url import parse_store_url
from tests.support.clients import StructuredClient
from tests.support.databases import OnDatabase, OnMariaDB, OnSQLite
from tests.support.processes import PASSWORD, ChatServer, ServerStores, run


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnDatabase):
        """The tests, for each kind of database."""

        def chatsvc(self, *words: str, status: int = 0, inbox: str = "sqlite:none.db") -> str:
            """Run the command; give what it printed, or its one line of complaint."""
            env = {"CHATSVC_ACCOUNTS": self.url, "CHATSVC_INBOX": inbox}
            done = run("chatsvc", *words, env=env, folder=".")
            self.assertEqual(done.status, status, done)
            self.assertNotIn("Traceback", done.stderr)
            if not status:
                self.assertEqual(done.stderr, "")
                return done.stdout
            self.assertEqual(done.stdout, "")
            if status == 1:
                self.assertEqual(done.stderr.count("\n"), 1, done)
            return done.stderr

        def json(self, *words: str) -> Any:
            """What a command prints as JSON."""
            return orjson.loads(self.chatsvc("room", *words, "--json"))

        def account(self, name: str) -> None:
            """Make an account; the first has the uid 10001."""
            self.chatsvc("account", "add", name, "--generate")

        def test_add(self) -> None:
            """An admin could make no room, or not for whom it is; a server would not find it in its events."""
            self.account("张三")
            self.assertEqual(
                self.chatsvc("room", "add", "#dev", "--owner", "10001", "--topic", "all"), "1\n"
            )
            made = self.json("add", "运维", "--owner", "10001", "--private")
            expected = {
                "room": 2,
                "name": "运维",
                "kind": "private",
                "history": "joined",
                "topic": "",
                "members": 1,
                "closed": False,
            }
            self.assertEqual(made, expected)
            self.assertEqual(
                self.json("members", "运维"), [{"uid": 10001, "name": "张三", "role": "owner"}]
            )
            query = "SELECT room, version, event, uid, serial FROM chat_room_event ORDER BY room"
            self.assertEqual(
                [tuple(row) for row in self.sql(query)],
                [(1, 1, "created", 10001, None), (2, 1, "created", 10001, None)],
            )

        def test_list_and_show(self) -> None:
            """An admin could not see what rooms there are, or a script not read it."""
            self.account("张三")
            self.assertEqual(self.json("list"), [])
            self.chatsvc("room", "add", "dev", "--owner", "10001", "--topic", "a\nb")
            self.chatsvc("room", "add", "ops", "--owner", "10001", "--private")
            self.assertEqual(
                self.chatsvc("room", "list"), "1\tdev\tpublic\t1\ta␊b\n2\tops\tprivate\t1\t\n"
            )
            self.assertEqual([one["name"] for one in self.json("list")], ["dev", "ops"])
            shown = self.chatsvc("room", "show", "OPS")
            self.assertEqual(shown, "2\tops\tprivate\tjoined\t1\t10001\tno\t\n")
            self.assertEqual(self.chatsvc("room", "show", "#2"), shown)
            self.assertEqual(self.json("show", "#dev")["owners"], [10001])

        def test_close(self) -> None:
            """An admin could not close a room, or would by mistake; or its name would stay taken."""
            self.account("张三")
            self.chatsvc("room", "add", "dev", "--owner", "10001")
            self.assertIn("--yes", self.chatsvc("room", "close", "dev", status=1))
            self.assertEqual(
                self.chatsvc("room", "close", "dev", "--yes"), "Closed room #dev (number 1).\n"
            )
            self.assertEqual(
                self.json("close", "#1", "--yes"), {"room": 1, "name": "dev", "closed": True}
            )
            self.assertEqual(self.json("list"), [])
            self.assertEqual(self.json("show", "#1")["closed"], True)
            self.chatsvc("room", "show", "dev", status=1)
            self.chatsvc("room", "members", "#1")
            self.assertEqual(self.chatsvc("room", "add", "dev", "--owner", "10001"), "2\n")
            ((by, name),) = self.sql(
                "SELECT actor, name FROM chat_room_event WHERE event = 'closed'"
            )
            self.assertEqual((by, name), (0, "chatsvc"))

        def test_name_before_number(self) -> None:
            """An admin would close another room than the one whose name was typed, as all sentences write it."""
            self.account("张三")
            for name in ("dev", "ops", "1"):
                self.chatsvc("room", "add", name, "--owner", "10001")
            for which, number in (("1", 3), ("#1", 3), ("2", 2), ("#2", 2), ("#ops", 2)):
                self.assertEqual(self.json("show", which)["room"], number, which)
                self.assertEqual(len(self.json("members", which)), 1)
            said = self.chatsvc("room", "close", "#1", "--yes")
            self.assertEqual(said, "Closed room #1 (number 3).\n")
            self.assertEqual(self.json("show", "3")["closed"], True)
            said = self.chatsvc("room", "close", "#1", "--yes")
            self.assertEqual(said, "Closed room #dev (number 1).\n")
            said = self.chatsvc("room", "close", "1", "--yes")
            self.assertEqual(said, "Room #dev (number 1) was closed already.\n")

        def test_asked(self) -> None:
            """An admin would not be told which room it is before it is closed."""
            self.account("张三")
            self.chatsvc("room", "add", "2", "--owner", "10001")
            words = ["room", "close", "#2", "--accounts", self.url, "--inbox", "sqlite:none.db"]
            terminal = pexpect.spawn(
                sys.executable, ["-m", "chatsvc.cli", *words], encoding="utf-8", timeout=30
            )
            terminal.expect_exact("Close room #2 (number 1) with 1 member? [y/N]: ")
            terminal.sendline("n")
            terminal.expect_exact("Aborted")
            terminal.expect(pexpect.EOF)
            terminal.close()
            self.assertEqual(self.json("show", "2")["closed"], False)

        def test_refused(self) -> None:
            """A mistake would end in a traceback, or with the status of a success."""
            self.account("张三")
            self.chatsvc("room", "add", "dev", "--owner", "10001")
            for words, said in (
                (("add", "DEV", "--owner", "10001"), "the name 'DEV' is taken"),
                (("add", "ops", "--owner", "77"), "there is no account 77"),
                (("add", "a b", "--owner", "10001"), "' ' may not stand"),
                (("add", "a]", "--owner", "10001"), "U+005D may not stand"),
                (("add", "", "--owner", "10001"), "empty"),
                (("add", "a", "--owner", "10001", "--topic", "好" * 171), "512 bytes"),
                (("show", "ops"), "there is no room called 'ops'\n"),
                (("show", "#7"), "there is no room called '7', and none has that number"),
                (("members", "9999999999999999999"), "and none has that number"),
                (("close", "#ops", "--yes"), "there is no room called 'ops'\n"),
            ):
                self.assertIn(said, self.chatsvc("room", *words, status=1))
            self.chatsvc("room", "add", "ops", status=2)
            self.chatsvc("room", "add", "ops", "--owner", "x", status=2)
            self.assertEqual(len(self.json("list")), 1)

        def test_store_away(self) -> None:
            """A room would be made of which no log could hear, and the admin not be told."""
            self.account("张三")
            away = "redis+unix:///no/such/socket"
            words = ("room", "add", "dev", "--owner", "10001")
            self.assertIn("/no/such/socket", self.chatsvc(*words, status=1, inbox=away))
            self.assertEqual(self.json("list"), [])


class RedisTests(OnMariaDB):
    """Where messages wait in Redis."""

    def chatsvc(self, *words: str) -> str:
        """Run the command; give what it printed."""
        env = {"CHATSVC_ACCOUNTS": self.url, "CHATSVC_INBOX": self.stores.inbox}
        done = run("chatsvc", *words, env=env, folder=".")
        self.assertEqual((done.status, done.stderr), (0, ""), done)
        return done.stdout

    def unfinished(self) -> int:
        """How many changes are not in the logs."""
        ((count,),) = self.sql("SELECT COUNT(*) FROM chat_room_event WHERE serial IS NULL")
        return int(count)

    def test_rights(self) -> None:
        """An admin would get a riddle of Redis's, after the room was made, and not what the ACL lacks."""
        self.stores = ServerStores()
        self.chatsvc("account", "add", "张三", "--generate")
        user = f"r_{self.name}"
        self.addCleanup(self.stores.redis, "ACL", "DELUSER", user)
        rights = ("reset", "on", ">pw", "~*", "&*", "+@all", "-acl", "-hmget", "-xtrim")
        self.stores.redis("ACL", "SETUSER", user, *rights)
        inbox = self.stores.inbox.replace("redis://", f"redis://{user}:pw@")
        env = {"CHATSVC_ACCOUNTS": self.url, "CHATSVC_INBOX": inbox}
        done = run("chatsvc", "room", "add", "dev", "--owner", "10001", env=env, folder=".")
        self.assertEqual((done.status, done.stdout), (1, ""), done)
        self.assertRegex(
            done.stderr, r"^Error: [^\n]*: add \+hmget \+xtrim to its line in users\.acl[^\n]*\n$"
        )
        self.assertEqual(self.chatsvc("room", "list"), "")

    async def test_finished(self) -> None:
        """Where no server runs a room would not be ready; or a command would take from its log what servers keep."""
        self.stores = ServerStores()
        self.chatsvc("account", "add", "张三", "--generate")
        self.assertEqual(self.chatsvc("room", "add", "dev", "--owner", "10001"), "1\n")
        self.assertEqual(self.unfinished(), 0)
        owner = self.stores.redis("HGET", "chat:{#1}:members", 10001)
        self.assertEqual(owner, b"$5\r\nowner\r\n")
        inbox, _ = await inbox_at(parse_store_url(self.stores.inbox, ("redis",)), reactor)
        self.addCleanup(inbox.close)
        said = RoomDraft(1, 10001, "张三", 1_800_000_000_000, "x", version=1)
        await inbox.commit([said] * 2100, [])
        self.chatsvc("room", "close", "dev", "--yes")
        self.assertEqual(self.unfinished(), 0)
        self.assertEqual(self.stores.redis("XLEN", "chat:{#1}:log"), b":2102\r\n")
        self.assertEqual(self.stores.redis("EXISTS", "chat:{#1}:members"), b":0\r\n")


class BesideServerTests(SynchronousTestCase):
    """Beside a server with SQLite, which alone can reach the logs."""

    def test_how_soon(self) -> None:
        """Members would hear of what an admin did only after 5 to 7 seconds."""
        server = ChatServer().start()
        self.addCleanup(server.remove)
        alice = StructuredClient(server.port, server.ca)
        self.addCleanup(alice.close)
        alice.ask(type="register", n=1, name="Alice", password=PASSWORD)
        done = run("chatsvc", "room", "add", "dev", "--owner", "10001", folder=server.folder)
        began = time.monotonic()
        self.assertEqual((done.status, done.stdout), (0, "1\n"), done)
        while not self.finished(server):
            self.assertLess(time.monotonic() - began, 4)  # 2, and time for a machine that is busy
            time.sleep(0.05)

    def finished(self, server: ChatServer) -> bool:
        """Whether all changes are in the logs."""
        with closing(sqlite3.connect(Path(server.folder) / "chat.db")) as database:
            query = "SELECT COUNT(*) FROM chat_room_event WHERE serial IS NULL"
            return bool(database.execute(query).fetchone() == (0,))


class SQLiteTests(BothKinds.Tests, OnSQLite):
    """On SQLite."""


class MariaDBTests(BothKinds.Tests, OnMariaDB):
    """On MariaDB."""
