"""
Takes out of what comes from a terminal what nobody has typed.

Terminals answer queries and report focus and the mouse in between the keys, in the form of control sequences (ECMA-48,
section 5.4, and xterm's ctlseqs), also when another program has asked and is gone.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_STRING = r"[\]P_^X][^\x00-\x06\x07\x0a-\x1f]*"
"""An operating system command or another control string, without its end."""

_COMPLETE = re.compile(
    r"\x1b(?:"
    r"\[M[^\x00-\x1f]{3}"  # a report of the mouse, of the oldest form
    r"|\[\[[A-Z]"  # function keys of the Linux console
    r"|\[(?!M)[0-?]*[ -/]*[@-Z\\-~]"
    r"|O[0-9;]*[@-~]"
    r"|(?:\[[0-?]*[ -/]*|O[0-9;]*)(?=[\x00-\x1f])"  # broken off by a key
    rf"|{_STRING}(?:\x07|\x1b\\|(?=[\x00-\x1a\x1c-\x1f]|\x1b[^\\]))"
    r")"
)
_BEGUN = re.compile(
    rf"\x1b(?:\[(?:M[^\x00-\x1f]{{0,2}}|\[|[0-?]*[ -/]*)|O[0-9;]*|{_STRING}\x1b?)?\Z"
)

_LONGEST = 4096
"""Characters of a sequence that has no end; longer ones are no reports."""


class ReportFilter:
    """Lets keys through, and drops what terminals say of themselves; ``is_key`` knows the sequences that are keys."""

    def __init__(self, is_key: Callable[[str], bool]) -> None:
        self._is_key = is_key
        self._begun = ""

    def feed(self, data: str) -> str:
        """Return what was typed; a sequence without its end waits for that."""
        data, self._begun = self._begun + data, ""
        typed, at = [], 0
        while (escape := data.find("\x1b", at)) >= 0:
            typed.append(data[at:escape])
            complete = _COMPLETE.match(data, escape)
            if complete is not None:
                typed.append(complete[0] if self._is_key(complete[0]) else "")
                at = complete.end()
            elif len(data) - escape <= _LONGEST and _BEGUN.match(data, escape):
                self._begun = data[escape:]
                return "".join(typed)
            else:
                typed.append("\x1b")
                at = escape + 1
        return "".join([*typed, data[at:]])

    def flush(self) -> str:
        """Return the Escape key if it stands alone, when nothing has come for a while."""
        begun = self._begun
        if not begun.startswith("\x1b["):  # of which the rest may still come
            self._begun = ""
        return begun if begun == "\x1b" else ""


def without_reports(text: str) -> str:
    """Return a text without control sequences, keys neither."""
    return ReportFilter(lambda sequence: False).feed(text)
