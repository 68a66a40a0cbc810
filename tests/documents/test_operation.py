"""``docs/operation.md`` done as an admin would: its blocks, as they stand there, on real stores and servers."""

from __future__ import annotations

import json
import re
import shutil
import urllib.request
from contextlib import closing
from pathlib import Path

import pymysql
from twisted.trial.unittest import TestCase

from tests.support.clients import FrameClient
from tests.support.operating import OnServers, Operation
from tests.support.pages import CHECKOUT, Page
from tests.support.processes import ChatServer, new_address
from tests.support.servers import mariadb

_OLD_LIST = "list_usermessages_of_userid:userid:{}"


class PageTests(TestCase):
    def test_every_block_is_tried(self) -> None:
        """A block of the page would bear a name, as one that is tried, and be run by nobody."""
        tests = Path(__file__).parents[1]
        tried = "".join(path.read_text() for path in tests.rglob("*operat*.py"))
        for kind, name in re.findall(
            r"^```(\w+) (\S+)$", Page("docs/operation.md").text, re.MULTILINE
        ):
            names = (f'("{name}")', f'"{kind} {name}"')
            self.assertTrue(any(one in tried for one in names), name)


class SQLiteTests(Operation):
    """The first section, certificates and back-ups without any other server."""

    def setUp(self) -> None:
        super().setUp()
        self.type("settings")
        self.systemctl("start", "chatsvc")

    def test_from_nothing_to_a_restored_back_up(self) -> None:
        """An admin of a small team could not set it up from the page, or a back-up made while it runs would be none."""
        zhang, li = self.accounts()
        self.assertRegex(self.type("import"), r"\n10003,王五,\S+\n10004,赵六,\S+\n$")
        # The limits are those of the machine that the tests run on.
        found = re.findall(r"^(\w+)\t(?!limits)", self.type("check"), re.MULTILINE)
        self.assertEqual(set(found), {"ok"})
        self.assertEqual(self.health(), "ok")
        self.assertEqual((self.folder / "chatsvc.env").stat().st_mode & 0o777, 0o600)
        writer = self.program(zhang)
        epochs = [self.read(li, [])]
        self.assertEqual(writer.ask(type="msg", n=1, to=10002, text="unread")["waiting"], 1)
        self.assert_purged("unread")
        self.assertEqual(self.type("devices"), "")  # 李四 has none that is registered
        self.assert_room_made_and_closed()
        self.assertEqual(writer.ask(type="msg", n=2, to=10002, text="one")["type"], "sent")
        self.type("back-up-folder")
        self.type("back-up-sqlite")
        self.type("back-up-keys")
        with self.assertRaises(self.failureException):  # over this one
            self.type("back-up-folder")
        self.assertEqual(writer.ask(type="msg", n=3, to=10002, text="two")["type"], "sent")
        epochs.append(self.read(li, ["one", "two"]))
        self.type("restore-sqlite")
        epochs.append(self.read(li, ["one"]))
        self.assertEqual([epoch == epochs[0] for epoch in epochs], [True, True, False])
        self.assert_accounts_move()
        self.type_in(self.block("shell log").partition("systemctl")[0])
        self.assertEqual(self.type("upgrade"), "-- up to date\nup to date\n")
        self.assertEqual(json.loads(self.server.log().splitlines()[-1])["event"], "next")
        self.assertEqual(self.server.tracebacks(), [])

    def assert_accounts_move(self) -> None:
        """Take the accounts along to another store, as on the page, with uids and passwords."""
        self.type("grow")
        self.type_in("chatsvc schema --accounts sqlite:other.db")
        self.type_in("chatsvc account import people.csv --accounts sqlite:other.db")
        users = "sqlite3 {} 'SELECT * FROM user'"
        here = self.type_in(users.format("chat.db"))
        self.assertIn("10002|李四|$argon2id$", here)
        self.assertEqual(self.type_in(users.format("other.db")), here)

    def assert_purged(self, text: str) -> None:
        """Look at the one message that waits, and be rid of it, as on the page."""
        count, message, removed = self.type("inbox").splitlines()
        self.assertEqual(count.split("\t")[:3], ["10002", "1", "1"])
        self.assertEqual(message.split("\t")[::4], ["1", text])
        self.assertEqual(removed, "Removed 1 messages.")

    def read(self, who: tuple[int, str], texts: list[str]) -> str:
        """Log in as a program, read what waits and acknowledge it; the inbox's epoch."""
        reader = self.program(who)
        self.assertEqual(reader.welcome["waiting"], len(texts))
        for text in texts:
            message = reader.await_type("msg")
            self.assertEqual(message["text"], text)
            reader.say(type="ack", id=message["id"])
        self.assertEqual(reader.ask(type="logout", n=9)["type"], "ok")
        return str(reader.welcome["epoch"])

    def test_certificates(self) -> None:
        """A certificate from an authority, renewed as by certbot, would not be served, or throw people out."""
        talking = self.server.text()
        self.addCleanup(talking.close)
        self.assertIn("days left: 3649\n", self.type("request"))
        request = (self.server.folder / "chat.csr").read_text()
        self.assertTrue(request.startswith("-----BEGIN CERTIFICATE REQUEST-----"))
        self.type("authority")
        ca = str(self.server.folder / "ca.crt")
        with closing(FrameClient(self.server.port, ca, name="chat.example.org")) as client:
            self.assertEqual(client.read(), "请登陆!")
        lineage = self.folder / "live"
        lineage.mkdir()
        shutil.copy(self.server.folder / "keys" / "server.key", lineage / "privkey.pem")
        shutil.copy(self.server.folder / "keys" / "server.crt", lineage / "fullchain.pem")
        hook = self.block("shell deploy")
        self.assertTrue(hook.startswith("#!/bin/sh\n"))
        self.type_in(f"RENEWED_LINEAGE={lineage}\n{hook}")
        self.assertTrue(self.server.wait_for("Reloaded: certificate", times=2))
        key = self.server.folder / "keys" / "server.key"
        self.assertEqual(key.stat().st_mode & 0o777, 0o600)
        self.assertIn("help", talking.ask("help"))


