"""
``twistd`` with one of the rules switched off that the promise rests on: ``python sabotage.py RULE twistd's arguments``.

A campaign against such a server must report losses or repeats, or it could not be believed when it reports none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from twisted.scripts.twistd import run

from benchmarks.campaign.archive import points as archive_points
from benchmarks.campaign.archive.rules import ARCHIVE_RULES
from benchmarks.campaign.rooms import points as room_points
from benchmarks.campaign.rooms.plan import PATH_VARIABLE
from benchmarks.campaign.rooms.rules import ROOM_RULES
from chatsvc.delivery.reader import Reader
from chatsvc.delivery.reader_state import State
from chatsvc.inbox.outcome import Draft, Removal
from chatsvc.inbox.redis import batch_codec
from chatsvc.inbox.sqlite import sending as sqlite_sending
from chatsvc.inbox.sqlite.batch import SQLiteBatch
from chatsvc.inbox.sqlite.message_log import MessageLog
from chatsvc.inbox.sqlite.sending import SendingDevices, SentNumbers
from chatsvc.inbox.sqlite.state import InboxState
from chatsvc.inbox.watermark import Watermark
from chatsvc.tap import launcher
from chatsvc.transport.ack_tracker import AckTracker
from chatsvc.wire.events import Message
from tests.support.script_rules import replace_rule


def acknowledgement() -> None:
    """Messages are removed when they are handed out, not when they are acknowledged."""
    for name in ("stored", "_take"):
        _then_remove(name)


def _then_remove(name: str) -> None:
    honest = getattr(Reader, name)

    def and_remove(self: Reader, *arguments: object) -> object:
        result = honest(self, *arguments)
        self.acknowledge(self.cursor)
        return result

    setattr(Reader, name, and_remove)


def cursor() -> None:
    """A live reader takes any later message, not only the next one."""
    honest = Reader.stored

    def stored(self: Reader, message: Message) -> None:
        if self._state is State.LIVE and message.id > self.cursor:
            self.cursor = message.id - 1
        honest(self, message)

    Reader.stored = stored  # type: ignore[method-assign]
    Reader.resync = lambda self: None  # type: ignore[method-assign]


def duplicates() -> None:
    """Nobody's numbers are checked."""

    def fields(draft: Draft) -> list[str | int]:
        return [str(draft.to), str(draft.sender), draft.name, str(draft.at), draft.text]

    batch_codec._FIELDS[Draft] = fields
    SentNumbers.seen = lambda self, to, draft: ""  # type: ignore[method-assign]


def receipts() -> None:
    """What was written counts as received."""

    def written(self: AckTracker) -> None:
        self._tell(self.unwritten, self.unwritten_in_rooms)
        self.unwritten, self.unwritten_in_rooms = 0, {}

    AckTracker.written = written  # type: ignore[method-assign]


def generations() -> None:
    """Who has logged in again as the same device does not end what the session before still has to say."""
    replace_rule("return generation < sending[key]", "return false")
    SendingDevices.generation = lambda self, uid, device: 0  # type: ignore[method-assign]


def digests() -> None:
    """Whatever has a number that was accepted passes for the message that was accepted."""
    replace_rule("return from < 1 or string.sub(digests,", "return true or string.sub(digests,")
    sqlite_sending._is_the_same = lambda digests, back, text: True


def rollback() -> None:
    """A store that went back is not noticed."""
    replace_rule("return batches < expected_batches", "return false")
    Watermark.known = property(lambda self: None)  # type: ignore[assignment, method-assign]


def copies() -> None:
    """A device is handed copies of what it has sent itself."""
    honest_stored, honest_take = Reader.stored, Reader._take

    def stored(self: Reader, message: Message) -> None:
        honest_stored(self, _of_nobody(message))

    def take(self: Reader, page: list[Message]) -> bool:
        return honest_take(self, list(map(_of_nobody, page)))

    Reader.stored = stored  # type: ignore[method-assign]
    Reader._take = take  # type: ignore[method-assign]


def _of_nobody(message: Message) -> Message:
    """The same message, copy or event, from an unknown device."""
    return replace(message, device="")


def positions() -> None:
    """What one device has acknowledged is removed, whoever else has not."""
    replace_rule("do up_to = math.min(up_to, device.position) end", "do end")

    def trim(self: SQLiteBatch, uid: int, inbox: InboxState) -> None:
        if inbox.acknowledged > inbox.front:
            self._fronts[uid] = inbox.front = inbox.acknowledged

    SQLiteBatch._trim = trim  # type: ignore[method-assign]


def step_back() -> None:
    """A registered device that was handed what the store has lost reads on behind that."""

    def stay(self: Reader, id: int, generation: int) -> None:
        self.generation = generation

    Reader.step_back = stay  # type: ignore[method-assign]


def removals() -> None:
    """What an older session of a device says is taken from it, too."""
    replace_rule("if is_taken(device.node, device.generation, generation)", "if false")
    replace_rule("if device.generation ~= generation", "if false")
    honest = SQLiteBatch.remove

    def remove(self: SQLiteBatch, removal: Removal) -> None:
        device = self.inbox(removal.uid).devices.get(removal.device)
        if device is not None:
            removal = Removal(
                removal.uid,
                device.generation,
                *(removal.up_to, removal.leaving, removal.device, removal.shown),
            )
        honest(self, removal)

    SQLiteBatch.remove = remove  # type: ignore[method-assign]


def beginnings() -> None:
    """A device begins behind the id that it knows, whatever message has that id by now."""
    replace_rule("note.id == after and note.serial == serial", "note.id == after")
    honest = MessageLog.serial_of

    def serial_of(self: MessageLog, uid: int, inbox: InboxState, id: int) -> int | None:
        found = honest(self, uid, inbox, id)
        return None if found is None else _AnySerial(found)

    MessageLog.serial_of = serial_of  # type: ignore[method-assign]


class _AnySerial(int):
    """A serial that is the same as every other one."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


CLIENT_RULES = ("serials", "room-serials", "room-repeats")
"""
Rules that the users break: to show what has a serial above the last one, whatever its id, in the inbox and in rooms; to
show no entry of a room again.
"""


RULES: dict[str, Callable[[], None]] = {
    "nothing": lambda: None,
    "acknowledgement": acknowledgement,
    "cursor": cursor,
    "duplicates": duplicates,
    "receipts": receipts,
    "generations": generations,
    "digests": digests,
    "rollback": rollback,
    "copies": copies,
    "positions": positions,
    "step-back": step_back,
    "removals": removals,
    "beginnings": beginnings,
    **ROOM_RULES,
    **ARCHIVE_RULES,
    **dict.fromkeys(CLIENT_RULES, lambda: None),
}


def serve(rule: str) -> None:
    """Be ``twistd`` without a rule, and so are the workers that it starts."""
    RULES[rule]()
    if path := os.environ.get(PATH_VARIABLE):
        room_points.watch(Path(path))
        archive_points.watch(Path(path))
    here = str(Path(__file__).parents[2])
    launcher._TWISTD = (
        f"import sys; sys.path.insert(0, {here!r});"
        f" from benchmarks.campaign.sabotage import serve; serve({rule!r})"
    )
    run()


if __name__ == "__main__":
    chosen = sys.argv.pop(1)
    sys.argv[0] = "twistd"
    serve(chosen)
