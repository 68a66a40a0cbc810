"""
A sender's and reader's record of what it sent, was told and showed: what the campaign is judged by.

One line an entry, appended with one ``write`` each, so that a SIGKILL loses nothing that was recorded. Before each
stands when it was recorded, in seconds since 1970; AT is when the server accepted a message, in ms since 1970, as it
says itself:

=============================  =============================================
``o TO N K``                   message K to TO is in the outbox, as number N
``c TO K AT ID SERIAL``        it was confirmed, under ID in the recipient's inbox; 0: that is not known
``x TO K``                     it was refused for good: nobody may be shown it, and its number is free
``g TO K``                     it was given up, and nobody knows what became of it
``s ID BY TO K AT SERIAL``     message K of the sender BY to TO was shown, under ID; 0: that is not known
``e EPOCH``                    the inbox's epoch is EPOCH: ids begin anew
``d NUMBER``                   it is the device with this number from now on, and all that is in the outbox has numbers
                               from 1 on
``b TO N``                     it has forgotten its outbox to TO, and that it ever used the number N and those above
``k``                          it was told of a log-in elsewhere that it knows nothing of
``l``                          it has logged in, beside other devices of its user
``m AFTER UNTIL SERIAL``       it was told that the ids above AFTER, up to UNTIL, are no longer kept; SERIAL is that of
                               the first that is, 0: there is none
``w WORDS``                    it was told what it should not be
``i ID SERIAL ROOM``           an invitation into a room was shown
``v SERIAL N TO K``            a change of its message K to TO, which has SERIAL, is sent, again perhaps: its edit N;
                               0: its retraction
``vk SERIAL N``                that was confirmed
``vx SERIAL N CODE``           that was refused, or given up by another name, ``-``, and nobody knows what became of it
``vs ID SERIAL AT EVENT BY     an event of the inbox was shown: in the conversation with WITH, BY has changed the
WITH TARGET N``                message TARGET by its edit N, or retracted it (0)
=============================  =============================================

A room is written to as the recipient whose number is that of the room below zero. Of rooms there is more:

=====================================  =============================================
``a``                                  it has logged in, and reads rooms from now on (text dialect)
``rs ROOM ID SERIAL BY K AT``          message K of the sender BY was shown; ID and SERIAL 0: not known
``re ROOM ID SERIAL AT EVENT BY USER`` an event was shown, of what BY did to USER (0: to nobody)
``rm ROOM AFTER UNTIL SERIAL``         it was told that these are no longer kept, as ``m``
``rl ROOM WHY``                        it was told that it is no member any more
``rq ROOM WHAT USER``                  it asks for a change for the first time, as to close the room, or to remove USER
``rk ROOM WHAT USER``                  that was confirmed
``rf ROOM K CODE``                     message K was refused by this code (and given up, ``x``)
``rv ROOM ID SERIAL AT EVENT BY        the same as ``vs``, in a room
TARGET N``
=====================================  =============================================
"""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """``time`` is in seconds since 1970."""

    time: float
    kind: str
    words: list[str]


