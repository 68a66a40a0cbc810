"""Inboxes in Redis (6.2 or newer) or Valkey: one stream for each, written by one Lua call for each batch."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

import orjson
import txredisapi
from twisted.internet import endpoints
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.logger import Logger
from zope.interface import implementer

from chatsvc.inbox.interface import (
    DEVICES,
    MEMORY_OF_SENDERS,
    Backlog,
    Claim,
    Committed,
    Draft,
    Duplicate,
    Failed,
    Full,
    Gap,
    IInbox,
    IStoreWatcher,
    Limits,
    Outcome,
    Removal,
    Stored,
)
from chatsvc.inbox.link import RedisLink
from chatsvc.sockets import watch_peer
from chatsvc.store import STORE_PATIENCE, BadStore, StoreUnavailable, StoreURL
from chatsvc.wire.events import Message

_SCRIPT = resources.files(__package__).joinpath("inbox.lua").read_bytes()
_SCRIPT_HASH = hashlib.sha1(_SCRIPT).hexdigest()  # what EVALSHA asks for; no matter of security
_OLDEST = (6, 2)
_PEER_PATIENCE = 10

_SETTINGS = (
    *("appendonly", "appendfsync", "save", "maxmemory", "maxmemory-policy"),
    "min-replicas-to-write",
)

_INBOXES = (("stream", "chat:{*}:inbox"), ("list", "list_usermessages_of_userid:userid:*"))
"""The type and the pattern of the keys under which messages wait; the second is the older server's."""

_INBOX_UID = re.compile(rb"(?:chat:\{|list_usermessages_of_userid:userid:)(-?[0-9]+)(?:\}:inbox)?")
_SCANNED, _COUNTED = 1000, 256
"""Keys that Redis looks at, and inboxes that it counts, at once: so that it is never held up."""

_OUTCOMES: dict[str, Callable[..., Outcome]] = {
    "stored": Stored,
    "full": Full,
    "duplicate": lambda known, waiting: Duplicate(known or None, waiting),
    "gap": lambda expected: Gap(int(expected)),
    "failed": Failed,
}


