"""Who is logged in on a connection, and how they read and send."""

from __future__ import annotations

from dataclasses import dataclass

from chatsvc.delivery.reader import Reader
from chatsvc.delivery.room_reader import RoomReader


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """
    The user who is logged in, since when; ``reader`` is None for one who only sends.

    ``device_generation`` is that of the device that messages are sent as, None without a device. For a registered one
    the reader knows it. ``rooms`` is None for one who reads no rooms.
    """

    uid: int
    name: str
    reader: Reader | None
    since: float
    device_generation: int | None
    rooms: RoomReader | None = None

    @property
    def device(self) -> str:
        """The registered device of this log-in, empty if it is none's."""
        return self.reader.device if self.reader is not None else ""

    @property
    def generations(self) -> tuple[int | None, int | None, bool]:
        """Under which generations a message is sent, as a draft has them, and whether by a registered device."""
        reader = self.reader
        if reader is not None and reader.device:
            return None, reader.generation, True
        return reader.generation if reader is not None else None, self.device_generation, False
