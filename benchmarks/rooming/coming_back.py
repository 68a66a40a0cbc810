"""A node is killed while many members read a room: when are all back, and was each shown each message once?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.comparing.load import Load, words
from benchmarks.comparing.subjects import FIRST_UID, PASSWORD
from benchmarks.rooming.fan_out import READING
from benchmarks.rooming.membership import NO_ROOM_LIMITS, Door, open_room
from benchmarks.scaling import serving, stores

ASKED = 10.0
"""Seconds in which all must be back."""


@dataclass(frozen=True)
class Outcome:
    """
    What came of it.

    ``logged_in`` and ``level``: seconds from the kill until the last member was logged in again, and had been handed
    all that it had not seen. ``cut_off`` had lost their connection, ``away`` of them are not back. ``unconfirmed`` of
    the ``sent`` messages have no confirmation. ``lost``, ``twice`` and ``disordered`` count messages at each device.
    """

    members: int
    sent: int
    unconfirmed: int
    cut_off: int
    away: int
    logged_in: float
    level: float
    lost: int
    twice: int
    disordered: int

    @classmethod
    def of(cls, said: dict[str, Any], members: int, killed: float) -> Outcome:
        """Read what the generator says; ``killed`` is the time of the kill, on the monotonic clock."""
        counts = {
            name: said[name] for name in ("sent", "cut_off", "away", "lost", "twice", "disordered")
        }
        unconfirmed = said["sent"] - said["confirmed"]
        back = {"logged_in": said["in_at"] - killed, "level": said["level_at"] - killed}
        return cls(members=members, unconfirmed=unconfirmed, **counts, **back)

    @property
    def kept(self) -> bool:
        """Whether all were back in time and each device was shown each message once, in order."""
        wrong = self.unconfirmed + self.away + self.lost + self.twice + self.disordered
        return not wrong and self.cut_off > 0 and self.level <= ASKED

    def __str__(self) -> str:
        return (
            f"{self.members:,} members, {self.sent:,} messages, {self.unconfirmed} not confirmed;"
            f" {self.cut_off:,} cut off, {self.away} not back;"
            f" all logged in after {self.logged_in:.1f} s, level after {self.level:.1f} s;"
            f" lost {self.lost}, twice {self.twice}, out of order {self.disordered}"
        )


def coming_back(members: int, pace: float, seconds: float) -> Outcome:
    """
    Let one member write ``pace`` messages a second for so long, and kill the other node after a third of it.

    The sender and half of the members are at the node that lives on. Members come back as docs/protocol.md says.
    """
    with stores() as made:
        options = NO_ROOM_LIMITS
        with serving(made, 1, options) as here, serving(made, 1, options) as there:
            ca = str(Path(made.keys.path) / "server.crt")
            uids = range(FIRST_UID, FIRST_UID + members)
            room = open_room(Door(here.port, ca, made.tokens), "all", uids)
            crowd = {"port": here.port, "spare": there.port, "ca": ca, "lines": members}
            crowd |= {"room": room.number, "room_name": room.name, "dialect": "structured"}
            crowd |= {"tokens": made.tokens, "tokens_uid": FIRST_UID, "uid": FIRST_UID}
            with Load(
                "members", words(**crowd, **READING, password=PASSWORD, patience=300)
            ) as load:
                load.begin(seconds=seconds, rate=pace)
                time.sleep(seconds / 3)
                killed = time.monotonic()
                there.kill()
                return Outcome.of(load.end(), members, killed)
