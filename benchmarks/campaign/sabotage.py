"""
``twistd`` with one of the rules switched off that the promise rests on: ``python sabotage.py RULE twistd's arguments``.

A campaign against such a server must report losses or repeats, or it could not be believed when it reports none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from twisted.scripts.twistd import run

from chatsvc.inbox import redis
from chatsvc.inbox.interface import Draft
from chatsvc.inbox.sqlite_batch import Batch
from chatsvc.reader import Reader, _State
from chatsvc.receipts import Receipts
from chatsvc.wire.events import Message


def acknowledgement() -> None:
    """Messages are removed when they are handed out, not when they are acknowledged."""
    for name in ("news", "_take"):
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
    honest = Reader.news

    def news(self: Reader, message: Message) -> None:
        if self._state is _State.LIVE and message.id > self.cursor:
            self.cursor = message.id - 1
        honest(self, message)

    Reader.news = news  # type: ignore[method-assign]
    Reader.look = lambda self: None  # type: ignore[method-assign]


def duplicates() -> None:
    """Nobody's numbers are checked."""

    def fields(draft: Draft) -> list[str | int]:
        return [str(draft.to), str(draft.sender), draft.name, str(draft.at), draft.text]

    redis._fields = fields
    Batch._seen = lambda self, draft: ""  # type: ignore[method-assign]


def receipts() -> None:
    """What was written counts as received."""

    def written(self: Receipts, id: int) -> None:
        self._received(id)

    Receipts.written = written  # type: ignore[method-assign]


RULES: dict[str, Callable[[], None]] = {
    "nothing": lambda: None,
    "acknowledgement": acknowledgement,
    "cursor": cursor,
    "duplicates": duplicates,
    "receipts": receipts,
}

if __name__ == "__main__":
    RULES[sys.argv.pop(1)]()
    sys.argv[0] = "twistd"
    run()