@implementer(IInbox)
class RedisInbox:
    """``node`` names this process in the sessions' keys; ``now`` gives seconds since 1970."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        url: StoreURL,
        limits: Limits,
        node: str,
        now: Callable[[], float] = time.time,
        patience: float = STORE_PATIENCE,
    ) -> None:
        self._clock: IReactorTime = reactor
        self._url = url
        self._limits = limits
        self._node = node
        self._now = now
        self._patience = patience
        self._watcher: Any = None
        self._was_here = False
        self._last_reason = ""
        self._database, endpoint = _place(reactor, url)
        self._link = RedisLink(reactor, endpoint, self._introduce_in_time, self._could_not_connect)

    async def open(self, watcher: IStoreWatcher) -> list[str]:
        self._watcher = watcher
        try:
            protocol = await self._in_time(Deferred.fromCoroutine(self._link.open()))
            await self._require_version(protocol)
            return await self._endangering_settings(protocol)
        except BadStore:
            raise
        except Exception as problem:
            raise BadStore(f"{self._url}: {_reason(problem)}") from None

    def close(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._link.close())

    def commit(self, drafts: Sequence[Draft], removals: Sequence[Removal]) -> Deferred[Committed]:
        asked = {
            "drafts": [_fields(draft) for draft in drafts],
            "removals": [[str(r.uid), r.generation, r.up_to] for r in removals],
            "waiting": self._limits.waiting,
            "share": self._limits.share,
            "devices": DEVICES,
            "memory": MEMORY_OF_SENDERS,
            **self._expiry(),
        }
        connected = self._in_time(self._link.connected())
        answer: Deferred[Any] = connected.addCallback(_evaluate, b"commit", asked)
        answer.addErrback(self._away)
        return answer.addCallback(_committed, removals)

    async def claim(self, uid: int, after: int | None) -> Claim:
        asked = {
            "uid": str(uid),
            "node": self._node,
            "fresh": secrets.token_hex(8),
            **self._expiry(),
        }
        if after is not None:
            asked["after"] = after
        return Claim(*await self._ask(b"claim", asked))

    async def read(self, uid: int, after: int, limit: int) -> list[Message]:
        page = await self._ask(b"read", {"uid": str(uid), "from": f"{after + 1}-0", "limit": limit})
        return [self._message(uid, *entry) for entry in page]

    def _message(self, uid: int, id: int, *fields: str) -> Message:
        """An entry of a stream; one that another program put there counts, and says nothing."""
        try:
            sender, name, at, text = fields
            return Message(id, int(sender), name, int(float(at)), text)
        except (ValueError, OverflowError):
            # Not in these errors' words: they quote the entry.
            self._log.warn("The inbox of {uid} has a foreign entry, {id}", uid=uid, id=id)
            return Message(id, 0, "", 0, "")

    async def count(self, uid: int) -> int:
        (waiting,) = await self._ask(b"count", {"uid": str(uid)})
        return int(waiting)

    async def renew_epoch(self) -> None:
        await self._ask(b"restored", {"fresh": secrets.token_hex(8)})

    async def about(self) -> str:
        facts = _facts(await self._say("INFO", "server"))
        if "valkey_version" in facts:
            return f"Valkey {facts['valkey_version']}"
        return f"Redis {facts.get('redis_version', '?')}"

    async def backlogs(self, uid: int | None) -> list[Backlog]:
        uids = [uid] if uid is not None else sorted(await self._uids())
        found: list[Backlog] = []
        for start in range(0, len(uids), _COUNTED):
            some = [str(one) for one in uids[start : start + _COUNTED]]
            for name, waiting, last_id, at in await self._ask(b"backlogs", {"uids": some}):
                found.append(Backlog(int(name), waiting, last_id, _time(at)))
        return found

    async def purge(self, uid: int, up_to: int) -> int:
        (removed,) = await self._ask(b"purge", {"uid": str(uid), "up_to": up_to})
        return int(removed)

    async def _uids(self) -> set[int]:
        """All users who ever had a message here."""
        uids: set[int] = set()
        for kind, pattern in _INBOXES:
            cursor = b"0"
            while True:
                words = ("SCAN", cursor, "MATCH", pattern, "COUNT", _SCANNED, "TYPE", kind)
                cursor, keys = await self._say(*words)
                uids |= {int(match[1]) for key in keys if (match := _INBOX_UID.fullmatch(key))}
                if int(cursor) == 0:
                    break
        return uids

    def _expiry(self) -> dict[str, int]:
        if not self._limits.days:
            return {}
        return {"expired": int((self._now() - self._limits.days * 86_400) * 1000)}

    async def _ask(self, entrance: bytes, asked: dict[str, Any]) -> Any:
        answer = self._in_time(self._link.connected().addCallback(_evaluate, entrance, asked))
        return await answer.addErrback(self._away)

    async def _say(self, *words: str | bytes | int) -> Any:
        """A command's answer, as it came."""
        answer = self._link.connected().addCallback(lambda p: p.execute_command(*words))
        return await self._in_time(answer).addErrback(self._away)

    def _in_time(self, answer: Deferred[Any]) -> Deferred[Any]:
        return answer.addTimeout(self._patience, self._clock, onTimeoutCancel=_out_of_patience)

    def _away(self, failure: Any) -> Any:
        if failure.check(StoreUnavailable):
            return failure
        self._log.warn("Redis at {url}: {reason}", url=self._url, reason=_reason(failure.value))
        raise StoreUnavailable(_reason(failure.value)) from None

    def _could_not_connect(self, problem: BaseException) -> None:
        reason = _reason(problem)
        if reason != self._last_reason:  # or a long absence would fill the log with one line
            self._log.warn("Redis at {url}: {reason}", url=self._url, reason=reason)
        self._last_reason = reason

    async def _introduce_in_time(self, protocol: Any) -> None:
        watch_peer(protocol.transport, _PEER_PATIENCE)
        await self._in_time(Deferred.fromCoroutine(self._introduce(protocol)))

    async def _introduce(self, protocol: Any) -> None:
        if self._url.password:
            user = (self._url.user,) if self._url.user else ()
            await protocol.execute_command("AUTH", *user, self._url.password)
        await protocol.execute_command("SELECT", self._database)
        await protocol.execute_command("SCRIPT", "LOAD", _SCRIPT)
        cursors = [[str(uid), *place] for uid, *place in self._watcher.cursors()]
        asked = {"cursors": cursors, "node": self._node, "fresh": secrets.token_hex(8)}
        stale = await _evaluate(protocol, b"stale", asked)
        if self._was_here:
            self._log.warn("Redis at {url} is back", url=self._url)
            self._clock.callLater(0, self._watcher.store_returned, [int(uid) for uid in stale])
        self._was_here, self._last_reason = True, ""

    async def _require_version(self, protocol: Any) -> None:
        facts = _facts(await protocol.execute_command("INFO", "server"))
        version = facts.get("redis_version", "0")
        if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
            raise BadStore(f"{self._url}: Redis {version} is too old, 6.2 or newer is needed")

    async def _endangering_settings(self, protocol: Any) -> list[str]:
        try:
            flat = [
                word.decode()
                for name in _SETTINGS
                for word in await protocol.execute_command("CONFIG", "GET", name)
            ]
        except txredisapi.ResponseError:
            return [
                f"{self._url}: Redis does not tell its settings, see that it keeps messages on disk"
            ]
        settings = dict(zip(flat[::2], flat[1::2], strict=True))
        facts = _facts(await protocol.execute_command("INFO"))
        return _dangers(self._url, settings | facts)


