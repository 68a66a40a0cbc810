"""An inspection of all that a server needs, before it starts or when something is wrong. It changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from chatsvc import __version__
from chatsvc.accounts.store import AccountStore
from chatsvc.accounts.tokens import Tokens
from chatsvc.backends import inbox_at, require_permissions
from chatsvc.check.certificates import judge
from chatsvc.check.database import risks, version
from chatsvc.check.finding import Finding, fail, ok, warn
from chatsvc.check.limits import compare_limits
from chatsvc.config import Config
from chatsvc.history.limits import NO_HISTORY
from chatsvc.inbox.features import FACTS
from chatsvc.inbox.nodes import NodeFacts, differences
from chatsvc.rooms.store import RoomStore
from chatsvc.storage import schema
from chatsvc.storage.database import Database
from chatsvc.storage.sql import SQL_ERRORS, first_line
from chatsvc.storage.url import StoreMisconfigured, StoreUnavailable, StoreURL
from chatsvc.tls.key_files import BadKeys, open_to_others
from chatsvc.tls.key_folder import KeyFolder
from chatsvc.transport.listeners import BadEndpoint, Listener, ListenerBuilder

_LATER = "is not there yet: the server makes it when it first starts"

_UNFINISHED_SECONDS = 60.0
"""Seconds after which a change of a room that is not in its log is none that is just being made."""

_UNFINISHED = (
    "changes of these rooms are not in their logs for more than a minute, so that members may be missing there:"
    " {rooms}; a running server puts them there, and its log says why it cannot"
)

_BEHIND = (
    "{messages} messages wait to be archived: members do not find them in the history yet; a running server archives"
    " them, and its log says why it cannot"
)

_BEHIND_AT = 10_000
"""Messages that wait to be archived from which on something is wrong: a few seconds' of a busy service."""

_OLDER = ", besides what the older server may have left"


async def inspect(reactor: Any, config: Config, now: float) -> list[Finding]:
    """Inspect everything that a server with this configuration would use; ``now`` is in seconds since the epoch."""
    return [
        *_inspect_workers(config),
        *compare_limits(config.connection_limits, config.workers),
        *_inspect_keys(KeyFolder(config.keys), now),
        *_inspect_listeners(reactor, config, now),
        *await _inspect_accounts(reactor, config, now),
        *await _inspect_inbox(reactor, config),
    ]


def _inspect_workers(config: Config) -> Iterator[Finding]:
    if config.workers > 1 and (why := config.for_one_process()):
        yield fail("config", f"--workers {config.workers}: {why}")


def _inspect_keys(keys: KeyFolder, now: float) -> Iterator[Finding]:
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
    """Find the part of a folder's path that keeps it from being made or written to; empty: there is none."""
    there = os.path.abspath(folder)
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    fit = os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK)
    return "" if fit else there


def _inspect_listeners(reactor: Any, config: Config, now: float) -> Iterator[Finding]:
    # The key folder has been inspected; nothing here uses the context that is made of its certificate.
    nothing: Any = None
    builder = ListenerBuilder(reactor, lambda: nothing, config.trusted_proxies)
    texts = [(text, "ssl:10000") for text in (*config.ports, *config.legacy_ports)]
    texts += [(config.metrics, "tcp:9100")] if config.metrics else []
    for text, example in texts:
        if text.removeprefix("haproxy:").startswith("systemd:"):
            yield ok("port", f"{text} is systemd's to open")
            continue
        try:
            listener = builder.build(text, example)
        except (BadEndpoint, BadKeys) as problem:
            yield fail("port", str(problem))
            continue
        yield ok("port", f"{text} is an endpoint; whether it is free shows at the start")
        yield from _inspect_listener(listener, now)


def _inspect_listener(listener: Listener, now: float) -> Iterator[Finding]:
    for pem in listener.context.certificates if listener.context else ():
        yield from judge(listener.text, pem, now)
    yield from _inspect_modes("port", listener.keys)


async def _inspect_accounts(reactor: Any, config: Config, now: float) -> list[Finding]:
    url = config.accounts
    if missing := _missing("accounts", url):
        return missing
    database = Database(url, reactor)
    found = list(_inspect_modes("accounts", _sqlite_files(url)))
    try:
        await database.open()
        try:
            found += await _inspect_open_accounts(database, config, now)
        finally:
            database.close()
    except (StoreMisconfigured, StoreUnavailable) as problem:
        found.append(fail("accounts", str(problem)))
    except SQL_ERRORS as problem:
        found.append(fail("accounts", f"{url}: {first_line(problem)}"))
    return found


