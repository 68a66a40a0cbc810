"""The front end at a terminal: messages appear above the line that is being typed."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from prompt_toolkit.formatted_text import StyleAndTextTuples
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from chatsvc.client.conversation.commands import CommandRunner
from chatsvc.client.conversation.conversation import Conversation
from chatsvc.client.conversation.presenter import ExitHandler
from chatsvc.client.i18n.labels import LABELS, Labels
from chatsvc.client.input.graphemes import bar, cut
from chatsvc.client.input.parser import Ask, Doubtful, auth_as, is_unicode
from chatsvc.client.input.secrecy import awaits_secret, discreet, may_be_secret
from chatsvc.client.input.talk import Talk
from chatsvc.client.screen.editor import Editor, GivenUp, Interrupted, Prompt
from chatsvc.client.screen.scrollback import Scrollback
from chatsvc.client.screen.status_bar import StatusBar
from chatsvc.client.screen.terminal import Terminal
from chatsvc.client.screen.theme import Theme
from chatsvc.client.screen.unconfirmed import UnconfirmedMessages
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.events import Message
from chatsvc.wire.phrases import PHRASES
from chatsvc.wire.problems import Problem
from chatsvc.wire.sanitize import sanitized, sanitized_lines

AWAY = 5.0
"""Seconds without a key after which what arrives is marked as unread."""

_AT_ONCE = 8192
"""Characters written in one go, or a single longer message; between two of them what is typed is shown."""

_MOST_PREVIEWED = 3
"""Of several pasted lines."""

_PROMPT_ROWS = 8
"""Rows for the prompt, what stands above it, and a menu."""


@dataclass(frozen=True)
class ScreenOptions:
    """How a screen looks. ``server`` stands in its status line; ``history`` is the file of lines typed before."""

    server: str
    history: Path
    coloured: bool = True
    bell: bool = False


class Screen(Service):
    """Shows a conversation above a line editor with a status line."""

    conversation: Conversation
    commands: CommandRunner

    def __init__(
        self,
        reactor: Any,
        source: TextIO,
        output: TextIO,
        exit_handler: ExitHandler,
        options: ScreenOptions,
    ) -> None:
        self._reactor = reactor
        self._terminal = Terminal(output)
        self._exit_handler = exit_handler
        self._options = options
        self._theme = Theme(options.coloured)
        self._status = StatusBar(options.server)
        self._talk = Talk(self)
        self._unconfirmed = UnconfirmedMessages(reactor, self._talk.contacts, self._redraw)
        self._scrollback = Scrollback()
        self._editor = Editor(
            source,
            self._terminal,
            options.history,
            options.coloured,
            self._talk.contacts,
            self._pressed,
            self._resized,
            self._too_long,
        )
        self._title = ""
        self._last_key = 0.0
        self._marked = False
        self._unwritten: deque[tuple[str, Deferred[None] | None]] = deque()
        self._writing: IDelayedCall | None = None
        self._over: Deferred[None] = succeed(None)

    @property
    def _labels(self) -> Labels:
        return LABELS[self.conversation.lang]

    def startService(self) -> None:
        super().startService()
        self._reactor.callWhenRunning(self._start)

    def stopService(self) -> Deferred[None]:
        super().stopService()
        self._editor.stop()
        self._unconfirmed.stop()
        self._over.addBoth(self._leave_terminal)
        return self._over  # until the terminal is as it was

    # What the conversation shows

    def say(self, text: str) -> None:
        self._write(sanitized_lines(text))

    def show_result(self, event: e.Event, lines: Sequence[str]) -> None:
        if isinstance(event, e.Sent):
            self._stored(event)
            return
        if isinstance(event, e.Found):
            for uid, _ in event.users:
                self._talk.contacts.seen(uid, event.name)
        for line in lines:
            self.say(line)
        self._redraw()

    def not_sent(self, to: int, text: str, why: str) -> None:
        whom = sanitized(self._talk.contacts.label(to))
        line = self._labels.refused.format(whom=whom, text=sanitized(text))
        self._write(f"{sanitized_lines(why)}\n{self._theme.faint(line)}")

    def show(self, messages: Sequence[Message]) -> Deferred[None]:
        written: Deferred[None] = Deferred()
        news = sum(not message.to for message in messages)  # not what one's other devices sent
        if news:
            self._mark_unread()
            self._status.unread += news
        for message in messages[:-1]:
            self._show_one(message, None)
        self._show_one(messages[-1], written)
        if self._options.bell and news:
            self._editor.bell()
        self._retitle()
        return written

    def recorded(self, messages: Sequence[Message]) -> None:
        pass

    def warn(self, text: str) -> None:
        """Show what is wrong with the connection."""
        self.say(text)

    def changed(self) -> None:
        """Show that the connection was found or lost."""
        self._notice_connection()
        self._redraw()

    def failed(self, line: str) -> None:
        self._exit_handler.failed(line)

    def ask(self, text: str, choices: str) -> Deferred[str]:
        """Ask for one letter of ``choices`` and Enter; breaking off means the last one."""
        explained, _, question = sanitized_lines(text).rpartition("\n")
        if explained:
            self._write(explained)
        answer = self._editor.ask(lambda: self._around(question), choices)
        return answer.addCallback(self._answered, question)

    def _answered(self, key: str, question: str) -> str:
        self._write(f"{question}{key}")
        return key

    def _stored(self, event: e.Sent) -> None:
        if event.to != event.message.sender:
            words, labels = PHRASES[self.conversation.lang], self._labels
            whom = sanitized(self._talk.contacts.label(event.to))
            self._write(self._theme.own(event, whom, labels, words))

    def _show_one(self, message: Message, written: Deferred[None] | None) -> None:
        contacts = self._talk.contacts
        message = contacts.named(message)
        if message.sender not in (0, self.conversation.uid):
            contacts.last = message.sender
        whom = sanitized(contacts.label(message.to)) if message.to else ""
        self._write(self._theme.handed(message, whom, PHRASES[self.conversation.lang]), written)

    def _mark_unread(self) -> None:
        if not self._marked and self._reactor.seconds() - self._last_key >= AWAY:
            self._marked = True
            self._write(self._theme.faint(f"──────── {self._labels.unread_from} ────────"))

    # Typing

    def left(self) -> None:
        """End, as the user quits."""
        self._exit_handler.finished(True)

    def sending(self, message: c.Send, result: Deferred[bool]) -> None:
        """Show a message as on its way until ``result`` fires."""
        self._unconfirmed.add(message, result)

    def _start(self) -> None:
        self._last_key = self._reactor.seconds()
        self._terminal.keep_title()
        self._retitle()
        self._over = Deferred.fromCoroutine(self._type())
        self._over.addErrback(self._broken)

    async def _type(self) -> None:
        with self._editor.raw():
            await self._read_lines()

    async def _read_lines(self) -> None:
        while self.running:
            try:
                lines = await self._editor.read(self._prompt, self._paste_question)
                await self._take_all(lines)
            except GivenUp:
                continue
            except EOFError:
                self.say(PHRASES[self.conversation.lang].farewell)
                self.left()
                return
            except Interrupted:
                self._exit_handler.interrupted(self._labels.interrupted)
                return
            except asyncio.CancelledError:
                return

    async def _take_all(self, lines: Sequence[str]) -> None:
        """Take lines in their order; those behind a command that asks for a password might be passwords."""
        for number, line in enumerate(lines, 1):
            await self._take(line)
            if awaits_secret(line) and number < len(lines):
                self.say(self._labels.dropped.format(count=len(lines) - number))
                return

    async def _take(self, line: str) -> None:
        if not line:
            return
        typed = self._talk.meaning(line)
        if isinstance(typed, Ask):
            typed = await self._with_passwords(typed)
        elif isinstance(typed, Doubtful):
            typed = await self._confirmed(typed, line)
        taking = Deferred.fromCoroutine(self._talk.take(typed))
        await self._editor.attend(taking, lambda: self._around(self._labels.patience))

    async def _confirmed(self, doubtful: Doubtful, line: str) -> c.Send:
        """Ask whether something is a message; if it is none, it stands in the line again."""
        whom = sanitized(self._talk.contacts.label(doubtful.message.to))
        question = self._labels.doubtful.format(whom=whom)
        above = [f"│ {sanitized(line)}"]
        try:
            await self._editor.choose(lambda: self._around(question, above), "sn")
        except GivenUp:
            self._editor.go_on_with(line)
            raise
        return doubtful.message

    async def _with_passwords(self, ask: Ask) -> c.Command:
        """Complete a command with passwords that the user types unseen."""
        labels = self._labels

        async def secret(label: str) -> str:
            typed = await self._editor.secret(lambda: self._around(label))
            if not is_unicode(typed):
                self.say(PHRASES[self.conversation.lang].problems[Problem.NOT_UTF8])
                raise GivenUp
            return typed

        if ask.kind is c.Auth:
            return auth_as(ask.whom, await secret(labels.password))
        old = await secret(labels.old_password) if ask.kind is c.Passwd else ""
        new = await secret(labels.new_password)
        if await secret(labels.again) != new:
            self.say(labels.not_the_same)
            raise GivenUp
        return c.Passwd(old, new) if ask.kind is c.Passwd else c.Register(ask.whom, new)

    def _paste_question(self, lines: list[str]) -> tuple[Prompt, str]:
        one = self._talk.to is not None and not may_be_secret("\n".join(lines))
        choices = "son" if one else "sn"
        question = self._labels.pasted[one].format(count=len(lines))
        begun = [
            sanitized(line) for line in discreet("\n".join(lines[:_MOST_PREVIEWED])).split("\n")
        ]
        if len(lines) > _MOST_PREVIEWED:
            begun.append("…")
        return lambda: self._around(question, [f"│ {line}" for line in begun]), choices

    def _too_long(self, count: int) -> None:
        self.say(self._labels.too_long.format(count=count))

    def _broken(self, failure: Failure) -> None:
        self.failed(failure.getErrorMessage())

    def _pressed(self) -> None:
        """Take a key press: what stands there has been seen."""
        self._last_key = self._reactor.seconds()
        self._marked = False
        if self._editor.empty:
            self._talk.begun()
        if self._status.unread:
            self._status.unread = 0
            self._retitle()

    # What stands around the typed line

    def _prompt(self) -> StyleAndTextTuples:
        to = self._talk.to
        whom = "" if to is None else f"{sanitized(self._talk.contacts.label(to))} "
        return self._around(f"{whom}>>> ")

    def _around(self, prompt: str, more: Sequence[str] = ()) -> StyleAndTextTuples:
        """Lay out what stands above a prompt, and the prompt."""
        columns = self._editor.size.columns
        above = [*self._unconfirmed.lines(self._labels), *more]
        return [
            *(("class:aside", f"{cut(line, columns)}\n") for line in above),
            ("class:status", bar(self._status_line(), columns)),
            ("", "\n"),
            ("class:prompt", prompt),
        ]

    def _notice_connection(self) -> None:
        self._status.notice(self.conversation.connected, time.time())

    def _status_line(self) -> str:
        self._notice_connection()
        self._status.me = sanitized(self.conversation.me)
        self._status.unconfirmed = self.conversation.unconfirmed
        self._retitle()
        return self._status.line(self.conversation.lang)

    def _redraw(self) -> None:
        self._editor.redraw()

    def _retitle(self) -> None:
        title = self._status.title()
        if title != self._title and self.running:
            self._title = title
            self._editor.title(title)

    def _resized(self) -> None:
        """Write the last lines again: the screen is empty and has another size."""
        rows, columns = self._editor.size
        self._terminal.write_lines(self._scrollback.last(rows - _PROMPT_ROWS, columns))

    def _leave_terminal(self, result: Any) -> Any:
        self._write_all()
        self._terminal.give_title_back()
        return result

    # Writing

    def _write(self, text: str, written: Deferred[None] | None = None) -> None:
        """Write above the line that is being typed; ``written`` fires when it stands there."""
        self._unwritten.append((text, written))
        if not self._editor.busy:
            self._write_all()
        elif self._writing is None:
            self._writing = self._reactor.callLater(0, self._write_on)

    def _write_on(self) -> None:
        """Write so little at once that somebody who is typing does not wait."""
        self._writing = None
        self._write_some()
        if self._unwritten:
            self._writing = self._reactor.callLater(0, self._write_on)

    def _write_all(self) -> None:
        while self._unwritten:
            self._write_some()

    def _write_some(self) -> None:
        lines = list(self._next_lines())
        for text, _ in lines:
            self._scrollback.add(text)
        try:
            self._editor.above("".join(f"{text}\n" for text, _ in lines))
        except OSError as problem:
            self.failed(problem.strerror or str(problem))
            return
        for _, written in lines:
            if written is not None:
                written.callback(None)

    def _next_lines(self) -> Iterator[tuple[str, Deferred[None] | None]]:
        left = _AT_ONCE
        while self._unwritten and left > 0:
            left -= len(self._unwritten[0][0])
            yield self._unwritten.popleft()
