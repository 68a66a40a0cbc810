"""``chatsvc account import`` as a process, on both kinds of database."""

from __future__ import annotations

import csv
import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import orjson
from argon2 import PasswordHasher
from twisted.internet.threads import deferToThread

from chatsvc.accounts.creation import NewAccount
from chatsvc.accounts.store import AccountStore
from tests.cli.shell import chatsvc
from tests.support.databases import OnDatabase, OnMariaDB, OnSQLite
from tests.support.processes import Outcome

PHC = PasswordHasher(1, 16, 1).hash("moved over")
IMPORTED = 20_000

FILE = f'name,password,uid\n张三,,\nBob,geheim,20000\nAnn,"!{PHC}",\n'


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnDatabase):
        def run_import(self, text: str, *words: str, status: int = 0) -> Outcome:
            """Import from standard input."""
            environment = {"CHATSVC_ACCOUNTS": self.url}
            command = ("account", "import", "-", *words)
            done = chatsvc(*command, stdin=text.encode(), env=environment)
            self.assertEqual(done.status, status, done)
            return done

        def rows(self) -> dict[int, tuple[str, str]]:
            """All accounts, as another program sees them."""
            rows = self.sql("SELECT id, username, password FROM user")
            return {uid: (name, stored) for uid, name, stored in rows}

        def test_import(self) -> None:
            """Accounts would not be made, get a wrong password, or the admin not learn one that was made up."""
            made = list(csv.DictReader(self.run_import(FILE).stdout.splitlines()))
            rows = self.rows()
            self.assertEqual([row["name"] for row in made], ["张三", "Bob", "Ann"])
            self.assertEqual([rows[int(row["uid"])][0] for row in made], ["张三", "Bob", "Ann"])
            zhang, bob, ann = made
            self.assertTrue(PasswordHasher().verify(rows[int(zhang["uid"])][1], zhang["password"]))
            self.assertEqual((bob["uid"], bob["password"], ann["password"]), ("20000", "", ""))
            self.assertTrue(PasswordHasher().verify(rows[20000][1], "geheim"))
            self.assertEqual(rows[int(ann["uid"])][1], f"!{PHC}")

            refused = self.run_import("name,password,uid\nnew,,\nBOB,,\nx,,20000\n", status=1)
            self.assertEqual((refused.stdout, self.rows()), ("", rows))
            self.assertEqual(
                refused.stderr.splitlines(),
                [
                    "line 3: the name 'BOB' is taken",
                    "line 4: the uid 20000 is taken",
                    "Error: nothing was imported (problems: 2)",
                ],
            )


class SQLiteImportTests(BothKinds.Tests, OnSQLite):
    def test_dry_run(self) -> None:
        """A dry run would import, or pass what an import refuses; programs would have to read CSV."""
        (made,) = orjson.loads(self.run_import("name,password\nBob,x\n", "--json").stdout)
        self.assertEqual(made, {"uid": 10001, "name": "Bob", "password": None})
        rows = self.rows()
        dry = self.run_import("name,password\nAnn,\n张三,\n", "--dry-run")
        self.assertEqual(dry.stdout, "2 accounts can be imported\n")
        refused = self.run_import("name,password\nAnn,\nbob,\n", "--dry-run", status=1)
        self.assertIn("line 3: the name 'bob' is taken", refused.stderr)
        self.assertEqual(self.rows(), rows)

    def test_bad_file(self) -> None:
        """A bad line would be left out in silence, or a dry run make the database."""
        refused = self.run_import("name,password\n]a,secret\nb,x,y\n", status=1)
        self.assertEqual(
            refused.stderr.splitlines(),
            [
                "line 2: U+005D may not stand there in a name",
                "line 3: it has 3 fields, the first line has 2",
                "Error: nothing was imported (problems: 2)",
            ],
        )
        refused = self.run_import(FILE, "--dry-run", status=1)
        self.assertIn("no such file", refused.stderr)
        self.assertFalse(Path(self.path).exists())

    def test_interrupted(self) -> None:
        """Ctrl-C would wait for thousands of passwords to be hashed, or leave some of the accounts behind."""
        Path("many.csv").write_text(
            "name,password\n" + "".join(f"u{number},x\n" for number in range(5000))
        )
        begun = subprocess.Popen(
            [sys.executable, "-m", "chatsvc.cli", "account", "import", "many.csv"],
            env={**os.environ, "CHATSVC_ACCOUNTS": self.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.addCleanup(begun.wait)
        self.addCleanup(begun.kill)
        threads = Path(f"/proc/{begun.pid}/task")
        deadline = time.monotonic() + 30
        # Its own, the database's and those that hash.
        while len(list(threads.iterdir())) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        begun.terminate()
        output, errors = begun.communicate(timeout=20)
        self.assertEqual((begun.returncode, output, errors), (1, b"", b"Aborted!\n"))
        self.assertEqual(self.sql("SELECT COUNT(*) FROM user"), [(0,)])


class MariaDBImportTests(BothKinds.Tests, OnMariaDB):
    pass


class WhileOthersWriteTests(OnSQLite):
    async def test_others_write_meanwhile(self) -> None:
        """
        Messages to the users of a file would stop while many accounts are imported into it: a writer, such as a server,
        would wait for nearly as long as it takes to make them all.
        """
        accounts = AccountStore(await self.open())
        await accounts.open()
        for given in (None, 100_000):
            names = (f"{given} user {number * 7919 % IMPORTED}" for number in range(IMPORTED))
            over, began = threading.Event(), threading.Event()

            def write(over: threading.Event = over, began: threading.Event = began) -> float:
                longest = 0.0
                with closing(
                    sqlite3.connect(self.path, timeout=60, isolation_level=None)
                ) as another:
                    while not over.wait(0.002):
                        start = time.monotonic()
                        another.execute("INSERT INTO chat_setting VALUES (hex(randomblob(8)), '')")
                        longest = max(longest, time.monotonic() - start)
                        began.set()
                return longest

            writing = deferToThread(write)
            began.wait(10)
            start = time.monotonic()
            people = [
                NewAccount(name, PHC, given and given + place) for place, name in enumerate(names)
            ]
            try:
                uids = await accounts.create_many(people)
                seconds = time.monotonic() - start
            finally:
                over.set()
                longest = await writing
            self.assertEqual(len(set(uids)), IMPORTED)
            # Measured: a tenth to a fifth of it. In one transaction it was nine tenths.
            self.assertLess(longest, seconds / 2, f"of {seconds:.2f} s")
