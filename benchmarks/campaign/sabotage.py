"""
``twistd`` with one of the rules switched off that the promise rests on: ``python sabotage.py RULE twistd's arguments``.

A campaign against such a server must report losses or repeats, or it could not be believed when it reports none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from twisted.scripts.twistd import run

from chatsvc.delivery.reader import Reader
from chatsvc.delivery.reader_state import State
from chatsvc.inbox.outcome import Draft
from chatsvc.inbox.redis import batch_codec
from chatsvc.inbox.sqlite import batch
from chatsvc.inbox.sqlite.batch import SQLiteBatch
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

    batch_codec._draft_fields = fields
    SQLiteBatch._seen = lambda self, draft: ""  # type: ignore[method-assign]


def receipts() -> None:
    """What was written counts as received."""

    def written(self: AckTracker, id: int) -> None:
        self._received(id)

    AckTracker.written = written  # type: ignore[method-assign]


def generations() -> None:
    """Who has logged in again as the same device does not end what the session before still has to say."""
    replace_rule("return generation < sending[key]", "return false")
    SQLiteBatch._is_superseded = lambda self, draft, sending: False  # type: ignore[method-assign]


def digests() -> None:
    """Whatever has a number that was accepted passes for the message that was accepted."""
    replace_rule("return from < 1 or string.sub(digests,", "return true or string.sub(digests,")
    batch._is_the_same = lambda digests, back, text: True


def rollback() -> None:
    """A store that went back is not noticed."""
    replace_rule("return batches < expected_batches", "return false")
    Watermark.known = property(lambda self: None)  # type: ignore[assignment, method-assign]


RULES: dict[str, Callable[[], None]] = {
    "nothing": lambda: None,
    "acknowledgement": acknowledgement,
    "cursor": cursor,
    "duplicates": duplicates,
    "receipts": receipts,
    "generations": generations,
    "digests": digests,
    "rollback": rollback,
}


def serve(rule: str) -> None:
    """Be ``twistd`` without a rule, and so are the workers that it starts."""
    RULES[rule]()
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
