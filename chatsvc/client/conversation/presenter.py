"""What a front end is to a conversation, and what is said to it, in the user's language."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Protocol

from twisted.python.failure import Failure

from chatsvc.client.conversation.receiver import MessageSink
from chatsvc.client.conversation.requests import RequestLost
from chatsvc.client.i18n.client_messages import CLIENT_MESSAGES, ClientMessages
from chatsvc.client.state.outbox import StateUnusable
from chatsvc.wire import events as e
from chatsvc.wire.client_codec import Rejected
from chatsvc.wire.phrases import PHRASES
from chatsvc.wire.problems import Problem
from chatsvc.wire.sanitize import sanitized
from chatsvc.wire.text.dialect import TextDialect

TOO_MANY_DEVICES = "too-many-devices"
"""The code of a refusal to log in: all places of the account's devices are taken by such as are online."""


class View(MessageSink, Protocol):
    """
    Shows a conversation to its user.

    ``show`` and ``recorded`` are those of :class:`~chatsvc.client.conversation.receiver.MessageSink`.
    """

    def say(self, text: str) -> None:
        """Show something other than a message."""

    def show_result(self, event: e.Event, lines: Sequence[str]) -> None:
        """Show what became of something; ``lines`` are the text dialect's words for the event."""

    def not_sent(self, to: int, text: str, why: str) -> None:
        """Show that the server refuses a message."""

    def failed(self, line: str) -> None:
        """The state cannot be written, or messages cannot be shown: this cannot go on."""


class ExitHandler(Protocol):
    """Ends the client."""

    def finished(self, success: bool) -> None:
        """End because the user has nothing more to do; ``success``: everything was carried out."""

    def failed(self, line: str) -> None:
        """End badly, with a line that says why."""

    def interrupted(self, line: str) -> None:
        """End because the user broke off."""


class Presenter:
    """
    Puts what happens into words for a view.

    :param lang: ``zh`` or ``en``; may change
    """

    def __init__(self, view: View, lang: str) -> None:
        self.view = view
        self.lang = lang

    @property
    def client_messages(self) -> ClientMessages:
        """The client's own texts."""
        return CLIENT_MESSAGES[self.lang]

    def show_result(self, event: e.Event) -> None:
        """Show what the text dialect says of an event."""
        frames = TextDialect(self.lang).encode(event)
        self.view.show_result(event, [frame.decode() for frame in frames])

    def refuse(self, problem: Problem) -> bool:
        """Say what the server would say of a problem; False, as the command was not carried out."""
        self.view.say(PHRASES[self.lang].problems[problem])
        return False

    def reject_login(self, answer: e.Event) -> None:
        """Say why the server refused a log-in."""
        if isinstance(answer, Rejected):
            full = answer.code == TOO_MANY_DEVICES
            self.view.say(self.client_messages.too_many_devices if full else answer.text)
            if answer.code == "bad-credentials":
                self.show_result(e.Greeting())

    def postponed(self, text: str, answer: Rejected) -> None:
        """Say that a message will be sent again by itself, as the server can store nothing."""
        self.view.say(self.client_messages.postponed.format(text=sanitized(text)))

    def device_forgotten(self) -> None:
        """Say that somebody had this device forgotten, and ask for a log-in."""
        self.view.say(self.client_messages.device_forgotten)
        self.show_result(e.Greeting())

    def forgotten(self, uid: int) -> None:
        """Say that a remembered log-in no longer works."""
        self.view.say(self.client_messages.forgotten.format(uid=uid))

    def rejection(self, code: str, problem: Problem) -> Rejected:
        """The refusal that the server would answer with."""
        return Rejected(code, PHRASES[self.lang].problems[problem])

    def report(self, failure: Failure) -> bool:
        """
        Say why a command was not carried out, or perhaps not; False, as an errback's result.

        :raise Exception: any other failure than a lost request or an unusable state
        """
        if failure.check(RequestLost):
            self.view.say(self.client_messages.undecided)
        else:
            failure.trap(sqlite3.Error, StateUnusable)
            self.fail(failure.value)
        return False

    def fail(self, problem: BaseException | None) -> None:
        """The state cannot be written, or messages cannot be shown: end."""
        self.view.failed(self.client_messages.state_unusable.format(reason=problem))
