"""What goes wrong with a store, or is wrong in it, shows in the log; what people wrote and typed does not."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from resource import RLIMIT_FSIZE, prlimit

from tests.support.clients import TextClient
from tests.support.secrecy import FileStores, GuardedStores, Run, guarded_redis
from tests.support.servers import mariadb

AWAY = "不可用"
KEY = "🗝"
"""Four bytes in UTF-8, one more than MySQL's older character set has."""


class SQLiteTroubleTests(Run):
    stores_kind = FileStores

    def company(self) -> None:
        """Have people there, and one with an old plain password who is not."""
        self.plain = self.password()
        self.old = self.stores.add_user(self.name(), self.plain)
        self.reader = self.account()[0]
        self.writer, self.talker = self.program(*self.account()), self.person()
        self.login, self.newcomer = self.stranger(), self.stranger()
        self.assertIn("[ ", self.talker.ask(f"msg {self.reader} {self.words()}"))

    def busy(self) -> None:
        """Let everybody do what needs the store, and hear that it is away."""
        self.writer.say(type="msg", n=1, to=self.reader, text=self.words())
        self.talker.send(f"msg {self.reader} {self.words()}")
        self.login.send(f"auth {self.old} {self.plain}")
        self.newcomer.send(f"register {self.name()} {self.password()}")
        self.assertEqual(self.writer.await_type("error")["code"], "store-unavailable")
        for client in (self.talker, self.login, self.newcomer):
            self.assertIn(AWAY, client.read(20))
        self.look()

    def test_locked(self) -> None:
        """Messages that wait for a file which another process holds would show."""
        self.company()
        with contextlib.closing(sqlite3.connect(self.stores.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            self.busy()
        self.login.log_in(self.old, self.plain)

    def test_full(self) -> None:
        """Messages that a full disk could not take would show."""
        self.company()
        # No file may grow past this: writing fails then as it does on a full disk.
        prlimit(self.server.pid, RLIMIT_FSIZE, (16_384, -1))
        self.busy()
        prlimit(self.server.pid, RLIMIT_FSIZE, (-1, -1))
        self.login.log_in(self.old, self.plain)

    def test_missing_tables(self) -> None:
        """Messages that a damaged database could not take would show in an error that nobody expected."""
        self.company()
        for table in ("chat_inbox", "chat_name", "user"):
            self.stores.sql(f"ALTER TABLE {table} RENAME TO gone_{table}")
        self.busy()
        self.assertIn("Traceback", self.server.log())


class ServersTroubles(Run):
    stores_kind = GuardedStores

    def over(self) -> None:
        """Put the stores back before."""
        for store in (mariadb(), guarded_redis()):
            store.thaw()
            store.start()
        super().over()

    def log_in_at_last(self, uid: int, password: str) -> TextClient:
        """Log in as soon as the stores are back."""
        client, deadline = self.stranger(), time.monotonic() + 30
        while client.ask(f"auth {uid} {password}") != "认证成功!":
            self.assertLess(time.monotonic(), deadline)
        return client


class RedisTroubleTests(ServersTroubles):
    def test_away(self) -> None:
        """Messages on their way to a Redis that crashed, or froze, would show."""
        reader, other = self.account(), self.account()
        live, person, writer = self.person(*reader), self.person(), self.program(*self.account())
        for away, back in (("kill", "start"), ("freeze", "thaw")):
            getattr(guarded_redis(), away)()
            visitor = self.stranger()
            person.send(f"msg {reader[0]} {self.words()}")
            writer.say(type="msg", to=reader[0], text=self.words())
            visitor.send(f"auth {other[0]} {other[1]}")
            self.assertEqual(writer.await_type("error")["code"], "store-unavailable")
            self.assertIn(AWAY, person.read())
            self.assertIn(AWAY, visitor.read())
            self.look()
            getattr(guarded_redis(), back)()
            self.log_in_at_last(*other)
        self.assertEqual(writer.ask(type="msg", to=reader[0], text=self.words())["type"], "sent")
        self.assertIn(" ]:箋", live.read())
        self.assertIn("is back after", self.server.log())

    def test_old_messages(self) -> None:
        """Messages that the older server left, well-formed or not, would show as they move in."""
        (uid, password), key = self.account(), "list_usermessages_of_userid:userid:"
        header = f"2020-01-01 00:00:00\n[ {self.name()}|UID:1 ]:"
        for word in (header, "", "[ ", "\0"):
            self.stores.redis("RPUSH", f"{key}{uid}", f"{word}{self.words()}")
        self.stores.redis("RPUSH", f"{key}{uid}", b"\xff\xc3" + self.words().encode())
        person = self.person(uid, password)
        self.assertEqual(["箋" in person.read() for _ in range(5)], [True] * 5)

    def test_foreign_entries(self) -> None:
        """Entries that another program put into an inbox would show in an error about it."""
        words = [self.words(), "f", "1", "u", self.name(), "a", "0"]
        for entry in (["t", *words], ["t", self.words()], ["f", "1", "u", "x", "a", self.words()]):
            uid, password = self.account()
            self.stores.redis("XADD", f"chat:{{{uid}}}:inbox", "1-0", *entry)
            person = self.person(uid, password)
            person.send(f"msg {uid} {self.words()}")
            self.settle(person)

    def test_keys_of_another_type(self) -> None:
        """Values that other programs keep under this one's keys would show in an error about it."""
        sender, word = self.account(), self.words
        for name, command in (
            ("chat:{%d}:inbox", ("SET", word())),
            ("chat:{%d}:from", ("SET", word())),
            ("chat:{%d}:from", ("HSET", str(sender[0]), f"{word()} {word()} {word()} x y")),
            ("chat:{%d}:session", ("RPUSH", word())),
            ("chat:{%d}:session", ("SET", word())),
            ("chat:{%d}:epoch", ("RPUSH", word())),
            ("list_usermessages_of_userid:userid:%d", ("SET", word())),
        ):
            uid, password = self.account()
            verb, *words = command
            self.stores.redis(verb, name % uid, *words)
            self.type(self.person(*sender), [f"msg {uid} {self.words()}"])
            visitor = self.stranger()
            visitor.send(f"auth {uid} {password}")
            self.settle(visitor)
        self.assertIn("WRONGTYPE", self.server.log())

    def settle(self, client: TextClient) -> None:
        """Wait until the server has done with a client, whatever it makes of it."""
        with contextlib.suppress(EOFError, OSError):
            while not client.silent(1):
                client.read()


class MySQLTroubleTests(ServersTroubles):
    def prepare(self) -> None:
        self.stores.sql(
            "CREATE TABLE user (id INT AUTO_INCREMENT PRIMARY KEY, password VARCHAR(255),"
            " username VARCHAR(255) CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci UNIQUE)"
        )

    def test_away(self) -> None:
        """Requests made while MySQL was away would show."""
        uid, password = self.account()
        member = self.program(*self.account())
        new = {"name": self.name(), "password": self.password()}
        mariadb().kill()
        visitor = self.stranger()
        for line in (f"auth {uid} {password}", f"register {new['name']} {new['password']}"):
            self.assertIn(AWAY, visitor.ask(line))
        answers = self.ask(
            member,
            [
                {"type": "passwd", "n": 1, "old": password, "new": self.password()},
                {"type": "find", "n": 2, "name": self.name()},
                {"type": "msg", "n": 3, "to": uid, "text": self.words()},
                {"type": "register", "n": 4, **new},
            ],
        )
        self.assertEqual({answer["code"] for answer in answers}, {"store-unavailable"})
        self.look()
        mariadb().start()
        self.log_in_at_last(uid, password)

    def test_characters(self) -> None:
        """A name with a character that the table cannot hold would show in MySQL's refusal."""
        first = self.secrets.new("name", head=KEY)
        visitor = self.stranger()
        for name in (first, self.name() + KEY):
            self.assertIn("用户名", visitor.ask(f"register {name} {self.password()}"))
        self.type(self.person(), [f"find {first}"])

    def test_names_that_the_table_takes_for_one(self) -> None:
        """A name that MySQL takes for another one would show in its refusal."""
        name, visitor = self.secrets.new("name", head=""), self.stranger()
        self.assertIn("注册成功", visitor.ask(f"register e{name} {self.password()}"))
        self.assertNotIn("注册成功", visitor.ask(f"register \xe9{name} {self.password()}"))

    def test_rules_of_the_table(self) -> None:
        """A registered name would show when a rule of the admin's refuses it in words that quote it."""
        self.stores.sql(
            "CREATE TRIGGER strict BEFORE INSERT ON user FOR EACH ROW SIGNAL SQLSTATE '45000'"
            " SET MESSAGE_TEXT = NEW.username"
        )
        self.assertNotIn("成功", self.stranger().ask(f"register {self.name()} {self.password()}"))
        self.assertIn("Traceback", self.server.log())

    def test_narrow_column(self) -> None:
        """A password that the table has no room for would show in MySQL's refusal, or its hash would."""
        self.stores.sql("ALTER TABLE user MODIFY password VARCHAR(20)")
        plain = self.password()
        uid = self.stores.add_user(self.name(), plain)
        person = self.person(uid, plain)
        self.type(person, [f"passwd {plain} {self.password()}"])
        self.assertNotIn("成功", self.stranger().ask(f"register {self.name()} {self.password()}"))
        self.assertTrue(self.server.wait_for("not changed"))

    def test_missing_table(self) -> None:
        """A damaged database would show what it was asked for in an error that nobody expected."""
        uid, password = self.account()
        person, visitor = self.person(), self.stranger()
        self.stores.sql("RENAME TABLE user TO gone")
        lines = [f"find {self.name()}", f"passwd {self.password()} {self.password()}"]
        self.type(person, [*lines, f"msg {uid} {self.words()}"])
        lines = [f"auth {uid} {password}", f"register {self.name()} {self.password()}"]
        self.assertEqual(len(self.type(visitor, lines)), 2)
        self.assertIn("Traceback", self.server.log())
