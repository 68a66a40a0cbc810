"""
Tells pasted text from typed text.

Most terminals say what is pasted by brackets around it (xterm's ctlseqs, "Bracketed Paste Mode"). Where they do not,
the pace says it: nobody types the end of a line and more in the same instant. All of it is linear in what comes, and
the memory for it is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

from chatsvc.client.input.reports import without_reports

BEGIN, END = "\x1b[200~", "\x1b[201~"

ENDING = frozenset("\x03\x04")
"""Ctrl-C and Ctrl-D: they work at all times, in the midst of a paste too."""

MOST = 1 << 20
"""Characters of a paste; of a longer one only so many and one more are kept."""

BULK = 128
"""Characters that come at once, and that nobody has typed."""

QUIET = 0.03
"""Seconds without anything after which something pasted without brackets is over."""

LOST = 1.0
"""Seconds without anything after which the end of something pasted with brackets has been lost."""

_LINE_ENDS = "\r\n"


@dataclass(frozen=True)
class Typed:
    """Keys."""

    keys: str


@dataclass(frozen=True)
class Pasted:
    """A text of one line or more, longer than ``MOST`` if there was too much of it."""

    text: str


Piece = Typed | Pasted


class Pace:
    """Takes what is read from a terminal, each time all that is there, and says which of it was pasted."""

    def __init__(self) -> None:
        self._bracketed = False
        self._parts: list[str] = []
        self._kept = 0
        self._tail = ""
        """What may be the beginning of a bracket."""

    @property
    def wait(self) -> float | None:
        """Seconds without anything after which to call `settle`; None: not at all."""
        if self._bracketed:
            return LOST
        return QUIET if self._parts else None

    def feed(self, data: str) -> list[Piece]:
        """Take what was read at once."""
        if (self._bracketed or self._parts) and ENDING.issuperset(data):
            self._forget()
            return [Typed(data)]
        data, self._tail = self._tail + data, ""
        if self._bracketed:
            return self._in_brackets(data)
        before, bracket, behind = data.partition(BEGIN)
        if not bracket:
            before, self._tail = _split_begun(data, BEGIN, 2)  # Escape alone is a key
            return self._unbracketed(before)
        pieces = [*self._unbracketed(before), *self._finished()]
        self._bracketed = True
        return [*pieces, *self._in_brackets(behind)]

    def settle(self) -> list[Piece]:
        """Say what it was that came last: nothing has come for a while."""
        if self._bracketed:
            self._keep(self._tail)
            text = self._taken()
            ending = _last_ending(text)
            return [Pasted(text)] if ending < 0 else [Typed(text[ending:])]
        return self._finished()

    def _in_brackets(self, data: str) -> list[Piece]:
        text, bracket, behind = data.partition(END)
        if not bracket:
            text, self._tail = _split_begun(data, END, 1)
            self._keep(text)
            return []
        self._keep(text)
        self._bracketed = False
        return [Pasted(self._taken()), *(self.feed(behind) if behind else [])]

    def _unbracketed(self, data: str) -> list[Piece]:
        if self._parts:
            self._keep(data)
            return []
        body = data.lstrip(_LINE_ENDS)
        leading = data[: len(data) - len(body)]
        core = body.rstrip(_LINE_ENDS)
        several = _has_line_end(core)
        if several and _last_ending(body) >= 0:
            return [Typed(body[_last_ending(body) :])]  # what stands before it is broken off
        if several or (_is_plain(core) and (len(core) >= BULK or 1 < len(core) < len(body))):
            self._keep(body)
            return [Typed(leading)] if leading else []
        return [Typed(data)] if data else []

    def _finished(self) -> list[Piece]:
        if not self._parts:
            return []
        text = self._taken()
        core = text.rstrip(_LINE_ENDS)
        if len(text) > MOST or _has_line_end(core):
            return [Pasted(text)]
        return [Pasted(core), *([Typed("\r")] if len(core) < len(text) else [])]

    def _keep(self, data: str) -> None:
        data = data[: MOST + 1 - self._kept]
        if data:
            self._parts.append(data)
            self._kept += len(data)

    def _taken(self) -> str:
        text = without_reports("".join(self._parts)) if self._kept <= MOST else "".join(self._parts)
        self._forget()
        return text

    def _forget(self) -> None:
        self._bracketed, self._parts, self._kept, self._tail = False, [], 0, ""


def _split_begun(data: str, bracket: str, least: int) -> tuple[str, str]:
    """Cut off what may be the beginning of a bracket, of ``least`` characters."""
    for length in range(len(bracket) - 1, least - 1, -1):
        if data.endswith(bracket[:length]):
            return data[:-length], data[-length:]
    return data, ""


def _last_ending(text: str) -> int:
    return max(map(text.rfind, ENDING))


def _has_line_end(text: str) -> bool:
    return any(end in text for end in _LINE_ENDS)


def _is_plain(text: str) -> bool:
    return text.isprintable() or all((c >= " " and c != "\x7f") or c == "\t" for c in text)
