"""The server as one service: it opens the stores, then the listeners, and closes them in the other order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatsvc import __version__
from chatsvc.accounts.tokens import Tokens
from chatsvc.assembly import Assembly
from chatsvc.config import CannotStart, Config
from chatsvc.delivery.router import MessageRouter
from chatsvc.factory import ChatFactory, PortFactory
from chatsvc.gauges import Gauges
from chatsvc.observability.health import Health
from chatsvc.observability.http import monitoring_site
from chatsvc.observability.metrics import Metrics
from chatsvc.observability.periodic import PeriodicTask
from chatsvc.storage.file_lock import FileLock
from chatsvc.storage.url import StoreMisconfigured, StoreURL
from chatsvc.supervision.prepared_service import PreparedService
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
    stop_listening,
)
from chatsvc.transport.turned_away import TurnedAway

_STORES_DRAIN = 1.0
"""Seconds in which a stopping server's stores must have taken the last batches."""

_TICKET_SECRET_LASTS = 86_400.0
"""Seconds; RFC 9325 (section 3.4) asks for a week at most."""


class ChatServer(PreparedService):
    """
    A server: ``prepare`` it, then start it as a service.

    ``given_up`` is called with one line when it turns out only after the start that the server cannot start.
    """

    name = "chat"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        config: Config,
        systemd: SystemdNotifier,
        given_up: Callable[[str], None],
    ) -> None:
        super().__init__(reactor)
        self._config = config
        self._systemd = systemd
        self._given_up = given_up
        self.metrics = Metrics()
        self._turned_away = TurnedAway(reactor.seconds, self.metrics.turned_away)
        self._keys = KeyFolder(config.keys)
        self._listeners: list[tuple[Listener, bool]] = []
        """The listeners of users, each with whether it is for the older clients."""
        self._monitoring: Listener | None = None
        self._tokens: Tokens | None = None
        self._factory: ChatFactory | None = None
        self._renewing = PeriodicTask(
            reactor, "renewing the secrets of TLS tickets", self._renew_ticket_secrets
        )

    def prepare(self) -> None:
        """
        Do what can be done before the reactor runs.

        :raise CannotStart: the server cannot start; one line for the admin.
        """
        config = self._config
        try:
            context = cache(self._keys.context)
            builder = ListenerBuilder(
                self._reactor, context, config.trusted_proxies, self._turned_away
            )
            if not config.worker_slot.sockets:  # else the supervisor has judged them
                for text in (*config.ports, *config.legacy_ports):
                    builder.judge(text)
            if config.metrics:
                builder.judge(config.metrics, "tcp:9100")
            self._keys.ensure_for_this_host(self._log)
            self._listeners = self._parse_ports(builder)
            if config.metrics:
                self._monitoring = builder.build(config.metrics, "tcp:9100", spares=False)
            for path in sorted({url.path for url in self._sqlite_urls()}):
                self._closing.callback(FileLock(path).release)
        except (BadKeys, BadEndpoint, StoreMisconfigured) as problem:
            raise CannotStart(str(problem)) from None

    def reload(self) -> None:
        """Read certificates, keys and the token secret again. Bad ones are logged, and those in use stay."""
        serves = self._serves
        if serves:
            self._systemd.reloading()
        for context in self._contexts():
            try:
                context.reload()
            except BadKeys as problem:
                self._not_reloaded(problem)
            else:
                self._log_certificates("Reloaded: certificate", context.certificates, "reloaded")
        self._reload_secret()
        if serves:
            self._systemd.ready(self._status())

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

    async def _start(self) -> None:
        config, closing = self._config, self._closing
        monitoring_ports: list[IListeningPort] = []
        # The last to be closed: until then it says that the server is draining.
        closing.push_async_callback(stop_listening, monitoring_ports)
        assembly = Assembly(self._reactor, config, self._keys, closing, self.metrics)
        self._tokens = assembly.tokens  # a reload may come while the stores open
        services = await assembly.services()
        self._warn_of_open_files()
        slot = config.worker_slot
        self._factory = factory = ChatFactory(services, slot.number, slot.count)
        health = Health(self._reactor, assembly.checks)
        closing.callback(health.stop)
        gauges = Gauges(services, factory, self._expiry if self._contexts() else None)
        closing.callback(gauges.stop)
        closing.push_async_callback(self._drain, services.router, factory)
        ports: list[IListeningPort] = []
        closing.push_async_callback(stop_listening, ports)
        for listener, legacy in self._listeners:
            users = PortFactory(factory, legacy=legacy)
            ports.append(await listen_at(listener.text, listener.endpoint, users))
        closing.callback(health.drain)
        health.start()
        if self._monitoring is not None:
            gauges.start()
            site = monitoring_site(services.metrics.page, health.problems)
            endpoint = self._monitoring.endpoint
            monitoring_ports.append(await listen_at(config.metrics, endpoint, site))
        self._renewing.start(_TICKET_SECRET_LASTS, now=False)
        closing.callback(self._renewing.stop)
        self._log_where(ports)
        self._systemd.ready(self._status())

    def _warn_of_open_files(self) -> None:
        named = [key for listener in self._all_listeners() for key in listener.keys]
        for path in sorted({*named, *(url.path for url in self._sqlite_urls())}):
            line = open_to_others(path)
            if line:
                self._log.warn("{line}", event="open-to-others", line=line)

    def _status(self) -> str:
        """Say where the server listens and what it works on, in a line for people."""
        config = self._config
        listeners = ", ".join(listener.text for listener, _ in self._listeners)
        return (
            f"Listening on {listeners}; accounts in {config.accounts}, messages in {config.inbox}"
        )

    def _log_where(self, ports: Sequence[IListeningPort]) -> None:
        config = self._config
        for (listener, legacy), port in zip(self._listeners, ports, strict=True):
            self._log.info(
                "Listening on {endpoint}{note}: {host}",
                event="listening",
                endpoint=listener.text,
                note=" (little-endian lengths)" if legacy else "",
                host=port.getHost(),
            )
        self._log_certificates("Certificate", self._certificates())
        self._log.info(
            "chatsvc {version}: accounts in {accounts}, waiting messages in {inbox}",
            event="started",
            version=__version__,
            accounts=config.accounts,
            inbox=config.inbox,
        )
        self._log.info("History: {history}", event="history", history=str(config.history))
        if config.registration:
            text = "Registration is open: clients may type `register NAME PASSWORD`"
        else:
            text = "Registration is closed: make accounts with `chatsvc account add NAME`"
        self._log.info(text, event="registration", open=config.registration)
        numbers = [getattr(port.getHost(), "port", 0) for port in ports]
        self._log.info(
            "Next, in another terminal: twistd -n chatclient --connect localhost:{number}",
            event="next",
            number=next(filter(None, numbers), 10_000),
        )

    async def _stop(self) -> None:
        began, served = self._reactor.seconds(), self._serves
        if served:
            self._announce_stop()
        await super()._stop()
        if served:
            seconds = self._reactor.seconds() - began
            self._log.info("Stopped, after {seconds:.1f} s", event="stopped", seconds=seconds)

    def _announce_stop(self) -> None:
        connections = self._factory.connections if self._factory is not None else 0
        text = "Stopping; connections: {connections}"
        self._log.info(text, event="stopping", connections=connections)
        self._systemd.stopping(text.format(connections=connections))

    async def _drain(self, router: MessageRouter, factory: ChatFactory) -> None:
        """Let batches end, say goodbye to everybody, and let end what that has brought about."""
        await self._drain_router(router)
        await factory.drain()
        await self._drain_router(router)

    async def _drain_router(self, router: MessageRouter) -> None:
        drained = Deferred.fromCoroutine(router.drained())
        try:
            await drained.addTimeout(_STORES_DRAIN, self._reactor)
        except TimeoutError:
            text = "The store is away: what it was not given stays with its senders"
            self._log.warn(text, event="not-settled")

    def _could_not_start(self, failure: Failure) -> None:
        if not self.running:
            return  # a stop has broken it off
        if failure.check(CannotListen, StoreMisconfigured, BadKeys):
            self._given_up(str(failure.value))
        else:
            self._log.failure("The server could not start", failure, event="cannot-start")
            self._given_up(f"{type(failure.value).__name__}: {failure.value}")

    def _could_not_stop(self, failure: Failure) -> None:
        self._log.failure("The server stopped in disorder", failure, event="cannot-stop")

    def _sqlite_urls(self) -> list[StoreURL]:
        return [u for u in (self._config.accounts, self._config.inbox) if u.scheme == "sqlite"]

    def _parse_ports(self, builder: ListenerBuilder) -> list[tuple[Listener, bool]]:
        config = self._config
        texts = [(text, False) for text in config.ports]
        texts += [(text, True) for text in config.legacy_ports]
        sockets: Sequence[Any] = config.worker_slot.sockets or [None] * len(texts)
        return [
            (builder.build(text, socket=inherited), legacy)
            for (text, legacy), inherited in zip(texts, sockets, strict=True)
        ]

    def _all_listeners(self) -> list[Listener]:
        listeners = [listener for listener, _ in self._listeners]
        return [*listeners, self._monitoring] if self._monitoring else listeners

    def _contexts(self) -> list[Context]:
        """Give what TLS connections are made from, each once: listeners share the key folder's."""
        contexts = {id(one.context): one.context for one in self._all_listeners()}
        return [context for context in contexts.values() if context is not None]

    def _certificates(self) -> set[bytes]:
        return {pem for context in self._contexts() for pem in context.certificates}

    def _expiry(self) -> float:
        return min(map(expiry, self._certificates()))

    def _log_certificates(
        self, what: str, certificates: Iterable[bytes], event: str = "certificate"
    ) -> None:
        for pem in sorted(certificates):
            text = what + " {fingerprint}"
            self._log.info(text, event=event, fingerprint=fingerprint(pem))

    def _renew_ticket_secrets(self) -> None:
        for context in self._contexts():
            context.renew()
