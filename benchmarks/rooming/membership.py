"""Rooms with members, made as clients make them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.comparing.subjects import FIRST_UID
from tests.support.clients import StructuredClient

FEATURES = ("devices", "rooms")

NO_ROOM_LIMITS = (
    *("--room-rate", "0", "--room-members", "100000"),
    *("--rooms-per-user", "1000", "--rooms-owned", "1000"),
)
"""Options of the service: its limits of rooms are so high that they are not what is measured."""

_AT_ONCE = 32
"""Clients that are on their way into rooms at the same time."""

_PATIENCE = 120.0
"""Seconds that an answer may take: who joins many rooms is read slowly."""


class RoomRefused(Exception):
    """A room was not made, or not joined."""


@dataclass(frozen=True)
class Door:
    """Where a server lets clients in: its port, its certificate, and a file of tokens, the first for `FIRST_UID`."""

    port: int
    ca: str
    tokens: str


@dataclass(frozen=True)
class OpenRoom:
    """A room by number and name."""

    number: int
    name: str


def open_rooms(door: Door, names: Sequence[str], uids: Sequence[int]) -> list[OpenRoom]:
    """
    Make rooms, shared out among ``uids``, and let all of these users join them all.

    A room that its maker has made before is taken for made.

    :raise RoomRefused: a room was not made, or not joined
    """
    tokens = Path(door.tokens).read_text().splitlines()
    members = [_Member(door, uid, tokens[uid - FIRST_UID]) for uid in uids]
    shares = [names[place :: len(uids)] for place in range(len(uids))]
    with ThreadPoolExecutor(min(_AT_ONCE, len(uids))) as pool:
        made = pool.map(_Member.create, members, shares)
        found = {room.name: room for rooms in made for room in rooms}
        rooms = [found[name] for name in names]
        list(pool.map(lambda member: member.join([room.number for room in rooms]), members))
    return rooms


def open_room(door: Door, name: str, uids: Sequence[int]) -> OpenRoom:
    """Make one room, of which all these users are members; otherwise as `open_rooms`."""
    (room,) = open_rooms(door, [name], uids)
    return room


def catch_up(door: Door, uids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """
    Let users acknowledge all that their rooms have; the last id and serial of each room, by its number.

    Who joined first has not seen who came later, and would be handed that again and again.
    """
    tokens = Path(door.tokens).read_text().splitlines()
    members = [_Member(door, uid, tokens[uid - FIRST_UID]) for uid in uids]
    ends: dict[int, tuple[int, int]] = {}
    with ThreadPoolExecutor(min(_AT_ONCE, len(uids))) as pool:
        for found in pool.map(_Member.catch_up, members):
            ends |= found
    return ends


class _Member:
    """
    A user on a connection that ends with its command.

    It reads nothing, so that no device is registered, but for `catch_up`.
    """

    def __init__(self, door: Door, uid: int, token: str) -> None:
        self._door = door
        self._uid = uid
        self._token = token

    def create(self, names: Sequence[str]) -> list[OpenRoom]:
        """Make rooms."""
        asked = [{"type": "create", "name": name} for name in names]
        answers = self._ask(asked)
        made = []
        for name, answer in zip(names, answers, strict=True):
            if answer["type"] != "ok" and "room" not in answer:
                raise RoomRefused(f"#{name} was not made: {answer}")
            made.append(OpenRoom(answer["room"], name))
        return made

    def join(self, rooms: Sequence[int]) -> None:
        """Become a member of rooms; it does no harm to be one already."""
        answers = self._ask([{"type": "join", "room": room} for room in rooms])
        for room, answer in zip(rooms, answers, strict=True):
            if answer["type"] != "ok":
                raise RoomRefused(f"{self._uid} did not join room {room}: {answer}")

    def catch_up(self) -> dict[int, tuple[int, int]]:
        """Acknowledge the newest entry of each room; its id and serial."""
        with closing(self._connect()) as client:
            self._log_in(client, backlog=1)
            ends = {}
            while (thing := client.next(_PATIENCE))["type"] != "synced":
                if thing["type"] in ("msg", "event"):
                    ends[thing["room"]] = (thing["id"], thing["serial"])
            client.say_many(
                {"type": "ack", "room": room, "id": id_} for room, (id_, _) in ends.items()
            )
            client.ask(type="ping", n=2)
        return ends

    def _ask(self, things: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        if not things:
            return []
        with closing(self._connect()) as client:
            self._log_in(client, receive=False)
            client.say_many(thing | {"n": n} for n, thing in enumerate(things, 2))
            answers: dict[int, dict[str, Any]] = {}
            while len(answers) < len(things):
                answer = client.next(_PATIENCE)
                if "re" in answer:
                    answers[answer["re"]] = answer
        return [answers[n] for n in sorted(answers)]

    def _connect(self) -> StructuredClient:
        device = f"{self._uid:032x}"
        return StructuredClient(self._door.port, self._door.ca, device=device, features=FEATURES)

    def _log_in(self, client: StructuredClient, **more: Any) -> None:
        granted = client.welcome.get("features", [])
        if not set(FEATURES) <= set(granted):
            raise RoomRefused(f"the server grants {granted}, not {FEATURES}")
        answer = client.ask(type="auth", n=1, uid=self._uid, token=self._token, **more)
        if answer["type"] != "ok":
            raise RoomRefused(f"{self._uid} was not let in: {answer}")
