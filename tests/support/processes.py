"""
The server as its users run it: ``twistd -n chat`` in a process, a folder and stores of its own.

Nothing of the project is imported here.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from argon2 import PasswordHasher

from tests.support.clients import StructuredClient, TextClient
from tests.support.forked import run as forked_run
from tests.support.servers import free_port, mariadb, redis

PATIENCE = 30.0
"""Seconds that a server may take to start or to stop."""

PASSWORD = "密码-1"
"""The password of everybody whom `Stores.add_user` makes."""

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_DATABASES = count(1)
_REDIS_DATABASES = count(32)

_TRACEBACK = re.compile("Traceback")
_HURRIED = Path(__file__).with_name("hurried.py")

T = TypeVar("T")


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHATSVC_")}
    return {**kept, "PYTHONUNBUFFERED": "1", **(more or {})}


def _twistd() -> list[str]:
    script = Path(sys.executable).with_name("twistd")
    if script.exists():
        return [str(script)]
    return [sys.executable, "-m", "twisted"]


class Outcome(NamedTuple):
    """How a process ended."""

    status: int
    stdout: str
    stderr: str


def run_chat(
    *options: str,
    env: Mapping[str, str] | None = None,
    folder: str | Path | None = None,
    forked: bool = True,
) -> Outcome:
    """
    Run ``twistd -n chat`` to its end, in an empty folder if none is given.

    :param forked: whether it is forked from a process that has imported everything already
    """
    return run(*_twistd(), "-n", "chat", *options, env=env, folder=folder, forked=forked)


def run(
    *words: str,
    env: Mapping[str, str] | None = None,
    folder: str | Path | None = None,
    stdin: bytes = b"",
    forked: bool = True,
) -> Outcome:
    """
    Run ``twistd`` or ``chatsvc`` to its end, with nothing of this process's own settings.

    :param words: the program's path, and its arguments
    """
    environment = _environment(env)
    try:
        if forked:
            status, *said = forked_run(
                *words, environment=environment, folder=folder, stdin=stdin, timeout=PATIENCE
            )
        else:
            status, *said = _run_anew(words, environment, folder, stdin)
    except subprocess.TimeoutExpired:
        return Outcome(-1, "", f"it still ran after {PATIENCE} s")
    return Outcome(status, *(one.decode(errors="replace") for one in said))


def _run_anew(
    words: Sequence[str], environment: Mapping[str, str], folder: str | Path | None, stdin: bytes
) -> tuple[int, bytes, bytes]:
    with tempfile.TemporaryDirectory(prefix="chatsvc-") as empty:
        done = subprocess.run(
            words,
            cwd=folder or empty,
            env=environment,
            input=stdin,
            capture_output=True,
            timeout=PATIENCE,
            preexec_fn=_end_with_parent,
        )
    return done.returncode, done.stdout, done.stderr


class ChatServer:
    """
    One server, with a folder that outlives its restarts, until `remove`.

    Without ``ports`` it listens on ``port``, a free one of the loopback interface. ``twistd``: another one than that of
    the tests' environment. ``constants``: other values for constants of its modules, by their full names.
    """

    twistd: Sequence[str] = ("-n",)
    """Options of ``twistd`` itself."""

    inherited: Sequence[int] = ()
    """Descriptors that its process is handed."""

    def __init__(
        self,
        *options: str,
        ports: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        folder: str | Path | None = None,
        twistd: str = "",
        constants: Mapping[str, float] | None = None,
    ) -> None:
        self.folder = Path(folder or tempfile.mkdtemp(prefix="chatsvc-"))
        self.port = free_port()
        self.ports = tuple(ports) or (f"ssl:{self.port}:interface=127.0.0.1",)
        self._options = options
        self._env = env
        self._twistd = [twistd] if twistd else _twistd()
        if constants:
            self._twistd = [sys.executable, str(_HURRIED), json.dumps(constants)]
        self._process: subprocess.Popen[bytes] | None = None
        self._log_path = self.folder / "output.log"

    @property
    def ca(self) -> str:
        """The certificate that clients trust."""
        return str(self.folder / "keys" / "server.crt")

    def start(self) -> ChatServer:
        """Start the server, if it does not run, and wait until it says that it listens everywhere."""
        if self._process is not None and self._process.poll() is None:
            return self
        before = self.log()
        with open(self._log_path, "ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env=_environment(self._env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self.inherited,
                preexec_fn=_end_with_parent,
            )
        deadline = time.monotonic() + PATIENCE
        expected = len(self.ports) + self._options.count("--legacy-port")
        while self.log()[len(before) :].count("Listening on ") < expected:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the server did not start:\n{self.log()[len(before) :]}")
            time.sleep(0.01)
        return self

    def command(self) -> list[str]:
        """What starts it."""
        ports = [word for port in self.ports for word in ("--port", port)]
        return [*self._twistd, *self.twistd, "chat", *ports, *self._options]

    def terminate(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Tell the server to end, as an init system or Ctrl-C does, and do not wait."""
        if self._process is not None:
            self._process.send_signal(number)

    def reload(self) -> None:
        """Tell the server to read its certificate again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        """End the server as an init system does; its exit status."""
        return self._end(signal.SIGTERM)

    def wait(self) -> int:
        """Wait until a server that was told to end has ended; its exit status."""
        return self._end(None)

    def kill(self) -> None:
        """End the server as a crash or a power cut does."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let the server hang."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a server that hung go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def restart(self) -> None:
        """Stop the server in an orderly way and start it again."""
        self.stop()
        self.start()

    def crash(self) -> None:
        """Kill the server and start it again."""
        self.kill()
        self.start()

    def remove(self) -> None:
        """End the server and forget its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """All that the server has said so far, over all its restarts."""
        return self._log_path.read_text(errors="replace") if self._log_path.exists() else ""

    def tracebacks(self) -> list[str]:
        """The beginnings of all tracebacks in the log."""
        log = self.log()
        return [log[max(0, at.start() - 200) : at.end() + 2000] for at in _TRACEBACK.finditer(log)]

    def events(self) -> list[dict[str, Any]]:
        """What the log has said, of a server with ``--log-format json``."""
        return [json.loads(line) for line in self.log().splitlines()]

    def wait_for(self, words: str, patience: float = PATIENCE, times: int = 1) -> bool:
        """Whether the server says something so many times, now or soon."""
        deadline = time.monotonic() + patience
        while self.log().count(words) < times:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    @property
    def pid(self) -> int:
        """Of its process, which runs."""
        assert self._process is not None
        return self._process.pid

    def resident(self) -> float:
        """The memory that the server's process holds, in MiB (``VmRSS``, proc(5))."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]

    def text(self, **more: Any) -> TextClient:
        """A new client that speaks the text dialect."""
        return TextClient(self.port, self.ca, **more)

    def structured(self, **more: Any) -> StructuredClient:
        """A new client that speaks the structured dialect."""
        return StructuredClient(self.port, self.ca, **more)

    def _end(self, number: signal.Signals | None) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.poll() is None and number is not None:
            process.send_signal(number)
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise RuntimeError(f"the server did not end:\n{self.log()[-2000:]}") from None


