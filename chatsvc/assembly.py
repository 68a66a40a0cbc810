"""The assembly of a server: which service is built of which, and how each is closed again."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

from twisted.logger import Logger

from chatsvc import __version__
from chatsvc.accounts.authenticator import Authenticator
from chatsvc.accounts.passwords import PasswordHasherPool
from chatsvc.accounts.rights import of_server
from chatsvc.accounts.store import AccountStore
from chatsvc.accounts.tokens import Tokens
from chatsvc.archive.writing import greatest_serial
from chatsvc.backends import make_inbox
from chatsvc.config import Config
from chatsvc.delivery.feeds import RoomFeeds
from chatsvc.delivery.online import OnlineUsers
from chatsvc.delivery.reader import Reader
from chatsvc.delivery.router import MessageRouter
from chatsvc.history.archiver import Archiver
from chatsvc.history.backlog import Backlog
from chatsvc.history.history import History
from chatsvc.history.limits import NO_HISTORY
from chatsvc.history.progress import AlwaysLevel, QueueProgress
from chatsvc.history.upkeep import Upkeep
from chatsvc.inbox.features import FACTS, LOOKED_EVERY, FeatureGrants
from chatsvc.inbox.interface import Inbox
from chatsvc.inbox.nodes import NodeFacts, differences
from chatsvc.inbox.watermark import Watermark
from chatsvc.limits.login_throttle import LoginThrottle
from chatsvc.limits.open_files import within_open_files
from chatsvc.limits.take_overs import TakeOverBrake
from chatsvc.limits.token_bucket import AddressLimit, Rate, RateLimiter, RegistrationLimit
from chatsvc.observability.metrics import Metrics
from chatsvc.observability.periodic import PeriodicTask
from chatsvc.observability.session_log import LogBudget
from chatsvc.rooms.rooms import UNFINISHED_SECONDS, UNFINISHED_SECONDS_ALONE, Rooms
from chatsvc.rooms.store import RoomStore
from chatsvc.services import Rates, Services
from chatsvc.storage.database import Database
from chatsvc.storage.monitor import StoreMonitor
from chatsvc.storage.sql import Pool
from chatsvc.storage.url import StoreUnavailable, StoreURL
from chatsvc.tls.key_folder import KeyFolder
from chatsvc.transport.flush import FlushConsolidator

_ROOM_CHANGES = Rate(1, 20)
"""Commands of one account a second that change rooms: each is a transaction, and is told to all members."""

_ROOMS_FINISHED_EVERY = 2.0
"""Seconds after which it is looked for changes of rooms that a node left without finishing."""

_ROOMS_FINISHED_EVERY_ALONE = 1.0
"""The same for a server with SQLite: commands leave their changes for it to finish, within 2 seconds."""

_LOGINS = Rate(10, 100)
"""Log-ins of one account a second: each makes the store work, and a token needs no password to be hashed."""

DEAD_TOKENS = Rate(10, 1000)
"""Tokens that no longer count, from an address: once for everybody in a large office. Each costs two HMACs."""

_SHORT_BACKLOG = "--device-backlog is below --inbox-limit: a device that reads a full inbox is forgotten meanwhile"

_READERS = Pool(5, only_read=True)
"""Connections that read the history: several people can search at once, and no message waits for them."""

_ARCHIVER = Pool(2, idle=30)
"""Connections that write the archive and its index."""

_WATERMARK = "inbox.watermark"
"""The file in the key folder that says how far the waiting messages were: a store that goes back leaves it behind."""


class Assembly:
    """
    Builds the services of one server.

    How each is closed is pushed onto ``closing``. ``tokens`` is there at once. ``checks`` has a question for each
    store's monitor that the store answers when it is well.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        config: Config,
        keys: KeyFolder,
        closing: AsyncExitStack,
        metrics: Metrics,
    ) -> None:
        self.checks: dict[StoreMonitor, Callable[[], Awaitable[Any]]] = {}
        self._reactor = reactor
        self._config = config
        self._closing = closing
        self._metrics = metrics
        self.tokens = Tokens(keys.token_secret(), config.token_lifetime)
        self._databases: dict[StoreURL, Database] = {}
        self._keeps_history = config.history.keeps(config.accounts, config.inbox)
        self._accounts_monitor = self._monitor(config.accounts, "accounts")

    async def services(self) -> Services:
        """
        Open the stores and build what works on them.

        :raise StoreMisconfigured: a store cannot be used; one line for the admin.
        """
        config, reactor, metrics = self._config, self._reactor, self._metrics
        accounts = await self._accounts()
        online: OnlineUsers[Reader] = OnlineUsers()
        flush = FlushConsolidator(reactor)
        if config.inbox_limits.device_backlog < config.inbox_limits.waiting:
            self._log.warn(_SHORT_BACKLOG, event="short-backlog")
        inbox, monitor = await self._make_inbox()
        if self._keeps_history and inbox.archive is not None:
            database = await self._database(config.accounts)
            inbox.go_on_above(await database.run(greatest_serial, write=False))
        rooms = await self._rooms(inbox)
        feeds = RoomFeeds(reactor, inbox.rooms, rooms)
        router = MessageRouter(reactor, inbox, online, feeds, metrics, config.batch, flush.flush)
        self._closing.push_async_callback(inbox.close)
        self._closing.callback(feeds.close)
        for warning in await inbox.open(router):
            self._log.warn("{warning}", event="store-endangers", warning=warning)
        self._finish_rooms(rooms)
        self.checks[monitor] = inbox.examine
        await self._compare_secrets(inbox)
        log_budget = LogBudget(reactor.seconds)
        backlog = Backlog(inbox.archive, await self._database(config.accounts), config.history)
        history = await self._history(inbox, backlog)
        return Services(
            clock=reactor,
            now=time.time,
            lang=config.lang,
            auth=self._authenticator(accounts, log_budget),
            accounts=accounts,
            inbox=inbox,
            router=router,
            flush=flush,
            online=online,
            rooms=rooms,
            feeds=feeds,
            history=history,
            backlog=backlog,
            features=self._features(inbox),
            rates=Rates(
                message=RateLimiter(config.rate, reactor.seconds),
                request=RateLimiter(config.request_rate, reactor.seconds),
                login=RateLimiter(_LOGINS, reactor.seconds),
                find=RateLimiter(config.find_rate, reactor.seconds),
                room=RateLimiter(_ROOM_CHANGES, reactor.seconds),
                into_room=RateLimiter(config.room_rate, reactor.seconds),
                take_over=TakeOverBrake(reactor.seconds),
            ),
            limits=within_open_files(config.connection_limits),
            metrics=metrics,
            log_budget=log_budget,
        )

    async def _rooms(self, inbox: Inbox) -> Rooms:
        config = self._config
        database = await self._database(config.accounts)
        store = RoomStore(database.monitored_by(self._accounts_monitor), time.time)
        old = UNFINISHED_SECONDS_ALONE if config.inbox.scheme == "sqlite" else UNFINISHED_SECONDS
        return Rooms(store, inbox.rooms, config.room_limits, old)

    def _finish_rooms(self, rooms: Rooms) -> None:
        finishing = PeriodicTask(
            self._reactor, "finishing changes of rooms", rooms.finish_old, self._is_a_store_away
        )
        alone = self._config.inbox.scheme == "sqlite"
        finishing.start(_ROOMS_FINISHED_EVERY_ALONE if alone else _ROOMS_FINISHED_EVERY, now=False)
        self._closing.callback(finishing.stop)

    async def _history(self, inbox: Inbox, backlog: Backlog) -> History:
        config, reactor, queue = self._config, self._reactor, inbox.archive
        if not self._keeps_history:
            if config.history.days:
                self._log.warn(NO_HISTORY, event="no-history")
            return History(reactor, time.time, config.history)
        database, archiver = await self._database(config.accounts), None
        if queue is not None:
            database = await self._own_connections(_ARCHIVER)
            metrics = self._metrics
            archiver = Archiver(queue, database, metrics.archived, metrics.archive_refused)
        is_away = self._is_a_store_away
        upkeep = Upkeep(
            *(reactor, database, archiver, inbox.rooms),
            *(config.history, is_away, time.time, backlog),
        )
        upkeep.start()
        self._closing.push_async_callback(upkeep.stop)
        progress = AlwaysLevel() if queue is None else QueueProgress(queue, reactor)
        readers = await self._own_connections(_READERS)
        return History(reactor, time.time, config.history, readers, database, progress)

    async def _own_connections(self, pool: Pool) -> Database:
        """Open the accounts' database once more, by connections that nothing else waits for."""
        database = Database(
            self._config.accounts, self._reactor, monitor=self._accounts_monitor, pool=pool
        )
        await database.open()
        self._closing.callback(database.close)
        return database

    def _is_a_store_away(self) -> bool:
        return any(monitor.problem for monitor in self.checks)

    def _features(self, inbox: Inbox) -> FeatureGrants:
        grants = FeatureGrants(inbox, self._reactor.seconds)
        looking = PeriodicTask(self._reactor, "looking for older nodes", grants.look)
        looking.start(LOOKED_EVERY, now=False)
        self._closing.callback(looking.stop)
        return grants

    def _authenticator(self, accounts: AccountStore, log_budget: LogBudget) -> Authenticator:
        config, reactor, metrics = self._config, self._reactor, self._metrics
        passwords = PasswordHasherPool(reactor, config.hashing, metrics.password_seconds.observe)
        passwords.start()
        self._closing.callback(passwords.stop)
        return Authenticator(
            accounts=accounts,
            passwords=passwords,
            tokens=self.tokens,
            throttle=LoginThrottle(config.free_attempts, reactor.seconds),
            registration_limit=RegistrationLimit(config.registration_rate, reactor.seconds),
            dead_tokens=AddressLimit(DEAD_TOKENS, reactor.seconds),
            log_budget=log_budget,
            registration=config.registration,
        )

    async def _accounts(self) -> AccountStore:
        monitor = self._accounts_monitor
        database = await self._database(self._config.accounts)
        accounts = AccountStore(database.monitored_by(monitor))
        await accounts.open(of_server(self._config.registration, self._keeps_history))
        self.checks[monitor] = lambda: accounts.get(1)
        return accounts

    async def _make_inbox(self) -> tuple[Inbox, StoreMonitor]:
        url, reactor = self._config.inbox, self._reactor
        monitor = self._monitor(url, "inbox")
        database = None
        if url.scheme == "sqlite":
            database = (await self._database(url)).monitored_by(monitor)
        watermark = Watermark(reactor, os.path.join(self._config.keys, _WATERMARK))
        limits = self._config.inbox_limits
        inbox = make_inbox(
            *(url, reactor, limits, database, self._about, monitor, watermark),
            room_limits=self._config.room_log,
            archives=self._keeps_history,
        )
        return inbox, monitor

    def _monitor(self, url: StoreURL, store: str) -> StoreMonitor:
        return StoreMonitor(url, store, self._reactor.seconds, self._metrics.stores[store])

    async def _database(self, url: StoreURL) -> Database:
        if url not in self._databases:
            database = Database(url, self._reactor)
            await database.open()
            self._closing.callback(database.close)
            self._databases[url] = database
        return self._databases[url]

    def _about(self) -> str:
        """Say what other nodes may know of this one."""
        history = str(self._config.history)
        return NodeFacts(__version__, self.tokens.fingerprint, FACTS, history).to_text()

    async def _compare_secrets(self, inbox: Inbox) -> None:
        with suppress(StoreUnavailable):
            for line in differences(await inbox.nodes()):
                self._log.warn("{line}", event="nodes-differ", line=line)
