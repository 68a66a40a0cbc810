"""
``docs/operation.md`` done as an admin would: its blocks, as they stand there, on real stores and servers.

Only places are other ones: every file and socket lies in a folder of the test's. What systemd would do, the test does.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pymysql
from twisted.trial.unittest import TestCase

from tests.clients import FrameClient, StructuredClient, TextClient
from tests.pages import CHECKOUT, Page
from tests.processes import ChatServer, new_address
from tests.servers import PrivateRedis, free_port, mariadb

_BY_SYSTEMD = re.compile(r"^systemctl (start|stop|restart|reload) (\w+)\n", re.MULTILINE)
_OLD_LIST = "list_usermessages_of_userid:userid:{}"


class ConfiguredRedis(PrivateRedis):
    """A Redis that is set by the page's ``redis.conf`` and nothing else."""

    def _command(self) -> list[str]:
        return [super()._command()[0], str(self.folder / "redis.conf")]

    def _answers(self) -> bool:
        try:
            return self.execute("PING").startswith(b"-NOAUTH")
        except OSError:
            return False


class Service(Protocol):
    """What systemd looks after."""

    def start(self) -> object: ...
    def stop(self) -> object: ...


class Operation(TestCase):
    """An admin's shell, and the page."""

    def setUp(self) -> None:
        self.page = Page("docs/operation.md")
        self.folder = Path(tempfile.mkdtemp(prefix="chatsvc-"))
        self.addCleanup(shutil.rmtree, self.folder)
        for name in ("home", "backups", "redis"):
            (self.folder / name).mkdir()
        self.settings: dict[str, str] = {}
        self.server = ChatServer(env=self.settings)
        self.addCleanup(self.server.remove)
        self.services: dict[str, Service] = {"chatsvc": self.server}
        self.legacy_port, self.metrics_port = free_port(), free_port()
        self.places = {
            "/opt/chatsvc/bin": str(Path(sys.executable).parent),
            "/etc/chatsvc.env": str(self.folder / "chatsvc.env"),
            "/var/lib/chatsvc": str(self.server.folder),
            "/var/backups": str(self.folder / "backups"),
            "ssl:10001": f"ssl:{self.legacy_port}:interface=127.0.0.1",
            ":9100": f":{self.metrics_port}",
        }

    def block(self, info: str) -> str:
        """A block of the page, with this test's places."""
        (text,) = self.page.fences(info)
        for place, here in self.places.items():
            text = text.replace(place, here)
        return text

    def type(self, name: str) -> str:
        """Type a block of the page into the shell; what it printed last."""
        return self.type_in(self.block(f"shell {name}"))

    def type_in(self, text: str) -> str:
        """Type something into the shell; what it printed."""
        before, *rest = _BY_SYSTEMD.split(text)
        printed = self._bash(before)
        for action, service, after in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
            self._systemctl(action, service)
            printed += self._bash(after)
        return printed

    def _bash(self, text: str) -> str:
        (self.folder / "chatsvc.env").touch()
        kept = {name: value for name, value in os.environ.items() if name[:8] != "CHATSVC_"}
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail"],
            cwd=self.server.folder,
            env={**kept, "HOME": str(self.folder / "home")},
            input=self.block("shell shell") + text,
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, f"{text}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def _systemctl(self, action: str, name: str) -> None:
        service = self.services[name]
        if action == "reload":
            self.server.reload()
            self.assertTrue(self.server.wait_for("Reloaded: certificate"))
        if action in ("stop", "restart"):
            service.stop()
        if action in ("start", "restart"):
            settings = (self.folder / "chatsvc.env").read_text()
            self.settings.update(re.findall(r"^(\w+)='(.*)'$", settings, re.MULTILINE))
            service.start()

    def accounts(self) -> list[tuple[int, str]]:
        """Make accounts as the page does; their uids and passwords."""
        words = self.type("accounts").split()
        self.assertEqual(words[4:], ["10001", "张三", "active", "10002", "李四", "active"])
        return [(int(words[0]), words[1]), (int(words[2]), words[3])]

    def text(self, who: tuple[int, str]) -> TextClient:
        """Somebody who has logged in, in the text dialect."""
        client = self.server.text(source=new_address())
        self.addCleanup(client.close)
        client.log_in(*who)
        return client

    def program(self, who: tuple[int, str]) -> StructuredClient:
        """A program that has logged in; its answer is in ``welcome``."""
        client = self.server.structured(device=f"{who[0]:032x}", source=new_address())
        self.addCleanup(client.close)
        client.welcome = client.log_in(*who)
        return client

    def health(self) -> str:
        """What the server says of its health."""
        return self.type("health").strip()


