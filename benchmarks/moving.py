"""
How long does it take until all users of a node that was killed are back at another one?

    python benchmarks/moving.py                     # 1,000 users, through HAProxy
    python benchmarks/moving.py --directly          # to the nodes themselves

Two nodes with a MariaDB and a Redis. All users log in at the first by token and are silent; it is killed; each user
comes back with the delays of this project's client, to the second one, by token. Everything runs on one machine, the
users in one process. Nothing else should be running.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import ssl
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from chatsvc.accounts.tokens import Tokens
from chatsvc.client.transport.retry import FIRST_DELAY, LAST_DELAY
from chatsvc.tls.key_folder import KeyFolder
from chatsvc.transport.backoff import Backoff
from tests.support.balancer import Balanced
from tests.support.processes import phc
from tests.support.servers import mariadb

_FIRST_UID = 20_001
_ASKED = 10.0
"""Seconds in which all must be back."""

_PATIENCE = 60.0
_AT_ONCE = 50
"""Users who log in at the same time at the beginning."""

_LENGTH = struct.Struct("!H")
_LOST = (OSError, asyncio.IncompleteReadError, ssl.SSLError)


class User:
    """Stays logged in: at the first of ``ports`` that lets it, and after a loss at the next."""

    def __init__(self, uid: int, token: str, ports: list[int], context: ssl.SSLContext) -> None:
        self._uid = uid
        self._token = token
        self._ports = ports
        self._context = context
        self._backoff = Backoff(FIRST_DELAY, LAST_DELAY)
        self.here = asyncio.Event()
        self.tries = 0
        self.came = 0.0
        """When it logged in last."""

    async def live(self) -> None:
        while True:
            with suppress(*_LOST):
                await self._stay()
            self._ports.append(self._ports.pop(0))
            await asyncio.sleep(self._backoff.delay())

    async def _stay(self) -> None:
        self.tries += 1
        place = ("127.0.0.1", self._ports[0])
        names = {"ssl": self._context, "server_hostname": "localhost"}
        reader, writer = await asyncio.open_connection(*place, **names)  # type: ignore[arg-type]
        try:
            await self._log_in(reader, writer)
            await reader.read()
        finally:
            writer.transport.abort()

    async def _log_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = {"type": "hello", "version": 1, "client": "moving/1", "device": f"{self._uid:032x}"}
        auth = {"type": "auth", "n": 1, "uid": self._uid, "token": self._token, "after": 0}
        for thing in (hello, auth):
            frame = json.dumps(thing).encode()
            writer.write(_LENGTH.pack(len(frame)) + frame)
        while True:
            (size,) = _LENGTH.unpack(await reader.readexactly(2))
            frame = await reader.readexactly(size)
            if frame.startswith(b"{") and json.loads(frame)["type"] == "ok":
                break
            if b'"error"' in frame:
                raise ConnectionError(frame.decode())
        self.came = time.monotonic()
        self._backoff.reset()
        self.here.set()


async def settle(users: list[User]) -> list[asyncio.Task[None]]:
    """Let all log in, some at a time; their lives."""
    lives = []
    for i, user in enumerate(users):
        lives.append(asyncio.ensure_future(user.live()))
        await users[max(0, i - _AT_ONCE)].here.wait()
    await asyncio.gather(*(user.here.wait() for user in users))
    return lives


async def move(users: list[User], world: Balanced) -> list[float]:
    """Kill the node where all users are, and wait until they are back: the seconds that each took."""
    first, second = world.nodes
    world.balancer.say(f"set server nodes/{second.name} state maint")
    lives = await asyncio.wait_for(settle(users), _PATIENCE)
    world.balancer.say(f"set server nodes/{second.name} state ready")
    await asyncio.sleep(1)
    for user in users:
        user.tries = 0
        user.here.clear()
    began = time.monotonic()
    first.kill()
    await asyncio.wait_for(asyncio.gather(*(user.here.wait() for user in users)), _PATIENCE)
    for life in lives:
        life.cancel()
    await asyncio.gather(*lives, return_exceptions=True)
    return sorted(user.came - began for user in users)


def add_accounts(world: Balanced, many: int) -> list[tuple[int, str]]:
    """Make accounts in the store; uid and token of each."""
    stored = phc("x")
    uids = range(_FIRST_UID, _FIRST_UID + many)
    for start in range(0, many, 500):
        page = uids[start : start + 500]
        rows = ", ".join(["(%s, %s, %s)"] * len(page))
        insert = f"INSERT INTO user (id, username, password) VALUES {rows}"  # noqa: S608
        words = [word for uid in page for word in (uid, f"user {uid}", stored)]
        mariadb().execute(world.stores.database, insert, words)
    tokens = Tokens(KeyFolder(str(world.nodes[0].folder / "keys")).token_secret())
    return [(uid, tokens.issue(uid, stored)) for uid in uids]


def measure(many: int, *, directly: bool) -> float:
    """Say how it went; the seconds until all were back."""
    limits = ("--max-per-ip", str(many + 100), "--max-connections", str(many + 100))
    world = Balanced(*limits, connections=many + 100)
    try:
        first, second = world.nodes
        context = ssl.create_default_context(cafile=first.ca)
        ports = [first.port, second.port] if directly else [world.balancer.port]
        accounts = add_accounts(world, many)
        users = [User(uid, token, list(ports), context) for uid, token in accounts]
        took = asyncio.run(move(users, world))
        tries = sum(user.tries for user in users)
    finally:
        world.end()
    way = "directly" if directly else "through HAProxy"
    print(
        f"{many:,} users, {way}: half were back after {took[many // 2]:.1f} s,"
        f" 99 % after {took[many * 99 // 100]:.1f} s, all after {took[-1]:.1f} s;"
        f" {tries / many:.2f} tries each"
    )
    return took[-1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--directly", action="store_true", help="without a balancer")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sys.exit(0 if measure(options.users, directly=options.directly) <= _ASKED else 1)


if __name__ == "__main__":
    main()