async def _inspect_open_accounts(database: Database, config: Config, now: float) -> list[Finding]:
    what, oldest = await version(database)
    found = [ok("accounts", f"{database.url} answers: {what}")]
    if oldest:
        found.append(fail("accounts", f"{what} is too old: {oldest} or newer is needed"))
    if pending := await _pending(database):
        return found + pending
    accounts = AccountStore(database)
    keeps_history = config.history.keeps(config.accounts, config.inbox)
    await accounts.check_usable(config.registration, keeps_history)
    found.append(ok("schema", "the tables are up to date and can be written"))
    found += [warn("accounts", risk) for risk in await risks(database)]
    if plain := await accounts.plain_passwords():
        found.append(
            warn("accounts", f"{plain} plain passwords are left: each is hashed at its next log-in")
        )
    if old := await RoomStore(database, lambda: now).rooms_with_unfinished(_UNFINISHED_SECONDS):
        found.append(warn("rooms", _UNFINISHED.format(rooms=", ".join(f"#{one}" for one in old))))
    if config.history.days and not keeps_history:
        found.append(warn("history", NO_HISTORY))
    else:
        found.append(ok("history", f"the history: {config.history}"))
    return found


async def _inspect_inbox(reactor: Any, config: Config) -> list[Finding]:
    url = config.inbox
    if missing := _missing("inbox", url):
        return missing
    found = list(_inspect_modes("inbox", _sqlite_files(url)))
    try:
        if url.scheme == "sqlite" and (pending := await _pending_in_file(reactor, url)):
            return found + pending
        await require_permissions(url, reactor)
        inbox, inbox_risks = await inbox_at(url, reactor)
        try:
            await inbox.purge(
                0, 0
            )  # nobody has this uid: it removes nothing, and shows that writing works
            waiting = await inbox.total()
            nodes = await inbox.nodes()
            behind = (await inbox.archive.ends()).length if inbox.archive is not None else 0
            what = await inbox.about()
        finally:
            await inbox.close()
    except (StoreMisconfigured, StoreUnavailable) as problem:
        return [*found, fail("inbox", str(problem))]
    except SQL_ERRORS as problem:
        return [*found, fail("inbox", f"{url}: {first_line(problem)}")]
    archiving = f"; {behind} wait to be archived" if behind else ""
    found.append(
        ok(
            "inbox",
            f"{url} answers and can be written: {what}; {waiting} messages wait{_OLDER}{archiving}",
        )
    )
    found += [warn("inbox", risk) for risk in inbox_risks]
    if behind >= _BEHIND_AT:
        found.append(warn("history", _BEHIND.format(messages=behind)))
    return found + _inspect_nodes(config, nodes)


def _inspect_nodes(config: Config, nodes: Mapping[str, str]) -> list[Finding]:
    if not nodes:
        return []
    found = [ok("nodes", f"running now: {', '.join(sorted(nodes))}")]
    all_of_us = dict(nodes)
    with suppress(BadKeys):  # they are among the findings already
        secret = Tokens(KeyFolder(config.keys).token_secret())
        all_of_us[config.keys] = NodeFacts(
            __version__, secret.fingerprint, FACTS, str(config.history)
        ).to_text()
    return found + [warn("nodes", line) for line in differences(all_of_us)]


async def _pending_in_file(reactor: Any, url: StoreURL) -> list[Finding]:
    database = Database(url, reactor)
    await database.open()
    try:
        return await _pending(database)
    finally:
        database.close()


async def _pending(database: Database) -> list[Finding]:
    names = ", ".join(await schema.pending(database))
    text = (
        f"{database.url} has not seen {names}: run `chatsvc schema`, with an account that may make tables;"
        " the server does it itself if its own may"
    )
    return [warn("schema", text)] if names else []


def _missing(about: str, url: StoreURL) -> list[Finding]:
    """Say that an SQLite file is not there: to open it would make it."""
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


def _inspect_modes(about: str, paths: Iterable[str]) -> Iterator[Finding]:
    """Warn of files that ought to be private; the server does the same and goes on."""
    for path in paths:
        line = open_to_others(path)
        if line:
            yield warn(about, line)