class PageTests(TestCase):
    def test_every_block_is_tried(self) -> None:
        """A block of the page would bear a name, as one that is tried, and be run by nobody."""
        tried = Path(__file__).read_text()
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
        self._systemctl("start", "chatsvc")

    def test_from_nothing_to_a_restored_back_up(self) -> None:
        """An admin of a small team could not set it up from the page, or a back-up made while it runs would be none."""
        zhang, li = self.accounts()
        self.assertEqual(self.health(), "ok")
        self.assertEqual((self.folder / "chatsvc.env").stat().st_mode & 0o777, 0o600)
        writer = self.program(zhang)
        epochs = [self.read(li, [])]
        self.assertEqual(writer.ask(type="msg", n=1, to=10002, text="one")["type"], "sent")
        self.type("back-up-folder")
        self.type("back-up-sqlite")
        self.type("back-up-keys")
        with self.assertRaises(self.failureException):  # over this one
            self.type("back-up-folder")
        self.assertEqual(writer.ask(type="msg", n=2, to=10002, text="two")["type"], "sent")
        epochs.append(self.read(li, ["one", "two"]))
        self.type("restore-sqlite")
        epochs.append(self.read(li, ["one"]))
        self.assertEqual([epoch == epochs[0] for epoch in epochs], [True, True, False])
        self.assertEqual(self.server.tracebacks(), [])

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
        self.assertEqual(self.server.log().count("Reloaded: certificate"), 2)
        key = self.server.folder / "keys" / "server.key"
        self.assertEqual(key.stat().st_mode & 0o777, 0o600)
        self.assertIn("help", talking.ask("help"))


class OnServers(Operation):
    """MariaDB, and a Redis that the page configures."""

    def setUp(self) -> None:
        super().setUp()
        self.redis = ConfiguredRedis()
        self.addCleanup(self.redis.remove)
        self.services["redis"] = self.redis
        self.places |= {
            "/etc/redis": str(self.redis.folder),
            "/var/lib/redis": str(self.folder / "redis"),
            "/run/redis/redis.sock": self.redis.socket,
            "/run/mysqld/mysqld.sock": mariadb().socket,
        }
        # The admin's own way into MariaDB, as Debian gives it to root.
        (self.folder / "home" / ".my.cnf").write_text(
            f"[client]\nsocket={mariadb().socket}\n"
            f'user={mariadb().user}\npassword="{mariadb().password}"\n'
        )
        self.forget_mariadb()
        self.addCleanup(self.forget_mariadb)
        (self.redis.folder / "redis.conf").write_text(self.block("conf redis"))
        (self.redis.folder / "users.acl").write_text(self.block("conf acl"))

    def forget_mariadb(self) -> None:
        """Remove what the page makes there."""
        mariadb().execute("", "DROP DATABASE IF EXISTS chat")
        for user in ("chatsvc", "chatsvc_schema"):
            mariadb().execute("", f"DROP USER IF EXISTS {user}@localhost")

    def sql(self, name: str) -> list[tuple[object, ...]]:
        """Run a block of the page in MariaDB; the rows of its last statement."""
        rows: list[tuple[object, ...]] = []
        for statement in self.block(f"sql {name}").split(";\n"):
            if statement:
                rows = mariadb().execute("", statement)
        return rows

    def make_tables(self) -> None:
        """Make the tables; ``chatsvc schema`` alone did it before there were words after it."""
        command = self.block("shell schema").strip()
        self.type_in(f"{command} || {command.removesuffix(' create')}\n")

    def ask_redis(self, command: str, user: str = "admin", password: str = "PASSWORD-3") -> str:
        """What Redis answers to one of its users."""
        line = f"redis-cli -s {self.redis.socket} --user {user} {command}"
        return self.type_in(f"REDISCLI_AUTH={password} {line}\n").strip()

    def start(self) -> None:
        """From nothing to a running service, by the page."""
        self.redis.start()
        self.sql("create")
        self.make_tables()
        self.sql("grants")
        self.type("settings")
        self.type("stores")

    def assert_unhindered(self) -> None:
        """Nothing that the server did was refused by a right that it lacks, and nothing endangers messages."""
        self.assertEqual(self.ask_redis("ACL LOG"), "")
        for word in ("NOPERM", "denied", "Redis keeps", "Redis can", "may evict", "does not tell"):
            self.assertNotIn(word, self.server.log())
        self.assertEqual(self.server.tracebacks(), [])


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

    def test_rights_for_every_command(self) -> None:
        """The script for Redis would call a command that the page's ACL does not give."""
        script = (CHECKOUT / "chatsvc" / "inbox" / "inbox.lua").read_text()
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
        self.make_tables()
        self.sql("grants")
        self.type("settings")
        self.type("legacy")
        # The block that names the stores ends with the start, which this page does last.
        self.type_in(self.block("shell stores").partition("systemctl")[0])
        listed = self.type("move")
        self.assertEqual(re.findall(r"\w+$", listed, re.MULTILINE), ["plain"] * 3)

    def test_nothing_is_lost(self) -> None:
        """Who moves from the older server by the page would lose a message, an account, or an older client."""
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
