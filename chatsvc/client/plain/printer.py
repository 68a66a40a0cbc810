"""Plain output: everything is printed and flushed at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed

from chatsvc.client.conversation.commands import CommandRunner
from chatsvc.client.conversation.conversation import Conversation
from chatsvc.client.conversation.presenter import ExitHandler
from chatsvc.wire import events as e
from chatsvc.wire.events import Message
from chatsvc.wire.phrases import PHRASES
from chatsvc.wire.sanitize import sanitized_lines
from chatsvc.wire.text.dialect import show


class Printer(Service):
    """
    Shows a conversation on ``output``, and warnings on ``errors``.

    The ``prompt`` stands after whatever is printed. Nothing that is printed can drive the terminal, not even a
    server's words.
    """

    conversation: Conversation
    commands: CommandRunner

    def __init__(
        self, output: TextIO, errors: TextIO, exit_handler: ExitHandler, prompt: str = ""
    ) -> None:
        self._output = output
        self._errors = errors
        self._exit_handler = exit_handler
        self._prompt = prompt

    def say(self, text: str) -> None:
        try:
            self._print(text)
        except OSError as problem:
            self.failed(f"standard output: {problem.strerror}")

    def show_result(self, event: e.Event, lines: Sequence[str]) -> None:
        for line in lines:
            self.say(line)

    def not_sent(self, to: int, text: str, why: str) -> None:
        self.say(why)

    def changed(self) -> None:
        """Do nothing: the connection was found or lost, and there is no status line."""

    def show(self, messages: Sequence[Message]) -> Deferred[None]:
        self._print("\n".join(map(self._shown, messages)))
        return succeed(None)

    def _shown(self, message: Message) -> str:
        """A message, and whom it went to if it was sent from another device of one's own."""
        shown = show(message, PHRASES[self.conversation.lang])
        return f"{shown}  → {self.label(message.to)}" if message.to else shown

    def label(self, uid: int) -> str:
        """Name a user."""
        return str(uid)

    def recorded(self, messages: Sequence[Message]) -> None:
        pass

    def ask(self, text: str, choices: str) -> Deferred[str]:
        """Answer with the last of these letters: there is nobody to ask."""
        return succeed(choices[-1])

    def warn(self, text: str) -> None:
        """Print what is wrong with the connection."""
        with suppress(OSError):  # whoever should read it may be gone
            print(sanitized_lines(text), file=self._errors, flush=True)

    def failed(self, line: str) -> None:
        self._exit_handler.failed(line)

    def _print(self, text: str) -> None:
        back = "\r" if self._prompt else ""
        self._output.write(f"{back}{sanitized_lines(text)}\n{self._prompt}")
        self._output.flush()
