"""What a member does with rooms, apart from talking: comes, goes, invites, removes, changes, closes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.campaign.journal import Journal
from benchmarks.campaign.rooms.plan import PUBLIC, RoomPlan

_AT_FIRST = 8.0
"""Seconds for which somebody acts more often…"""

_OFTEN = (0.4, 1.5)
_SELDOM = (3.0, 7.0)
"""…and seconds between two acts then, and later: an account may do one a second, and has several sessions."""

_AGAIN = 0.7
"""The share of the commands without an answer that are given again."""

_IMPATIENT = 0.1
"""The share of the moments at which somebody tries what is not for them."""

_BAN = 0.4

_REFUSALS = {
    *("unknown-room", "not-a-member", "forbidden", "room-full", "too-many-rooms", "banned"),
    *("name-taken", "inbox-full", "store-unavailable", "throttled"),
}
"""Answers to commands that are as they should be."""

_GONE = ("unknown-room", "not-a-member")

_ACTS = {"leave": 1.0, "invite": 3.0, "topic": 1.5, "rooms": 0.5, "members": 0.5}
_ACTS_OF_MODERATORS = {"remove": 3.0, "unban": 2.0}
_ACTS_OF_OWNERS = {"role": 4.0, "close": 0.5, "history": 0.5}

Ask = Callable[..., int]
"""Sends a command that is given by its fields; returns its number."""


class RoomCommands:
    """
    The commands of one session of the user ``uid``; ``inside`` says which rooms it believes to be in, by number.

    ``told``: it is told of rooms by the server, and not only by answers.
    """

    def __init__(
        self, uid: int, plans: Sequence[RoomPlan], journal: Journal, ask: Ask, *, told: bool
    ) -> None:
        self.inside: dict[int, str] = {}
        """The name of each."""
        self.roles: dict[int, str] = {}
        self.joined: set[int] = set()
        """Rooms of which the server has said that it is in them now, whether it has been told of them or not."""
        self._uid = uid
        self._plans = [plan for plan in plans if uid in plan.members]
        self._journal = journal
        self._ask = ask
        self._told = told
        self._invited: set[str] = set()
        self._missing: set[str] = set()
        """Names of rooms that were not to be found."""
        self._asked: dict[int, dict[str, Any]] = {}
        self._due = self._began = 0.0

    def invite(self, name: str) -> None:
        """It was invited into the room with this name."""
        self._invited.add(name)

    def enter(self, room: int, name: str, role: str) -> None:
        """It was told that it is in a room."""
        self.inside[room], self.roles[room] = name, role

    def leave(self, room: int) -> None:
        """It is in this room no longer."""
        self.inside.pop(room, None)
        self.roles.pop(room, None)
        self.joined.discard(room)

    def change_role(self, room: int, role: str) -> None:
        self.roles[room] = role

    def resume(self) -> None:
        """Give commands again that were not answered on the connection before."""
        unanswered, self._asked = list(self._asked.values()), {}
        for command in unanswered:
            if random.random() < _AGAIN:
                self._give(command)

    def act(self, now: float) -> None:
        """Do something now and then."""
        self._began = self._began or now
        if now < self._due or not self._plans:
            return
        self._due = now + random.uniform(*(_OFTEN if now < self._began + _AT_FIRST else _SELDOM))
        if len(self._asked) < 5:
            plan = random.choice(self._plans)
            rooms = [room for room, name in self.inside.items() if name == plan.name]
            command = self._order(plan, max(rooms)) if rooms else self._come(plan)
            if command:
                self._give_first(command)

    def answered(self, thing: dict[str, Any]) -> None:
        """Take the answer to a command."""
        command = self._asked.pop(thing["re"], None)
        if command is None:
            return
        if thing["type"] == "ok":
            self._done(command, thing.get("room", 0))
        elif thing["code"] not in _REFUSALS:
            self._journal.record("w", "refused:", command["type"], thing["code"])
        else:
            self._refused(command, thing)

    def _come(self, plan: RoomPlan) -> dict[str, Any] | None:
        founds = plan.founder == self._uid and (plan.kind != PUBLIC or plan.name in self._missing)
        if plan.name in self._invited:
            self._invited.discard(plan.name)
        elif founds:
            self._missing.discard(plan.name)
            return {"type": "create", "name": plan.name, "kind": plan.kind, "topic": "聊"}
        elif plan.kind != PUBLIC and random.random() > _IMPATIENT:
            return None
        return {"type": "join", "name": plan.name}

    def _order(self, plan: RoomPlan, room: int) -> dict[str, Any]:
        acts, role = dict(_ACTS), self.roles.get(room, "member")
        if role in ("moderator", "owner") or random.random() < _IMPATIENT:
            acts |= _ACTS_OF_MODERATORS
        if role == "owner":
            acts |= _ACTS_OF_OWNERS
        (act,) = random.choices(list(acts), list(acts.values()))
        return self._command(act, room, random.choice(plan.members))

    def _command(self, act: str, room: int, other: int) -> dict[str, Any]:
        change = {"type": "change", "room": room}
        commands: dict[str, dict[str, Any]] = {
            "leave": {"type": "leave", "room": room},
            "invite": {"type": "invite", "room": room, "user": other},
            "topic": {**change, "topic": f"{self._uid}:{random.randrange(1000)}"},
            "history": {**change, "history": random.choice(["all", "joined"])},
            "rooms": {"type": "rooms", "name": "r"},
            "members": {"type": "members", "room": room},
            "remove": {"type": "remove", "room": room, "user": other},
            "unban": {"type": "unban", "room": room, "user": other},
            "role": {
                "type": "role",
                "room": room,
                "user": other,
                "role": random.choice(["member", "moderator", "moderator", "owner"]),
            },
            "close": {"type": "close", "room": room},
        }
        command = commands[act]
        if act == "remove" and random.random() < _BAN:
            command["ban"] = True
        return command

    def _give_first(self, command: dict[str, Any]) -> None:
        if "room" in command:
            self._record("rq", command, command["room"])
        self._give(command)

    def _give(self, command: dict[str, Any]) -> None:
        self._asked[self._ask(**command)] = command

    def _record(self, kind: str, command: dict[str, Any], room: int) -> None:
        self._journal.record(kind, room, command["type"], command.get("user", self._uid))

    def _done(self, command: dict[str, Any], room: int) -> None:
        kind = command["type"]
        room = command.get("room", room)
        if room:
            self._record("rk", command, room)
        if kind in ("join", "create"):
            self.joined.add(room)
            if not self._told:
                self.enter(room, command["name"], "member" if kind == "join" else "owner")
        elif kind in ("leave", "close"):
            self.leave(room)

    def _refused(self, command: dict[str, Any], thing: dict[str, Any]) -> None:
        code, room = thing["code"], command.get("room", 0)
        if code == "store-unavailable" and random.random() < _AGAIN:
            self._give(command)
        elif code in _GONE and room:
            self.leave(room)
        elif code == "unknown-room":
            self._missing.add(command["name"])
        elif code == "name-taken" and "room" in thing and not self._told:
            self.enter(thing["room"], command["name"], "owner")
