"""
What the tests of secrecy have in common: a server on stores behind passwords, all that it says, and a search.

Every password, token, text and name of a `Run` is a secret of its own. Whatever the test has done, at its end the
server's whole log, its pages and its command line have none of them, in no form.
"""

from __future__ import annotations

import atexit
import json
import re
import secrets
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

from twisted.trial.unittest import SynchronousTestCase

from tests.support.clients import FrameClient, StructuredClient, TextClient
from tests.support.leaks import Secrets
from tests.support.processes import ChatServer, SQLiteStores, Stores, new_address, phc
from tests.support.servers import PrivateRedis, free_port, mariadb

HELP = "命令使用说明"
_BEGINNINGS = {"hash": re.compile(rb"\$argon2i"), "token": re.compile(rb"WzEwMD[\w-]{20,}\.")}
"""What all password hashes begin with, and all tokens of the uids from 10001 to 10009."""

_NUMBERS = count(1)
_REDIS_PASSWORD = secrets.token_hex(8)


@cache
def guarded_redis() -> PrivateRedis:
    """This process's Redis that asks for a password, running."""
    server = PrivateRedis(password=_REDIS_PASSWORD)
    atexit.register(server.remove)
    server.start()
    return server


class GuardedStores(Stores):
    """A database in the test's MariaDB, with a user of its own, and one in a Redis that asks for a password."""

    log_format = "json"

    def __init__(self, known: Secrets) -> None:
        number = next(_NUMBERS)
        self.database, self.db = f"guarded_{number}", number % 64
        mariadb().create_database(self.database)
        password = known.new("password", head="p@/ #")
        known.add("password", _REDIS_PASSWORD)
        user = f"guard_{number}"
        mariadb().execute("", f"CREATE USER {user} IDENTIFIED BY '{password}'")
        mariadb().execute("", f"GRANT ALL ON {self.database}.* TO {user}")
        self.redis("FLUSHDB")
        account = f"{user}:{quote(password, safe='')}"
        self.accounts = f"mysql://{account}@127.0.0.1:{mariadb().port}/{self.database}"
        self.inbox = guarded_redis().url(self.db)

    def sql(self, statement: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return mariadb().execute(self.database, statement.replace("?", "%s"), args)

    def redis(self, *words: str | bytes | int) -> bytes:
        """Run one command of Redis; the reply as it came."""
        return guarded_redis().execute(*words, db=self.db)


class FileStores(SQLiteStores):
    """One SQLite file for both."""

    log_format = "text"

    def __init__(self, known: Secrets) -> None:
        super().__init__()
        self.accounts = self.inbox = f"sqlite:{self.path}"


class WatchedServer(ChatServer):
    """A server whose process can be looked at."""

    @property
    def pid(self) -> int:
        """The id of the process that runs now; 0: none does."""
        return self._process.pid if self._process is not None else 0

    def output(self) -> bytes:
        """All that it has said so far, over all its restarts."""
        return self._log_path.read_bytes()


class Run(SynchronousTestCase):
    """One server from its start to its end, all that it says, and a search when the test is over."""

    stores_kind: type[FileStores] | type[GuardedStores]
    options: tuple[str, ...] = ()
    stores: Any

    def setUp(self) -> None:
        self.secrets = Secrets()
        self.said: list[tuple[str, bytes, tuple[str, ...]]] = []
        self.stores = self.stores_kind(self.secrets)
        self.prepare()
        self.http = free_port()
        metrics = ("--metrics", f"tcp:{self.http}:interface=127.0.0.1")
        log = ("--log-level", "debug", "--log-format", self.stores.log_format)
        limits = ("--rate", "0", "--registration", "open", "--registration-rate", "0")
        self.env = {"CHATSVC_ACCOUNTS": self.stores.accounts, "CHATSVC_INBOX": self.stores.inbox}
        self.server = WatchedServer(*metrics, *log, *limits, *self.options, env=self.env)
        self.server.start()
        self.addCleanup(self.server.remove)
        self.addCleanup(self.over)
        keys = self.server.folder / "keys"
        self.token_secret = (keys / "token.secret").read_text().strip()
        for line in (self.token_secret, *(keys / "server.key").read_text().splitlines()[1:-1]):
            self.secrets.add("key", line)

    def prepare(self) -> None:
        """Do what must be done to the stores before the server starts."""

    def over(self) -> None:
        """End the run, and search."""
        self.look()
        self.server.stop()
        self.heard("the log", self.server.output())
        leaks: list[str] = []
        for place, said, but in self.said:
            leaks += [f"{place} has the {found}" for found in self.secrets.found_in(said, *but)]
            for kind, begin in _BEGINNINGS.items():
                if kind not in but and begin.search(said):
                    leaks.append(f"{place} has a {kind}")
        self.assertEqual(leaks, [])

    def heard(self, place: str, said: bytes | str, *but: str) -> None:
        """Search this in the end; the kinds of secrets in ``but`` may stand there."""
        data = said.encode(errors="surrogateescape") if isinstance(said, str) else said
        self.said.append((place, data, but))

    def look(self) -> None:
        """Look at the server's pages and at its process, as others on the machine can."""
        if self.server.pid:
            for page in ("metrics", "health"):
                self.heard(f"/{page}", self.page(page))
            self.heard("its command line", Path(f"/proc/{self.server.pid}/cmdline").read_bytes())

    def page(self, name: str) -> bytes:
        """What stands on a page, also when it is one of bad news."""
        try:
            with urlopen(f"http://127.0.0.1:{self.http}/{name}", timeout=20) as answer:
                text: bytes = answer.read()
        except HTTPError as bad:
            text = bad.read()
        return text

    # Secrets, and who has them

    def password(self) -> str:
        """A new one."""
        return self.secrets.new("password")

    def words(self) -> str:
        """A new message text."""
        return self.secrets.new("text")

    def name(self) -> str:
        """A new user name."""
        return self.secrets.new("name")

    def account(self) -> tuple[int, str]:
        """A new account's uid and password."""
        password = self.password()
        return self.stores.add_user(self.name(), phc(password)), password

    def stranger(self) -> TextClient:
        """A text client, not logged in."""
        client = self.server.text(source=new_address())
        self.addCleanup(client.close)
        return client

    def person(self, uid: int = 0, password: str = "") -> TextClient:
        """A text client that is logged in, with a new account if none is given."""
        client = self.stranger()
        client.log_in(*((uid, password) if uid else self.account()))
        return client

    def program(self, uid: int = 0, password: str = "") -> StructuredClient:
        """A structured client with a device; logged in if there is a uid."""
        device = secrets.token_hex(16)
        client = self.server.structured(source=new_address(), device=device)
        self.addCleanup(client.close)
        if uid:
            self.secrets.add("token", client.log_in(uid, password)["token"])
        return client

    # What they do

    def type(self, client: TextClient, lines: Iterable[str | bytes]) -> list[str]:
        """Send lines, and all that is said until the last one has been answered."""
        client.send_many([*lines, "?"])
        said = [client.read(20)]
        while not said[-1].startswith(HELP):
            said.append(client.read(20))
        return said[:-1]

    def ask(
        self, client: StructuredClient, requests: Iterable[dict[str, Any] | bytes]
    ) -> list[dict[str, Any]]:
        """Send objects or frames, and all that is said until the last one has been answered."""
        frames = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in requests]
        client.send_many([*frames, b'{"type":"ping","n":987654}'])
        said = [client.next(20)]
        while said[-1].get("re") != 987654:
            said.append(client.next(20))
        return said[:-1]

    def raw(self, data: bytes) -> None:
        """Connect without TLS, say something and leave."""
        client = FrameClient(self.server.port, None, source=new_address())
        client.socket.sendall(data)
        client.close()
