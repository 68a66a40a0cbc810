"""The process of one command that a script runs: its options, its job, its status."""

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
from chatsvc.tap.click_options import option_value, with_table
from chatsvc.tap.client_location import LOCATION_OPTIONS, client_location
from chatsvc.tap.client_login import LOGIN_OPTIONS, credentials
from chatsvc.transport.awake_clock import use_awake_clock
from chatsvc.wire.commands import MAX_TEXT
from chatsvc.wire.encodings import in_utf8
from chatsvc.wire.sanitize import sanitized_lines

_OPTIONS = (*LOCATION_OPTIONS, *LOGIN_OPTIONS)

_BY_SIGNAL = 128
"""A shell adds this to a signal's number for the status of a command that the signal has ended."""


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a click command the options of all clients, and of who logs in, for :class:`OneShot`."""
    return with_table(_OPTIONS)(command)


class OneShot:
    """
    The process of a command: its options, its standard streams, its end.

    Whatever is wrong with them ends the process with one line on standard error.
    """

    def __init__(self, command: str, words: Mapping[str, str | None]) -> None:
        self._command = command
        try:
            values = {option.name: option_value(option, words, os.environ) for option in _OPTIONS}
            self._location = client_location(values, os.environ)
            self._credentials = credentials(values, os.environ, self._location.account)
        except usage.UsageError as problem:
            self.finish(FAILED, str(problem))
        self._messages = SCRIPT_MESSAGES[self._location.lang]
        _on_signals(lambda number, _: self.finish(_BY_SIGNAL + number, self._messages.interrupted))

    def job_context(self, reactor: Any) -> JobContext:
        """Make what a job needs: the server, the trust in it, the state and the credentials."""
        location = self._location
        return JobContext(
            location.endpoint(reactor),
            str(location.server),
            location.trust_policy(),
            location.open_outbox,
            SavedLogin(location.folder),
            location.lang,
            self._credentials,
        )

    def require_stream(self, stream: TextIO | None, name: str) -> None:
        """End with a line if a standard stream is closed, for which Python has None."""
        if stream is None:
            self.finish(FAILED, self._messages.closed.format(stream=name))

    def message_text(self, text: str) -> bytes:
        """Give the one text that is to be sent: the argument, or, for ``-``, standard input."""
        try:
            # A little more than a message may have, so that a longer one is refused as too long.
            if text == "-":
                content = in_utf8(sys.stdin.buffer.read(MAX_TEXT + 6), sys.stdin.encoding)
            else:
                content = text.encode(errors="surrogateescape")
        except OSError as problem:
            reason = CLIENT_MESSAGES[self._location.lang].system_error(problem.errno or 0)
            self.finish(FAILED, f"stdin: {reason}")
        if text == "-":
            content = content.removesuffix(b"\n").removesuffix(b"\r")
        if not content:
            self.finish(FAILED, self._messages.nothing)
        return content

    def run(self, make: Callable[[Any], ScriptJob]) -> NoReturn:
        """Run a job; the process ends with it."""
        from twisted.internet import reactor

        running_reactor: Any = reactor
        use_awake_clock(running_reactor)
        job = make(running_reactor)
        interrupted = False

        def interrupt(number: int, frame: object) -> None:
            nonlocal interrupted
            if interrupted:
                os._exit(_BY_SIGNAL + number)
            interrupted = True
            running_reactor.callFromThread(job.interrupted, _BY_SIGNAL + number)

        _on_signals(interrupt)
        running_reactor.callWhenRunning(job.start)
        running_reactor.run(installSignalHandlers=False)
        os._exit(FAILED)

    def warn(self, line: str) -> None:
        """Print a line on standard error."""
        if sys.stderr is None:  # it is closed, and print would take standard output
            return
        with suppress(OSError):
            print(f"chatsvc {self._command}: {sanitized_lines(line)}", file=sys.stderr, flush=True)

    def finish(self, status: int, line: str) -> NoReturn:
        """End the process at once: threads that hang, in a look-up of a name for instance, must not hold it up."""
        if line:
            self.warn(line)
        os._exit(status)


def _on_signals(handler: Callable[[int, object], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
