"""
A job of a script: logs in, does something, and ends.

It ends with a status, and perhaps a line that says what went wrong.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from chatsvc.client.connector import Connector
from chatsvc.client.conversation.account import LoginIntent
from chatsvc.client.conversation.conversation import Conversation
from chatsvc.client.conversation.credentials import TEMPORARY
from chatsvc.client.conversation.presenter import Presenter
from chatsvc.client.conversation.requests import request_backoff
from chatsvc.client.i18n.client_messages import ClientMessages
from chatsvc.client.i18n.script_messages import SCRIPT_MESSAGES, ScriptMessages
from chatsvc.client.state.outbox import Outbox, OutboxEntry, StateUnusable
from chatsvc.client.state.saved_login import SavedLogin
from chatsvc.client.transport.retry import Patience
from chatsvc.client.trust_policy import TrustPolicy
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.client_codec import Rejected

FAILED = 1
"""Exit status of a job that was not done."""


@dataclass(frozen=True)
class JobContext:
    """
    What one job works with.

    ``server`` is the name of the server that ``endpoint`` leads to, ``HOST:PORT``. ``open_outbox`` opens the state of a
    uid; its second argument chooses among what earlier processes left (see
    :class:`~chatsvc.client.state.outbox.Outbox`).
    """

    endpoint: IStreamClientEndpoint
    server: str
    trust_policy: TrustPolicy
    open_outbox: Callable[[int, Callable[[OutboxEntry], bool]], Outbox]
    saved_login: SavedLogin
    lang: str
    credentials: c.Auth


class _JobPresenter(Presenter):
    """Says nothing of what happens by itself after the end, and no texts of messages: they would stand in logs."""

    def postponed(self, text: str, answer: Rejected) -> None:
        self.view.say(answer.text)


class ScriptJob:
    """
    One job. It is the view of its conversation, and the observer of its connection.

    :param finish: called once with the exit status and the line
    """

    def __init__(
        self,
        reactor: Any,
        context: JobContext,
        intent: LoginIntent,
        patience: Patience,
        finish: Callable[[int, str], None],
    ) -> None:
        self._reactor = reactor
        self._context = context
        self._finish = finish
        self._logged_in = False
        self._ending = False
        self._problem = ""
        self._conversation = Conversation(
            reactor,
            self._open_outbox,
            _JobPresenter(self, context.lang),
            intent,
            context.saved_login,
            context.server,
        )
        self._connector = Connector(
            reactor,
            context.endpoint,
            context.server,
            context.trust_policy,
            self._conversation,
            self,
            patience,
        )

    def start(self) -> None:
        """Begin."""
        running = Deferred.fromCoroutine(self._run())
        running.addErrback(self._broken)

    def interrupted(self, status: int) -> None:
        """End, as the user broke off."""
        self.give_up(status, self.script_messages.interrupted)

    async def prepare(self) -> bool:
        """Get ready before there is a connection; False: there is nothing to do."""
        return True

    def suits(self, left: OutboxEntry) -> bool:
        """Whether this job goes on with what an earlier process left, of which ``left`` is the first."""
        return False

    async def do(self) -> None:
        """Do the work, now that the account is logged in."""
        raise NotImplementedError

    def logged_in_again(self) -> None:
        """Take note that a connection that was lost is back, and logged in."""

    def give_up(self, status: int, reason: str) -> None:
        """End without having done it."""
        raise NotImplementedError

    # For subclasses

    @property
    def script_messages(self) -> ScriptMessages:
        """The texts of commands for scripts."""
        return SCRIPT_MESSAGES[self._context.lang]

    @property
    def client_messages(self) -> ClientMessages:
        """The client's own texts."""
        return self._conversation.client_messages

    def unwritable(self, number: int) -> str:
        """The text for a standard output that cannot be written; ``number`` is the system's (``errno``)."""
        return self.script_messages.unwritable.format(
            reason=self.client_messages.system_error(number)
        )

    def end(self, status: int, line: str = "") -> None:
        """End, unless that has begun for an earlier reason."""
        if not self._ending:
            self._ending = True
            leaving = Deferred.fromCoroutine(self._leave())
            leaving.addBoth(lambda _: self._finish(status, line))

    async def _leave(self) -> None:
        await self._connector.stopService()
        await self._conversation.close()

    async def _run(self) -> None:
        if not await self.prepare():
            self.end(0)
            return
        self._connector.startService()
        await self._conversation.ready()
        answer = await self._log_in()
        if isinstance(answer, e.LoggedIn):
            self._logged_in, self._problem = True, ""
            await self.do()
        elif isinstance(answer, Rejected):
            self._refused(answer)

    def _open_outbox(self, uid: int) -> Outbox:
        return self._context.open_outbox(uid, self.suits)

    async def _log_in(self) -> e.Event:
        """Log in, and try again while the server only refuses for now; the answer that counts."""
        backoff = request_backoff()
        while True:
            answer = await self._conversation.log_in(self._context.credentials)
            if not isinstance(answer, Rejected) or answer.code not in TEMPORARY:
                return answer
            self._problem = answer.text
            await deferLater(self._reactor, max(answer.retry_after, backoff.delay()))

    def _refused(self, answer: Rejected) -> None:
        credentials = self._context.credentials
        reason = answer.text
        if credentials.token is not None and answer.code == "bad-credentials":
            forget = self._context.saved_login.forget
            forget(self._context.server, credentials.uid, {credentials.token})
            reason = self.client_messages.forgotten.format(uid=credentials.uid)
        self.end(FAILED, reason)

    def _broken(self, failure: Failure) -> None:
        if failure.check(sqlite3.Error, StateUnusable):
            self.failed(
                self.client_messages.state_unusable.format(reason=failure.getErrorMessage())
            )
        else:
            self.failed(f"{type(failure.value).__name__}: {failure.getErrorMessage()}")

    # What the conversation shows

    def say(self, text: str) -> None:
        if self._logged_in and not self._conversation.logged_in:
            self.give_up(FAILED, text)  # no longer let in
        else:
            self._problem = "" if text == self.client_messages.back else text
            if not self._problem:
                self.logged_in_again()

    def show_result(self, event: e.Event, lines: Sequence[str]) -> None:
        if isinstance(event, e.Kicked):
            self.give_up(FAILED, "\n".join(lines))

    def not_sent(self, to: int, text: str, why: str) -> None:
        """Do nothing: the result of the message says so, too."""

    def show(self, messages: Sequence[e.Message]) -> Deferred[None]:
        return succeed(None)

    def recorded(self, messages: Sequence[e.Message]) -> None:
        """Do nothing: they will not come again."""

    def failed(self, line: str) -> None:
        self.end(FAILED, line)

    # What becomes of the connection

    def found(self) -> None:
        self._problem = ""

    def lost(self, reason: str, delay: float) -> None:
        messages, server = self.client_messages, self._context.server
        self._problem = messages.lost.format(server=server, reason=reason, delay=delay)

    def not_found(self, reason: str) -> None:
        self._problem = self.client_messages.unreachable.format(
            server=self._context.server, reason=reason
        )

    def ask(self, text: str, choices: str) -> Deferred[str]:
        return succeed(choices[-1])

    def given_up(self, line: str) -> None:
        self.give_up(FAILED, line)
