"""What is typed or pasted before it is asked for: it answers nothing, and is kept for the next line."""

from __future__ import annotations

import time
from collections.abc import Callable

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.key_binding import KeyPressEvent

from chatsvc.client.input.graphemes import begin_before
from chatsvc.client.input.pace import MOST
from chatsvc.client.input.parser import LONGEST

_REACTION = 0.5
"""Seconds after which a key may be the answer to a question: one pressed earlier was meant for something else."""


class TypedAhead:
    """
    The line that is typed next, and the lines that were pasted, of which the user is to be asked.

    :param too_long: called with the number of characters of what was pasted and cannot be taken
    """

    def __init__(self, too_long: Callable[[int], None]) -> None:
        self._too_long = too_long
        self.draft = Document()
        self.pasted: list[str] = []

    def take_draft(self) -> Document:
        """Return the line as far as it stands, which is empty then."""
        draft, self.draft = self.draft, Document()
        return draft

    def take_pasted(self) -> list[str]:
        """Return the lines that were pasted, of which there are none then."""
        pasted, self.pasted = self.pasted, []
        return pasted

    def go_on_with(self, text: str) -> None:
        """More of the line."""
        text = f"{self.draft.text}{text}"
        if len(text) <= LONGEST:
            self.draft = Document(text)

    def key(self, event: KeyPressEvent) -> None:
        """Take a key."""
        text = event.data.replace("\r", "\n")
        if text in ("\x7f", "\b"):
            before = self.draft.text
            self.draft = Document(before[: begin_before(before, len(before))])
        elif text == "\n" or text.isprintable():
            self.go_on_with(text)

    def settle(self) -> None:
        """Make lines that were ended one paste, as they were not looked at; a single one may be sent by Enter."""
        if "\n" not in self.draft.text:
            return
        lines = self.draft.text.rstrip("\n").split("\n")
        if len(lines) > 1:
            self.pasted = [*lines, *self.pasted]
        self.draft = Document(lines[0] if len(lines) == 1 else "")

    def paste(self, event: KeyPressEvent, lines: list[str]) -> None:
        """Take something pasted."""
        if len(lines) == 1 and not self.pasted:
            if not self.is_too_long(event, lines, len(self.draft.text)):
                self.go_on_with(lines[0])
        elif not self.is_too_long(event, lines):
            self.pasted.extend(lines)

    def paste_into(self, buffer: Buffer, event: KeyPressEvent, line: str) -> None:
        """Put a pasted line where the cursor stands."""
        if not self.is_too_long(event, [line], len(buffer.text)):
            buffer.insert_text(line)

    def is_too_long(self, event: KeyPressEvent, lines: list[str], before: int = 0) -> bool:
        """Whether there is too much of something pasted, which is said; ``before``: characters in its line."""
        held = sum(map(len, self.pasted))
        if len(event.data) + held <= MOST and (len(lines) > 1 or before + len(lines[0]) <= LONGEST):
            return False
        self._too_long(len(event.data))
        return True


class Question:
    """Since when a question stands on the screen, and whether what is typed may be its answer."""

    def __init__(self, session: PromptSession[str]) -> None:
        self._stands: float | None = None
        self._first_key: bool | None = None
        session.app.after_render += self._rendered
        session.app.key_processor.before_key_press += self._pressed

    @property
    def answerable(self) -> bool:
        """Whether the question has stood there long enough."""
        return self._stands is not None and time.monotonic() - self._stands >= _REACTION

    @property
    def first_key_answers(self) -> bool:
        """Whether it had when the first key was pressed."""
        return self._first_key is True

    def _rendered(self, _: object) -> None:
        if self._stands is None:
            self._stands = time.monotonic()

    def _pressed(self, _: object) -> None:
        if self._first_key is None:
            self._first_key = self.answerable
