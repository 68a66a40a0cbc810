"""A user's registered device: knows by id and serial what it has shown, and is shown what the others send."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

from benchmarks.campaign.forgettings import record_forgetting
from benchmarks.campaign.journal import edit_of, edit_text, message_of, split_name
from benchmarks.campaign.structured_user import StructuredUser, device_of
from benchmarks.campaign.visits import Visits, is_stranger

_NUMBERS = 1
"""What a device's number in its name is less than its session's: the unnamed one and the sending one come first."""

_FORGETTING = 0.004
"""The share of the moments at which it begins to acknowledge nothing for a while…"""

_FORGOTTEN_FOR = (1.0, 4.0)
"""…in seconds."""

_ASKING = 3.0
"""Seconds between two questions for the devices that are left, at the end."""


def device_named(name: str) -> str:
    """The device of the session with this name, which has never changed it."""
    uid, kind = split_name(name)
    return device_of(int(uid), _NUMBERS + int(kind[1:]), 0)


class DeviceUser(StructuredUser):
    """
    Keeps the client's half of what docs/protocol.md promises to registered devices.

    It acknowledges what it has heard on a connection there, on each. At the end it comes back once more: after its
    store lost writes no acknowledgement counts that may be of what was lost.
    """

    heard_id = 0
    """What came last on this connection."""
    forgetful_until = 0.0
    back_at = 0.0
    """When it comes back at the end; 0: the end has not begun."""
    asked_at = 0.0

    def __init__(
        self, uid: int, others: list[int], options: argparse.Namespace, kind: str = ""
    ) -> None:
        self.number = _NUMBERS + int(kind[1:])
        super().__init__(uid, [*others, uid] if others else [], options, kind)
        self._visits = Visits(self)

    def hello(self) -> dict[str, Any]:
        return {**super().hello(), "features": ["devices", "of-tomorrow"]}

    def welcomed(self, thing: dict[str, Any]) -> None:
        if thing["type"] == "welcome" and thing.get("features") != ["devices"]:
            raise ConnectionError("the feature is not granted")

    def purpose(self) -> dict[str, Any]:
        if not self.journal.serial:
            return {}
        return {"after": self.journal.cursor, "serial": self.journal.serial}

    def _entered(self, thing: dict[str, Any]) -> None:
        if thing["epoch"]:
            self.journal.record("w", "epoch")
        self.journal.record("l")
        self.acknowledged = self.heard_id = 0

    def take(self, thing: dict[str, Any]) -> None:
        if thing["type"] == "missed":
            told = (thing["after"], thing["until"], thing.get("serial", 0))
            self.journal.record("m", *told)
        elif thing["type"] in ("msg", "event"):
            self.show(thing)
            self.heard_id = thing["id"]
        elif "devices" in thing:
            self._forget_strangers(thing["devices"])
        else:
            if thing["type"] == "sent" and "duplicate" not in thing and "serial" not in thing:
                self.journal.record("w", "sent-without-serial")
            super().take(thing)

    def take_late(self, thing: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        """
        On a connection that was left for another only what is newer in both respects is new.

        A node that does not know yet that the store lost it may say it there.
        """
        newer = thing.get("serial", 0) > self.journal.serial
        shows = thing["type"] in ("msg", "event")
        if shows and not (newer and thing["id"] > self.journal.cursor):
            return
        if thing["type"] == "event":
            self.show(thing)
            self.say(writer, type="ack", id=thing["id"])
        else:
            super().take_late(thing, writer)

    def show(self, thing: dict[str, Any]) -> None:
        if thing["type"] == "msg":
            self._look_at(thing)
        newer = thing.get("serial", 0) > self.journal.serial
        if thing["id"] > self.journal.cursor or (newer and self.options.sabotage != "serials"):
            self.record_shown(thing)

    def record_shown(self, thing: dict[str, Any]) -> None:
        if thing["type"] != "event":
            super().record_shown(thing)
            return
        place = (thing["id"], thing["serial"], thing["at"], thing["event"], thing["by"])
        self.journal.record("vs", *place, thing["with"], thing["target"], self.edit_in(thing))
        self.shown += 1

    def edit_in(self, thing: dict[str, Any]) -> int:
        """The N of the edit that an event tells of; 0: it tells of a retraction."""
        if thing["event"] == "retracted" and "text" not in thing:
            return 0
        edit = edit_of(thing.get("text", ""))
        if thing["event"] != "edited" or edit is None or thing["text"] != edit_text(*edit):
            self.journal.record("w", "event", json.dumps(thing).replace(" ", ""))
        return edit[-1] if edit else 0

    def _look_at(self, thing: dict[str, Any]) -> None:
        """A copy says to whom it went, nothing else does; all have serials."""
        sender, to, k = message_of(thing["text"])
        uid = int(split_name(sender)[0])
        expected = to if uid == self.uid != to else None
        if thing.get("to") != expected or thing["from"] != uid or "serial" not in thing:
            said = {name: value for name, value in thing.items() if name != "text"}
            words = json.dumps(said).replace(" ", "")
            self.journal.record("w", f"{sender}>{to}#{k}", words)

    def _acknowledge(self, now: float) -> None:
        if not self.finishing:
            if random.random() < _FORGETTING:
                self.forgetful_until = now + random.uniform(*_FORGOTTEN_FOR)
            if now < self.forgetful_until or self._waits_to_acknowledge(now):
                return
        if self.heard_id != self.acknowledged:
            self.acknowledged, self.acknowledged_at = self.heard_id, now
            self.say(type="ack", id=self.acknowledged)

    def idle(self) -> None:
        super().idle()
        now = asyncio.get_running_loop().time()
        if not self.finishing:
            return
        if not self.back_at:
            self.back_at = now + _ASKING
        elif 0 < self.back_at < now:
            self.back_at = float("inf")
            raise ConnectionError("once more, at the end")
        if self.kind == "d1" and now > self.asked_at + _ASKING:
            self.asked_at = now
            self.ask(type="devices")

    def _forget_strangers(self, devices: list[dict[str, Any]]) -> None:
        for one in devices:
            if is_stranger(one["device"]):
                self.ask(type="forget", device=one["device"])

    def obey(self, command: str, detail: str) -> None:
        visits = self._visits
        obedience: dict[str, Callable[[], None]] = {
            "forget-device": lambda: self._forget_device(detail),
            "let-in": lambda: visits.let_in(int(detail)),
            "borrow": lambda: visits.borrow(detail),
            "stay": lambda: visits.stay(detail),
            "acknowledge": visits.acknowledge,
            "glance": lambda: visits.glance(detail),
        }
        if command in obedience:
            obedience[command]()

    def is_lent(self) -> bool:
        return self._visits.is_lent

    def _forget_device(self, name: str) -> None:
        if self.writer is not None:  # else it has just lost its connection
            record_forgetting(self.options.state, name)
            self.ask(type="forget", device=device_named(name))
