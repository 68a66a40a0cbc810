"""
The front end at a terminal that can do no more than lines, such as an editor's.

Lines that come in the same instant were pasted: the user is asked about them, as at other terminals.
"""

from __future__ import annotations

import termios
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TextIO

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from chatsvc.client.conversation.presenter import ExitHandler
from chatsvc.client.i18n.labels import LABELS, Labels
from chatsvc.client.input.pace import QUIET
from chatsvc.client.input.parser import Doubtful
from chatsvc.client.input.reports import without_reports
from chatsvc.client.input.secrecy import awaits_secret
from chatsvc.client.input.talk import Talk
from chatsvc.client.plain.line_reader import LineReader
from chatsvc.client.plain.printer import Printer
from chatsvc.wire import commands as c
from chatsvc.wire import events as e

PROMPT = ">>> "

_REACTION = 0.3
"""Seconds after which a line may be the answer to a question."""


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
        self._reactor = reactor
        self._lines = LineReader(
            reactor, source.fileno(), self._came, self._at_end, source.encoding
        )
        self._descriptor = source.fileno()
        self._talk = Talk(self)
        self._burst: list[str] = []
        self._quiet: IDelayedCall | None = None
        self._questions: deque[_Question] = deque()
        self._waiting: deque[str] = deque()
        self._busy = False

    def startService(self) -> None:
        super().startService()
        self._lines.start()

    def stopService(self) -> None:
        super().stopService()
        self._lines.stop()
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None

    def warn(self, text: str) -> None:
        self.say(text)

    def ask(self, text: str, choices: str) -> Deferred[str]:
        """
        Ask for one letter of ``choices`` and Enter; an empty line means the last one.

        Other lines were meant for something else, and so were those that were typed before: they are kept.
        """
        self._lines.read_waiting()
        answer: Deferred[str] = Deferred()
        self._questions.append(_Question(text, choices, answer, self._reactor.seconds()))
        with suppress(OSError, termios.error):
            termios.tcflush(
                self._descriptor, termios.TCIFLUSH
            )  # half a line, which Enter would make an answer
        self.say(text)
        return answer

    def left(self) -> None:
        """End, as the user quits."""
        while self._questions:
            self._answer(self._questions[0].choices[-1])
        self._exit_handler.finished(True)

    def sending(self, message: c.Send, result: Deferred[bool]) -> None:
        """Show nothing: lines do not change any more."""

    def show_result(self, event: e.Event, lines: Sequence[str]) -> None:
        if isinstance(event, e.Sent) and lines:
            *lines, last = lines
            lines = [*lines, f"{last}  → {self.label(event.to)}"]
        super().show_result(event, lines)

    def label(self, uid: int) -> str:
        """Name a user as far as they are known."""
        return self._talk.contacts.label(uid)

    # Lines

    def _came(self, raw: bytes) -> None:
        line = without_reports(raw.decode("utf-8", "surrogateescape"))
        self._burst.append(line)
        if self._quiet is None:
            self._quiet = self._reactor.callLater(QUIET, self._settle)
        else:
            self._quiet.reset(QUIET)

    def _at_end(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
            self._settle()
        self.left()

    def _settle(self) -> None:
        self._quiet = None
        lines, self._burst = self._burst, []
        if (
            len(lines) == 1
            and self._questions
            and self._questions[0].takes(lines[0], self._reactor)
        ):
            self._answer(lines[0] or self._questions[0].choices[-1])
        elif len(lines) > 1:
            Deferred.fromCoroutine(self._ask_about(lines)).addErrback(self._broken)
        else:
            self._take(lines)
            if self._questions:
                self.say(self._questions[0].text)

    def _answer(self, letter: str) -> None:
        question = self._questions.popleft()
        if not question.answer.called:
            question.answer.callback(letter)

    async def _ask_about(self, lines: list[str]) -> None:
        question = self._labels.pasted[0].format(count=len(lines))
        if await self.ask(question, "sn") == "s":
            self._take(lines)

    def _take(self, lines: Sequence[str]) -> None:
        self._waiting.extend(line for line in lines if line)
        if not self._busy:
            self._busy = True
            Deferred.fromCoroutine(self._take_all()).addErrback(self._broken)

    async def _take_all(self) -> None:
        """Take line by line: whom one is meant for may be what the line before it says."""
        while self._waiting:
            line = self._waiting.popleft()
            typed = self._talk.meaning(line)
            if isinstance(typed, Doubtful):
                whom = self._talk.contacts.label(typed.message.to)
                if await self.ask(self._labels.doubtful.format(whom=whom), "sn") != "s":
                    continue
                typed = typed.message
            await self._talk.take(typed)
            if awaits_secret(line) and self._waiting:
                self.say(self._labels.dropped.format(count=len(self._waiting)))
                self._waiting.clear()
        self._busy = False

    @property
    def _labels(self) -> Labels:
        return LABELS[self.conversation.lang]

    def _broken(self, failure: Failure) -> None:
        self.failed(failure.getErrorMessage())


@dataclass(frozen=True)
class _Question:
    """What is asked, since when, and who waits for it."""

    text: str
    choices: str
    answer: Deferred[str]
    asked: float

    def takes(self, line: str, clock: IReactorTime) -> bool:
        """Whether a line may be the answer; one that came at once was typed before the question stood there."""
        return (not line or line in self.choices) and clock.seconds() - self.asked >= _REACTION
