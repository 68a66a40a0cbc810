"""
``chatsvc send``: messages to one recipient, in order, until the server has confirmed all of them.

What was not confirmed is either taken back, where the server certainly does not have it, or stays on record: sent
again by the same command, or at the account's next log-in, it still arrives once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater

from chatsvc.client.conversation.account import DeliveryResult, LoginIntent
from chatsvc.client.conversation.sender import WINDOW
from chatsvc.client.script.job import FAILED, JobContext, ScriptJob
from chatsvc.client.state.outbox import OutboxEntry
from chatsvc.client.transport.retry import Patience
from chatsvc.wire import events as e
from chatsvc.wire.client_codec import Confirmed, Rejected
from chatsvc.wire.commands import MAX_TEXT
from chatsvc.wire.phrases import PHRASES
from chatsvc.wire.problems import Problem

_READER_POLL = 1.0
"""Seconds between two questions whether the reader is there."""


@dataclass(frozen=True)
class SendOptions:
    """
    What is to be sent.

    ``texts`` go to the uid ``to``, each with its number: they are ``lines`` of an input, or there is only one.
    ``timeout``: seconds without a confirmation. ``wait``: seconds that the reader may take to come online; None: they
    need not come.
    """

    to: int
    texts: AsyncIterator[tuple[int, bytes]]
    lines: bool
    timeout: float
    wait: float | None


class BadText(Exception):
    """It cannot be the text of a message."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.name)
        self.problem = problem


