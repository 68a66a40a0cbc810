"""
One process of a flood of log-ins, which gives way to everything else.

Commands come on standard input: ``flood S`` makes log-ins for S seconds, at a steady rate whatever becomes of them, and
says one JSON object about it when the last one has ended. There is nothing of the server in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import ssl
import struct
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass
from itertools import count

KINDS = ("right", "wrong", "unknown")
"""Of log-ins: with the right password, with a wrong one, as nobody."""

_PATIENCE = 60.0
"""Seconds that an answer may take."""

_LENGTH = struct.Struct("!H")
_LOST = (OSError, asyncio.IncompleteReadError, ssl.SSLError)


@dataclass
class Line:
    """A connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, **thing: object) -> dict[str, object]:
        """Say an object and wait for its answer; messages and what else comes are passed over."""
        frame = json.dumps({**thing, "n": 1}).encode()
        self.writer.write(_LENGTH.pack(len(frame)) + frame)
        while True:
            (size,) = _LENGTH.unpack(await self.reader.readexactly(2))
            answer = await self.reader.readexactly(size)
            if answer.startswith(b"{"):
                said: dict[str, object] = json.loads(answer)
                if said.get("re") == 1:
                    return said


class Flooder:
    """Makes log-ins."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._context = ssl.create_default_context(cafile=options.ca)
        self._numbers = count(options.index * 1_000_000)
        self._idle: deque[Line] = deque()
        self._outcomes: Counter[str] = Counter()
        self._seconds: dict[str, list[float]] = {}
        self._late = 0.0

    async def flood(self, seconds: float) -> dict[str, object]:
        """Log in for so long; what came of it."""
        self._outcomes, self._seconds, self._late = Counter(), {}, 0.0
        began, cpu = time.monotonic(), _cpu()
        under_way = []
        for number in range(round(seconds * self._options.rate)):
            due = began + number / self._options.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self._late = max(self._late, time.monotonic() - due)
            under_way.append(asyncio.create_task(self._try()))
        lasted, spent = time.monotonic() - began, _cpu() - cpu
        await asyncio.gather(*under_way)
        return {
            "attempted": len(under_way),
            "outcomes": self._outcomes,
            "seconds": self._seconds,
            "lasted": lasted,
            "cpu": spent,
            "late": self._late,
        }

    async def _try(self) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(_PATIENCE):
                outcome = await self._log_in()
        except TimeoutError:
            outcome = "no answer"
        except _LOST:
            outcome = "lost"
        self._outcomes[outcome] += 1
        self._seconds.setdefault(outcome, []).append(time.monotonic() - began)

    async def _log_in(self) -> str:
        kind = random.choices(KINDS, self._options.mix)[0]
        uid = self._options.uid + random.randrange(self._options.accounts)
        if kind == "unknown":
            uid += 10**9
        password = self._options.password if kind == "right" else f"{random.random()}"
        line = await self._line()
        answer = await line.ask(type="auth", uid=uid, password=password)
        if not self._options.keep:
            line.writer.close()
        elif answer["type"] != "ok" or (await line.ask(type="logout"))["type"] == "ok":
            self._idle.append(line)
        return str(answer.get("code", "ok"))

    async def _line(self) -> Line:
        while self._idle:
            line = self._idle.popleft()
            if not line.reader.at_eof():
                return line
        number = next(self._numbers) % self._options.addresses
        address = f"127.{1 + self._options.index}.{number // 250 % 250}.{1 + number % 250}"
        streams = await asyncio.open_connection(
            "127.0.0.1",
            self._options.port,
            ssl=self._context,
            server_hostname="localhost",
            local_addr=(address, 0),
        )
        return Line(*streams)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _obey(options: argparse.Namespace) -> None:
    flooder = Flooder(options)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await flooder.flood(float(line.split()[1]))), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca", required=True, help="certificate to trust")
    parser.add_argument("--rate", type=float, required=True, help="log-ins a second")
    parser.add_argument(
        "--mix", type=float, nargs=3, required=True, help="weights of " + str(KINDS)
    )
    parser.add_argument("--uid", type=int, required=True, help="the first account")
    parser.add_argument("--accounts", type=int, required=True, help="how many there are")
    parser.add_argument("--password", required=True, help="of all of them")
    parser.add_argument("--index", type=int, required=True, help="which of these processes it is")
    parser.add_argument("--addresses", type=int, required=True, help="how many to come from")
    parser.add_argument("--nice", type=int, required=True)
    parser.add_argument("--keep", action="store_true", help="log in again on the same connection")
    options = parser.parse_args()
    os.nice(options.nice)
    asyncio.run(_obey(options))


if __name__ == "__main__":
    main()
