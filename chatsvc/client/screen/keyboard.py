"""The keys of a terminal: without what nobody has typed, and with what was pasted as one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TextIO

from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys

from chatsvc.client.input.pace import Pace, Piece, Typed
from chatsvc.client.input.reports import ReportFilter

_AT_ONCE = 4096
_MOST_READS = 16
"""Reads in one go: between two of them what is typed is shown."""


class Keyboard(Vt100Input):
    """Reads ``stream``, a terminal in raw mode, under asyncio."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._pace = Pace()
        self._reports = ReportFilter(ANSI_SEQUENCES.__contains__)
        self._ready: list[KeyPress] = []
        self._callback: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def attach(self, input_ready_callback: Callable[[], None]) -> AbstractContextManager[None]:
        """Call back when there are keys; those that have come already are given at once."""
        return self._attached(super().attach(input_ready_callback), input_ready_callback)

    def read_keys(self) -> list[KeyPress]:
        """Return the keys that have come, except what has yet to prove typed or pasted."""
        data = "".join(self._read())
        if data:
            self._take(self._pace.feed(data))
        return self._ready_keys()

    def flush_keys(self) -> list[KeyPress]:
        """Return Escape, if it was that: nothing has come for a while."""
        self.vt100_parser.feed(self._reports.flush())
        return [*self._ready_keys(), *super().flush_keys()]

    def _read(self) -> Iterator[str]:
        for _ in range(_MOST_READS):
            data = self.stdin_reader.read(_AT_ONCE)
            if not data:
                return
            yield data

    def _take(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            if isinstance(piece, Typed):
                self.vt100_parser.feed(self._reports.feed(piece.keys))
                self._ready += self._buffer
                self._buffer = []
            else:
                self._ready.append(KeyPress(Keys.BracketedPaste, piece.text))
        self._wait()

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._callback is not None and self._pace.wait is not None:
            self._timer = asyncio.get_running_loop().call_later(self._pace.wait, self._settle)

    def _settle(self) -> None:
        self._timer = None
        self._take(self._pace.settle())
        if self._callback is not None:
            self._callback()

    def _ready_keys(self) -> list[KeyPress]:
        keys, self._ready = self._ready, []
        return keys

    @contextmanager
    def _attached(
        self, attached: AbstractContextManager[None], callback: Callable[[], None]
    ) -> Iterator[None]:
        with attached:
            before, self._callback = self._callback, callback
            self._wait()
            if self._ready:
                asyncio.get_running_loop().call_soon(callback)
            try:
                yield
            finally:
                self._callback = before
                self._wait()
