"""The rights that a server tries at its start, on a real SQLite and a real MariaDB."""

from __future__ import annotations

from chatsvc.accounts.rights import of_server
from chatsvc.accounts.store import AccountStore
from chatsvc.storage.url import StoreMisconfigured
from tests.support.databases import OnDatabase, OnMariaDB, OnSQLite
from tests.support.servers import mariadb

ENOUGH = {
    "user": "SELECT, INSERT, UPDATE",
    "chat_name": "SELECT, INSERT, DELETE",
    "chat_lock": "SELECT, INSERT, UPDATE",
    "chat_session_device": "SELECT, INSERT, UPDATE",
    "chat_room": "SELECT, INSERT, UPDATE",
    "chat_member": "SELECT, INSERT, UPDATE, DELETE",
    "chat_ban": "SELECT, INSERT, DELETE",
    "chat_invitation": "SELECT, INSERT, UPDATE, DELETE",
    "chat_room_event": "SELECT, INSERT, UPDATE",
    "chat_conversation": "SELECT, INSERT, UPDATE",
    "chat_message": "SELECT, INSERT, UPDATE, DELETE",
    "chat_word": "SELECT, INSERT, UPDATE, DELETE",
    "chat_unindexed": "SELECT, INSERT, UPDATE, DELETE",
    "chat_reading": "SELECT, INSERT, UPDATE",
    "chat_mention": "SELECT, INSERT, UPDATE, DELETE",
    "chat_archive": "SELECT, INSERT, UPDATE",
    "chat_user_setting": "SELECT, INSERT, UPDATE",
}

TABLES = tuple(ENOUGH)

COLUMNS = {
    "chat_room": 10,
    "chat_member": 5,
    "chat_ban": 4,
    "chat_invitation": 5,
    "chat_room_event": 10,
    "chat_conversation": 3,
    "chat_message": 10,
    "chat_word": 3,
    "chat_unindexed": 1,
    "chat_reading": 5,
    "chat_mention": 3,
    "chat_archive": 2,
    "chat_user_setting": 3,
}
"""How many columns the tables of rooms and of the history have."""


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnDatabase):
        """The tests, for each kind of database."""

        async def test_nothing_is_changed(self) -> None:
            """A server's start, or a look at its stores, would change accounts."""
            accounts = AccountStore(await self.open())
            await accounts.open(of_server(True, archives=True))
            uid = await accounts.register("Ann", "$")
            await accounts.forget_device(uid, "0" * 16)
            await accounts.change_lock(uid, "$", "!$")
            for table, columns in COLUMNS.items():
                self.sql(f"INSERT INTO {table} VALUES ({', '.join(['1'] * columns)})")  # noqa: S608
            before = [self.sql(f"SELECT * FROM {table}") for table in TABLES]  # noqa: S608
            self.assertEqual(list(map(len, before)), [1] * 17)
            await accounts.open(of_server(True, archives=True))
            await accounts.check_usable(archives=True)
            after = [self.sql(f"SELECT * FROM {table}") for table in TABLES]  # noqa: S608
            self.assertEqual(after, before)
            self.assertEqual(await accounts.register("Bob", "$"), uid + 1)

        async def test_missing_tables(self) -> None:
            """Where tables were dropped a server would start, and people could not log in or forget devices."""
            await AccountStore(await self.open()).open()
            self.sql("DROP TABLE chat_session_device")
            self.sql("DROP TABLE chat_lock")
            with self.assertRaises(StoreMisconfigured) as caught:
                await AccountStore(await self.open()).open(of_server(True, archives=True))
            self.assertRegex(str(caught.exception), ": chat_lock, chat_session_device$")


class SQLiteRightsTests(BothKinds.Tests, OnSQLite):
    """SQLite, in which there are no rights."""


