"""Server configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chatsvc.accounts.passwords import Hashing
from chatsvc.delivery.batch import BatchLimits
from chatsvc.history.limits import HistoryLimits
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.room_log import RoomLogLimits
from chatsvc.limits.connections import ConnectionLimits
from chatsvc.limits.login_throttle import FreeAttempts
from chatsvc.limits.token_bucket import Rate
from chatsvc.rooms.room import RoomLimits
from chatsvc.storage.url import StoreURL


@dataclass(frozen=True)
class WorkerSlot:
    """
    A worker's slot among the workers of one server: its ``number``, from 1, of ``count``.

    ``sockets`` to listen at are (descriptor, family), in the order of the ports and then the legacy ports.
    """

    number: int = 1
    count: int = 1
    sockets: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True)
class Config:
    """See the options of ``twistd chat`` for the meanings; ``worker_slot`` is that of a worker."""

    ports: Sequence[str]
    legacy_ports: Sequence[str]
    keys: str
    accounts: StoreURL
    inbox: StoreURL
    registration: bool
    lang: str
    inbox_limits: InboxLimits
    rate: Rate
    request_rate: Rate
    find_rate: Rate
    registration_rate: Rate
    connection_limits: ConnectionLimits
    free_attempts: FreeAttempts
    hashing: Hashing
    token_lifetime: float
    batch: BatchLimits
    trusted_proxies: Sequence[str]
    room_limits: RoomLimits
    room_log: RoomLogLimits
    room_rate: Rate
    history: HistoryLimits
    metrics: str = ""
    worker_slot: WorkerSlot = WorkerSlot()
    workers: int = 1

    def for_one_process(self) -> str:
        """Why these stores serve one process and not several, one line; empty: they serve any number."""
        for option, url in (("accounts", self.accounts), ("inbox", self.inbox)):
            if url.scheme == "sqlite":
                return f"SQLite serves one process, and --{option} is {url}: name MySQL and Redis"
        return ""


class CannotStart(Exception):
    """A server cannot start; one line for the admin."""
