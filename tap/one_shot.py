"""A command's process: options in, an errand, a status out."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn, TextIO

from twisted.python import usage

from chatsvc.client.i18n.client_messages import CLIENT_MESSAGES
from chatsvc.client.i18n.script_messages import SCRIPT_MESSAGES
from chatsvc.client.script.job import FAILED, JobContext, ScriptJob
from chatsvc.client.state.saved_login import SavedLogin
from chatsvc.tap.click_options import given, with_table
from chatsvc.tap.client_location import PLACE, place
from chatsvc.tap.client_login import ACCOUNT, proof
from chatsvc.wire.commands import MAX_TEXT
from chatsvc.wire.sanitize import sanitized_lines

_OPTIONS = (*PLACE, *ACCOUNT)

_BY_SIGNAL = 128
"""What a shell adds to the number of the signal that ended a command, for its status."""


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a click command the options of all clients, and of who logs in, for :class:`OneShot`."""
    return with_table(_OPTIONS)(command)


class OneShot:
    """
    Where a command is given: its options, its standard streams, its end. What is wrong with them ends the process with
    one line on standard error.
    """

    def __init__(self, command: str, words: Mapping[str, str | None]) -> None:
        self._command = command
        try:
            values = {option.name: given(option, words, os.environ) for option in _OPTIONS}
            self._place = place(values, os.environ)
            self._proof = proof(values, os.environ, self._place.account)
        except usage.UsageError as problem:
            self.finish(FAILED, str(problem))
        self._reports = SCRIPT_MESSAGES[self._place.lang]
        _on_signals(lambda number, _: self.finish(_BY_SIGNAL + number, self._reports.interrupted))

    def visit(self, reactor: Any) -> JobContext:
        """Where the errand leads."""
        here = self._place
        return JobContext(
            here.endpoint(reactor),
            str(here.server),
            here.admission(),
            here.open_outbox,
            SavedLogin(here.folder),
            here.lang,
            self._proof,
        )

    def need(self, stream: TextIO | None, name: str) -> None:
        """A stream that must be open; Python has None for one that is not."""
        if stream is None:
            self.finish(FAILED, self._reports.closed.format(stream=name))

    def given(self, text: str) -> bytes:
        """The one text that is to be sent: as it was given, or, for ``-``, standard input."""
        try:
            # What is longer than a message is refused as such, however long it is.
            text_given = sys.stdin.buffer.read(MAX_TEXT + 3) if text == "-" else os.fsencode(text)
        except OSError as problem:
            reason = CLIENT_MESSAGES[self._place.lang].system_error(problem.errno or 0)
            self.finish(FAILED, f"stdin: {reason}")
        if text == "-":
            text_given = text_given.removesuffix(b"\n").removesuffix(b"\r")
        if not text_given:
            self.finish(FAILED, self._reports.nothing)
        return text_given

    def run(self, make: Callable[[Any], ScriptJob]) -> NoReturn:
        """Do an errand."""
        from twisted.internet import reactor

        at_work: Any = reactor
        errand = make(at_work)
        interrupted = False

        def interrupt(number: int, frame: object) -> None:
            nonlocal interrupted
            if interrupted:
                os._exit(_BY_SIGNAL + number)
            interrupted = True
            at_work.callFromThread(errand.interrupted, _BY_SIGNAL + number)

        _on_signals(interrupt)
        at_work.callWhenRunning(errand.start)
        at_work.run(installSignalHandlers=False)
        os._exit(FAILED)

    def warn(self, line: str) -> None:
        """Say something on standard error."""
        if sys.stderr is None:  # it is closed; print would take standard output
            return
        with suppress(OSError):
            print(f"chatsvc {self._command}: {sanitized_lines(line)}", file=sys.stderr, flush=True)

    def finish(self, status: int, line: str) -> NoReturn:
        """End the process at once: a look-up of a name that hangs, for one, must not hold it up."""
        if line:
            self.warn(line)
        os._exit(status)


def _on_signals(handler: Callable[[int, object], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
