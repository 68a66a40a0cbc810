"""``twistd chat``: the server's options, and the service that they ask for."""

from __future__ import annotations

import gc
import os
import resource
import signal
from collections.abc import Callable
from typing import Any

from twisted.application.service import IService
from twisted.logger import Logger

from chatsvc.config import CannotStart
from chatsvc.server import ChatServer
from chatsvc.supervision.systemd import SystemdNotifier
from chatsvc.tap.exit import end_badly
from chatsvc.tap.launcher import Launcher, hold_lifeline, systemd_notifier
from chatsvc.tap.options import fail
from chatsvc.tap.server_options import ServerOptions
from chatsvc.transport.twisted_internals import stop_signal_handlers, use_monotonic_clock

_log = Logger()


Options = ServerOptions
"""The name that ``twistd`` looks for."""


def makeService(options: ServerOptions) -> IService:
    """
    The server, ready to start. What is wrong with its keys, its files or its endpoints ends the process here, before
    it can go to the background; what is wrong with its stores or ports, as soon as that is known.
    """
    from twisted.internet import reactor

    def given_up(line: str | None) -> None:
        if line is not None:
            _log.error("{line}", event="cannot-start", line=line)
            above.status(line)
        end_badly(reactor, line and f"chat: {line}")

    def reload() -> None:
        if options.log is not None:
            options.log.reopen()
        server.reload()

    use_monotonic_clock(reactor)  # type: ignore[arg-type]
    _raise_file_limit()
    above = systemd_notifier(reactor, os.environ)  # type: ignore[arg-type]
    count = options.values_by_name["workers"]
    server: Any  # Workers, or the server itself
    if options.worker_slot is None and count > 1:
        server = _workers(reactor, options, above, given_up)
    else:
        server = ChatServer(reactor, options.config, above, given_up)
    try:
        server.prepare()
    except CannotStart as problem:
        above.status(str(problem))
        fail(f"chat: {problem}")
    if options.worker_slot is not None:
        hold_lifeline(reactor)
    _collect_seldom()
    reactor.addSystemEventTrigger("before", "shutdown", _stop_once)  # type: ignore[attr-defined]
    reactor.callWhenRunning(_stop_at_first_signal, reactor)  # type: ignore[attr-defined]
    signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(reload))  # type: ignore[attr-defined]
    return server  # type: ignore[no-any-return]


def _workers(
    reactor: Any,
    options: ServerOptions,
    above: SystemdNotifier,
    given_up: Callable[[str | None], None],
) -> Any:
    """The workers that the options ask for."""
    from chatsvc.supervision.supervisor import (
        WorkerSupervisor,  # needs a web client, which others need not wait for
    )

    config, count = options.config, options.values_by_name["workers"]
    launcher = Launcher(reactor, count, options.parent or {}, options.words("workers", "metrics"))
    reactor.addSystemEventTrigger("after", "shutdown", launcher.close)
    return WorkerSupervisor(reactor, config, count, launcher, launcher.folder, above, given_up)


def _stop_at_first_signal(reactor: Any) -> None:
    """Do what Twisted does with the first signal, and nothing with those that come in the same moment."""

    def stop(number: int, frame: object) -> None:
        _stop_once()
        twisted_does[number](number, frame)

    twisted_does = stop_signal_handlers(reactor)
    for number in twisted_does:
        signal.signal(number, stop)


def _stop_once() -> None:
    """Let more signals during a stop change nothing: Twisted would stop a second time, with a traceback."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stopping_already)


def _stopping_already(number: int, frame: object) -> None:
    from twisted.internet import reactor

    # Not at once: the signal may have come in the middle of a line of the log.
    text, event = "Stopping already", "stopping-already"
    reactor.callFromThread(_log.info, text, event=event)  # type: ignore[attr-defined]


def _collect_seldom() -> None:
    """
    Let the garbage collector leave alone what is there for good, and look less often: what a message leaves behind is
    freed without it, and each of its looks at everything holds up all messages by some 20 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _raise_file_limit() -> None:
    """A connection is an open file: allow as many as the system does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
