"""The options of ``twistd chat``, and the configuration that they make."""

from __future__ import annotations

import ipaddress
import os
from math import ceil
from typing import Any

from chatsvc.accounts.passwords import Hashing
from chatsvc.backends import INBOX_SCHEMES
from chatsvc.config import Config, WorkerSlot
from chatsvc.delivery.batch import BatchLimits
from chatsvc.history.limits import HistoryLimits
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.room_log import RoomLogLimits
from chatsvc.limits.connections import ConnectionLimits
from chatsvc.limits.login_throttle import FreeAttempts, parse_free_attempts
from chatsvc.limits.token_bucket import parse_rate
from chatsvc.rooms.room import RoomLimits
from chatsvc.storage.url import StoreMisconfigured, StoreURL, parse_store_url, without_password
from chatsvc.tap.launcher import worker_slot
from chatsvc.tap.log import LOG_OPTIONS, Log, log_to
from chatsvc.tap.options import Option, TableOptions, anything, choice, fail, whole
from chatsvc.tap.pid_file import obstacle
from chatsvc.transport.listeners import LOOPBACK
from chatsvc.wire.phrases import LANGUAGES


def _address(text: str) -> str:
    return str(ipaddress.ip_address(text))


def _store(*schemes: str) -> Any:
    def parse(text: str) -> StoreURL:
        try:
            return parse_store_url(text, schemes)
        except StoreMisconfigured as problem:
            raise ValueError(str(problem)) from None

    return parse


_INBOX_LIMITS = InboxLimits()
_CONNECTION_LIMITS = ConnectionLimits()
_FREE_ATTEMPTS = FreeAttempts()
_HASHING = Hashing()
_BATCH = BatchLimits()
_ROOM_LIMITS = RoomLimits()
_ROOM_LOG = RoomLogLimits()
_HISTORY = HistoryLimits()
_KIB = 1024


def _number(value: float) -> str:
    """The text of a default that is a whole number."""
    return str(round(value))


KEYS = Option("keys", "keys", anything, "Folder of certificate, key and token secret.")
ACCOUNTS = Option(
    "accounts",
    "sqlite:chat.db",
    _store("sqlite", "mysql"),
    "Where accounts are kept.",
    shown=without_password,
)
INBOX = Option(
    "inbox",
    "sqlite:chat.db",
    _store(*INBOX_SCHEMES),
    "Where messages wait for their readers.",
    shown=without_password,
)

ROOM_WINDOW = Option(
    "room-window",
    _number(_ROOM_LOG.window),
    whole(1, 10**6),
    "Messages that a room keeps for members who are away, the newest, and 1 MiB of them at most.",
)


