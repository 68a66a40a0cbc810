"""``twistd chat``: the server's options, and the service that they ask for."""

from __future__ import annotations

import gc
import ipaddress
import os
import resource
import signal
import time
from collections.abc import Callable
from math import ceil
from typing import Any

from twisted.application.service import IService
from twisted.logger import Logger

from chatsvc.accounts.passwords import Hashing
from chatsvc.batch import BatchLimits
from chatsvc.config import CannotStart, Config, WorkerSlot
from chatsvc.inbox.backends import INBOX_SCHEMES
from chatsvc.inbox.interface import InboxLimits
from chatsvc.limits.login_throttle import parse_free_attempts
from chatsvc.limits.rates import ConnectionLimits, parse_rate
from chatsvc.server import ChatServer
from chatsvc.storage.url import StoreMisconfigured, StoreURL, parse_store_url, without_password
from chatsvc.supervision.sd_notify import SystemdNotifier
from chatsvc.tap.exit import end_badly
from chatsvc.tap.launcher import Launcher, hold_lifeline, worker_slot
from chatsvc.tap.log import LOG, Log, choose
from chatsvc.tap.options import Option, anything, choice, fail, whole
from chatsvc.tap.options import Options as TableOptions
from chatsvc.tap.supervision import supervisor
from chatsvc.wire.phrases import LANGUAGES

_log = Logger()


def _address(text: str) -> str:
    return str(ipaddress.ip_address(text))


def _store(*schemes: str) -> Any:
    def parse(text: str) -> StoreURL:
        try:
            return parse_store_url(text, schemes)
        except StoreMisconfigured as problem:
            raise ValueError(str(problem)) from None

    return parse