def _facts(info: bytes) -> dict[str, str]:
    """What INFO says."""
    lines = info.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _dangers(url: StoreURL, settings: dict[str, str]) -> list[str]:
    """What endangers messages, of what CONFIG and INFO say; none of their names are the same."""
    dangers = []
    if settings.get("role") == "slave":
        dangers.append("is a replica and stores nothing: name the one that it copies")
    if settings.get("aof_last_write_status", "ok") != "ok":
        dangers.append("could not write to its disk: see its log")
    if settings.get("appendonly") != "yes":
        if settings.get("save"):
            dangers.append("keeps messages on disk only now and then: set appendonly yes")
        else:
            dangers.append("keeps nothing on disk: set appendonly yes")
    elif settings.get("appendfsync") != "always":
        dangers.append("can lose the last second in a crash: set appendfsync always")
    if settings.get("maxmemory", "0") != "0" and settings.get("maxmemory-policy") != "noeviction":
        dangers.append("may evict waiting messages: set maxmemory-policy noeviction")
    replicas = settings.get("role") == "master" and settings.get("connected_slaves", "0") != "0"
    if replicas and settings.get("min-replicas-to-write", "0") == "0":
        dangers.append("loses messages when a replica takes over: set min-replicas-to-write 1")
    return [f"{url}: Redis {danger}" for danger in dangers]


def _place(reactor: Any, url: StoreURL) -> tuple[int, IStreamClientEndpoint]:
    """The database number and the endpoint that a URL names."""
    unix = url.scheme == "redis+unix"
    database = url.query.get("db", "0") if unix else url.path or "0"
    if not (database.isascii() and database.isdigit()):
        raise BadStore(f"{url}: {database!r} is no database number")
    if unix:
        if not url.path:
            raise BadStore(f"{url} names no socket: write redis+unix:///PATH?db=0")
        return int(database), endpoints.UNIXClientEndpoint(reactor, url.path, timeout=5)
    host = url.host or "localhost"
    return int(database), endpoints.HostnameEndpoint(reactor, host, url.port or 6379, timeout=5)


def _fields(draft: Draft) -> list[str]:
    fields = [str(draft.to), str(draft.sender), draft.name, str(draft.at), draft.text]
    if draft.n is None:
        return fields
    return [*fields, draft.device, str(draft.n), *(["again"] if draft.again else [])]


def _evaluate(protocol: Any, entrance: bytes, asked: dict[str, Any]) -> Deferred[Any]:
    arguments = (0, entrance, orjson.dumps(asked))
    answer: Deferred[Any] = protocol.execute_command("EVALSHA", _SCRIPT_HASH, *arguments)

    def load_again(failure: Any) -> Any:
        failure.trap(txredisapi.ResponseError)
        if not str(failure.value).startswith("NOSCRIPT"):
            return failure
        # Somebody flushed the server's scripts.
        again: Deferred[Any] = protocol.execute_command("EVAL", _SCRIPT, *arguments)
        return again

    return answer.addErrback(load_again).addCallback(_parse)


def _time(at: str) -> int:
    """The time of an entry; another program may have put anything there."""
    try:
        return int(float(at))
    except (ValueError, OverflowError):
        return 0


def _parse(answer: bytes) -> Any:
    # What the older server left need not be UTF-8.
    return orjson.loads(answer.decode(errors="replace"))


def _committed(answer: Any, removals: Sequence[Removal]) -> Committed:
    outcomes, refused = answer
    return Committed(
        [_OUTCOMES[kind](*details) for kind, *details in outcomes],
        [removals[i] for i in refused],
    )


def _out_of_patience(result: Any, patience: float) -> Any:
    raise StoreUnavailable("no answer in time")


def _reason(problem: BaseException) -> str:
    if isinstance(problem, TimeoutError | CancelledError):
        return "no answer in time"
    # Redis quotes a command that it does not know, with a password if it has one.
    return str(problem).partition(", with args")[0] or type(problem).__name__
