"""Both sides of a reader, which note what they are told."""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure

from chatsvc.delivery.reader import Reader
from chatsvc.inbox.claim import Cursor
from chatsvc.wire.events import Event, Joining, Message


class RecordingOwner:
    """A session that notes what it is told; ``room`` is how many messages it takes before it pauses its reader."""

    def __init__(self) -> None:
        self.delivered: list[int] = []
        self.noted: list[str] = []
        self.room = 10**9
        self.reader: Reader

    def deliver(self, message: Message) -> None:
        self.delivered.append(message.id)
        self.room -= 1
        if not self.room:
            self.reader.pause()

    def poll_acks(self) -> None:
        self.noted.append("poll")

    def taken_over(self, by: str = "") -> None:
        self.noted.append("taken over")

    def caught_up(self) -> None:
        pass

    def joined(self, mark: Joining) -> None:
        self.noted.append(f"joined {mark.room}")

    def inbox_restarted(self) -> None:
        self.noted.append("restarted")

    def say(self, event: Event) -> None:
        self.noted.append(type(event).__name__)

    def forgotten(self, on_request: bool = False) -> None:
        self.noted.append("forgotten on request" if on_request else "forgotten")

    def failed(self) -> None:
        self.noted.append("failed")


class RecordingListener:
    """A reading side that notes what it is told."""

    def __init__(self, cursor: int = 0, device: str = "", speaks_as: str = "") -> None:
        self.cursor = cursor
        self.device = device
        self.speaks_as = speaks_as or device
        self.claimed = self.generation = 1
        self.noted: list[Any] = []

    def where(self) -> Cursor:
        return Cursor(0, self.cursor, self.generation, None)

    def stored(self, message: Message) -> None:
        self.noted.append(message.id)

    def stored_elsewhere(self, message: Message) -> None:
        self.noted.append(("heard", message.id))

    def taken_over(self, by: str = "") -> None:
        self.noted.append("taken over")

    def resync(self) -> None:
        self.noted.append("resync")

    def superseded(self, generation: int) -> None:
        self.noted.append(("superseded", generation))

    def inbox_restarted(self) -> None:
        self.noted.append("restarted")

    def step_back(self, id: int, generation: int) -> None:
        self.noted.append(("stepped back", id, generation))

    def noticed(self, event: Event) -> None:
        self.noted.append(event)

    def forgotten(self, on_request: bool = False) -> None:
        self.noted.append("forgotten on request" if on_request else "forgotten")

    def failed(self, failure: Failure) -> None:
        self.noted.append(("failed", failure.type))