class Journal:
    """One user's journal, read back when its process starts again."""

    def __init__(self, path: Path) -> None:
        self.outbox: dict[int, dict[int, int]] = defaultdict(dict)
        """By recipient: the unconfirmed K, in order, and the N of each."""
        self.next_n: dict[int, int] = defaultdict(lambda: 1)
        self.next_k: dict[int, int] = defaultdict(lambda: 1)
        self.epoch = ""
        self.cursor = self.serial = 0
        """The id and the serial of what was shown last; 0: none, or not known."""
        self.rooms: dict[int, tuple[int, int]] = {}
        """The id and the serial of what was shown last in each room."""
        self.changes: dict[tuple[int, int], tuple[int, int]] = {}
        """By a message's serial and N: changes that are not confirmed, in order, and the recipient and K of each."""
        self.edits: dict[int, int] = defaultdict(int)
        """The last edit of each message, by its serial."""
        self.logged_in = False
        self.device = 0
        self.doubtful: set[int] = set()
        """Recipients to whom the next number is not known, until one has been accepted."""
        for entry in entries(path):
            self._apply(entry.kind, entry.words)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def record(self, kind: str, *words: object) -> None:
        """Append an entry and take it into account."""
        os.write(self._file, line_of(kind, *words))
        self._apply(kind, [str(word) for word in words])

    def _apply(self, kind: str, words: list[str]) -> None:
        if kind == "o":
            to, n, k = map(int, words)
            self.outbox[to][k] = n
            self.next_n[to] = n + 1
            self.next_k[to] = max(self.next_k[to], k + 1)
        elif kind in "cg":
            to, k = map(int, words[:2])
            if self.outbox[to].pop(k, None) is not None:
                self.doubtful.discard(to)
        elif kind == "x":
            self._give_number_back(*map(int, words))
        elif kind == "s":
            self.cursor, self.serial = int(words[0]), int(words[5])
        elif kind in ("i", "vs"):
            self.cursor, self.serial = map(int, words[:2])
        elif kind in ("v", "vk", "vx"):
            self._apply_change(kind, words)
        elif kind in ("rs", "re", "rv"):
            self.rooms[int(words[0])] = int(words[1]), int(words[2])
        elif kind == "l":
            self.logged_in = True
        elif kind == "e":
            self.epoch, self.cursor = words[0], 0
        elif kind == "d":
            self.device = int(words[0])
            self._number_anew()
        elif kind == "b":
            to, n = map(int, words)
            self.outbox[to].clear()
            self.next_n[to] = n
            self.doubtful.add(to)

    def _apply_change(self, kind: str, words: list[str]) -> None:
        serial, n = map(int, words[:2])
        if kind == "v":
            self.changes[serial, n] = int(words[2]), int(words[3])
            self.edits[serial] = max(self.edits[serial], n)
        else:
            self.changes.pop((serial, n), None)

    def _give_number_back(self, to: int, k: int) -> None:
        # Those above it are numbered anew by who sent them, when all of them have been answered.
        n = self.outbox[to].pop(k, None)
        if n is not None and n + 1 == self.next_n[to]:
            self.next_n[to] = n

    def _number_anew(self) -> None:
        self.next_n.clear()
        self.doubtful.clear()
        for to, unconfirmed in self.outbox.items():
            for n, k in enumerate(unconfirmed, 1):
                unconfirmed[k] = n
            self.next_n[to] = len(unconfirmed) + 1


def line_of(kind: str, *words: object) -> bytes:
    """An entry of now."""
    return " ".join([f"{time.time():.6f}", kind, *map(str, words)]).encode() + b"\n"


def entries(path: Path) -> Iterator[Entry]:
    """The entries of a journal, oldest first; a last line that was cut short is left out."""
    if path.exists():
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                at, kind, *words = line.split()
                yield Entry(float(at), kind, words)


_NAME = re.compile(r"(\d+)(\w*)")


def split_name(name: str) -> tuple[str, str]:
    """
    The user and the kind of a session.

    :raise ValueError: it is none of a user.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no session's name")
    return found[1], found[2]


def text_of(sender: str, to: int, k: int) -> str:
    """The text of a message, which says which one it is."""
    return f"{sender}>{to}#{k} " + "聊" * (k % 60)


RETRACTION = 0
"""The number of a retraction among the changes of a message; edits are counted from 1."""


def edit_text(sender: str, to: int, k: int, n: int) -> str:
    """What a message reads by its edit N; it looks like no message."""
    return f"{sender}~{to}~{k}~{n} " + "改" * ((7 * k + n) % 40)


_EDIT = re.compile(r"(\w+)~(-?\d+)~(\d+)~(\d+)(?: |$)")


def edit_of(text: str) -> tuple[str, int, int, int] | None:
    """The sender, the recipient, the K and the N of the text of an edit; None: it is none."""
    found = _EDIT.match(text)
    return (found[1], int(found[2]), int(found[3]), int(found[4])) if found else None


_FIRST_WORD = re.compile(r"\w+>-?\d+#\d+(?: |$)")


def is_message(text: str) -> bool:
    """Whether a text is that of a message: else it is an invitation into a room, or nothing."""
    return _FIRST_WORD.match(text) is not None


def message_of(text: str) -> tuple[str, int, int]:
    """The sender, the recipient and the K of a text, or of its first word."""
    sender, _, rest = text.split()[0].partition(">")
    to, _, k = rest.partition("#")
    return sender, int(to), int(k)
