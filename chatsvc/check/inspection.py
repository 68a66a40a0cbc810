"""
An inspection of all that a server needs, before it starts or on the day that something is wrong. It changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from chatsvc import __version__
from chatsvc.accounts.store import AccountStore
from chatsvc.accounts.tokens import Tokens
from chatsvc.backends import inbox_at
from chatsvc.check.certificates import judge
from chatsvc.check.database import risks, version
from chatsvc.check.finding import Finding, fail, ok, warn
from chatsvc.config import Config
from chatsvc.inbox.nodes import NodeFacts, differences
from chatsvc.storage import migrations
from chatsvc.storage.database import Database
from chatsvc.storage.sql import SQL_ERRORS, first_line
from chatsvc.storage.url import StoreMisconfigured, StoreUnavailable, StoreURL
from chatsvc.tls.key_files import BadKeys, open_to_others
from chatsvc.tls.key_folder import KeyFolder
from chatsvc.transport.listeners import BadEndpoint, Listener, ListenerBuilder

_LATER = "is not there yet: the server makes it when it first starts"


_OLDER = ", besides what the older server may have left"


async def inspect(reactor: Any, config: Config, now: float) -> list[Finding]:
    """Look at everything that a server with this configuration would use; ``now`` is in seconds since the epoch."""
    return [
        *_look_at_workers(config),
        *_look_at_keys(KeyFolder(config.keys), now),
        *_look_at_ports(reactor, config, now),
        *await _look_at_accounts(reactor, config.accounts),
        *await _look_at_inbox(reactor, config),
    ]


def _look_at_workers(config: Config) -> Iterator[Finding]:
    if config.workers > 1 and (why := config.for_one_process()):
        yield fail("config", f"--workers {config.workers}: {why}")


def _look_at_keys(keys: KeyFolder, now: float) -> Iterator[Finding]:
    pair = (keys.key_path, keys.certificate_path)
    if not any(map(os.path.lexists, pair)):
        if obstacle := _obstacle(keys.path):
            yield fail("keys", f"{keys.path} cannot be made: {obstacle} is no folder to write to")
            return
        yield warn("keys", f"{keys.certificate_path} {_LATER}, or `chatsvc keys make` now")
    else:
        try:
            (pem,) = keys.context().certificates
            yield ok("keys", f"{keys.key_path} is private and fits {keys.certificate_path}")
            yield from judge(keys.certificate_path, pem, now)
        except BadKeys as problem:
            yield fail("keys", str(problem))
    if not os.path.lexists(keys.secret_path):
        yield warn("keys", f"{keys.secret_path} {_LATER}")
        return
    try:
        keys.token_secret()
        yield ok("keys", f"{keys.secret_path} is private")
    except BadKeys as problem:
        yield fail("keys", str(problem))


def _obstacle(folder: str) -> str:
    """What of a folder's path is there and keeps it from being made or written to; empty: nothing."""
    there = os.path.abspath(folder)
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    fit = os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK)
    return "" if fit else there


def _look_at_ports(reactor: Any, config: Config, now: float) -> Iterator[Finding]:
    # The key folder has been looked at; nothing here asks what is made of its certificate.
    nothing: Any = None
    doors = ListenerBuilder(reactor, lambda: nothing, config.trusted_proxies)
    texts = [(text, "ssl:10000") for text in (*config.ports, *config.legacy_ports)]
    texts += [(config.metrics, "tcp:9100")] if config.metrics else []
    for text, example in texts:
        if text.removeprefix("haproxy:").startswith("systemd:"):
            yield ok("port", f"{text} is systemd's to open")
            continue
        try:
            place = doors.open(text, example)
        except (BadEndpoint, BadKeys) as problem:
            yield fail("port", str(problem))
            continue
        yield ok("port", f"{text} is an endpoint; whether it is free shows at the start")
        yield from _look_at_place(place, now)


def _look_at_place(place: Listener, now: float) -> Iterator[Finding]:
    for pem in place.context.certificates if place.context else ():
        yield from judge(place.text, pem, now)
    yield from _look_at_files("port", place.keys)


