"""Keeps what was written last, to be laid out anew when a terminal changes its size."""

from __future__ import annotations

import re
from collections import deque

from chatsvc.client.input.graphemes import width

_MOST = 200
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Scrollback:
    """The last texts, of one line or more each."""

    def __init__(self) -> None:
        self._texts: deque[str] = deque(maxlen=_MOST)

    def add(self, text: str) -> None:
        """Keep a text that was written."""
        self._texts.append(text)

    def last(self, rows: int, columns: int) -> str:
        """As many of the last texts as fit into so many rows, each with a line break behind it."""
        fitting: deque[str] = deque()
        for text in reversed(self._texts):
            rows -= rows_of(text, columns)
            if rows < 0:
                break
            fitting.appendleft(f"{text}\n")
        return "".join(fitting)


def rows_of(text: str, columns: int) -> int:
    """How many rows of a terminal a text takes."""
    lines = _COLOURS.sub("", text).split("\n")
    return sum(max(1, -(-width(line) // columns)) for line in lines)
