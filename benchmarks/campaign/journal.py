"""
A user's record of what it sent, was told and showed: what the campaign is judged by.

One line an entry, appended with one ``write`` each, so that a SIGKILL loses nothing that was recorded:

====================  =============================================
``o TO N K``          message K to TO is in the outbox, as number N
``c TO K``            it was confirmed
``x TO K``            it was refused for good, or given up
``s ID FROM K``       message K of FROM was shown, under ID
``e EPOCH``           the inbox's epoch is EPOCH: ids begin anew
``k``                 it was told of a log-in elsewhere that it knows nothing of
====================  =============================================
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path


class Journal:
    """One user's journal, read back when its process starts again."""

    def __init__(self, path: Path) -> None:
        self.outbox: dict[int, dict[int, int]] = defaultdict(dict)
        """By recipient: the unconfirmed K, in order, and the N of each."""
        self.next_n: dict[int, int] = defaultdict(lambda: 1)
        self.next_k: dict[int, int] = defaultdict(lambda: 1)
        self.epoch = ""
        self.cursor = 0
        for kind, *words in entries(path):
            self._apply(kind, words)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def record(self, kind: str, *words: object) -> None:
        """Append an entry and take it into account."""
        line = " ".join([kind, *map(str, words)])
        os.write(self._file, line.encode() + b"\n")
        self._apply(kind, [str(word) for word in words])

    def _apply(self, kind: str, words: list[str]) -> None:
        if kind == "o":
            to, n, k = map(int, words)
            self.outbox[to][k] = n
            self.next_n[to] = n + 1
            self.next_k[to] = max(self.next_k[to], k + 1)
        elif kind in "cx":
            self.outbox[int(words[0])].pop(int(words[1]), None)
        elif kind == "s":
            self.cursor = int(words[0])
        elif kind == "e":
            self.epoch, self.cursor = words[0], 0


def entries(path: Path) -> Iterator[list[str]]:
    """The entries of a journal, oldest first; a last line that was cut short is left out."""
    if path.exists():
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                yield line.split()
