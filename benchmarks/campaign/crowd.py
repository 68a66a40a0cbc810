"""
One process of users who write to each other through thick and thin.

They speak the wire's frames on asyncio, with nothing of the server in it. Each second a line on standard output says
how things are: ``UNCONFIRMED SHOWN``. Commands come on standard input:

=================  ==============================================================================
``stall S``        nobody reads for S seconds
``move``           leave the connection without a word
``hop``            log in at another node while still logged in
``leave TARGET``   log in at another node than this one
``away``           leave, and stay away until ``back``
``forget TARGET``  lose the last numbers, and go on elsewhere than at this target
``hoard S``        the one who acknowledges seldom does not for S seconds
``insist``         try again at once what was refused
``quiet S``        say nothing for S seconds
``finish``         write no more, only get the outbox confirmed
=================  ==============================================================================
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.campaign.sending_user import SendingUser
from benchmarks.campaign.structured_user import StructuredUser
from benchmarks.campaign.text_user import TextReader, TextWriter
from benchmarks.campaign.user import MakeUser, User

PARTS: dict[str, MakeUser] = {
    "structured": StructuredUser,
    "sender": SendingUser,
    "writer": TextWriter,
    "reader": TextReader,
}


async def obey(users: list[User]) -> None:
    """Carry out what comes on standard input."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while words := (await reader.readline()).decode().split():
        for user in users:
            _tell(user, *words)


def _tell(user: User, command: str, detail: str = "0") -> None:
    match command:
        case "finish":
            user.finishing = True
        case "move":
            user.move()
        case "hop":
            user.hop()
        case "leave":
            user.leave(detail)
        case "away":
            user.go_away()
        case "back":
            user.present.set()
        case "forget":
            user.forget_numbers(detail)
        case "hoard":
            user.hoard_until = asyncio.get_running_loop().time() + float(detail)
        case "insist":
            user.insist()
        case "quiet":
            user.hold_tongue(float(detail))
        case "stall":
            user.stalled_until = asyncio.get_running_loop().time() + float(detail)
            user.stall_for = float(detail)


async def report(users: list[User]) -> None:
    """Say how things are."""
    while True:
        print(sum(u.unconfirmed for u in users), sum(u.shown for u in users), flush=True)
        await asyncio.sleep(1)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", required=True, help="their uids, separated by commas")
    parser.add_argument("--others", required=True, help="the uids whom they write to")
    parser.add_argument("--target", action="append", required=True, help="HOST:PORT")
    parser.add_argument("--node", action="append", default=[], help="HOST:PORT of a node")
    parser.add_argument("--ca", required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--part", choices=PARTS, required=True)
    parser.add_argument("--slow", type=int, required=True, help="who acknowledges seldom")
    parser.add_argument("--rate", type=float, required=True, help="messages a second of each user")
    options = parser.parse_args()
    everybody = [int(uid) for uid in options.others.split(",") if uid]
    users = [
        PARTS[options.part](uid, [other for other in everybody if other != uid], options)
        for uid in map(int, options.users.split(","))
    ]
    lives = [asyncio.ensure_future(user.live()) for user in users]
    commands = asyncio.ensure_future(obey(users))
    reports = asyncio.ensure_future(report(users))
    done, _ = await asyncio.wait([*lives, commands, reports], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


if __name__ == "__main__":
    asyncio.run(main())