class ServersTests(OnServers):
    def test_from_nothing_to_a_restored_back_up(self) -> None:
        """Set up by the page, the server would lack a right, or a back-up of its stores would be none."""
        self.start()
        zhang, li = self.accounts()
        self.assertEqual(self.health(), "ok")
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as answer:
            self.assertIn(b"\nchatsvc_connections 0.0\n", answer.read())
        writer = self.program(zhang)
        reader = self.text(li)
        self.assertEqual(writer.ask(type="msg", n=1, to=10002, text="one")["state"], "online")
        self.assertIn("]:one", reader.read())
        self.assertEqual(reader.ask("passwd " + f"{li[1]} {li[1]}"), "密码已修改!")
        self.assertEqual(reader.ask("find 张三"), "张三: 10001 (在线)")
        self.assertEqual(reader.ask("quit"), "再见!")
        self.assertEqual(writer.ask(type="msg", n=2, to=10002, text="two")["waiting"], 1)
        self.assertEqual(self.type("devices"), "")
        self.assert_room_made_and_closed()
        self.type("back-up-folder")
        self.type("back-up")
        added = self.type_in("chatsvc account add late --generate\n").split()
        self.assertEqual(writer.ask(type="msg", n=3, to=int(added[0]), text="gap")["code"], "gap")
        self.assertEqual(writer.ask(type="msg", n=3, to=10002, text="three")["type"], "sent")
        self.type("restore")
        listed = self.type_in("chatsvc account list\n")
        self.assertEqual(re.findall(r"^\d+", listed, re.MULTILINE), ["10001", "10002"])
        writer = self.program(zhang)
        answer = writer.ask(type="msg", n=3, to=10002, text="again")
        self.assertEqual(answer["waiting"], 2)
        reader = self.text(li)
        self.assertIn("]:two", reader.read())
        self.assertIn("]:again", reader.read())
        self.assert_unhindered()
        self.assert_no_more_rights()

    def assert_no_more_rights(self) -> None:
        """The server's users cannot do more than the server needs, and neither can whoever breaks into it."""
        for command in ("FLUSHALL", "KEYS '*'", "CONFIG SET save ''", "GET other", "SHUTDOWN"):
            answer = self.ask_redis(command, "chatsvc", "PASSWORD-4")
            self.assertIn("NOPERM", answer, command)
        for statement in ("DELETE FROM user", "DROP TABLE user", "CREATE TABLE more (id INT)"):
            with self.assertRaisesRegex(pymysql.OperationalError, "denied"):
                connection = pymysql.connect(
                    unix_socket=mariadb().socket,
                    user="chatsvc",
                    password="PASSWORD-2",
                    database="chat",
                )
                with closing(connection), connection.cursor() as cursor:
                    cursor.execute(statement)

    def test_many_processes(self) -> None:
        """Nodes and workers that are set up by the page would not be one chat, or differ unseen."""
        self.start()
        zhang, li = self.accounts()
        other = ChatServer(env={**self.settings, "CHATSVC_METRICS": ""})
        self.addCleanup(other.remove)
        other.start()
        differ = "nodes do not share the token secret"
        self.assertIn(differ, other.log())
        self.assertIn(f"warn\tnodes\t{differ}", self.type("check"))
        other.stop()
        shutil.copy(self.server.folder / "keys" / "token.secret", other.folder / "keys")
        other.start()
        self.type("workers")
        self.assertTrue(self.server.wait_for("2 workers serve"))
        self.assertEqual(self.health(), "ok")
        checked = self.type("check")
        self.assertNotIn(differ, checked)
        self.assertEqual(checked.partition("running now: ")[2].count(","), 2)
        reader = other.text(source=new_address())
        self.addCleanup(reader.close)
        reader.log_in(*li)
        writer = self.program(zhang)
        self.assertEqual(writer.ask(type="msg", n=1, to=10002, text="one")["state"], "online")
        self.assertIn("]:one", reader.read())
        self.assertEqual(other.tracebacks(), [])
        self.assert_unhindered()

    def test_rights_for_every_command(self) -> None:
        """The script for Redis would call a command that the page's ACL does not give."""
        folder = CHECKOUT / "chatsvc" / "inbox" / "redis" / "lua"
        script = "".join(part.read_text() for part in sorted(folder.iterdir()))
        called = {name.lower() for name in re.findall(r"redis\.p?call\('(\w+)'", script)}
        given = {word.partition("|")[0] for word in re.findall(r"\+(\S+)", self.block("conf acl"))}
        self.assertEqual(called - given, set())


