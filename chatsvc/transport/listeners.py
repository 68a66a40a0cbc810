"""
Listeners: an endpoint string says where to listen, and which layers a connection has.

From the socket upwards: the meter that counts bytes for acknowledgements, the PROXY header (``haproxy:``), TLS
(``ssl:``, ``tls:``), the chat.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from chatsvc.limits.open_files import FileReserve
from chatsvc.tls.context import ServerContext
from chatsvc.tls.half_close import HalfClosedTLS
from chatsvc.tls.sni import SNIContexts
from chatsvc.transport.ack_tracker import metered
from chatsvc.transport.inherited import InheritedEndpoint
from chatsvc.transport.proxy_protocol import HangUp, TrustedProxies
from chatsvc.transport.turned_away import OnTurnedAway, nobody_asks
from chatsvc.transport.twisted_internals import watch_accepting

LOOPBACK = ("127.0.0.1", "::1")

_BACKLOG = 4096
"""
Connections that the kernel may complete before they are accepted; Linux has no more by default (net.core.somaxconn).
With Twisted's 50 a burst of connections holds up everybody's connecting by a second.
"""

_UNESCAPED_COLON = re.compile(r"(?<!\\):")
_HANDED_OVER = "systemd"
_TLS_FILES = ("privateKey", "certKey", "extraCertChain")

Context = ServerContext | SNIContexts


class CannotListen(Exception):
    """A listener cannot have its port or file; the text is one line that names it."""


class BadEndpoint(Exception):
    """An endpoint string cannot be used; the text is one line that names it."""


@dataclass(frozen=True)
class Listener:
    """
    Somewhere to listen, as an endpoint string names it.

    ``text`` is that string, ``endpoint`` has all layers, ``bare`` only the socket. ``context`` makes the connections of
    its TLS; None: it has none. ``keys`` are files that must be private.
    """

    text: str
    endpoint: IStreamServerEndpoint
    context: Context | None
    keys: Sequence[str]
    bare: IStreamServerEndpoint


@implementer(IStreamServerEndpoint)
@dataclass(frozen=True)
class _LayeredEndpoint:
    """An endpoint with one more layer between it and the factory."""

    endpoint: IStreamServerEndpoint
    layer: Callable[[IProtocolFactory], IProtocolFactory]

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        return self.endpoint.listen(self.layer(protocolFactory))


@implementer(IStreamServerEndpoint)
@dataclass(frozen=True)
class _WatchedEndpoint:
    """An endpoint whose port reports the connections that it cannot accept."""

    endpoint: IStreamServerEndpoint
    turned_away: OnTurnedAway

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        return self.endpoint.listen(protocolFactory).addCallback(self._watch)

    def _watch(self, port: Any) -> IListeningPort:
        note = self.turned_away
        watch_accepting(
            port,
            lambda address: note("open-files", address, ""),
            lambda error: note("system", "", error),
        )
        listening: IListeningPort = port
        return listening


class _PassingFactory(Factory):
    """Builds what another factory builds."""

    noisy = False

    def __init__(self, factory: Any) -> None:
        self._factory = factory

    def logPrefix(self) -> str:
        return _prefix(self._factory)

    def doStart(self) -> None:
        self._factory.doStart()

    def doStop(self) -> None:
        self._factory.doStop()


class _SparingFactory(_PassingFactory):
    """Builds nothing when the connection would take an open file that is kept back: the port closes it at once."""

    def __init__(self, factory: Any, reserve: FileReserve, turned_away: OnTurnedAway) -> None:
        super().__init__(factory)
        self._reserve = reserve
        self._turned_away = turned_away

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:  # type: ignore[override]
        if not self._reserve.allows_one_more():
            self._turned_away("open-files", getattr(addr, "host", ""), "")
            return None
        built: IProtocol | None = self._factory.buildProtocol(addr)
        return built


class _RefusingFactory(_PassingFactory):
    """Hangs up where the other factory builds nothing."""

    def buildProtocol(self, addr: IAddress | None) -> IProtocol:  # type: ignore[override]
        built: IProtocol | None = self._factory.buildProtocol(addr)
        return HangUp() if built is None else built


def _prefix(factory: Any) -> str:
    return str(factory.logPrefix()) if hasattr(factory, "logPrefix") else type(factory).__name__


class ListenerBuilder:
    """
    Makes listeners; those that name no certificate of their own share ``default_context()``.

    ``turned_away`` is told of connections that nobody serves.
    """

    def __init__(
        self,
        reactor: Any,
        default_context: Callable[[], ServerContext],
        trusted_proxies: Sequence[str] = LOOPBACK,
        turned_away: OnTurnedAway = nobody_asks,
    ) -> None:
        self._reactor = reactor
        self._default_context = default_context
        self._trusted = trusted_proxies
        self._turned_away = turned_away
        self._reserve = FileReserve()

    def build(
        self,
        text: str,
        example: str = "ssl:10000",
        socket: tuple[int, int] | None = None,
        *,
        spares: bool = True,
    ) -> Listener:
        """
        Make the listener that an endpoint string describes; nothing is opened yet.

        ``example`` is what could have been written. ``socket`` is one that listens there already, as (descriptor,
        family). Without ``spares`` its connections may take the open files that are kept back.

        :raise BadEndpoint: the string describes none.
        :raise BadKeys: its certificate or key cannot be used.
        """
        with _twisted_errors_as_bad_endpoint(text, example):
            return self._build(text, socket, spares)

    def judge(self, text: str, example: str = "ssl:10000") -> None:
        """
        Find out what is wrong with an endpoint string before anything is made for it.

        :raise BadEndpoint: the string describes none.
        :raise BadKeys: the certificate or key that it names cannot be used.
        """
        ListenerBuilder(self._reactor, _no_context, self._trusted).build(text, example)

    def _build(self, text: str, socket: tuple[int, int] | None, spares: bool) -> Listener:
        proxied = text.startswith("haproxy:")
        description, context, keys = self._without_tls(text.removeprefix("haproxy:"))
        bare = (
            self._socket(description)
            if socket is None
            else InheritedEndpoint(self._reactor, *socket)
        )
        note = self._turned_away
        endpoint: IStreamServerEndpoint = _WatchedEndpoint(bare, note)
        if spares:
            endpoint = _LayeredEndpoint(
                endpoint, lambda factory: _SparingFactory(factory, self._reserve, note)
            )
        endpoint = _LayeredEndpoint(endpoint, metered)
        if proxied:
            endpoint = _LayeredEndpoint(
                endpoint,
                lambda factory: TrustedProxies(self._reactor, factory, self._trusted, note),
            )
        if context is not None:
            endpoint = _LayeredEndpoint(endpoint, lambda factory: _tls(context, factory))
        endpoint = _LayeredEndpoint(endpoint, _RefusingFactory)
        return Listener(text, endpoint, context, keys, bare)

    def _without_tls(self, description: str) -> tuple[str, Context | None, Sequence[str]]:
        """Split an endpoint string into one without TLS, what its TLS is made from, and the files of its keys."""
        if description.startswith("ssl:"):
            description, files = _split_ssl(description)
            return description, self._context(files), [files["privateKey"]] if files else []
        if description.startswith("tls:"):
            description, folder = _split_tls(description)
            by_name = SNIContexts(folder)
            return description, by_name, by_name.key_paths()
        return description, None, []

    def _socket(self, description: str) -> IStreamServerEndpoint:
        try:
            endpoint: IStreamServerEndpoint = serverFromString(
                self._reactor, _with_backlog(description)
            )
        except LookupError as problem:
            if description.startswith(_HANDED_OVER):
                raise ValueError("systemd has handed over no such socket") from None
            raise ValueError(str(problem)) from None
        return endpoint

    def _context(self, files: dict[str, str]) -> ServerContext:
        if not files:
            return self._default_context()
        if "privateKey" not in files:
            raise ValueError("certKey and extraCertChain need privateKey")
        key = files["privateKey"]
        return ServerContext(key, files.get("certKey", key), files.get("extraCertChain"))


def _no_context() -> Any:
    """Stand for keys that have yet to be made."""


async def listen_at(text: str, endpoint: IStreamServerEndpoint, factory: Any) -> IListeningPort:
    """
    Listen at an endpoint; ``text`` is what people call it.

    :raise CannotListen: its port or file cannot be had.
    """
    try:
        return await endpoint.listen(factory)
    except Exception as problem:
        reason = _left_over_lock(text) or getattr(problem, "socketError", None) or problem
        raise CannotListen(f"cannot listen on {text!r}: {reason}") from None


def _left_over_lock(text: str) -> str:
    """
    Say that the lock beside a Unix socket is taken, if it is; such a lock outlives a power failure.

    Twisted makes it, a symbolic link to the number of a process, and takes one over whose process is gone.
    """
    kind, *parts = _UNESCAPED_COLON.split(text.removeprefix("haproxy:"))
    if kind != "unix":
        return ""
    named = [part.removeprefix("address=") for part in parts if part.startswith("address=")]
    lock = _unescaped((named or parts)[0]) + ".lock"
    try:
        owner = os.readlink(lock)
    except OSError:
        return ""
    return f"{lock} says that process {owner} has it: if that is no server, remove {lock}"


async def stop_listening(ports: Iterable[IListeningPort]) -> None:
    """Close ports, in their order."""
    for port in ports:
        await maybeDeferred(port.stopListening)


@contextmanager
def _twisted_errors_as_bad_endpoint(text: str, example: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, AttributeError, IndexError) as problem:
        raise BadEndpoint(
            f"{text!r} is no endpoint, write for instance {example} ({problem})"
        ) from None


def _with_backlog(description: str) -> str:
    # The backlog is the second of what may be given without a name.
    kind, *parts = _UNESCAPED_COLON.split(description)
    names = [part.partition("=")[0] for part in parts if "=" in part]
    if kind not in ("tcp", "tcp6") or "backlog" in names or len(parts) - len(names) > 1:
        return description
    return f"{description}:backlog={_BACKLOG}"


def _unescaped(part: str) -> str:
    return part.replace("\\:", ":").replace("\\\\", "\\")


def _split_ssl(description: str) -> tuple[str, dict[str, str]]:
    """Split ``ssl:…`` into ``tcp:…``, or ``ssl:systemd:…`` into ``systemd:…``, and the files that it names."""
    rest, files = [], {}
    for part in _UNESCAPED_COLON.split(description)[1:]:
        name, equals, value = part.partition("=")
        if equals and name in _TLS_FILES:
            files[name] = _unescaped(value)
        else:
            rest.append(part)
    return _below_tls("tcp", rest), files


def _below_tls(kind: str, parts: list[str]) -> str:
    # Under TLS lies a port, or a socket that systemd hands over.
    return ":".join(parts if parts[:1] == [_HANDED_OVER] else [kind, *parts])


def _split_tls(description: str) -> tuple[str, str]:
    """
    Split ``tls:FOLDER:…`` into ``tcp6:…``, or ``tls:FOLDER:systemd:…`` into ``systemd:…``, and the folder.

    ``tcp6:`` takes the rest as Twisted's ``tls:`` does.
    """
    parts = _UNESCAPED_COLON.split(description)[1:]
    folder = next((part for part in parts if part.startswith("path=")), parts[0])
    parts.remove(folder)
    if not any(part.startswith("port=") or "=" not in part for part in parts):
        parts.append("port=443")
    if not folder.removeprefix("path="):
        raise ValueError("it names no folder")
    return _below_tls("tcp6", parts), _unescaped(folder.removeprefix("path="))


def _tls(
    creator: IOpenSSLServerConnectionCreator, factory: IProtocolFactory
) -> TLSMemoryBIOFactory:
    layer = TLSMemoryBIOFactory(creator, isClient=False, wrappedFactory=factory)
    layer.noisy = False
    # Gathers nothing: ChatProtocol gathers frames itself, and on a legacy port each must be a record of its own.
    layer.protocol = HalfClosedTLS
    return layer
