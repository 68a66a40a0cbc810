"""A user's registered device that is shown rooms: knows by id and serial what it has shown of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from benchmarks.campaign.device_user import DeviceUser
from benchmarks.campaign.journal import message_of, split_name
from benchmarks.campaign.rooms.member import RoomMember

_BETWEEN_ACKNOWLEDGEMENTS = 1.0
"""Seconds, as docs/protocol.md allows…"""

_MANY = 64
"""…or so many entries."""

BEGINS = 25.0
"""Seconds after which a device that has joined must have been told so, on the connection on which it did."""

_ALIVE = 6.0
"""Seconds since something was heard on a connection that is not dead."""

Thing = dict[str, Any]


class RoomDeviceUser(RoomMember, DeviceUser):
    """Acknowledges in each room what it has heard of it on this connection."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._heard: dict[int, int] = {}
        """The id that came last of each room on this connection…"""
        self._acknowledged: dict[int, int] = {}
        """…and the one that was acknowledged last."""
        self._rooms_acknowledged_at = self._alive_at = 0.0
        self._told: set[int] = set()
        """Rooms that the server has said to begin on this connection."""
        self._awaited: dict[int, float] = {}
        """When each of the rooms must have begun that were joined and have not."""
        self._closed: set[int] = set()
        self._synced = False
        self._kinds: dict[str, Callable[[Thing], None]] = {
            "msg": self._show_entry,
            "event": self._show_entry,
            "room": self._begin_room,
            "left": self._end_room,
            "missed": self._miss,
        }

    def purpose(self) -> dict[str, Any]:
        rooms = {
            str(room): list(place)
            for room, place in self.journal.rooms.items()
            if room not in self._closed
        }
        return {**super().purpose(), "rooms": rooms}

    def _entered(self, thing: Thing) -> None:
        super()._entered(thing)
        self._heard, self._acknowledged, self._synced = {}, {}, False
        self._told, self._awaited = set(), {}
        self.commands.joined.clear()
        for room in list(self.commands.inside):
            self.commands.leave(room)

    def take(self, thing: Thing) -> None:
        self._alive_at = asyncio.get_running_loop().time()
        if "room" in thing and thing["type"] in self._kinds:
            self._kinds[thing["type"]](thing)
        elif thing["type"] == "synced":
            if self._synced:
                self.journal.record("w", "synced-twice")
            self._synced = True
        else:
            super().take(thing)

    def take_late(self, thing: Thing, writer: asyncio.StreamWriter) -> None:
        if "room" not in thing:
            super().take_late(thing, writer)
        elif thing["type"] in ("msg", "event"):
            id, serial = self.journal.rooms.get(thing["room"], (0, 0))
            if thing["id"] > id and thing["serial"] > serial:
                self._record(thing)
                self.say(writer, type="ack", room=thing["room"], id=thing["id"])

    def show(self, thing: Thing) -> None:
        if "invite" not in thing:
            super().show(thing)
        elif thing["id"] > self.journal.cursor or thing["serial"] > self.journal.serial:
            self.journal.record("i", thing["id"], thing["serial"], thing["invite"]["room"])
            self.shown += 1
            self.commands.invite(thing["invite"]["name"])

    def _show_entry(self, thing: Thing) -> None:
        room = thing["room"]
        id, serial = self.journal.rooms.get(room, (0, 0))
        newer = thing["id"] > id
        if self.options.sabotage != "room-serials":
            newer = newer or thing["serial"] > serial
        if newer or self.options.sabotage == "room-repeats":
            self._record(thing)
        self._heard[room] = thing["id"]

    def _record(self, thing: Thing) -> None:
        """Show it, which is on disk then."""
        room, id, serial, at = (thing[word] for word in ("room", "id", "serial", "at"))
        if thing["type"] == "event" and "target" in thing:
            what = (thing["event"], thing["by"], thing["target"], self.edit_in(thing))
            self.journal.record("rv", room, id, serial, at, *what)
        elif thing["type"] == "event":
            event, by, user = thing["event"], thing["by"], thing.get("user", 0)
            self.journal.record("re", room, id, serial, at, event, by, user)
            if event == "role" and user == self.uid:
                self.commands.change_role(room, thing["role"])
        else:
            sender, to, k = message_of(thing["text"])
            self.journal.record("rs", room, id, serial, sender, k, at)
            if to != -room or thing["from"] != int(split_name(sender)[0]):
                self.journal.record("w", f"{sender}>{to}#{k}", f"in-room-{room}")
        self.shown += 1

    def _begin_room(self, thing: Thing) -> None:
        room = thing["room"]
        self._told.add(room)
        self._closed.discard(
            room
        )  # a store that was set back knows nothing of that, or has given its number out again
        self._awaited.pop(room, None)
        self.commands.enter(room, thing["name"], thing["role"])

    def _end_room(self, thing: Thing) -> None:
        room = thing["room"]
        self._told.discard(room)
        self._awaited.pop(room, None)
        self.commands.leave(room)
        self.journal.record("rl", room, thing["why"])
        if thing["why"] == "closed":
            self._closed.add(room)

    def _miss(self, thing: Thing) -> None:
        told = (thing["room"], thing["after"], thing["until"], thing.get("serial", 0))
        self.journal.record("rm", *told)

    def idle(self) -> None:
        super().idle()
        now = asyncio.get_running_loop().time()
        if self.finishing or now > self.forgetful_until:
            self._acknowledge_rooms(now)
        self._await_rooms(now)

    def _acknowledge_rooms(self, now: float) -> None:
        due = now > self._rooms_acknowledged_at + _BETWEEN_ACKNOWLEDGEMENTS
        for room, id in self._heard.items():
            before = self._acknowledged.get(room, 0)
            if id != before and (due or id > before + _MANY):
                self._acknowledged[room] = id
                self._rooms_acknowledged_at = now
                self.say(type="ack", room=room, id=id)

    def _await_rooms(self, now: float) -> None:
        for room in self.commands.joined - self._told:
            self._awaited.setdefault(room, now + BEGINS)
        self.commands.joined.clear()
        for room, due in list(self._awaited.items()):
            if due < now < self._alive_at + _ALIVE:
                del self._awaited[room]
                self.journal.record("w", f"joined-{room}-and-not-told-so")
