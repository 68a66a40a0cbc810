"""The client at a terminal: messages appear above the line that is being typed."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.application import in_terminal
from prompt_toolkit.application.current import set_app
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import create_input
from prompt_toolkit.output.vt100 import Vt100_Output
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from chatsvc.client.conversation import Conversation
from chatsvc.client.lines import Lines
from chatsvc.client.printer import Ending, Printer
from chatsvc.client.voice import shown
from chatsvc.wire.commands import Quit, Send
from chatsvc.wire.events import Message
from chatsvc.wire.text import TextDialect

PROMPT = ">>> "

_SECRET = frozenset({"auth", "register", "passwd"})


class Discarded(Exception):
    """The line was given up with Ctrl-C. Unlike KeyboardInterrupt, asyncio lets it stay in its task."""


class DiscreetHistory(InMemoryHistory):
    """Keeps no line that has a password in it."""

    def append_string(self, string: str) -> None:
        word = string.split(maxsplit=1)[:1]
        if not _SECRET.intersection(word):
            super().append_string(string)


def _vt100(stream: TextIO) -> Vt100_Output:
    """Nothing here needs to know where the cursor stands, and not every terminal answers that question (CPR)."""
    output = Vt100_Output.from_pty(stream, os.environ.get("TERM"))
    output.enable_cpr = False
    return output


class Turns:
    """
    Performs typed lines in order. Only messages are not waited for: one that cannot be stored yet does not hold up what
    is typed next. ``left`` is called when the user quits.
    """

    def __init__(
        self,
        conversation: Conversation,
        left: Callable[[], None],
        broken: Callable[[Failure], None],
    ) -> None:
        self._conversation = conversation
        self._left = left
        self._broken = broken
        self._typed: deque[bytes] = deque()
        self._busy = False

    def take(self, line: bytes) -> None:
        """A line was typed."""
        if not self._conversation.connected and self._is_quit(line):
            self._left()  # it would wait for a connection
            return
        if line:
            self._typed.append(line)
        if not self._busy and self._typed:
            self._busy = True
            Deferred.fromCoroutine(self._go()).addErrback(self._broken)

    def _is_quit(self, line: bytes) -> bool:
        return isinstance(TextDialect(self._conversation.lang).parse(line), Quit)

    async def _go(self) -> None:
        await self._conversation.greeted()
        while self._typed:
            command = TextDialect(self._conversation.lang).parse(self._typed.popleft())
            performing = self._conversation.perform(command)
            if isinstance(command, Send):
                performing.addErrback(self._broken)
            else:
                await performing
            if isinstance(command, Quit):
                self._left()
                return
        self._busy = False


class Prompt(Service):
    """A line editor, and the audience of a conversation."""

    conversation: Conversation

    def __init__(self, reactor: Any, source: TextIO, output: TextIO, ending: Ending) -> None:
        self._reactor = reactor
        self._output = output
        self._ending = ending
        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            history=DiscreetHistory(),
            interrupt_exception=Discarded,
            input=create_input(source),
            output=_vt100(output),
        )
        self._typing: asyncio.Future[str] | None = None
        self._unwritten: list[tuple[str, Deferred[None]]] = []
        self._over: Deferred[None] = succeed(None)

    def startService(self) -> None:
        super().startService()
        self._reactor.callWhenRunning(self._start)

    def stopService(self) -> Deferred[None]:
        super().stopService()
        if self._typing is not None:
            self._typing.cancel()
        return self._over  # until the terminal is as it was

    def say(self, text: str) -> None:
        self._write(text)

    def show(self, messages: Sequence[Message]) -> Deferred[None]:
        return self._write("\n".join(map(shown, messages)))

    def recorded(self, messages: Sequence[Message]) -> None:
        pass

    def warn(self, text: str) -> None:
        """Say what is wrong with the connection."""
        self._write(text)

    def failed(self, line: str) -> None:
        self._ending.failed(line)

    # Typing

    def _start(self) -> None:
        self._turns = Turns(self.conversation, self._left, self._broken)
        self._over = Deferred.fromCoroutine(self._type())
        self._over.addErrback(self._broken)

    async def _type(self) -> None:
        while self.running:
            self._typing = asyncio.ensure_future(self._session.prompt_async())
            try:
                line = await Deferred.fromFuture(self._typing)
            except Discarded:
                continue
            except EOFError:
                self._left()
                return
            except asyncio.CancelledError:
                return
            finally:
                self._typing = None
            self._turns.take(line.encode("utf-8", "surrogatepass"))

    def _left(self) -> None:
        self._ending.over(True)

    def _broken(self, failure: Failure) -> None:
        self.failed(failure.getErrorMessage())

    # Writing

    def _write(self, text: str) -> Deferred[None]:
        """Above the line that is being typed; fires when it stands there."""
        written: Deferred[None] = Deferred()
        self._unwritten.append((text, written))
        if self._typing is None:
            self._write_out()
        elif len(self._unwritten) == 1:
            writing = Deferred.fromFuture(asyncio.ensure_future(self._write_above()))
            writing.addErrback(self._broken)
        return written

    async def _write_above(self) -> None:
        with set_app(self._session.app):
            async with in_terminal():
                self._write_out()

    def _write_out(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        try:
            self._output.write("".join(f"{text}\n" for text, _ in unwritten))
            self._output.flush()
        except OSError as problem:
            self.failed(problem.strerror or str(problem))
            return
        for _, written in unwritten:
            written.callback(None)


class PlainTerminal(Printer):
    """For a terminal that can do no more than lines, and the audience of a conversation."""

    def __init__(
        self, reactor: Any, source: TextIO, output: TextIO, errors: TextIO, ending: Ending
    ) -> None:
        super().__init__(output, errors, ending, PROMPT)
        self._lines = Lines(reactor, source.fileno(), self._typed, self._left)

    def startService(self) -> None:
        super().startService()
        self._turns = Turns(self.conversation, self._left, self._broken)
        self._lines.start()

    def stopService(self) -> None:
        super().stopService()
        self._lines.stop()

    def warn(self, text: str) -> None:
        self.say(text)

    def _typed(self, line: bytes) -> None:
        self._turns.take(line)

    def _left(self) -> None:
        self._ending.over(True)

    def _broken(self, failure: Failure) -> None:
        self.failed(failure.getErrorMessage())
