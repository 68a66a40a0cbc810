"""The server as one service: opens the stores, then the doors, and closes them in the other order."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatsvc import __version__
from chatsvc.accounts.passwords import PasswordHasherPool
from chatsvc.accounts.store import AccountStore
from chatsvc.accounts.tokens import Tokens
from chatsvc.config import CannotStart, Config
from chatsvc.factory import ChatFactory, PortFactory
from chatsvc.flush import FlushConsolidator
from chatsvc.gauges import Gauges
from chatsvc.inbox.backends import make_inbox
from chatsvc.inbox.interface import IInbox
from chatsvc.inbox.nodes import NodeFacts, differences
from chatsvc.inbox.watermark import Watermark
from chatsvc.limits.login_throttle import LoginThrottle
from chatsvc.limits.open_files import within_open_files
from chatsvc.limits.rates import AddressLimit, Rate, RateLimiter, RegistrationLimit
from chatsvc.observability.health import Health
from chatsvc.observability.http import monitoring_site
from chatsvc.observability.metrics import Metrics
from chatsvc.observability.session_log import LogBudget
from chatsvc.reader import Reader
from chatsvc.router import MessageRouter
from chatsvc.services import DEAD_TOKENS, Services
from chatsvc.storage.database import Database
from chatsvc.storage.file_lock import FileLock
from chatsvc.storage.monitor import StoreMonitor
from chatsvc.storage.url import StoreMisconfigured, StoreUnavailable, StoreURL
from chatsvc.supervision.systemd import SystemdNotifier
from chatsvc.tls.certificates import expiry, fingerprint
from chatsvc.tls.key_files import BadKeys, open_to_others
from chatsvc.tls.key_folder import KeyFolder
from chatsvc.transport.listeners import (
    BadEndpoint,
    CannotListen,
    Context,
    Listener,
    ListenerBuilder,
    listen_at,
)

_STORES_DRAIN = 1.0
"""Seconds in which a stopping server's stores must have taken the last batches."""

_LOGINS = Rate(10, 100)
"""Log-ins of one account a second: each makes the store work, and who has a token needs no password."""

_TICKET_SECRET_LASTS = 86_400.0
"""Seconds; RFC 9325 (section 3.4) asks for a week at most."""


_WATERMARK = "inbox.watermark"
"""The file in the key folder that says how far the waiting messages were: a store that goes back leaves it behind."""


