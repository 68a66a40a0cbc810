"""How a message looks at a terminal: a colour for each sender, the state of one's own."""

from __future__ import annotations

from collections.abc import Mapping

from chatsvc.client.labels import Labels
from chatsvc.client.people import shade
from chatsvc.wire import events as e
from chatsvc.wire.text import harmless_lines, show

_SHADES = (32, 33, 35, 36, 92, 93, 94, 95, 96)
"""Of the sixteen colours (ECMA-48, section 8.3.117) those that can be read on black and on white, without red."""

_FAINT, _PLAIN = "\x1b[2m", "\x1b[0m"


def wants_colour(environment: Mapping[str, str]) -> bool:
    """Not with ``NO_COLOR`` (no-color.org)."""
    return not environment.get("NO_COLOR")


class Ink:
    """Paints lines for a terminal, in colour or not. What comes from others is made harmless first."""

    def __init__(self, coloured: bool) -> None:
        self._coloured = coloured

    def message(self, message: e.Message, first: str = "") -> str:
        """A message as the text dialect shows it, in its sender's colour; ``first`` stands before it."""
        lines = first + harmless_lines(show(message))
        if not (self._coloured and message.sender):
            return lines
        return f"\x1b[{_SHADES[shade(message.sender, len(_SHADES))]}m{lines}{_PLAIN}"

    def own(self, sent: e.Sent, labels: Labels, offline: str) -> str:
        """A message of one's own that the server has stored, and what became of it."""
        mark = labels.stored if sent.online else labels.queued.format(waiting=sent.waiting)
        first = "" if sent.online else f"{offline}\n"
        return f"{self.message(sent.message, first)}  {self.faint(mark)}"

    def faint(self, text: str) -> str:
        """Something beside the conversation."""
        return f"{_FAINT}{text}{_PLAIN}" if self._coloured else text
