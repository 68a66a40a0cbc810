"""Output to a terminal in whole steps, so that nothing is ever seen half done."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from prompt_toolkit.data_structures import Size
from prompt_toolkit.output.vt100 import Vt100_Output

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

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Hold back what is written in here, and write it at once at the end."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        self.flush()

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