class ChatServer(Service):
    """
    The server. ``prepare`` does what needs no waiting, and must come first.

    ``given_up`` is called with one line when it turns out only after the start that the server cannot start.
    """

    name = "chat"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        config: Config,
        supervisor: SystemdNotifier,
        given_up: Callable[[str], None],
    ) -> None:
        self._reactor = reactor
        self._config = config
        self._supervisor = supervisor
        self._given_up = given_up
        self._locks: list[FileLock] = []
        self._databases: dict[StoreURL, Database] = {}
        self._probe: Listener | None = None
        self._probe_port: IListeningPort | None = None
        self._health: Health | None = None
        self._instruments: Gauges | None = None
        self._ports: list[IListeningPort] = []
        self._renewing = LoopingCall(self._renew_ticket_secrets)
        self._renewing.clock = reactor
        self._inbox: IInbox | None = None
        self._passwords: PasswordHasherPool | None = None
        self._tokens: Tokens | None = None
        self._factory: ChatFactory | None = None
        self._starting: Deferred[None] | None = None

    def prepare(self) -> None:
        """
        Do what can be done before the reactor runs.

        :raise CannotStart: it cannot.
        """
        config = self._config
        try:
            self._keys = KeyFolder(config.keys)
            self._keys.ensure_for_this_host(self._log)
            self._doors = self._open_doors()
            if config.metrics:
                self._probe = self._doorway.open(config.metrics, "tcp:9100")
            for path in sorted({url.path for url in self._sqlite_urls()}):
                self._locks.append(FileLock(path))
        except (BadKeys, BadEndpoint, StoreMisconfigured) as problem:
            raise CannotStart(str(problem)) from None

    def startService(self) -> None:
        super().startService()
        self._reactor.callWhenRunning(self._begin)

    def reload(self) -> None:
        """Read certificates, keys and the token secret again; bad ones are said in the log, and those in use stay."""
        serves = self._renewing.running
        if serves:
            self._supervisor.reloading()
        for context in self._contexts():
            try:
                context.reload()
            except BadKeys as problem:
                self._not_reloaded(problem)
            else:
                self._say_certificates("Reloaded: certificate", context.certificates, "reloaded")
        self._reload_secret()
        if serves:
            self._supervisor.ready(self._place())

    def _not_reloaded(self, problem: BadKeys) -> None:
        self._log.error("Not reloaded: {problem}", event="not-reloaded", problem=str(problem))

    def _reload_secret(self) -> None:
        if self._tokens is None:
            return
        try:
            changed = self._tokens.change_secret(self._keys.token_secret())
        except BadKeys as problem:
            self._not_reloaded(problem)
        else:
            if changed:
                text = "Reloaded: token secret; the tokens that are out no longer count"
                self._log.info(text, event="reloaded")

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._stop()).addErrback(self._could_not_stop)

    def _begin(self) -> None:
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addErrback(self._could_not_start)

    async def _start(self) -> None:
        config = self._config
        chat = await self._make_chat()
        self._warn_of_open_files()
        self._factory = ChatFactory(chat, config.worker_slot.number, config.worker_slot.count)
        await self._listen(self._factory)
        self._health = health = Health(self._reactor, self._examinations)
        health.start()
        if self._probe is not None:
            expires = self._expiry if self._contexts() else None
            self._instruments = Gauges(chat, self._factory, expires)
            self._instruments.start()
            site = monitoring_site(chat.metrics.page, health.problems)
            self._probe_port = await listen_at(config.metrics, self._probe.endpoint, site)
        self._renewing.start(_TICKET_SECRET_LASTS, now=False)
        self._say_where()
        self._supervisor.ready(self._place())

    async def _make_chat(self) -> Services:
        config, reactor, metrics = self._config, self._reactor, Metrics()
        self._tokens = Tokens(self._keys.token_secret(), config.token_lifetime)
        of_accounts, of_inbox = (
            StoreMonitor(url, store, reactor.seconds, metrics.stores[store])
            for url, store in ((config.accounts, "accounts"), (config.inbox, "inbox"))
        )
        accounts = AccountStore((await self._database(config.accounts)).monitored_by(of_accounts))
        await accounts.open()
        online: dict[int, Reader] = {}
        inbox = await self._make_inbox(of_inbox)
        outgoing = FlushConsolidator(reactor)
        post = MessageRouter(reactor, inbox, online, metrics, config.batch, outgoing.flush)
        for warning in await inbox.open(post):
            self._log.warn("{warning}", event="store-endangers", warning=warning)
        await self._compare_secrets(inbox)
        self._inbox, self._post = inbox, post
        self._examinations = {
            of_accounts: lambda: accounts.get(1),
            of_inbox: inbox.examine,
        }
        self._passwords = PasswordHasherPool(
            reactor, config.hashing, metrics.password_seconds.observe
        )
        self._passwords.start()
        return Services(
            clock=reactor,
            now=time.time,
            accounts=accounts,
            passwords=self._passwords,
            tokens=self._tokens,
            inbox=inbox,
            post=post,
            outgoing=outgoing,
            online=online,
            message_rate=RateLimiter(config.rate, reactor.seconds),
            request_rate=RateLimiter(config.request_rate, reactor.seconds),
            login_rate=RateLimiter(_LOGINS, reactor.seconds),
            find_rate=RateLimiter(config.find_rate, reactor.seconds),
            login_throttle=LoginThrottle(config.free_attempts, reactor.seconds),
            registration_limit=RegistrationLimit(config.registration_rate, reactor.seconds),
            brevity=LogBudget(reactor.seconds),
            dead_tokens=AddressLimit(DEAD_TOKENS, reactor.seconds),
            registration=config.registration,
            lang=config.lang,
            limits=within_open_files(config.connections),
            metrics=metrics,
        )

    def _warn_of_open_files(self) -> None:
        named = [key for place in self._places() for key in place.keys]
        for path in sorted({*named, *(url.path for url in self._sqlite_urls())}):
            line = open_to_others(path)
            if line:
                self._log.warn("{line}", event="open-to-others", line=line)

    async def _database(self, url: StoreURL) -> Database:
        if url not in self._databases:
            database = Database(url, self._reactor)
            await database.open()
            self._databases[url] = database
        return self._databases[url]

    async def _make_inbox(self, pulse: StoreMonitor) -> IInbox:
        url = self._config.inbox
        database = (
            (await self._database(url)).monitored_by(pulse) if url.scheme == "sqlite" else None
        )
        watermark = Watermark(self._reactor, os.path.join(self._config.keys, _WATERMARK))
        limits = self._config.limits
        return make_inbox(url, self._reactor, limits, database, self._about, pulse, watermark)

    def _about(self) -> str:
        """What other nodes may know of this one."""
        assert self._tokens is not None
        return NodeFacts(__version__, self._tokens.fingerprint).to_text()

    async def _compare_secrets(self, inbox: IInbox) -> None:
        with suppress(StoreUnavailable):
            for line in differences(await inbox.nodes()):
                self._log.warn("{line}", event="nodes-differ", line=line)

    async def _listen(self, factory: ChatFactory) -> None:
        for listening, legacy in self._doors:
            door = PortFactory(factory, legacy=legacy)
            self._ports.append(await listen_at(listening.text, listening.endpoint, door))

    def _place(self) -> str:
        """Where the server listens, and what it works on, in a line for people."""
        config = self._config
        doors = ", ".join(listening.text for listening, _ in self._doors)
        return f"Listening on {doors}; accounts in {config.accounts}, messages in {config.inbox}"

    def _say_where(self) -> None:
        config = self._config
        for (listening, legacy), port in zip(self._doors, self._ports, strict=False):
            self._log.info(
                "Listening on {endpoint}{note}: {host}",
                event="listening",
                endpoint=listening.text,
                note=" (little-endian lengths)" if legacy else "",
                host=port.getHost(),
            )
        self._say_certificates("Certificate", self._certificates())
        self._log.info(
            "chatsvc {version}: accounts in {accounts}, waiting messages in {inbox}",
            event="started",
            version=__version__,
            accounts=config.accounts,
            inbox=config.inbox,
        )
        if config.registration:
            text = "Registration is open: clients may type `register NAME PASSWORD`"
        else:
            text = "Registration is closed: make accounts with `chatsvc account add NAME`"
        self._log.info(text, event="registration", open=config.registration)
        numbers = [getattr(port.getHost(), "port", 0) for port in self._ports]
        self._log.info(
            "Next, in another terminal: twistd -n chatclient --connect localhost:{number}",
            event="next",
            number=next(filter(None, numbers), 10_000),
        )

    async def _stop(self) -> None:
        began, served = self._reactor.seconds(), self._renewing.running
        if served:
            self._say_stopping()
        if self._starting is not None:
            self._starting.cancel()
        if self._renewing.running:
            self._renewing.stop()
        if self._health is not None:
            self._health.drain()
        for port in self._ports:
            await port.stopListening()  # type: ignore[misc]
        if self._factory is not None:
            await self._drain_stores()
            await self._factory.drain()
            await self._drain_stores()
        if self._instruments is not None:
            self._instruments.stop()
        if self._health is not None:
            self._health.stop()
        if self._passwords is not None:
            self._passwords.stop()
        if self._inbox is not None:
            await self._inbox.close()
        for database in self._databases.values():
            database.close()
        if self._probe_port is not None:
            # The last: until now it said that the server is draining.
            await self._probe_port.stopListening()  # type: ignore[misc]
        for lock in self._locks:
            lock.release()
        if served:
            seconds = self._reactor.seconds() - began
            self._log.info("Stopped, after {seconds:.1f} s", event="stopped", seconds=seconds)

    def _say_stopping(self) -> None:
        connections = self._factory.connections if self._factory is not None else 0
        text = "Stopping; connections: {connections}"
        self._log.info(text, event="stopping", connections=connections)
        self._supervisor.stopping(text.format(connections=connections))

    async def _drain_stores(self) -> None:
        """Let the batches under way end, if the store is there."""
        drained = Deferred.fromCoroutine(self._post.drained())
        try:
            await drained.addTimeout(_STORES_DRAIN, self._reactor)
        except TimeoutError:
            text = "The store is away: what it was not given stays with its senders"
            self._log.warn(text, event="not-settled")

    def _could_not_start(self, failure: Failure) -> None:
        if failure.check(CannotListen, StoreMisconfigured, BadKeys):
            self._given_up(str(failure.value))
        elif self.running:
            self._log.failure("The server could not start", failure, event="cannot-start")
            self._given_up(f"{type(failure.value).__name__}: {failure.value}")

    def _could_not_stop(self, failure: Failure) -> None:
        self._log.failure("The server stopped in disorder", failure, event="cannot-stop")

    def _sqlite_urls(self) -> list[StoreURL]:
        return [u for u in (self._config.accounts, self._config.inbox) if u.scheme == "sqlite"]

    def _open_doors(self) -> list[tuple[Listener, bool]]:
        config, keys = self._config, self._keys
        own = keys.context()
        self._doorway = doors = ListenerBuilder(self._reactor, lambda: own, config.trusted_proxies)
        texts = [(text, False) for text in config.ports]
        texts += [(text, True) for text in config.legacy_ports]
        sockets: Sequence[Any] = config.worker_slot.sockets or [None] * len(texts)
        return [
            (doors.open(text, socket=handed), legacy)
            for (text, legacy), handed in zip(texts, sockets, strict=True)
        ]

    def _places(self) -> list[Listener]:
        """All that is listened at."""
        return [door for door, _ in self._doors] + ([self._probe] if self._probe else [])

    def _contexts(self) -> list[Context]:
        """What TLS is made from, each once: places share the key folder's."""
        contexts = {id(place.context): place.context for place in self._places()}
        return [context for context in contexts.values() if context is not None]

    def _certificates(self) -> set[bytes]:
        return {pem for context in self._contexts() for pem in context.certificates}

    def _expiry(self) -> float:
        return min(map(expiry, self._certificates()))

    def _say_certificates(
        self, what: str, certificates: Iterable[bytes], event: str = "certificate"
    ) -> None:
        for pem in sorted(certificates):
            text = what + " {fingerprint}"
            self._log.info(text, event=event, fingerprint=fingerprint(pem))

    def _renew_ticket_secrets(self) -> None:
        for context in self._contexts():
            context.renew()
