"""The chatsvc command, run as a process as an admin runs it, on SQLite and on MariaDB."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import sys
from contextlib import closing

import orjson
import pexpect
from argon2 import PasswordHasher

from tests.support.databases import OnDatabase, OnMariaDB, OnSQLite
from tests.support.processes import run
from tests.support.servers import mariadb

PHC = re.compile(r"\$argon2id\$")


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnDatabase):
        def chatsvc(self, *words: str, stdin: str = "", status: int = 0) -> str:
            """Run the command; give what it printed, or its one line of complaint."""
            env = {"CHATSVC_ACCOUNTS": self.url}
            done = run("chatsvc", *words, stdin=stdin.encode(), env=env, folder=".")
            self.assertEqual(done.status, status, done)
            self.assertNotIn("Traceback", done.stderr)
            self.assertNotIn("p%40ss", done.stdout + done.stderr)
            if not status:
                self.assertEqual(done.stderr, "")
                return done.stdout
            self.assertEqual(done.stdout, "")
            if status == 1:
                self.assertEqual(done.stderr.count("\n"), 1, done)
            return done.stderr

        def listed(self) -> list[object]:
            """Give what `account list --json` says."""
            found: list[object] = orjson.loads(self.chatsvc("account", "list", "--json"))
            return found

        def stored(self, uid: int) -> str:
            """Give the password column of a row."""
            ((password,),) = self.sql("SELECT password FROM user WHERE id = ?", (uid,))
            return str(password)

        def test_schema(self) -> None:
            """An admin could not make the tables beforehand, or would not hear what was done."""
            first = self.chatsvc("schema").splitlines()
            self.assertEqual(first[:2], ["applied 000_chat_schema.sql", "applied 001_user.sql"])
            self.assertEqual(self.chatsvc("schema"), "up to date\n")

        def test_add(self) -> None:
            """An account could not be added, or its password would not be the one handed in."""
            added = self.chatsvc("account", "add", "张三", "--password-stdin", stdin="密 码\r\nx\n")
            self.assertEqual(added, "10001\n")
            self.assertTrue(PasswordHasher().verify(self.stored(10001), "密 码"))
            words = ("account", "passwd", "10001", "--password-stdin")
            self.chatsvc(*words, stdin="\ufeffcafe\u0301\u3000x\r\n")
            self.assertTrue(PasswordHasher().verify(self.stored(10001), "café x"))
            generated = self.chatsvc("account", "add", "李四", "--generate").splitlines()
            self.assertEqual(generated[0], "10002")
            self.assertGreaterEqual(len(generated[1]), 16)
            self.assertTrue(PasswordHasher().verify(self.stored(10002), generated[1]))

        def test_refused(self) -> None:
            """A mistake would end in a traceback, or with the status of a success."""
            self.chatsvc("account", "add", "Bob", "--generate")
            words = ("account", "add", "BOB", "--generate")
            self.assertIn("'BOB' is taken", self.chatsvc(*words, status=1))
            self.chatsvc("account", "add", "a\nb", "--generate", status=1)
            self.assertIn("no terminal", self.chatsvc("account", "add", "x", status=1))
            words = ("account", "add", "x", "--password-stdin")
            self.assertIn("1 to 1024 bytes", self.chatsvc(*words, status=1))
            for target in (("add", "x"), ("passwd", "10001")):
                typed = ("account", *target, "--password-stdin")
                self.assertIn("control character", self.chatsvc(*typed, stdin="a\tb\n", status=1))
            for command in ("lock", "unlock"):
                line = self.chatsvc("account", command, "77", status=1)
                self.assertEqual(line, "Error: there is no account 77\n")
            for uid in ("0", "99999999999999999999"):
                self.chatsvc("account", "passwd", uid, "--generate", status=1)
            self.chatsvc("account", "lock", "x", status=2)
            self.chatsvc("account", "add", "x", "--generate", "--password-stdin", status=2)
            self.assertEqual(len(self.listed()), 1)

        def test_passwd(self) -> None:
            """A forgotten password could not be replaced, or doing so would unlock an account."""
            self.chatsvc("account", "add", "Bob", "--generate")
            self.chatsvc("account", "passwd", "10001", "--password-stdin", stdin="new")
            self.assertTrue(PasswordHasher().verify(self.stored(10001), "new"))
            self.chatsvc("account", "lock", "10001")
            self.chatsvc("account", "passwd", "10001", "--password-stdin", stdin="newer")
            self.assertTrue(self.stored(10001).startswith("!$argon2id$"))
            self.assertTrue(PasswordHasher().verify(self.stored(10001)[1:], "newer"))

        def test_states(self) -> None:
            """An admin could not see or change who may log in, or locking would lose a password."""
            self.chatsvc("schema")
            self.sql("INSERT INTO user VALUES (1, 'old', 'plain'), (2, NULL, NULL), (3, 'e', '')")
            self.chatsvc("account", "add", "Bob", "--generate")
            states = {1: "plain", 2: "none", 3: "none", 10001: "active"}
            names = {1: "old", 2: "UID2", 3: "e", 10001: "Bob"}

            def expected() -> list[object]:
                return [
                    {"uid": uid, "name": names[uid], "state": state}
                    for uid, state in states.items()
                ]

            self.assertEqual(self.listed(), expected())
            self.chatsvc("account", "lock", "10001")
            self.chatsvc("account", "lock", "10001")
            self.chatsvc("account", "lock", "1")
            self.chatsvc("account", "lock", "2", status=1)
            states.update({1: "locked", 10001: "locked"})
            self.assertEqual(self.listed(), expected())
            for uid in ("1", "2", "10001", "10001"):
                self.chatsvc("account", "unlock", uid)
            states.update({1: "active", 10001: "active"})
            self.assertEqual(self.listed(), expected())
            self.assertTrue(PasswordHasher().verify(self.stored(1), "plain"))
            lines = self.chatsvc("account", "list").splitlines()
            self.assertEqual(lines[0], "1\told\tactive")
            self.chatsvc("account", "passwd", "2", "--generate")
            self.assertRegex(self.stored(2), PHC)

        def test_prompt(self) -> None:
            """A password typed at a terminal would be shown, not be asked for twice, or be lost."""
            terminal = pexpect.spawn(
                sys.executable,
                ["-m", "chatsvc.cli", "--accounts", self.url, "account", "add", "张三"],
                encoding="utf-8",
                timeout=30,
            )
            for answer in ("secret1", "secret2", "secret1", "secret1"):
                terminal.expect(r"(Password|Repeat for confirmation): ")
                terminal.sendline(answer)
            terminal.expect(pexpect.EOF)
            terminal.close()
            self.assertEqual(terminal.exitstatus, 0)
            self.assertEqual(terminal.before.split(), ["10001"])
            self.assertTrue(PasswordHasher().verify(self.stored(10001), "secret1"))

        async def test_beside_a_server(self) -> None:
            """An admin would have to stop the server in order to add an account."""
            server = await self.open()
            self.chatsvc("schema")
            await server.run(lambda t: t.one("SELECT 1"))
            self.chatsvc("account", "add", "Bob", "--generate")
            question = "SELECT username FROM user WHERE id = 10001"
            self.assertEqual(await server.run(lambda t: t.one(question)), ("Bob",))

        def test_places(self) -> None:
            """`--accounts` would not count where it stands, or less than the environment."""
            self.chatsvc("schema")
            url, self.url = self.url, "sqlite:/missing/folder/chat.db"
            self.assertEqual(self.chatsvc("--accounts", url, "account", "list"), "")
            self.assertEqual(self.chatsvc("account", "list", "--accounts", url), "")
            self.assertIn("/missing/folder", self.chatsvc("account", "list", status=1))
            self.assertIn("'nonsense'", self.chatsvc("schema", "--accounts", "nonsense", status=1))


class SQLiteAdminTests(BothKinds.Tests, OnSQLite):
    def test_mistyped_file(self) -> None:
        """Who asks a mistyped file would get an empty answer, and a database in the wrong place."""
        self.url = "sqlite:typo.db"
        for words in (("account", "list"), ("account", "lock", "1")):
            self.assertIn("no such file", self.chatsvc(*words, status=1))
        self.assertFalse(os.path.exists("typo.db"))

    def test_file_is_private(self) -> None:
        """Everybody on the machine could read the password hashes."""
        self.chatsvc("schema")
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)

    def test_locked_file(self) -> None:
        """A file that another program holds would end in a traceback."""
        self.chatsvc("schema")
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            self.assertIn("locked", self.chatsvc("account", "add", "x", "--generate", status=1))


class MariaDBAdminTests(BothKinds.Tests, OnMariaDB):
    def test_server_away(self) -> None:
        """A server that is not there would end in a traceback or show the password."""
        mariadb().stop()
        try:
            self.assertIn("refused", self.chatsvc("account", "list", status=1))
        finally:
            mariadb().start()

    def test_account_that_may_not(self) -> None:
        """An account of MySQL without the rights would end in a traceback."""
        self.chatsvc("schema")
        mariadb().execute("", f"CREATE USER r_{self.name} IDENTIFIED BY 'pw'")
        self.addCleanup(mariadb().execute, "", f"DROP USER r_{self.name}")
        mariadb().execute("", f"GRANT SELECT ON `{self.name}`.* TO r_{self.name}")
        self.url = f"mysql://r_{self.name}:pw@127.0.0.1:{mariadb().port}/{self.name}"
        self.chatsvc("account", "list")
        self.assertIn("denied", self.chatsvc("account", "add", "x", "--generate", status=1))