class ServerOptions(TableOptions):
    """The options of ``twistd chat``; defaults are those of the classes that :class:`Config` is made of."""

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
        KEYS,
        ACCOUNTS,
        INBOX,
        Option(
            "registration",
            "",
            lambda text: choice("open", "closed")(text) if text else "",
            "open or closed (default: open with SQLite accounts, closed with MySQL).",
        ),
        Option("lang", "zh", choice(*LANGUAGES), "Language of the text dialect: zh or en."),
        Option(
            "inbox-limit",
            _number(_INBOX_LIMITS.waiting),
            whole(1),
            "Most messages waiting for one user.",
        ),
        Option(
            "inbox-share", _number(_INBOX_LIMITS.share), whole(1), "Most of them from one sender."
        ),
        Option(
            "inbox-days",
            _number(_INBOX_LIMITS.days),
            whole(0, 36_500),
            "Days that a message waits, 0: until read.",
        ),
        Option(
            "devices",
            _number(_INBOX_LIMITS.devices),
            whole(1, 64),
            "Most registered devices of one user.",
        ),
        Option(
            "device-days",
            _number(_INBOX_LIMITS.device_days),
            whole(1, 36_500),
            "Days after its last use that a registered device is forgotten.",
        ),
        Option(
            "device-backlog",
            _number(_INBOX_LIMITS.device_backlog),
            whole(1, 10**6),
            "Ids that a registered device may be behind before it is forgotten.",
        ),
        Option(
            "room-members",
            _number(_ROOM_LIMITS.members),
            whole(1, 10**6),
            "Most members of a room.",
        ),
        Option(
            "rooms-per-user",
            _number(_ROOM_LIMITS.per_user),
            whole(1, 10**4),
            "Most rooms that one user is in.",
        ),
        Option(
            "rooms-owned", _number(_ROOM_LIMITS.owned), whole(1, 10**4), "Most that one user owns."
        ),
        Option(
            "room-creation",
            "open",
            choice("open", "closed"),
            "open or closed: whether users make rooms.",
        ),
        Option(
            "room-rate",
            "20/100",
            parse_rate,
            "Messages a second into one room at each process, N[/BURST]; 0: no limit.",
        ),
        Option(
            "history-days",
            _number(_HISTORY.days),
            whole(0, 36_500),
            "Days for which what was said can be read again; 0: no history.",
        ),
        Option(
            "archive-backlog",
            _number(_HISTORY.backlog),
            whole(1),
            "Messages that wait to be archived past which senders are read more slowly.",
        ),
        Option(
            "edit-minutes",
            _number(_HISTORY.edit_minutes),
            whole(0),
            "Minutes after it was sent in which a message can be edited or retracted by its sender.",
        ),
        ROOM_WINDOW,
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
        Option(
            "max-connections",
            _number(_CONNECTION_LIMITS.total),
            whole(1),
            "Most connections at once.",
        ),
        Option(
            "max-per-ip",
            _number(_CONNECTION_LIMITS.per_address),
            whole(1),
            "Most connections from one address.",
        ),
        Option(
            "max-unanswered",
            _number(_CONNECTION_LIMITS.unanswered),
            whole(1),
            "Most commands of one connection under way.",
        ),
        Option(
            "max-unanswered-kib",
            _number(_CONNECTION_LIMITS.unanswered_bytes / _KIB),
            whole(1, 2**20),
            "Most KiB of them.",
        ),
        Option(
            "login-timeout",
            _number(_CONNECTION_LIMITS.login_timeout),
            whole(1, 86_400),
            "Seconds until a log-in must have come.",
        ),
        Option(
            "frame-timeout",
            _number(_CONNECTION_LIMITS.frame_timeout),
            whole(1, 86_400),
            "Seconds until a frame must be whole.",
        ),
        Option(
            "login-tries",
            f"{_FREE_ATTEMPTS.account}/{_FREE_ATTEMPTS.address}",
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
        Option(
            "argon2-passes",
            _number(_HASHING.passes),
            whole(2, 100),
            "Passes of hashing a password.",
        ),
        Option(
            "argon2-memory",
            _number(_HASHING.memory / _KIB),
            whole(19, 4096),
            "MiB of memory for it.",
        ),
        Option(
            "argon2-threads", _number(_HASHING.threads), whole(1, 64), "Passwords hashed at once."
        ),
        Option(
            "argon2-queue",
            _number(_HASHING.queue),
            whole(1, 100_000),
            "Passwords that may wait for it.",
        ),
        Option(
            "batch-messages",
            _number(_BATCH.messages),
            whole(1, 10_000),
            "Most messages stored at once.",
        ),
        Option(
            "batch-kib", _number(_BATCH.bytes / _KIB), whole(1, 65_536), "Most KiB stored at once."
        ),
        Option(
            "metrics",
            "",
            str,
            "Where to answer /metrics (Prometheus) and /health over HTTP, an endpoint string, such as"
            " tcp:9100:interface=127.0.0.1.",
        ),
        Option(
            "trusted-proxy",
            " ".join(LOOPBACK),
            _address,
            "Address whose PROXY header haproxy: endpoints believe.",
            True,
        ),
        *LOG_OPTIONS,
    )
    log: Log | None = None
    """The log of this process, under ``twistd``."""

    def __init__(self, environment: Any = os.environ) -> None:
        super().__init__(environment)
        self.worker_slot: WorkerSlot | None = None

    @property
    def config(self) -> Config:
        """The configuration that the options make; a worker has its share of the limits."""
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
                values["inbox-limit"],
                values["inbox-share"],
                values["inbox-days"],
                values["devices"],
                values["device-days"],
                values["device-backlog"],
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
                unanswered_bytes=values["max-unanswered-kib"] * _KIB,
            ),
            free_attempts=values["login-tries"],
            hashing=Hashing(
                values["argon2-passes"],
                values["argon2-memory"] * _KIB,
                ceil(values["argon2-threads"] / worker_slot.count),
                ceil(values["argon2-queue"] / worker_slot.count),
            ),
            token_lifetime=values["token-days"] * 86_400,
            batch=BatchLimits(values["batch-messages"], values["batch-kib"] * _KIB),
            trusted_proxies=values["trusted-proxy"],
            room_limits=RoomLimits(
                values["room-members"],
                values["rooms-per-user"],
                values["rooms-owned"],
                values["room-creation"] == "open",
            ),
            room_log=RoomLogLimits(values["room-window"]),
            room_rate=values["room-rate"],
            history=HistoryLimits(
                values["history-days"],
                values["archive-backlog"],
                edit_minutes=values["edit-minutes"],
            ),
            metrics=values["metrics"],
            worker_slot=worker_slot,
            workers=values["workers"],
        )

    def postOptions(self) -> None:
        super().postOptions()
        parent = getattr(self, "parent", None)
        if parent is not None and parent.get("pidfile"):
            if parent.get("nodaemon"):
                # A stale pid file, as after SIGKILL in a container, must not stop a start.
                parent["pidfile"] = ""
            elif line := obstacle(parent["pidfile"]):
                fail(f"chat: {line}")
        if parent is not None:
            self.worker_slot = worker_slot(os.environ)
            journal = os.environ.get("JOURNAL_STREAM", "")
            self.log = Log(parent, self.values_by_name, journal)
            log_to(self.log, parent)
