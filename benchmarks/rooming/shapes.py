"""How many are in a room and how many write: ``200x4x4`` is 200 members, 4 senders with 4 messages under way each."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SHAPE = re.compile(r"(\d+)x(\d+)x(\d+)")


@dataclass(frozen=True)
class RoomShape:
    """A room of ``members``, of whom ``senders`` write and keep ``flight`` messages each unconfirmed."""

    members: int
    senders: int
    flight: int

    @property
    def name(self) -> str:
        """The shape as it is written."""
        return f"{self.members}x{self.senders}x{self.flight}"

    @property
    def readers(self) -> int:
        """To how many a message is delivered."""
        return self.members - 1


def parse_room_shape(text: str) -> RoomShape:
    """
    Read a shape.

    :raise ValueError: it is none
    """
    match = _SHAPE.fullmatch(text)
    shape = RoomShape(*map(int, match.groups())) if match else None
    if shape is None or not (0 < shape.senders <= shape.members > 1 and shape.flight):
        raise ValueError(f"{text!r} is no shape of a room: write 200x4x4")
    return shape


SHAPES = tuple(map(parse_room_shape, ("20x4x4", "200x4x4", "1000x1x2")))
