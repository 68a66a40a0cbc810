"""The front end in a pipe."""

from __future__ import annotations

from typing import Any, TextIO

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from chatsvc.client.conversation.presenter import ExitHandler
from chatsvc.client.input.parser import device_command
from chatsvc.client.input.room_commands import is_room_command
from chatsvc.client.plain.line_reader import LONGEST, LineQueue
from chatsvc.client.plain.printer import Printer
from chatsvc.wire import commands as c
from chatsvc.wire.problems import Problem
from chatsvc.wire.text.dialect import TextDialect

QUIET = 0.5
"""Seconds without a frame after which the server has said everything."""

PATIENCE = 5.0
"""Seconds to wait for messages that are said to wait and do not come."""


class Pipe(Printer):
    """Runs the lines of ``source``, each after the one before it was answered, and prints what comes back."""

    def __init__(
        self,
        reactor: Any,
        source: TextIO,
        output: TextIO,
        errors: TextIO,
        exit_handler: ExitHandler,
    ) -> None:
        super().__init__(output, errors, exit_handler)
        self._reactor = reactor
        self._feed = LineQueue(reactor, source.fileno(), source.encoding)

    def startService(self) -> None:
        super().startService()
        running = Deferred.fromCoroutine(self._run())
        running.addErrback(self._broken)

    def stopService(self) -> None:
        super().stopService()
        self._feed.stop()

    async def _run(self) -> None:
        well, left = True, False
        ready = self.conversation.ready()
        line = await self._feed.next()
        if not (line and isinstance(self._command(line), c.Quit)):
            await ready  # all but `quit` needs a server, which may be long in coming
        while line is not None:
            if line and is_room_command(line.decode(errors="replace")):
                self.say(self.conversation.client_messages.no_rooms)
                well = False
            elif line:
                command = self._command(line)
                well = await self.commands.run(command) and well
                left = isinstance(command, c.Quit)
            line = None if left else await self._feed.next()
        if not left:
            await self._fall_silent()
        self._exit_handler.finished(well)

    def _command(self, line: bytes) -> c.Command:
        if len(line) > LONGEST:
            return c.Malformed(Problem.TOO_LONG)
        command = device_command(line.decode(errors="replace"))
        return command or TextDialect(self.conversation.lang, rooms=False).parse(line)

    async def _fall_silent(self) -> None:
        """Wait until what is on its way has been answered and what waited has come."""
        conversation = self.conversation
        received, quiet = -1, 0.0
        while True:
            quiet = quiet + QUIET if received == conversation.frames_received else 0.0
            received = conversation.frames_received
            busy = not conversation.connected or conversation.unconfirmed > 0
            if quiet >= (PATIENCE if conversation.awaited else QUIET) and not busy:
                return
            await deferLater(self._reactor, QUIET)

    def _broken(self, failure: Failure) -> None:
        self.failed(failure.getErrorMessage())
