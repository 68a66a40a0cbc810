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
``only NAME …``    what follows is for the session of this name alone
=================  ==============================================================================

Registered devices alone know these:

======================  =========================================================================
``forget-device NAME``  have the device of this session forgotten
``let-in N``            so many more devices are registered
``borrow KIND``         another process is the device for a moment: ``registered`` or ``plain``
``stay TARGET``         another process is the device at this node, until somebody else is
``acknowledge``         that process acknowledges what it has heard
``glance TARGET``       log in at this node, and crash before anything is shown
======================  =========================================================================
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.campaign.device_user import DeviceUser
from benchmarks.campaign.journal import split_name
from benchmarks.campaign.rooms.device_user import RoomDeviceUser
from benchmarks.campaign.rooms.plan import plan_of
from benchmarks.campaign.rooms.sending_user import RoomSendingUser
from benchmarks.campaign.rooms.text_user import RoomTextReader
from benchmarks.campaign.sending_user import SendingUser
from benchmarks.campaign.structured_user import StructuredUser
from benchmarks.campaign.text_user import TextReader, TextWriter
from benchmarks.campaign.user import MakeUser, User


def _structured(uid: int, others: list[int], options: argparse.Namespace, kind: str) -> User:
    if not kind:
        return StructuredUser(uid, others, options, kind)
    return (RoomDeviceUser if options.plans else DeviceUser)(uid, others, options, kind)


def _sender(uid: int, others: list[int], options: argparse.Namespace, kind: str) -> User:
    return (RoomSendingUser if options.plans else SendingUser)(uid, others, options, kind)


def _reader(uid: int, others: list[int], options: argparse.Namespace, kind: str) -> User:
    return (RoomTextReader if options.plans else TextReader)(uid, others, options, kind)


PARTS: dict[str, MakeUser] = {
    "structured": _structured,
    "sender": _sender,
    "writer": TextWriter,
    "reader": _reader,
}


async def obey(users: list[User]) -> None:
    """Carry out what comes on standard input."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while words := (await reader.readline()).decode().split():
        chosen = users
        if words[0] == "only":
            chosen = [user for user in users if user.name == words[1]]
            del words[:2]
        for user in chosen:
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
        case _:
            user.obey(command, detail)


async def report(users: list[User]) -> None:
    """Say how things are."""
    while True:
        print(sum(u.unconfirmed for u in users), sum(u.shown for u in users), flush=True)
        await asyncio.sleep(1)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--users", required=True, help="their sessions' names, separated by commas: UID or UIDKIND"
    )
    parser.add_argument(
        "--beside", default="", help="the uids of those who have registered devices"
    )
    parser.add_argument("--rooms", type=int, default=0, help="how many rooms there are")
    parser.add_argument("--members", default="", help="the uids of those who may be in rooms")
    parser.add_argument("--others", required=True, help="the uids whom they write to")
    parser.add_argument("--sabotage", default="", help="a rule to break, see campaign/sabotage.py")
    parser.add_argument("--target", action="append", required=True, help="HOST:PORT")
    parser.add_argument("--node", action="append", default=[], help="HOST:PORT of a node")
    parser.add_argument("--ca", required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--part", choices=PARTS, required=True)
    parser.add_argument("--slow", type=int, required=True, help="who acknowledges seldom")
    parser.add_argument("--rate", type=float, required=True, help="messages a second of each user")
    options = parser.parse_args()
    everybody = [int(uid) for uid in options.others.split(",") if uid]
    options.beside = {int(uid) for uid in options.beside.split(",") if uid}
    members = [int(uid) for uid in options.members.split(",") if uid]
    options.plans = plan_of(options.rooms, members, sorted(options.beside))
    make, users = PARTS[options.part], []
    for name in options.users.split(","):
        word, kind = split_name(name)
        uid = int(word)
        users.append(make(uid, [other for other in everybody if other != uid], options, kind))
    lives = [asyncio.ensure_future(user.live()) for user in users]
    commands = asyncio.ensure_future(obey(users))
    reports = asyncio.ensure_future(report(users))
    done, _ = await asyncio.wait([*lives, commands, reports], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


if __name__ == "__main__":
    asyncio.run(main())
