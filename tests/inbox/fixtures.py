"""Messages for the tests of inboxes, and who sends, reads and watches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import LogEvent

from chatsvc.inbox.claim import Comparison, Cursor
from chatsvc.inbox.interface import ANOTHER_NODE
from chatsvc.inbox.notice import Notice
from chatsvc.inbox.outcome import Committed, Draft, Outcome
from chatsvc.wire.events import Message, RoomEntry

READER, OTHER = 10001, 10002
A, B = 20001, 20002
DEVICE = "0123456789abcdef"
PHONE, DESK, LAPTOP = "a" * 16, "b" * 16, "c" * 16
DAY = 86_400


class RecordingWatcher:
    """
    A watcher of a node whose readers are those in ``here``, and of ``rooms_here``; it records how it is called.

    ``taken`` has uid and generation of each session that was taken over, whatever its device; ``taken_devices`` has the
    device too.
    """

    def __init__(self) -> None:
        self.read: list[Cursor] = []
        self.here: set[int] = set()
        self.comparisons: list[Comparison] = []
        self.returned: list[list[int]] = []
        self.taken: list[tuple[int, int]] = []
        self.taken_devices: list[tuple[int, str, int]] = []
        self.by: list[str] = []
        self.stored: list[tuple[int, Message]] = []
        self.gone: list[tuple[int, str]] = []
        self.on_request: list[tuple[int, str]] = []
        self.notices: list[Notice] = []
        self.entries: list[RoomEntry] = []
        self.rooms_here: set[int] = set()

    def cursors(self) -> list[Cursor]:
        """Those that the test has put into ``read``."""
        return self.read

    def store_returned(self, found: Comparison) -> None:
        """Record what has changed while the store was away."""
        self.comparisons.append(found)
        self.returned.append(found.stale)
        self.taken += [(uid, generation) for uid, _, generation in found.taken]
        self.taken_devices += found.taken

    def stored_elsewhere(self, messages: list[tuple[int, Message]]) -> list[int]:
        """Record the messages; the readers who are not in ``here`` are absent."""
        self.stored += messages
        return [uid for uid, _ in messages if uid not in self.here]

    def taken_over(
        self, uid: int, generation: int, by: str = ANOTHER_NODE, device: str = ""
    ) -> None:
        """Record who was taken over."""
        self.taken.append((uid, generation))
        self.taken_devices.append((uid, device, generation))
        self.by.append(by)

    def room_entries(self, entries: list[RoomEntry]) -> list[int]:
        """Record the entries; the rooms that are not in ``rooms_here`` are read by nobody."""
        self.entries += entries
        return [room for room in {one.room for one in entries} if room not in self.rooms_here]

    def noticed(self, notices: Sequence[Notice]) -> None:
        """Record what is kept for nobody."""
        self.notices += notices

    def forgotten(self, uid: int, device: str, on_request: bool = False) -> None:
        """Record whose device is not registered any more, and for whom somebody asked."""
        self.gone.append((uid, device))
        if on_request:
            self.on_request.append((uid, device))


def draft(text: str = "x", to: int = READER, sender: int = A, **more: Any) -> Draft:
    """A message from A to READER, unless told otherwise."""
    return Draft(to, sender, "名", more.pop("at", 1_700_000_000_000), text, **more)


def committed(*outcomes: Outcome) -> Committed:
    """The result of a batch without removals."""
    return Committed(list(outcomes), [])


def losses(logged: Sequence[LogEvent]) -> int:
    """How often the log says that a store has gone back."""
    return sum(event.get("event") == "store-lost" for event in logged)


async def until(condition: Callable[[], object], patience: float = 15.0) -> None:
    """Wait until something holds, for so many seconds at most."""
    for _ in range(int(patience * 50)):
        if condition():
            return
        await deferLater(reactor, 0.02)  # type: ignore[arg-type]
    raise AssertionError("it did not happen")
