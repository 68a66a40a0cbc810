"""URLs of stores, and the two ways in which a store can fail: unavailable for now, or misconfigured."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

STORE_PATIENCE = 5.0
"""Seconds that a command waits for its store before it is answered with ``store-unavailable``."""


class StoreUnavailable(Exception):
    """The store is away or did not answer in time; whether the command ran is unknown."""


class StoreMisconfigured(Exception):
    """A store or its URL cannot be used; the text is one line for the admin."""


@dataclass(frozen=True)
class StoreURL:
    """
    A store's URL, parsed.

    ``scheme`` is ``sqlite``, ``mysql``, ``redis``, ``redis+unix`` or ``redis+sentinel``. ``path`` is SQLite's file,
    MySQL's database name, the database number of ``redis``, the socket of ``redis+unix``, or the primary's name of
    ``redis+sentinel``, whose ``host`` is a list of HOST:PORT separated by commas.
    """

    scheme: str
    path: str
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    query: dict[str, str] = field(default_factory=dict, repr=False, hash=False)
    redacted: str = ""
    """The URL without its password, for logs and messages."""

    def __str__(self) -> str:
        return self.redacted


def _without_hosts(url: str) -> tuple[str, str]:
    """Split off the hosts of a URL with several: urlsplit rejects an IPv6 address after a comma."""
    place = re.split("[/?#]", url.partition("//")[2], maxsplit=1)[0]
    hosts = place.rpartition("@")[2]
    return hosts, url.replace(place, place.removesuffix(hosts), 1) if hosts else url


def parse_store_url(url: str, schemes: tuple[str, ...]) -> StoreURL:
    """
    Parse a store's URL.

    :raise StoreMisconfigured: when its scheme is none of ``schemes``, or it lacks a path.
    """
    scheme, colon, rest = url.partition(":")
    known = " or ".join(f"{name}:…" for name in schemes)
    if not colon or scheme not in schemes:
        raise StoreMisconfigured(
            f"{without_password(url)!r} is no store's URL: it begins with {known}"
        )
    if scheme == "sqlite":
        if not rest or rest.startswith("//"):
            raise StoreMisconfigured(f"{url!r} names no file: write sqlite:PATH")
        return StoreURL(scheme, rest, redacted=url)
    if not rest.startswith("//"):
        raise StoreMisconfigured(f"{without_password(url)!r} is no URL: write {scheme}://…")
    several = scheme == "redis+sentinel"
    hosts, url_of_one = _without_hosts(url) if several else ("", url)
    try:
        parts = urlsplit(url_of_one)
        host = hosts if several else parts.hostname or ""
        port = 0 if several else parts.port or 0
        query = dict(
            parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        )
    except ValueError:
        # urlsplit's own message is dropped: it quotes as a port what may be a part of the password.
        raise StoreMisconfigured(
            f"{without_password(url)!r} is no URL: its port or query is wrong"
            " (in a password, / is written %2F, ? %3F and # %23)"
        ) from None
    path = unquote(parts.path)
    return StoreURL(
        scheme,
        path if scheme == "redis+unix" else path.removeprefix("/"),
        host,
        port,
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        query,
        without_password(url),
    )


def without_password(url: str) -> str:
    """Return a URL, even a mistyped one, with ``***`` for its password."""
    head, at, place = url.rpartition("@")
    scheme, colon, rest = head.partition(":")
    name, hidden, _ = rest.partition(":")
    if not at or (rest.startswith("//") and not hidden):
        return url
    return f"{scheme}{colon}{name if hidden else ''}{hidden}***@{place}"