@cache
def phc(password: str) -> str:
    """What is stored for a password, at the cost that the server asks for."""
    return PasswordHasher(2, 19456, 1).hash(password)


class Stores(ABC):
    """Where a server keeps accounts and messages; ``options`` tell it."""

    options: tuple[str, ...]

    @abstractmethod
    def sql(self, statement: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run SQL on the accounts as another program would."""

    def add_user(self, name: str, stored: str = "") -> int:
        """Make an account as another program would, with the password `PASSWORD`; its uid."""
        insert = "INSERT INTO user (username, password) VALUES (?, ?) RETURNING id"
        ((uid,),) = self.sql(insert, (name, stored or phc(PASSWORD)))
        return int(uid)


class SQLiteStores(Stores):
    """One file for both."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="chatsvc-")
        self.path = os.path.join(self._folder, "chat.db")
        self.options = ("--accounts", f"sqlite:{self.path}", "--inbox", f"sqlite:{self.path}")
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)

    def sql(self, statement: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path, timeout=10)) as connection, connection:
            return connection.execute(statement, tuple(args)).fetchall()


class ServerStores(Stores):
    """A database in the test's MariaDB, and one in its Redis."""

    def __init__(self) -> None:
        self.database = f"chat_{next(_DATABASES)}"
        self.db = next(_REDIS_DATABASES)
        mariadb().create_database(self.database)
        self.redis("FLUSHDB")
        self.accounts = mariadb().url(self.database)
        self.inbox = redis().url(self.db)
        self.options = ("--accounts", self.accounts, "--inbox", self.inbox)

    def sql(self, statement: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return mariadb().execute(self.database, statement.replace("?", "%s"), args)

    def redis(self, *words: str | bytes | int) -> bytes:
        """Run one command of Redis; the reply as it came."""
        return redis().execute(*words, db=self.db)

    def until_waiting(self, uid: int, waiting: int) -> bool:
        """Whether so many messages wait for a user, now or soon."""
        length = b":%d\r\n" % waiting
        return any(self.redis("XLEN", f"chat:{{{uid}}}:inbox") == length for _ in range(500))


_CURRENT: dict[object, Any] = {}


def shared(owner: object, make: Callable[[], T], end: Callable[[T], object]) -> T:
    """
    What all tests of a class share, made by the first: trial has no class fixtures.

    It ends when another owner asks, or with the process.
    """
    if owner not in _CURRENT:
        _end_shared()
        made = make()
        _CURRENT[owner] = (made, lambda: end(made))
    thing: T = _CURRENT[owner][0]
    return thing


@atexit.register
def _end_shared() -> None:
    for _, end in _CURRENT.values():
        end()
    _CURRENT.clear()


_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def timeless(frame: str) -> str:
    """A frame with every time replaced by ``TIME``."""
    return _TIME.sub("TIME", frame)


_SOURCES = count()


def new_address() -> str:
    """A loopback address that no client has had: budgets by address are not what most tests are about."""
    number = next(_SOURCES)
    return f"127.{1 + number // 62_500 % 250}.{number // 250 % 250}.{1 + number % 250}"