class Options(TableOptions):
    """The options of ``twistd chat`` (design section 1)."""

    tapname = "chat"
    synopsis = "[options]"
    longdesc = (
        "A TLS chat service. Every option can also come from the environment, as named in brackets."
    )
    table = (
        Option("port", "ssl:10000", anything, "Where to listen: a Twisted endpoint string.", True),
        Option(
            "legacy-port",
            "",
            anything,
            "Where to listen for clients with little-endian lengths.",
            True,
        ),
        Option("keys", "keys", anything, "Folder of certificate, key and token secret."),
        Option(
            "accounts",
            "sqlite:chat.db",
            _store("sqlite", "mysql"),
            "Where accounts are kept.",
            shown=without_password,
        ),
        Option(
            "inbox",
            "sqlite:chat.db",
            _store(*INBOX_SCHEMES),
            "Where messages wait for their readers.",
            shown=without_password,
        ),
        Option(
            "registration",
            "",
            lambda text: choice("open", "closed")(text) if text else "",
            "open or closed (default: open with SQLite accounts, closed with MySQL).",
        ),
        Option("lang", "zh", choice(*LANGUAGES), "Language of the text dialect: zh or en."),
        Option("inbox-limit", "1000", whole(1), "Most messages waiting for one user."),
        Option("inbox-share", "200", whole(1), "Most of them from one sender."),
        Option("inbox-days", "0", whole(0, 36_500), "Days that a message waits, 0: until read."),
        Option(
            "rate",
            "20/100",
            parse_rate,
            "Messages a second from one account, N[/BURST]; 0: no limit.",
        ),
        Option(
            "request-rate",
            "1000/5000",
            parse_rate,
            "Commands a second, other than messages, from one account or, before it logs in, one"
            " address, N[/BURST]; 0: no limit.",
        ),
        Option(
            "find-rate",
            "5/50",
            parse_rate,
            "Questions after a name a second from one account, N[/BURST]; 0: no limit.",
        ),
        Option(
            "workers",
            "1",
            whole(1, 1024),
            "Processes that serve behind the same ports, for as many cores; needs MySQL and Redis.",
        ),
        Option("max-connections", "20000", whole(1), "Most connections at once."),
        Option("max-per-ip", "200", whole(1), "Most connections from one address."),
        Option("max-unanswered", "64", whole(1), "Most commands of one connection under way."),
        Option("max-unanswered-kib", "256", whole(1, 2**20), "Most KiB of them."),
        Option("login-timeout", "60", whole(1, 86_400), "Seconds until a log-in must have come."),
        Option("frame-timeout", "30", whole(1, 86_400), "Seconds until a frame must be whole."),
        Option(
            "login-tries",
            "5/20",
            parse_free_attempts,
            "Failed log-ins that cost nothing, of one account / from one address; then each makes"
            " the next wait, 1, 2, 4 … 60 seconds.",
        ),
        Option(
            "registration-rate",
            "0.03/20",
            parse_rate,
            "Registrations a second from one address, N[/BURST]; 0: no limit.",
        ),
        Option("token-days", "7", whole(1, 3650), "Days for which a token logs in."),
        Option("argon2-passes", "2", whole(2, 100), "Passes of hashing a password."),
        Option("argon2-memory", "19", whole(19, 4096), "MiB of memory for it."),
        Option("argon2-threads", "2", whole(1, 64), "Passwords hashed at once."),
        Option("argon2-queue", "256", whole(1, 100_000), "Passwords that may wait for it."),
        Option("batch-messages", "256", whole(1, 10_000), "Most messages stored at once."),
        Option("batch-kib", "256", whole(1, 65_536), "Most KiB stored at once."),
        Option(
            "metrics",
            "",
            str,
            "Where to answer /metrics (Prometheus) and /health over HTTP, an endpoint string, such as"
            " tcp:9100:interface=127.0.0.1.",
        ),
        Option(
            "trusted-proxy",
            "127.0.0.1 ::1",
            _address,
            "Address whose PROXY header haproxy: endpoints believe.",
            True,
        ),
        *LOG,
    )
    log: Log | None = None
    """The log that was chosen, under ``twistd``."""

    def __init__(self, environment: Any = os.environ) -> None:
        super().__init__(environment)
        self.worker_slot: WorkerSlot | None = None

    @property
    def config(self) -> Config:
        """What the server is told."""
        values = self.values_by_name
        registration = values["registration"]
        if not registration:
            registration = "open" if values["accounts"].scheme == "sqlite" else "closed"
        worker_slot = self.worker_slot or WorkerSlot()
        return Config(
            ports=values["port"],
            legacy_ports=values["legacy-port"],
            keys=values["keys"],
            accounts=values["accounts"],
            inbox=values["inbox"],
            registration=registration == "open",
            lang=values["lang"],
            inbox_limits=InboxLimits(
                values["inbox-limit"], values["inbox-share"], values["inbox-days"]
            ),
            rate=values["rate"],
            request_rate=values["request-rate"],
            find_rate=values["find-rate"],
            registration_rate=values["registration-rate"],
            connection_limits=ConnectionLimits(
                total=ceil(values["max-connections"] / worker_slot.count),
                per_address=values["max-per-ip"],
                login_timeout=values["login-timeout"],
                frame_timeout=values["frame-timeout"],
                unanswered=values["max-unanswered"],
                unanswered_bytes=values["max-unanswered-kib"] * 1024,
            ),
            free_attempts=values["login-tries"],
            hashing=Hashing(
                values["argon2-passes"],
                values["argon2-memory"] * 1024,
                ceil(values["argon2-threads"] / worker_slot.count),
                ceil(values["argon2-queue"] / worker_slot.count),
            ),
            token_lifetime=values["token-days"] * 86_400,
            batch=BatchLimits(values["batch-messages"], values["batch-kib"] * 1024),
            trusted_proxies=values["trusted-proxy"],
            metrics=values["metrics"],
            worker_slot=worker_slot,
            workers=values["workers"],
        )

    def postOptions(self) -> None:
        super().postOptions()
        parent = getattr(self, "parent", None)
        # A stale pid file, as after SIGKILL in a container, must not stop a start.
        if parent is not None and "pidfile" in parent and parent.get("nodaemon"):
            parent["pidfile"] = ""
        if parent is not None:
            self.worker_slot = worker_slot(os.environ)
            journal = os.environ.get("JOURNAL_STREAM", "")
            self.log = Log(parent, self.values_by_name, journal)
            choose(self.log, parent)


def makeService(options: Options) -> IService:
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

    # A clock that is set must not hold up or hurry what is timed.
    reactor.seconds = time.monotonic  # type: ignore[attr-defined, method-assign]
    _raise_file_limit()
    above = supervisor(reactor, os.environ)  # type: ignore[arg-type]
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
    reactor: Any, options: Options, above: SystemdNotifier, given_up: Callable[[str | None], None]
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

    twisted_does: dict[int, Any] = {signal.SIGTERM: reactor.sigTerm, signal.SIGINT: reactor.sigInt}
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
