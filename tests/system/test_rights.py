"""A server whose users of MariaDB and Redis lack rights, as after an upgrade."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.shell import chatsvc
from tests.support.processes import ChatServer, Outcome, ServerStores, run_chat
from tests.support.servers import mariadb, redis


class RightsTests(SynchronousTestCase):
    """A start with the rights that were enough for the release before."""

    def setUp(self) -> None:
        self.stores = ServerStores()
        self.user = f"s_{self.stores.database}"
        mariadb().execute("", f"CREATE USER {self.user} IDENTIFIED BY 'pw'")
        self.addCleanup(mariadb().execute, "", f"DROP USER {self.user}")
        self.addCleanup(redis().execute, "ACL", "DELUSER", self.user)
        done = chatsvc("schema", "create", "--accounts", self.stores.accounts)
        self.assertEqual(done.status, 0, done)
        rooms = ("chat_room", "chat_member", "chat_ban", "chat_invitation", "chat_room_event")
        history = (
            *("chat_conversation", "chat_message", "chat_word", "chat_unindexed"),
            *("chat_reading", "chat_mention", "chat_archive", "chat_user_setting"),
        )
        for table in ("user", "chat_name", "chat_lock", *rooms, *history):
            self.grant(table)
        self.allow("-hgetall", "-xrevrange", "-subscribe", "-info", "-select")

    def grant(self, table: str) -> None:
        """Let the server's user of MariaDB do everything with a table."""
        mariadb().execute("", f"GRANT ALL ON `{self.stores.database}`.{table} TO {self.user}")

    def allow(self, *words: str) -> None:
        """Let the server's user of Redis do everything but what these words take away."""
        rights = ("reset", "on", ">pw", "~*", "&*", "+@all", "-acl", *words)
        answer = redis().execute("ACL", "SETUSER", self.user, *rights)
        self.assertEqual(answer, b"+OK\r\n")

    def start(self) -> Outcome:
        """Start a server that ends by itself."""
        account = f"{self.user}:pw@127.0.0.1"
        accounts = f"mysql://{account}:{mariadb().port}/{self.stores.database}"
        inbox = f"redis://{account}:{redis().port}/{self.stores.db}"
        return run_chat("--accounts", accounts, "--inbox", inbox, "--port", "tcp:0:interface=no")

    def test_taken_away(self) -> None:
        """A right that is taken away while a server runs would fill its log with tracebacks, and not be named."""
        for table in ("chat_schema", "chat_session_device"):
            self.grant(table)
        account = f"{self.user}:pw@127.0.0.1"
        accounts = f"mysql://{account}:{mariadb().port}/{self.stores.database}"
        server = ChatServer("--accounts", accounts, "--inbox", self.stores.inbox).start()
        self.addCleanup(server.remove)
        for table, said in (
            (
                "chat_room_event",
                "finishing changes of rooms failed, and will be tried again: mysql://",
            ),
            ("user", "is away: SELECT command denied to user"),
        ):
            mariadb().execute(
                "", f"REVOKE ALL ON `{self.stores.database}`.{table} FROM {self.user}"
            )
            self.assertTrue(server.wait_for(said), server.log())
        self.assertEqual(server.tracebacks(), [])
        for table in ("chat_room_event", "user"):
            self.grant(table)
        self.assertTrue(server.wait_for("is back after"), server.log())

    def test_named_at_the_start(self) -> None:
        """A server would start, and people meet what is missing one by one; or end in a riddle, or with status 0."""
        server = "may not do all that a server does: add"
        for words, lacking in (
            ("may not read chat_schema: GRANT SELECT ON the database's", "chat_schema"),
            ("may not read chat_session_device: GRANT SELECT, INSERT", "chat_session_device"),
            (f"{server} +hgetall +info +select +subscribe +xrevrange to its line", ""),
        ):
            done = self.start()
            said = [line for line in done.stderr.splitlines() if words in line]
            self.assertEqual((done.status, len(said)), (1, 1), done)
            self.assertNotIn("Traceback", done.stderr + done.stdout)
            self.assertNotIn("pw@", done.stderr + done.stdout)
            if lacking:
                self.grant(lacking)
        self.allow()
        done = self.start()
        self.assertNotIn("may not", done.stderr)