class MariaDBRightsTests(BothKinds.Tests, OnMariaDB):
    """Users of MariaDB."""

    async def limited(self, **grants: str) -> str:
        """Make the tables, and a user with these rights to them; what its server's start says."""
        database = await self.open()
        await AccountStore(database).open()
        database.close()
        user, own = f"g_{self.name}", self.url
        mariadb().execute("", f"CREATE OR REPLACE USER {user} IDENTIFIED BY 'pw'")
        self.addCleanup(mariadb().execute, "", f"DROP USER IF EXISTS {user}")
        for table, rights in {"chat_schema": "SELECT", **grants}.items():
            if not rights:
                continue
            mariadb().execute("", f"GRANT {rights} ON `{self.name}`.{table} TO {user}")
        self.url = f"mysql://{user}:pw@127.0.0.1:{mariadb().port}/{self.name}"
        try:
            database = await self.open()
            accounts = AccountStore(database)
            if self.starts:
                await accounts.open(of_server(self.registers, archives=True))
            await accounts.check_usable(self.registers, archives=True)
        except StoreMisconfigured as problem:
            return str(problem)
        finally:
            self.url = own
            database.close()
        return ""

    registers = True
    starts = True

    async def test_enough(self) -> None:
        """A server with exactly the rights that it needs would not start."""
        self.assertEqual(await self.limited(**ENOUGH), "")
        columns = "SELECT, INSERT (username, password), UPDATE (password)"
        self.assertEqual(await self.limited(**{**ENOUGH, "user": columns}), "")
        self.registers = False
        self.assertEqual(await self.limited(**{**ENOUGH, "user": "SELECT, UPDATE"}), "")

    async def test_each_right(self) -> None:
        """A right that is missing would show only when somebody logs in, registers, locks or forgets."""
        for right in ("SELECT", "INSERT", "UPDATE", "DELETE"):
            tables = {table: had for table, had in ENOUGH.items() if right in had}
            rest = {
                table: ", ".join(one for one in had.split(", ") if one != right)
                for table, had in tables.items()
            }
            verb = "read" if right == "SELECT" else "write"
            self.assertEqual(
                await self.limited(**{**ENOUGH, **rest}),
                f"this account of MySQL may not {', '.join(f'{verb} {table}' for table in tables)}: "
                + "; ".join(
                    f"GRANT {had} ON the database's {t} TO it" for t, had in tables.items()
                ),
            )

    async def test_each_right_without_a_start(self) -> None:
        """``chatsvc check`` would show the driver's error where a start names the grant."""
        self.starts = False
        for right in ("SELECT", "UPDATE"):
            rest = ", ".join({"SELECT", "INSERT", "UPDATE"} - {right})
            said = await self.limited(**{**ENOUGH, "user": rest})
            self.assertIn("GRANT SELECT, INSERT, UPDATE ON the database's user TO it", said)

    async def test_unseen_schema(self) -> None:
        """An admin would be told that tables are missing, and run `chatsvc schema`, where a grant is."""
        for rights in ("", "INSERT", "SELECT (version)"):
            said = await self.limited(**{**ENOUGH, "chat_schema": rights})
            self.assertEqual(
                said,
                "this account of MySQL may not read chat_schema:"
                " GRANT SELECT ON the database's chat_schema TO it",
            )

    async def test_all_in_one_line(self) -> None:
        """An admin who grants what is named would be told the next one at the next start."""
        grants = {**ENOUGH, "chat_name": "SELECT"}
        del grants["chat_session_device"], grants["chat_lock"]
        said = await self.limited(**grants)
        self.assertIn("write chat_name, read chat_lock, read chat_session_device: GRANT", said)
        self.assertEqual(said.count("GRANT"), 3)
        self.assertNotIn("\n", said)

    async def test_columns_of_others(self) -> None:
        """A server would not start on a user table that has a column of another program's."""
        self.sql(
            "CREATE TABLE user (id int auto_increment primary key, username varchar(255),"
            " password varchar(255), mail varchar(255) NOT NULL)"
        )
        await AccountStore(await self.open()).open(of_server(True, archives=True))

    async def test_other_errors(self) -> None:
        """A table that is broken would pass for one that can be used."""
        accounts = AccountStore(await self.open())
        await accounts.open()
        self.sql("ALTER TABLE chat_session_device DROP COLUMN times")
        with self.assertRaisesRegex(Exception, "Unknown column"):
            await accounts.open(of_server(True, archives=True))