class SendJob(ScriptJob):
    """
    Sends the messages.

    :param sent: called with each confirmation
    :param shown: called with what a person would see of it
    """

    def __init__(
        self,
        reactor: Any,
        context: JobContext,
        options: SendOptions,
        sent: Callable[[Confirmed], None],
        shown: Callable[[str], None],
        finish: Callable[[int, str], None],
    ) -> None:
        super().__init__(
            reactor, context, LoginIntent(receive=False, resumes=True), Patience(), finish
        )
        self._options = options
        self._sent = sent
        self._shown = shown
        self._first: tuple[int, bytes] | None = None
        self._pending: dict[int, str] = {}
        self._last: tuple[str, Confirmed] | None = None
        self._unwritable: int | None = None
        """Why standard output cannot be written, by ``errno``."""
        self._refusal: tuple[int, str] | None = None
        self._waiting = False
        self._decision: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None

    async def prepare(self) -> bool:
        self._first = await anext(self._options.texts, None)
        self._allow()
        return self._first is not None

    def suits(self, left: OutboxEntry) -> bool:
        assert self._first is not None
        return (left.to, left.text.encode()) == (self._options.to, self._first[1])

    async def do(self) -> None:
        self._allow()
        async for number, raw in self._texts():
            while len(self._pending) >= WINDOW:
                await self._next_decision()
            if self._refusal is not None:
                return
            self._post(number, raw)
        while self._pending:
            await self._next_decision()
        if self._refusal is None:
            await self._all_sent()

    def give_up(self, status: int, reason: str) -> None:
        if self._ending:
            return
        script_messages, pending = self.script_messages, list(self._pending)
        in_doubt = pending[: self._conversation.withdraw()]
        if self._waiting:
            line = script_messages.not_seen.format(to=self._options.to, reason=reason)
        elif in_doubt:
            line = self._place(*in_doubt) + script_messages.in_doubt.format(reason=reason)
        elif pending or self._last is None:
            line = self._place(*pending[:1]) + script_messages.not_sent.format(reason=reason)
        elif self._unwritable is not None:
            line = script_messages.sent.format(reason=reason)
        else:
            line = reason
        self.end(status, line)

    def show_result(self, event: e.Event, lines: Sequence[str]) -> None:
        super().show_result(event, lines)
        if isinstance(event, e.Sent):
            self._print(
                self._shown, "\n".join(lines)
            )  # what the message became is recorded after this

    def _print(self, printer: Callable[[Any], None], what: object) -> None:
        try:
            printer(what)
        except OSError as problem:
            self._unwritable = problem.errno or 0

    def _place(self, *numbers: int) -> str:
        """The numbers of these lines, to stand before a text; empty if there is only one message."""
        if not self._options.lines or not numbers:
            return ""
        form = self.script_messages.line if len(numbers) == 1 else self.script_messages.lines
        return form.format(first=numbers[0], last=numbers[-1])

    # Time

    def _allow(self) -> None:
        """Start the timeout anew: something has happened."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if not self._logged_in or self._pending or self._waiting:
            self._timer = self._reactor.callLater(self._options.timeout, self._late)

    def _late(self) -> None:
        no_answer = self.script_messages.no_answer.format(seconds=self._options.timeout)
        self.give_up(FAILED, self._problem or no_answer)

    # Messages

    async def _texts(self) -> AsyncIterator[tuple[int, bytes]]:
        if self._first is not None:
            yield self._first
        async for text in self._options.texts:
            yield text

    def _post(self, number: int, raw: bytes) -> None:
        try:
            text = _decoded(raw)
        except BadText as bad:
            self._pending[number] = ""
            self._refuse(number, PHRASES[self._conversation.lang].problems[bad.problem])
            return
        first = not self._pending
        self._pending[number] = text
        if first:
            self._allow()
        self._conversation.send(self._options.to, text).addCallback(self._decided, number)

    def _decided(self, result: DeliveryResult, number: int) -> None:
        if self._ending:
            return
        if isinstance(result, Confirmed):
            self._confirmed(result, number)
        elif result.code != "not-logged-in":  # why one no longer is will be said in a moment
            self._refuse(number, result.text)
        decision, self._decision = self._decision, None
        if decision is not None:
            decision.callback(None)

    def _confirmed(self, result: Confirmed, number: int) -> None:
        self._last = self._pending.pop(number), result
        if self._options.lines or self._options.wait is None:
            self._print(self._sent, result)
        if self._unwritable is not None:
            self.give_up(FAILED, self.unwritable(self._unwritable))
            return
        self._allow()
        if self._refusal is not None:
            self._refuse(*self._refusal)

    def _refuse(self, number: int, reason: str) -> None:
        """Send nothing more, and wait for what was sent before."""
        self._refusal = number, reason
        if next(iter(self._pending)) == number:
            self._conversation.withdraw()
            self.end(FAILED, self._place(number) + reason)

    def _next_decision(self) -> Deferred[None]:
        self._decision = Deferred()
        return self._decision

    # The reader

    async def _all_sent(self) -> None:
        if self._last is None or self._options.wait is None:
            self.end(0)
            return
        self._waiting = True
        self._allow()
        text, sent = self._last
        now = await self._look_for_reader(text, sent, self._options.wait)
        if now is None:
            self.give_up(FAILED, self.script_messages.lost_track)
            return
        if not self._options.lines:
            self._print(self._sent, replace(sent, online=now.online, waiting=now.waiting))
        if _taken(now):
            self.end(0)
        else:
            self.give_up(FAILED, self.script_messages.in_time.format(seconds=self._options.wait))

    async def _look_for_reader(self, text: str, sent: Confirmed, wait: float) -> Confirmed | None:
        """
        Ask about the last message until its reader has been there, or the time is over.

        :return: what the server says then. None: other devices of this account have made it forget this one
        """
        assert sent.re is not None
        deadline = self._reactor.seconds() + wait
        now = sent
        while not _taken(now) and (left := deadline - self._reactor.seconds()) > 0:
            await deferLater(self._reactor, min(_READER_POLL, left))
            answer = await self._conversation.repeat(self._options.to, sent.re, text)
            if isinstance(answer, Confirmed) and answer.duplicate:
                now = answer
                self._allow()
            elif isinstance(answer, Confirmed) or _is_gap(answer):
                return None
        return now


def _decoded(raw: bytes) -> str:
    if len(raw) > MAX_TEXT:  # perhaps its end was not even read
        raise BadText(Problem.TOO_LONG)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadText(Problem.NOT_UTF8) from None


def _taken(sent: Confirmed) -> bool:
    """Whether the reader is there, or has been there."""
    return sent.online or not sent.waiting


def _is_gap(answer: Rejected | None) -> bool:
    return answer is not None and answer.code == "gap"
