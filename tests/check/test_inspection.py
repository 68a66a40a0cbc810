"""An inspection of what a server would use: of folders, of SQLite files, of a real MariaDB and a real Redis."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import orjson
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from chatsvc.accounts.tokens import Tokens
from chatsvc.backends import inbox_at
from chatsvc.check.finding import Finding, Severity
from chatsvc.check.inspection import inspect
from chatsvc.inbox.features import FACTS
from chatsvc.inbox.interface import NullWatcher
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.nodes import NodeFacts
from chatsvc.inbox.redis.inbox import RedisInbox
from chatsvc.storage.database import Database
from chatsvc.storage.schema import apply
from chatsvc.storage.url import parse_store_url
from chatsvc.tap.server import Options
from chatsvc.tls.key_folder import KeyFolder
from tests.support.authority import LEAF, NOW, Authority, key_pem, pem
from tests.support.processes import ServerStores
from tests.support.servers import PrivateRedis, mariadb, redis

ROOM_TABLES = ("chat_room", "chat_member", "chat_ban", "chat_invitation", "chat_room_event")
HISTORY_TABLES = (
    *("chat_conversation", "chat_message", "chat_word", "chat_unindexed"),
    *("chat_reading", "chat_mention", "chat_archive", "chat_user_setting"),
)
OTHER_TABLES = (*ROOM_TABLES, *HISTORY_TABLES)

_FEW = ("--max-connections", "700")
"""As many as any machine's open files allow."""