class OlderServerTests(OnServers):
    """The older asyncio server's stores, with messages waiting."""

    WAITING = ("2026-11-23 17:00:24\n[ 张三|UID:1 ]:你好", "[ 张三|UID:1 ]:在吗?\n第二行")

    def leave(self) -> None:
        """Make what the older server would have left."""
        mariadb().execute("", "CREATE DATABASE chat CHARACTER SET utf8mb4")
        table = "id INT AUTO_INCREMENT PRIMARY KEY, username VARCHAR(255), password VARCHAR(255)"
        mariadb().execute("chat", f"CREATE TABLE user ({table})")
        insert = "INSERT INTO user VALUES (%s, %s, %s)"
        for row in ((1, "张三", "zhang"), (2, "李四", "li"), (3, "王五", "wang")):
            mariadb().execute("chat", insert, row)
        self.redis.start()
        for uid in (2, 3):
            for text in self.WAITING:
                self.ask_redis(f"RPUSH {_OLD_LIST.format(uid)} $'{text}'".replace("\n", "\\n"))

    def move(self) -> None:
        """Move, by the page."""
        self.assertEqual(self.sql("before"), [(3, 0)])
        for statement in self.block("sql create").split(";\n")[1:]:
            if statement:
                mariadb().execute("", statement)
        self.type("schema")
        self.sql("grants")
        self.type("settings")
        self.type("legacy")
        # The block that names the stores ends with the start, which this page does last.
        self.type_in(self.block("shell stores").partition("systemctl")[0])
        listed = self.type("move")
        self.assertEqual(re.findall(r"\w+$", listed, re.MULTILINE), ["plain"] * 3)

    def test_nothing_is_lost(self) -> None:
        """Somebody who moves from the older server by the page would lose a message, an account, or an older client."""
        self.leave()
        self.move()
        left = self.type("after").split("\n")
        self.assertEqual(sorted(left[:2]), [_OLD_LIST.format(2), _OLD_LIST.format(3)])
        self.assertEqual([line.split("\t")[0] for line in left[2:-1]], ["1", "2", "3"])
        older = FrameClient(self.legacy_port, self.server.ca, legacy=True)
        self.addCleanup(older.close)
        self.assertEqual(older.read(), "请登陆!")
        older.send("auth 2 li")
        self.assertEqual([older.read() for _ in range(3)], ["认证成功!", *self.WAITING])
        older.send("msg 3 新消息")
        self.assertIn("]:新消息", older.read())
        program = self.program((3, "wang"))
        self.assertEqual(program.welcome["waiting"], 3)
        messages = [program.await_type("msg") for _ in range(3)]
        self.assertEqual([m["text"] for m in messages], ["你好", "在吗?\n第二行", "新消息"])
        self.assertEqual([m["from"] for m in messages], [1, 1, 2])
        self.assertEqual(self.type("after").split(), ["1", "张三", "plain"])
        self.assert_unhindered()
        self.assertEqual(self.text((2, "li")).ask("logout"), "您已退出登录!")
