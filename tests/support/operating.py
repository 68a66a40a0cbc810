"""
An admin's shell and ``docs/operation.md``, whose blocks are typed into it as they stand there.

Only places are other ones: every file and socket lies in a folder of the test's. What systemd would do, the test does.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Protocol

from twisted.trial.unittest import TestCase

from tests.support.clients import StructuredClient, TextClient
from tests.support.pages import Page
from tests.support.processes import ChatServer, new_address
from tests.support.servers import PrivateRedis, PrivateSentinel, free_port, mariadb

_BY_SYSTEMD = re.compile(r"^systemctl (start|stop|restart|reload) (\w+)\n", re.MULTILINE)


class ConfiguredRedis(PrivateRedis):
    """A Redis that is set by the page's ``redis.conf`` and nothing else."""

    def _command(self) -> list[str]:
        return [super()._command()[0], str(self.folder / "redis.conf"), *self._settings]

    def _answers(self) -> bool:
        try:
            return self.execute("PING").startswith(b"-NOAUTH")
        except OSError:
            return False


class ConfiguredSentinel(PrivateSentinel):
    """A sentinel that is set by the page's ``sentinel.conf``; its clock runs faster."""

    login = ("AUTH", "admin", "PASSWORD-3")

    def configure(self) -> None:
        """Somebody has written its file."""

    def start(self) -> None:
        super().start()
        self.execute("SENTINEL", "DEBUG", "PUBLISH-PERIOD", "100", "ASK-PERIOD", "100")


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
            self.systemctl(action, service)
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

    def systemctl(self, action: str, name: str) -> None:
        """Do what systemd would."""
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

    def assert_room_made_and_closed(self) -> None:
        """Make a room, look at it and close it, as the page does."""
        row = "dev\tpublic"
        self.assertEqual(
            self.type("rooms").splitlines(),
            [
                "1",
                f"1\t{row}\t1\tWhat we build",
                f"1\t{row}\tall\t1\t10001\tno\tWhat we build",
                "10001\t张三\towner",
                "Closed room #dev (number 1).",
            ],
        )

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

    def ask_redis(self, command: str, user: str = "admin", password: str = "PASSWORD-3") -> str:
        """What Redis answers to one of its users."""
        line = f"redis-cli -s {self.redis.socket} --user {user} {command}"
        return self.type_in(f"REDISCLI_AUTH={password} {line}\n").strip()

    def start(self) -> None:
        """From nothing to a running service, by the page."""
        self.redis.start()
        self.sql("create")
        self.type("schema")
        self.sql("grants")
        self.type("settings")
        self.type("stores")

    def assert_unhindered(self) -> None:
        """Nothing that the server did was refused by a right that it lacks, and nothing endangers messages."""
        self.assertEqual(self.ask_redis("ACL LOG"), "")
        for word in ("NOPERM", "denied", "Redis keeps", "Redis can", "may evict", "does not tell"):
            self.assertNotIn(word, self.server.log())
        self.assertEqual(self.server.tracebacks(), [])
