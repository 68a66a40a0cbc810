"""Says what is to be said, in the user's language and the text dialect's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chatsvc.client.conversation.receiver import MessageSink
from chatsvc.client.i18n.client_messages import CLIENT_MESSAGES, ClientMessages
from chatsvc.wire import events as e
from chatsvc.wire.client_codec import Rejected
from chatsvc.wire.phrases import PHRASES
from chatsvc.wire.problems import Problem
from chatsvc.wire.text import TextDialect


class View(MessageSink, Protocol):
    """
    Who hears what is said.

    ``show`` and ``recorded`` are those of :class:`~chatsvc.client.conversation.receiver.MessageSink`.
    """

    def say(self, text: str) -> None:
        """Something other than a message."""

    def show_result(self, event: e.Event, lines: Sequence[str]) -> None:
        """What became of something; ``lines`` are what the text dialect says of it."""

    def not_sent(self, to: int, text: str, why: str) -> None:
        """The server does not take a message."""

    def failed(self, line: str) -> None:
        """The state cannot be written, or messages cannot be shown: this cannot go on."""


class Presenter:
    """Speaks to an view; ``lang`` is ``zh`` or ``en`` and may change."""

    def __init__(self, view: View, lang: str) -> None:
        self.view = view
        self.lang = lang

    @property
    def client_messages(self) -> ClientMessages:
        """The client's own words."""
        return CLIENT_MESSAGES[self.lang]

    def show_result(self, event: e.Event) -> None:
        """What the text dialect says of an event."""
        frames = TextDialect(self.lang).encode(event)
        self.view.show_result(event, [frame.decode() for frame in frames])

    def refuse(self, problem: Problem) -> bool:
        """What the server would say of a problem; False, as the command was not carried out."""
        self.view.say(PHRASES[self.lang].problems[problem])
        return False

    def reject_login(self, answer: e.Event) -> None:
        """What the server says of a log-in that it refused."""
        if isinstance(answer, Rejected):
            self.view.say(answer.text)
            if answer.code == "bad-credentials":
                self.show_result(e.Greeting())

    def rejection(self, code: str, problem: Problem) -> Rejected:
        """The refusal that the server would answer with."""
        return Rejected(code, PHRASES[self.lang].problems[problem])

    def fail(self, problem: BaseException | None) -> None:
        """The state cannot be written, or messages cannot be shown."""
        self.view.failed(self.client_messages.state_unusable.format(reason=problem))
