"""What the readers of inboxes and rooms ask of the session that they read for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from chatsvc.delivery.feed import EntryBatch
from chatsvc.wire import events as e


class ReaderOwner(Protocol):
    """The session that a reader reads for."""

    def say(self, event: e.Event) -> None:
        """Send an event."""

    def poll_acks(self) -> None:
        """Acknowledge what the peer has received by now."""

    def taken_over(self, by: str = "") -> None:
        """End the log-in: another one took over, which comes ``by`` there (empty: nobody knows)."""

    def caught_up(self) -> None:
        """Take note that all that waited in the inbox was delivered."""

    def joined(self, mark: e.Joining) -> None:
        """Begin to read a room that the user has joined, as the inbox says."""

    def inbox_restarted(self) -> None:
        """Forget the ids of delivered messages: the inbox began a new epoch."""

    def forgotten(self, on_request: bool = False) -> None:
        """End the connection: the device is not registered any more; ``on_request``: as somebody asked."""

    def failed(self) -> None:
        """End the connection: this inbox cannot be read any further."""


class RoomReaderOwner(Protocol):
    """The session that a room reader reads for."""

    def say(self, event: e.Event) -> None:
        """Send an event."""

    def is_caught_up(self) -> bool:
        """Whether the inbox has nothing more to deliver for now."""

    def acknowledged_room(self, uid: int, room: int, id: int, over: bool = False) -> None:
        """Take note that a room's log was acknowledged up to an id; ``over``: that was the end of the membership."""

    def failed(self) -> None:
        """End the connection: rooms cannot be read any further."""


class EntrySink(Protocol):
    """The connection, as entries of rooms are sent to it."""

    def deliver_entry(self, entry: e.RoomEntry, room_name: str) -> None:
        """Send an entry."""

    def deliver_batch(self, batch: EntryBatch, own: Collection[int]) -> None:
        """Send entries at once, but for those places in the batch."""