async def _look_at_accounts(reactor: Any, url: StoreURL) -> list[Finding]:
    if missing := _missing("accounts", url):
        return missing
    database = Database(url, reactor)
    found = list(_look_at_files("accounts", _sqlite_files(url)))
    try:
        await database.open()
        try:
            found += await _look_into_accounts(database)
        finally:
            database.close()
    except (StoreMisconfigured, StoreUnavailable) as problem:
        found.append(fail("accounts", str(problem)))
    except SQL_ERRORS as problem:
        found.append(fail("accounts", f"{url}: {first_line(problem)}"))
    return found


async def _look_into_accounts(database: Database) -> list[Finding]:
    what, oldest = await version(database)
    found = [ok("accounts", f"{database.url} answers: {what}")]
    if oldest:
        found.append(fail("accounts", f"{what} is too old: {oldest} or newer is needed"))
    if pending := await _pending(database):
        return found + pending
    accounts = AccountStore(database)
    await accounts.check_usable()
    found.append(ok("schema", "the tables are up to date and can be written"))
    found += [warn("accounts", danger) for danger in await risks(database)]
    if plain := await accounts.plain_passwords():
        found.append(
            warn("accounts", f"{plain} plain passwords are left: each is hashed at its next log-in")
        )
    return found


async def _look_at_inbox(reactor: Any, config: Config) -> list[Finding]:
    url = config.inbox
    if missing := _missing("inbox", url):
        return missing
    found = list(_look_at_files("inbox", _sqlite_files(url)))
    try:
        if url.scheme == "sqlite" and (pending := await _pending_in_file(reactor, url)):
            return found + pending
        inbox, dangers = await inbox_at(url, reactor)
        try:
            await inbox.purge(0, 0)  # nobody's: removes nothing, but only where something could be
            waiting = await inbox.total()
            nodes = await inbox.nodes()
            what = await inbox.about()
        finally:
            await inbox.close()
    except (StoreMisconfigured, StoreUnavailable) as problem:
        return [*found, fail("inbox", str(problem))]
    except SQL_ERRORS as problem:
        return [*found, fail("inbox", f"{url}: {first_line(problem)}")]
    found.append(
        ok(
            "inbox",
            f"{url} answers and can be written: {what}; {waiting} messages wait{_OLDER}",
        )
    )
    found += [warn("inbox", danger) for danger in dangers]
    return found + _look_at_nodes(config, nodes)


def _look_at_nodes(config: Config, nodes: Mapping[str, str]) -> list[Finding]:
    if not nodes:
        return []
    found = [ok("nodes", f"running now: {', '.join(sorted(nodes))}")]
    all_of_us = dict(nodes)
    with suppress(BadKeys):  # which has been said
        secret = Tokens(KeyFolder(config.keys).token_secret())
        all_of_us[config.keys] = NodeFacts(__version__, secret.fingerprint).to_text()
    return found + [warn("nodes", line) for line in differences(all_of_us)]


async def _pending_in_file(reactor: Any, url: StoreURL) -> list[Finding]:
    database = Database(url, reactor)
    await database.open()
    try:
        return await _pending(database)
    finally:
        database.close()


async def _pending(database: Database) -> list[Finding]:
    """The server applies it too, if its account may."""
    names = ", ".join(await migrations.pending(database))
    text = (
        f"{database.url} has not seen {names}: run `chatsvc schema`, with an account that may make tables;"
        " the server does it itself if its own may"
    )
    return [warn("schema", text)] if names else []


def _missing(about: str, url: StoreURL) -> list[Finding]:
    """What is to be said of an SQLite file that is not there: asking would make it."""
    if url.scheme != "sqlite" or os.path.lexists(url.path):
        return []
    folder = os.path.dirname(url.path) or "."
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
        return [fail(about, f"{url}: {folder} is no folder that can be written to")]
    return [warn(about, f"{url} {_LATER}")]


def _sqlite_files(url: StoreURL) -> list[str]:
    if url.scheme != "sqlite":
        return []
    return [path for end in ("", "-wal", "-shm") if os.path.exists(path := url.path + end)]


def _look_at_files(about: str, paths: Iterable[str]) -> Iterator[Finding]:
    """Files that ought to be private; the server says so and goes on."""
    for path in paths:
        line = open_to_others(path)
        if line:
            yield warn(about, line)
