"""
Carries out what was typed at a terminal, in order, and knows whom plain lines go to.

Messages are the only commands that the next line does not wait for: one that cannot be stored yet holds nothing up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatsvc.client.conversation.commands import CommandRunner
from chatsvc.client.conversation.conversation import Conversation
from chatsvc.client.i18n.labels import LABELS, Labels
from chatsvc.client.input.contacts import Contacts
from chatsvc.client.input.parser import (
    Ask,
    Doubtful,
    NoRooms,
    Reply,
    TalkTo,
    Typed,
    Withheld,
    interpret,
)
from chatsvc.wire import commands as c
from chatsvc.wire.problems import Problem
from chatsvc.wire.sanitize import sanitized
from chatsvc.wire.uid import parse_uid


class TalkView(Protocol):
    """The terminal at which somebody talks."""

    conversation: Conversation
    commands: CommandRunner

    def say(self, text: str) -> None:
        """Show something other than a message."""

    def sending(self, message: c.Send, result: Deferred[bool]) -> None:
        """Show that a message is on its way until ``result`` fires."""

    def left(self) -> None:
        """End, as the user quits."""

    def failed(self, line: str) -> None:
        """End badly, with a line that says why."""


class Talk:
    """One user at one terminal. ``to`` is the uid that plain lines go to, or None."""

    def __init__(self, view: TalkView) -> None:
        self._view = view
        self.contacts = Contacts()
        self.to: int | None = None
        self._seen_last: int | None = None
        self._me: int | None = None
        self._typed: deque[c.Command] = deque()
        self._busy = False

    @property
    def _labels(self) -> Labels:
        return LABELS[self._view.conversation.lang]

    def meaning(self, line: str) -> Typed:
        """Tell what a line means now."""
        return interpret(line, self.to)

    def begun(self) -> None:
        """Note that a line is begun: a reply in it is to whoever has written last by now."""
        self._seen_last = self.contacts.last

    async def take(self, typed: Typed) -> None:
        """Carry out what was typed, or put it in line; returns when the next line may be typed."""
        if isinstance(typed, TalkTo):
            await self._talk_to(typed.whom)
        elif isinstance(typed, Reply):
            self._reply(typed.text)
        elif isinstance(typed, Ask):
            self._perform(c.Malformed(_USAGES[typed.kind]))
        elif isinstance(typed, Withheld):
            self._view.say(self._labels.withheld)
        elif isinstance(typed, NoRooms):
            self._view.say(self._view.conversation.client_messages.no_rooms)
        elif isinstance(typed, Doubtful):
            self._perform(c.Malformed(Problem.UNKNOWN_COMMAND))
        else:
            self._perform(typed)

    # Whom plain lines go to

    async def _talk_to(self, whom: str) -> None:
        uid = parse_uid(whom) if whom else None
        if not whom:
            self.to = None
            self._view.say(self._labels.talking_to_nobody)
        elif uid is not None:
            self._begin_talk(uid)
        else:
            await self._talk_to_name(whom)

    async def _talk_to_name(self, name: str) -> None:
        uids = self.contacts.called(name) or await self._view.commands.find(name)
        if len(uids) == 1:
            self.contacts.seen(uids[0], name)
            self._begin_talk(uids[0])
        elif uids:
            shown = ", ".join(map(str, sorted(uids)))
            self._view.say(self._labels.several.format(name=sanitized(name), uids=shown))

    def _begin_talk(self, uid: int) -> None:
        self.to = uid
        self._view.say(self._labels.talking_to.format(whom=sanitized(self.contacts.label(uid))))

    def _reply(self, text: str) -> None:
        if self.contacts.last is None:
            self._view.say(self._labels.nobody_wrote)
        elif text and self._seen_last not in (None, self.contacts.last):
            whom = sanitized(self.contacts.label(self.contacts.last))
            self._view.say(self._labels.wrote_meanwhile.format(whom=whom))
        elif text:
            self.to = self.contacts.last
            self._perform(c.Send(self.to, text))
        else:
            self._begin_talk(self.contacts.last)

    # Commands

    def _perform(self, command: c.Command) -> None:
        if isinstance(command, c.Quit) and not self._view.conversation.connected:
            self._view.left()  # it would wait for a connection
            return
        self._typed.append(command)
        if not self._busy:
            self._busy = True
            Deferred.fromCoroutine(self._go()).addErrback(self._failed)

    async def _go(self) -> None:
        await self._view.conversation.ready()
        while self._typed:
            command = self._typed.popleft()
            performing = self._view.commands.run(command)
            if isinstance(command, c.Send):
                performing.addErrback(self._failed)
                self._view.sending(command, performing)
            elif await performing:
                self._look_who_talks(command)
            if isinstance(command, c.Help):
                self._view.say(self._labels.help)
            if isinstance(command, c.Quit):
                self._view.left()
                return
        self._busy = False

    def _look_who_talks(self, command: c.Command) -> None:
        """Whom one user has talked to, the next one at this terminal does not talk to unasked."""
        me = self._view.conversation.uid
        another = me is not None and self._me is not None and me != self._me
        if isinstance(command, c.Logout) or another:
            self.to = None
        self._me = me if me is not None else self._me

    def _failed(self, failure: Failure) -> bool:
        self._view.failed(failure.getErrorMessage())
        return False


_USAGES: dict[Callable[..., c.Command], Problem] = {
    c.Auth: Problem.AUTH_USAGE,
    c.Register: Problem.REGISTER_USAGE,
    c.Passwd: Problem.PASSWD_USAGE,
}
