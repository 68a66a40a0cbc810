"""The front end at a terminal that can do no more than lines, such as an editor's."""

from __future__ import annotations

from typing import Any, TextIO

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatsvc.client.conversation.presenter import ExitHandler
from chatsvc.client.input.talk import Talk
from chatsvc.client.plain.line_reader import LineReader
from chatsvc.client.plain.printer import Printer
from chatsvc.wire import commands as c

PROMPT = ">>> "


class PlainTerminal(Printer):
    """Reads lines, and prints what comes back."""

    def __init__(
        self,
        reactor: Any,
        source: TextIO,
        output: TextIO,
        errors: TextIO,
        exit_handler: ExitHandler,
    ) -> None:
        super().__init__(output, errors, exit_handler, PROMPT)
        self._lines = LineReader(reactor, source.fileno(), self._typed, self.left, source.encoding)
        self._talk = Talk(self)
        self._question: tuple[str, Deferred[str]] | None = None

    def startService(self) -> None:
        super().startService()
        self._lines.start()

    def stopService(self) -> None:
        super().stopService()
        self._lines.stop()

    def warn(self, text: str) -> None:
        self.say(text)

    def ask(self, text: str, choices: str) -> Deferred[str]:
        """Ask for one letter of ``choices`` and Enter; anything else means the last one."""
        self.say(text)
        answer: Deferred[str] = Deferred()
        self._question = (choices, answer)
        return answer

    def left(self) -> None:
        """End, as the user quits."""
        if self._question is not None:
            self._answer("")
        self._exit_handler.finished(True)

    def sending(self, message: c.Send, result: Deferred[bool]) -> None:
        """Show nothing: lines do not change any more."""

    def _typed(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "surrogateescape")
        if self._question is not None:
            self._answer(line)
        elif line:
            taking = Deferred.fromCoroutine(self._talk.take(self._talk.meaning(line)))
            taking.addErrback(self._broken)

    def _answer(self, line: str) -> None:
        assert self._question is not None
        (choices, answer), self._question = self._question, None
        if not answer.called:
            answer.callback(line if line and line in choices else choices[-1])

    def _broken(self, failure: Failure) -> None:
        self.failed(failure.getErrorMessage())
