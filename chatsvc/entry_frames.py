"""Frames of rooms' entries: encoded once for all connections of a dialect, however many read them."""

from __future__ import annotations

from collections.abc import Collection

from chatsvc.delivery.feed import EntryBatch
from chatsvc.transport.ack_tracker import AckTracker
from chatsvc.transport.framing import FrameProtocol
from chatsvc.wire import events as e
from chatsvc.wire.structured.dialect import StructuredDialect
from chatsvc.wire.text.dialect import TextDialect


class EntryFrames(FrameProtocol):
    """A connection to which entries of rooms can be sent."""

    _dialect: TextDialect | StructuredDialect
    _ack_tracker: AckTracker | None

    def deliver_entry(self, entry: e.RoomEntry, room_name: str) -> None:
        """Send an entry of a room to its reader."""
        if self._ack_tracker is not None and not self._closing:
            self._ack_tracker.unwritten_in_rooms[entry.room] = entry.id
        frame = self._dialect.encode_entry(entry, room_name)
        if frame is not None:
            self._send([frame])

    def deliver_batch(self, batch: EntryBatch, own: Collection[int]) -> None:
        """
        Send entries of a room to their reader in one write, whose bytes many connections share.

        ``own`` are the places in the batch of what is left out.
        """
        if not self.gathers:
            for place, entry in enumerate(batch.entries):
                if place not in own:
                    self.deliver_entry(entry, batch.name)
        elif not self._closing:
            dialect = self._dialect
            key = "structured" if dialect.acknowledges else dialect.lang
            packed = batch.packed.get(key)
            if packed is None:
                packed = self._pack(batch, key)
            if own:
                frames = batch.frames[key]
                packed = b"".join(frames[i] for i in range(len(frames)) if i not in own)
            if self._ack_tracker is not None:
                self._ack_tracker.unwritten_in_rooms[batch.room] = batch.last
            if packed:
                self.send_packed(packed)

    def _pack(self, batch: EntryBatch, key: str) -> bytes:
        encode, pack = self._dialect.encode_entry, self.length_format.pack
        encoded = [encode(entry, batch.name) for entry in batch.entries]
        frames = [b"" if frame is None else pack(len(frame)) + frame for frame in encoded]
        packed = b"".join(frames)
        batch.frames[key], batch.packed[key] = frames, packed
        return packed

    @property
    def is_for_people(self) -> bool:
        """Whether the peer speaks the text dialect."""
        return not self._dialect.acknowledges

    @property
    def rooms(self) -> bool:
        """Whether the peer has rooms: it speaks the text dialect, or was granted the feature."""
        return self._dialect.rooms
