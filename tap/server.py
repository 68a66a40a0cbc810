"""``twistd chat``: the server as a service, and how its process is set up."""

from __future__ import annotations

import gc
import os
import resource
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from chatsvc.supervision.supervisor import WorkerSupervisor

_log = Logger()


Options = ServerOptions
"""The name that ``twistd`` looks for."""


def makeService(options: ServerOptions) -> IService:
    """
    Make the server.

    Keys, files or endpoints that cannot be used end the process here, before it can go to the background; stores and
    ports that cannot be used, as soon as that is known.
    """
    from twisted.internet import reactor

    def given_up(line: str | None) -> None:
        if line is not None:
            _log.error("{line}", event="cannot-start", line=line)
            systemd.status(line)
        end_badly(reactor, line and f"chat: {line}")

    def reload() -> None:
        if log is not None:
            log.reopen()
        server.reload()

    use_monotonic_clock(reactor)  # type: ignore[arg-type]
    _raise_file_limit()
    systemd = systemd_notifier(reactor, os.environ)  # type: ignore[arg-type]
    log, count = options.log, options.values_by_name["workers"]
    server: ChatServer | WorkerSupervisor
    if options.worker_slot is None and count > 1:
        server = _supervisor(reactor, options, systemd, given_up)
    else:
        server = ChatServer(reactor, options.config, systemd, given_up)
    if log is not None:
        server.metrics.log_lines_dropped.value = lambda: log.dropped
        reactor.addSystemEventTrigger("after", "shutdown", log.close)  # type: ignore[attr-defined]
    try:
        server.prepare()
    except CannotStart as problem:
        systemd.status(str(problem))
        fail(f"chat: {problem}")
    if options.worker_slot is not None:
        hold_lifeline(reactor)
    _tune_garbage_collector()
    reactor.addSystemEventTrigger("before", "shutdown", _stop_once)  # type: ignore[attr-defined]
    reactor.callWhenRunning(_stop_at_first_signal, reactor)  # type: ignore[attr-defined]
    signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(reload))  # type: ignore[attr-defined]
    return server


def _supervisor(
    reactor: Any,
    options: ServerOptions,
    systemd: SystemdNotifier,
    given_up: Callable[[str | None], None],
) -> WorkerSupervisor:
    """Make the supervisor of the workers that the options ask for."""
    # Not above: it needs Twisted's web client, which a server of one process need not wait for.
    from chatsvc.supervision.supervisor import WorkerSupervisor

    config, count = options.config, options.values_by_name["workers"]
    launcher = Launcher(reactor, count, options.parent or {}, options.words("workers", "metrics"))
    reactor.addSystemEventTrigger("after", "shutdown", launcher.close)
    return WorkerSupervisor(reactor, config, count, launcher, launcher.folder, systemd, given_up)


def _stop_at_first_signal(reactor: Any) -> None:
    """Stop as Twisted does at the first signal, and ignore those that come in the same moment."""

    def stop(number: int, frame: object) -> None:
        _stop_once()
        handlers[number](number, frame)

    handlers = stop_signal_handlers(reactor)
    for number in handlers:
        signal.signal(number, stop)


def _stop_once() -> None:
    """Ignore signals during a stop: Twisted would stop a second time, with a traceback."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stopping_already)


def _stopping_already(number: int, frame: object) -> None:
    from twisted.internet import reactor

    # Later: the signal may have come in the middle of a line of the log.
    text, event = "Stopping already", "stopping-already"
    reactor.callFromThread(_log.info, text, event=event)  # type: ignore[attr-defined]


def _tune_garbage_collector() -> None:
    """
    Have the garbage collector run less often, and ignore what exists now.

    Messages leave no cycles behind, and each full collection holds up all messages by some 20 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _raise_file_limit() -> None:
    """Allow as many open files as the system does: each connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
