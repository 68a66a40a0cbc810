"""How messages look at a terminal: a colour for each sender, and what became of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from chatsvc.client.i18n.labels import Labels
from chatsvc.client.input.contacts import shade
from chatsvc.wire import events as e
from chatsvc.wire.phrases import Phrases
from chatsvc.wire.sanitize import sanitized, sanitized_lines
from chatsvc.wire.text.dialect import show

_SHADES = (28, 30, 32, 63, 64, 100, 130, 134, 161, 164, 166)
"""
Of xterm's 256 colours those that can be read on black and on white (WCAG 2.2's contrast is at least 3.8 on both) and
told from each other.
"""

_FAINT, _PLAIN = "\x1b[2m", "\x1b[0m"


def wants_colour(environment: Mapping[str, str]) -> bool:
    """Whether to use colours: not with ``NO_COLOR`` (no-color.org)."""
    return not environment.get("NO_COLOR")


class Theme:
    """Paints lines for a terminal, in colour or not. What comes from others is made harmless first."""

    def __init__(self, coloured: bool) -> None:
        self._coloured = coloured

    def message(self, message: e.Message, words: Phrases, first: str = "") -> str:
        """A message as the text dialect shows it, who wrote it in their colour; ``first`` stands before it."""
        changes = isinstance(message.mark, e.Reference) and message.mark.changes
        if not (self._coloured and message.sender) or changes:
            return first + sanitized_lines(show(message, words))
        time, line_break, writer = show(replace(message, text=""), words).rpartition("\n")
        shade_of_writer = _SHADES[shade(message.sender, len(_SHADES))]
        painted = f"\x1b[38;5;{shade_of_writer}m{writer.removesuffix(':')}{_PLAIN}:"
        return f"{self.faint(first + time)}{line_break}{painted}{sanitized(message.text)}"

    def own(self, sent: e.Sent, whom: str, labels: Labels, words: Phrases) -> str:
        """Paint a message of one's own that the server has stored, whom it went to, and what became of it."""
        mark = labels.stored if sent.online else labels.queued.format(waiting=sent.waiting)
        first = "" if sent.online else f"{words.offline}\n"
        return f"{self.message(sent.message, words, first)}  {self.faint(f'→ {whom} {mark}')}"

    def handed(self, message: e.Message, whom: str, words: Phrases) -> str:
        """Paint a message that came; ``whom``: to whom it was sent, from another device of one's own."""
        return self.message(message, words) + (f"  {self.faint(f'→ {whom}')}" if whom else "")

    def faint(self, text: str) -> str:
        """Paint something that stands beside the conversation."""
        return f"{_FAINT}{text}{_PLAIN}" if self._coloured else text
