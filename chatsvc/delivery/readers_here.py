"""The readers of this node, as a store tells them what has happened to their inboxes behind this node's back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.logger import Logger

from chatsvc.delivery.batch import BatchQueue
from chatsvc.delivery.broken_reader import end_broken
from chatsvc.delivery.feeds import RoomFeeds
from chatsvc.delivery.online import InboxListener, holders_of, reader_of
from chatsvc.inbox.claim import Comparison, Cursor
from chatsvc.inbox.interface import ANOTHER_NODE
from chatsvc.inbox.notice import Notice
from chatsvc.wire.events import Message, RoomEntry


class ReadersHere:
    """
    Watches the store for the readers of this node: a :class:`~chatsvc.inbox.interface.StoreWatcher`.

    ``listeners`` maps the uid of everybody who reads here to the readers of that user's devices. What they have
    acknowledged waits in ``queue``; it is dropped where it may be of messages that the store has lost. ``feeds`` are
    those of the rooms that are read here.
    """

    _log = Logger()

    def __init__(
        self,
        listeners: Mapping[int, tuple[InboxListener, ...]],
        queue: BatchQueue,
        feeds: RoomFeeds,
    ) -> None:
        self._listeners = listeners
        self._queue = queue
        self._feeds = feeds

    def cursors(self) -> list[Cursor]:
        return [listener.where() for listener in self._all_listeners()]

    def _all_listeners(self) -> list[InboxListener]:
        return [listener for listeners in self._listeners.values() for listener in listeners]

    def _listener(self, uid: int, device: str) -> InboxListener | None:
        return reader_of(self._listeners.get(uid, ()), device)

    def store_returned(self, found: Comparison) -> None:
        if found.is_other_data:
            self._queue.acknowledgements.clear()  # what got these ids since was shown to nobody
        for uid in found.stale:
            self._queue.removals.pop((uid, ""), None)
            listener = self._listener(uid, "")
            if listener is not None:
                listener.inbox_restarted()
        for one in found.stepped_back:
            listener = self._listener(one.uid, one.device)
            if listener is not None and listener.generation < one.generation:
                self._queue.removals.pop((one.uid, one.device), None)
                listener.step_back(one.id, one.generation)
        for uid, device, generation in found.taken:
            self.taken_over(uid, generation, device=device)
        for uid, device in found.forgotten:
            self.forgotten(uid, device)
        for listener in self._all_listeners():
            listener.resync()
        self._feeds.store_returned()

    def room_entries(self, entries: list[RoomEntry]) -> list[int]:
        return self._feeds.room_entries(entries)

    def stored_elsewhere(self, messages: list[tuple[int, Message]]) -> list[int]:
        absent = []
        for uid, message in messages:
            listeners = self._listeners.get(uid)
            if listeners is None:
                absent.append(uid)
                continue
            for listener in listeners:
                try:
                    listener.stored_elsewhere(message)
                except Exception:
                    end_broken(listener, self._log)
        # Not flushed here: the answers of a batch may come in the same turn, and leave with it.
        return absent

    def taken_over(
        self, uid: int, generation: int, by: str = ANOTHER_NODE, device: str = ""
    ) -> None:
        for listener in holders_of(self._listeners.get(uid, ()), device, device):
            if listener.generation < generation:
                listener.taken_over(by)

    def noticed(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            for listener in self._listeners.get(notice.uid, ()):
                if listener.device and listener.device != notice.device:
                    listener.noticed(notice.event)

    def forgotten(self, uid: int, device: str, on_request: bool = False) -> None:
        self._queue.removals.pop((uid, device), None)
        listener = self._listener(uid, device)
        if listener is not None:
            listener.forgotten(on_request)
