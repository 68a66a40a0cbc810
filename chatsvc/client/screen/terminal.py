"""Output to a terminal in whole steps, so that nothing is ever seen half done."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from prompt_toolkit.data_structures import Size
from prompt_toolkit.output.vt100 import Vt100_Output

from chatsvc.client.input.graphemes import width
from chatsvc.client.screen.stand_ins import StandIns

_PUSH_TITLE, _POP_TITLE = "\x1b[22;2t", "\x1b[23;2t"  # XTWINOPS; terminals without it do nothing


class Terminal(Vt100_Output):
    """
    The terminal that ``stream`` writes to.

    Nothing here needs to know where the cursor stands, and not every terminal answers that question (CPR).
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(
            stream, lambda: _size(stream), term=os.environ.get("TERM"), enable_cpr=False
        )
        self._depth = 0
        self._column = 0
        self.stand_ins = StandIns()
        """What is put in here for visible characters is written as those."""

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Hold back what is written in here, and write it at once at the end."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        self.flush()

    @contextmanager
    def unflushed(self) -> Iterator[None]:
        """Leave what is written in here for the next `flush`."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def write(self, data: str) -> None:
        begin = max(data.rfind("\r"), data.rfind("\n")) + 1
        self._column = (0 if begin else self._column) + width(data[begin:])
        super().write(self.stand_ins.written(data))

    def write_lines(self, lines: str) -> None:
        """Write whole lines, with their colours, from the left edge on."""
        self._go_to(0)
        self.write_raw(lines)

    # Not every terminal takes as many columns for a character as was reckoned. So the cursor goes to its place from the
    # left edge, from where the reckoning begins anew.

    def cursor_backward(self, amount: int) -> None:
        """Go so many columns to the left, from where the reckoning says that the cursor is."""
        self._go_to(self._column - amount)

    def cursor_forward(self, amount: int) -> None:
        """Go so many columns to the right, from where the reckoning says that the cursor is."""
        if amount:
            self._go_to(self._column + amount)

    def cursor_goto(self, row: int = 0, column: int = 0) -> None:
        """Go to a row and a column, from 1 on; 0 is the same."""
        super().cursor_goto(row, column)
        self._column = max(0, column - 1)

    def _go_to(self, column: int) -> None:
        self._column = max(0, column)
        self.write_raw("\r")
        super().cursor_forward(self._column)

    def flush(self) -> None:
        if not self._depth:
            super().flush()

    def keep_title(self) -> None:
        """Remember the window's title, until `give_title_back`."""
        self.write_raw(_PUSH_TITLE)

    def give_title_back(self) -> None:
        """Name the window as it was named before."""
        self.write_raw(_POP_TITLE)
        self.flush()


def _size(stream: TextIO) -> Size:
    """Rows and columns; some terminals say 0."""
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except OSError:
        columns, rows = 0, 0
    return Size(rows=rows or 24, columns=columns or 80)