class Inspecting(TestCase):
    async def inspect(self, *words: str, days: float = 0) -> list[Finding]:
        """What is found wrong, with everything in this test's folder unless the words say otherwise."""
        options = Options({})
        base = ["--keys", self.at("keys"), "--accounts", f"sqlite:{self.at('chat.db')}"]
        options.parseOptions([*base, "--inbox", f"sqlite:{self.at('chat.db')}", *_FEW, *words])
        self.found = await inspect(reactor, options.config, NOW.timestamp() + days * 86_400)
        return [finding for finding in self.found if finding.verdict is not Severity.OK]

    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        os.mkdir(self.folder)

    def at(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def write(self, name: str, content: bytes, mode: int) -> None:
        Path(self.at(name)).write_bytes(content)
        os.chmod(self.at(name), mode)

    def assert_found(self, found: list[Finding], *expected: tuple[Severity, str, str]) -> None:
        """Findings with these verdicts, about these things, with these words in them."""
        self.assertEqual([(f.verdict, f.about) for f in found], [e[:2] for e in expected], found)
        for finding, (_, _, words) in zip(found, expected, strict=True):
            self.assertIn(words, finding.text)


class FolderTests(Inspecting):
    """A server on one machine, with nothing but files."""

    def make(self) -> KeyFolder:
        """What a first start makes."""
        keys = KeyFolder(self.at("keys"))
        keys.ensure([])
        return keys

    async def make_all(self) -> KeyFolder:
        """And its tables."""
        inbox, _ = await inbox_at(
            parse_store_url(f"sqlite:{self.at('chat.db')}", ("sqlite",)), reactor
        )
        await inbox.close()
        return self.make()

    async def test_empty_folder(self) -> None:
        """Before the first start all would seem broken, or looking would make what is looked for."""
        found = await self.inspect()
        about = ["keys", "keys", "accounts", "inbox"]
        self.assertEqual([(f.verdict, f.about) for f in found], [(Severity.WARN, a) for a in about])
        self.assertEqual(os.listdir(self.folder), [])

    async def test_all_is_well(self) -> None:
        """What is well would be found wrong."""
        await self.make_all()
        self.assertEqual(await self.inspect(), [])
        about = ["limits", "keys", "certificate", "keys", "port", "accounts", "schema"]
        about += ["history", "inbox"]
        self.assertEqual([finding.about for finding in self.found], about)

    async def test_no_folder(self) -> None:
        """A store that cannot be made would be found out by the start."""
        for option, about in (("--accounts", "accounts"), ("--inbox", "inbox")):
            await self.make_all()
            found = await self.inspect(
                option, "sqlite:/missing/folder/chat.db", "--history-days", "0"
            )
            self.assert_found(found, (Severity.FAIL, about, "/missing/folder is no folder"))

    async def test_keys_that_cannot_be_made(self) -> None:
        """Where no key folder can be made, the check would promise that the server makes it."""
        self.write("file", b"", 0o600)
        for place in ("file", "file/keys"):
            found = await self.inspect("--keys", self.at(place))
            self.assertEqual((found[0].verdict, found[0].about), (Severity.FAIL, "keys"))
            self.assertIn(f"{self.at('file')} is no folder to write to", found[0].text)

    async def test_unfinished_rooms(self) -> None:
        """Nobody would hear of members who are not in the log of their room: each is refused there."""
        await self.make_all()
        at = int(NOW.timestamp() * 1000)
        with closing(sqlite3.connect(self.at("chat.db"))) as connection, connection:
            for room, before, serial in ((1, 59, None), (2, 61, None), (3, 61, 7)):
                row = (room, 1, at - before * 1000, "created", 1, 1, "a", "{}", None, serial)
                connection.execute(
                    "INSERT INTO chat_room_event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row
                )
        words = (
            "not in their logs for more than a minute, so that members may be missing there: #2;"
        )
        self.assert_found(await self.inspect(), (Severity.WARN, "rooms", words))

    async def test_workers(self) -> None:
        """Workers on SQLite would be found in order, and the server not start."""
        self.make()
        found = await self.inspect("--workers", "2")
        line = "--workers 2: SQLite serves one process"
        self.assert_found(found[:1], (Severity.FAIL, "config", line))

    async def test_modes(self) -> None:
        """An admin would not hear that others can read keys and messages, and how to mend it."""
        keys = await self.make_all()
        for path in (keys.key_path, keys.secret_path, self.at("chat.db")):
            os.chmod(path, 0o644)
        found = await self.inspect()
        self.assert_found(
            found,
            (Severity.FAIL, "keys", "chmod 600"),
            (Severity.FAIL, "keys", "chmod 600"),
            (Severity.WARN, "accounts", "chmod 600"),
            (Severity.WARN, "inbox", "chmod 600"),
        )

    async def test_keys(self) -> None:
        """A key that does not fit, or half a pair, would be found out by the start."""
        keys = await self.make_all()
        os.unlink(keys.key_path)
        self.assert_found(
            await self.inspect(), (Severity.FAIL, "keys", "server.key cannot be read")
        )

    async def test_own_certificates(self) -> None:
        """The end of a certificate that an endpoint names would come unseen, or others could read its key."""
        await self.make_all()
        authority = Authority("authority")
        certificate = authority.sign(LEAF, authority.key.public_key(), False)
        self.write("own.pem", key_pem(authority.key) + pem(certificate), 0o644)
        own = f"ssl:10000:privateKey={self.at('own.pem')}"
        warning = (Severity.WARN, "port", "chmod 600")
        self.assert_found(await self.inspect("--port", own), warning)
        found = await self.inspect("--port", own, days=20)
        self.assert_found(found, (Severity.FAIL, "certificate", "in 9 days"), warning)

    async def test_ports(self) -> None:
        """A slip in an endpoint would be found out by the start."""
        await self.make_all()
        ports = ["ssl:10000", "nonsense", "haproxy:systemd:domain=INET:index=0", "tls:/missing:1"]
        words = [word for port in ports for word in ("--port", port)]
        found = await self.inspect(*words, "--metrics", "tcp:x", "--legacy-port", "tcp:10001")
        self.assert_found(
            found,
            (Severity.FAIL, "port", "'nonsense' is no endpoint"),
            (Severity.FAIL, "port", "no file *.pem"),
            (Severity.FAIL, "port", "'tcp:x' is no endpoint"),
        )

    async def test_older_tables(self) -> None:
        """A look would change tables, or the admin not hear that they are out of date."""
        await self.make_all()
        with closing(sqlite3.connect(self.at("chat.db"))) as connection, connection:
            connection.execute("DELETE FROM chat_schema WHERE version = 3")
            connection.execute("DROP TABLE chat_inbox")
        warning = (Severity.WARN, "schema", "003_inbox.sql")
        for _ in range(2):
            self.assert_found(await self.inspect(), warning, warning)

    async def test_no_database(self) -> None:
        """A file of something else would end in a traceback."""
        await self.make_all()
        self.write("chat.db", b"something else" * 100, 0o600)
        found = [f for f in await self.inspect() if f.verdict is Severity.FAIL]
        self.assertEqual([finding.about for finding in found], ["accounts", "inbox"])


class ServersTests(Inspecting):
    """MariaDB and Redis."""

    def setUp(self) -> None:
        super().setUp()
        KeyFolder(self.at("keys")).ensure([])
        self.stores = ServerStores()

    async def make_tables(self) -> None:
        """What `chatsvc schema` makes."""
        database = Database(parse_store_url(self.stores.accounts, ("mysql",)), reactor)
        await database.open()
        await apply(database)
        database.close()

    async def test_dangers(self) -> None:
        """What can lose messages or accounts would not be said."""
        wanting = PrivateRedis("--appendonly", "no")
        wanting.start()
        self.addCleanup(wanting.remove)
        stores = ["--accounts", self.stores.accounts, "--inbox", wanting.url()]
        self.assert_found(
            await self.inspect(*stores),
            (Severity.WARN, "schema", "000_chat_schema.sql"),
            (Severity.WARN, "inbox", "appendonly yes"),
        )
        await self.make_tables()
        self.stores.sql("INSERT INTO user VALUES (1, 'a', 'plain'), (2, 'b', '$argon2id$x')")
        wanting.execute("REPLICAOF", "127.0.0.1", "1")
        self.assert_found(
            await self.inspect(*stores),
            (Severity.WARN, "accounts", "innodb_flush_log_at_trx_commit"),
            (Severity.WARN, "accounts", "1 plain passwords"),
            (Severity.FAIL, "inbox", "READONLY"),
        )

    async def test_away(self) -> None:
        """A store that is away would hide what else is wrong, or show its password."""
        found = await self.inspect(
            *("--accounts", "mysql://chat:secret@127.0.0.1:1/chat"),
            *("--inbox", "redis://:secret@127.0.0.1:1/0"),
        )
        self.assert_found(
            found, (Severity.FAIL, "accounts", "refused"), (Severity.FAIL, "inbox", "refused")
        )
        self.assertNotIn("secret", str(found))

    def limited_account(self, *rights: str) -> str:
        """The URL of a MySQL account that has these rights, such as ``SELECT ON *``, in the test's database alone."""
        name, port = self.stores.database, mariadb().port
        user = f"r_{name}"
        mariadb().execute("", f"CREATE USER {user} IDENTIFIED BY 'pw'")
        self.addCleanup(mariadb().execute, "", f"DROP USER {user}")
        for right in rights:
            what, _, table = right.partition(" ON ")
            mariadb().execute("", f"GRANT {what} ON `{name}`.{table} TO {user}")
        return f"mysql://{user}:pw@127.0.0.1:{port}/{name}"

    async def test_account_that_may_not(self) -> None:
        """An account of MySQL that may only read would be found out by the first log-in."""
        url = self.limited_account("SELECT ON *")
        await self.make_tables()
        found = await self.inspect("--accounts", url, "--inbox", redis().url(self.stores.db))
        self.assert_found(found, (Severity.FAIL, "accounts", "may not write user, write chat_name"))

    async def test_rights_that_are_missing(self) -> None:
        """After an upgrade a server with the rights of before would be found in order, and not start."""
        await self.make_tables()
        tables = ("user", "chat_name", "chat_lock", "chat_schema", *OTHER_TABLES)
        accounts = self.limited_account(*(f"ALL ON {table}" for table in tables))
        user = f"w_{self.stores.database}"
        words = ("~chat:*", "&chat:*", "~list_*", "+@all", "-hgetall", "-info", "-select", "-acl")
        redis().execute("ACL", "SETUSER", user, "reset", "on", ">pw", *words)
        self.addCleanup(redis().execute, "ACL", "DELUSER", user)
        inbox = f"redis://{user}:pw@127.0.0.1:{redis().port}/{self.stores.db}"
        self.assert_found(
            await self.inspect("--accounts", accounts, "--inbox", inbox),
            (Severity.FAIL, "accounts", "may not read chat_session_device: GRANT SELECT, INSERT"),
            (Severity.FAIL, "inbox", "add +hgetall +info +select to its line in users.acl"),
        )

    async def test_unseen_schema(self) -> None:
        """A database whose server's start fails would pass for one that only waits for its tables."""
        await self.make_tables()
        tables = ("user", "chat_name", "chat_lock", "chat_session_device", *OTHER_TABLES)
        url = self.limited_account(*(f"ALL ON {table}" for table in tables))
        found = await self.inspect("--accounts", url, "--inbox", redis().url(self.stores.db))
        grant = "may not read chat_schema: GRANT SELECT ON the database's chat_schema TO it"
        self.assert_found(found, (Severity.FAIL, "accounts", grant))

    async def test_no_registration(self) -> None:
        """A server on which nobody registers would be refused for a right that it never uses."""
        await self.make_tables()
        name = self.stores.database
        user = f"n_{name}"
        mariadb().execute("", f"CREATE USER {user} IDENTIFIED BY 'pw'")
        self.addCleanup(mariadb().execute, "", f"DROP USER {user}")
        for table in (
            "chat_name",
            "chat_lock",
            "chat_schema",
            "chat_session_device",
            *OTHER_TABLES,
        ):
            mariadb().execute("", f"GRANT ALL ON `{name}`.{table} TO {user}")
        mariadb().execute("", f"GRANT SELECT, UPDATE ON `{name}`.user TO {user}")
        url = f"mysql://{user}:pw@127.0.0.1:{mariadb().port}/{name}"
        words = ("--accounts", url, "--inbox", redis().url(self.stores.db))
        lacks = (Severity.FAIL, "accounts", "may not write user: GRANT SELECT, INSERT, UPDATE")
        self.assert_found(await self.inspect(*words, "--registration", "open"), lacks)
        found = await self.inspect(*words, "--registration", "closed")
        self.assertEqual([one for one in found if one.verdict is Severity.FAIL], [])

    async def test_older_node(self) -> None:
        """Nobody would hear why no client gets a registered device: a node of the release before still runs."""
        await self.make_tables()
        url = parse_store_url(redis().url(self.stores.db), ("redis",))
        secret = Tokens(KeyFolder(self.at("keys")).token_secret()).fingerprint
        about = [
            NodeFacts("0.2", secret, FACTS).to_text(),
            orjson.dumps({"version": "0.1", "secret": secret}).decode(),
        ]
        words = ("--accounts", self.stores.accounts, "--inbox", redis().url(self.stores.db))
        for number, facts in enumerate(about):
            node = RedisInbox(
                reactor, url, InboxLimits(), f"node{number}", about=partial(str, facts)
            )
            self.addCleanup(node.close)
            await node.open(NullWatcher())
            found = [one.text for one in await self.inspect(*words) if one.about == "nodes"]
            self.assertEqual(len(found), number, found)
        self.assertIn("of an older version", found[0])
        self.assertIn("(node1)", found[0])
