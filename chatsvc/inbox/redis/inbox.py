"""Inboxes in Redis (6.2 or newer) or Valkey: one stream for each, written by one Lua call for each batch."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from chatsvc.inbox.foreign_entries import ForeignEntries
from chatsvc.inbox.interface import (
    DEVICES,
    DIGEST_DIGITS,
    DIGESTS,
    MEMORY_OF_SENDERS,
    MOST_DEVICES,
    RECENT,
    Backlog,
    Committed,
    DeviceClaim,
    Draft,
    Duplicate,
    Failed,
    Full,
    Gap,
    IInbox,
    InboxClaim,
    InboxLimits,
    IStoreWatcher,
    Moved,
    Outcome,
    Removal,
    Stored,
    TakenOver,
)
from chatsvc.inbox.redis.checks import endangering_settings, parse_info, require_version
from chatsvc.inbox.redis.connection import RedisConnection
from chatsvc.inbox.redis.lease import LEASE, Lease
from chatsvc.inbox.redis.locator import RedisLocator
from chatsvc.inbox.redis.script import NO_ANSWER, SCRIPT, away, evaluate, out_of_patience, reason
from chatsvc.inbox.redis.sequence import OrderedScript
from chatsvc.inbox.redis.subscriber import PEER_PATIENCE, Subscriber
from chatsvc.inbox.rollback import RollbackDetector, say_loss
from chatsvc.inbox.watermark import Watermark
from chatsvc.storage.monitor import StoreMonitor
from chatsvc.storage.url import STORE_PATIENCE, StoreMisconfigured, StoreUnavailable, StoreURL
from chatsvc.transport.sockets import set_keepalive
from chatsvc.wire.events import Message

_GOODBYE_PATIENCE = 1.0
"""Seconds in which a Redis that is still there says goodbye."""

_CURSORS_AT_ONCE = 500
"""Cursors compared in one call, so that Redis is not held up."""

_INBOXES = (("stream", "chat:{*}:inbox"), ("list", "list_usermessages_of_userid:userid:*"))
"""The type and the pattern of the keys under which messages wait; the second is the older server's."""

_INBOX_UID = re.compile(rb"(?:chat:\{|list_usermessages_of_userid:userid:)(-?[0-9]+)(?:\}:inbox)?")
_SCANNED, _COUNTED = 1000, 256
"""Keys that Redis looks at, and inboxes that it counts, at once: so that it is never held up."""

_MEMORY = {
    "devices": DEVICES,
    "recent": RECENT,
    "most": MOST_DEVICES,
    "memory": MEMORY_OF_SENDERS,
    "digests": DIGESTS,
    "digits": DIGEST_DIGITS,
}
"""How long the script remembers devices, and how much of what they said."""

_OUTCOMES: dict[str, Callable[..., Outcome]] = {
    "stored": Stored,
    "full": Full,
    "duplicate": lambda known, *rest: Duplicate(known or None, *rest),
    "gap": lambda expected: Gap(int(expected)),
    "failed": Failed,
    "moved": Moved,
}


@implementer(IInbox)
class RedisInbox:
    """
    ``node`` names this process in the sessions' keys, ``about`` says what the others may know of it; ``now`` gives
    seconds since 1970. ``lease`` is in seconds; 0: this process is no node, it only administers. ``pulse`` is told of
    every question, and of each connection that is lost or made. ``watermark`` keeps how far the data in Redis was.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        url: StoreURL,
        limits: InboxLimits,
        node: str,
        patience: float = STORE_PATIENCE,
        about: Callable[[], str] = str,
        lease: float = LEASE,
        pulse: StoreMonitor | None = None,
        watermark: Watermark | None = None,
    ) -> None:
        self._clock: IReactorTime = reactor
        self._pulse = pulse or StoreMonitor(url)
        self._url = url
        self._limits = limits
        self._node = node
        self._patience = patience
        self._watcher: Any = None
        self._was_here = False
        self._address = address = RedisLocator(reactor, url)
        self._link = RedisConnection(reactor, address, self._introduce_in_time, self._not_connected)
        channel = f"chat:node:{node}"
        self._watermark = watermark
        self._life = life = RollbackDetector(watermark.known if watermark else None)
        self._hearing = Subscriber(
            reactor, address, channel, life, self._may_have_missed, self._vacate
        )
        self._foreign = ForeignEntries()
        self._commits = OrderedScript(b"commit")
        self._lease: Lease | None = None
        if lease:
            ask, missed = self._ask, self._may_have_missed
            self._lease = Lease(reactor, node, about, lease, ask, missed, life)

    async def open(self, watcher: IStoreWatcher) -> list[str]:
        self._watcher = watcher
        try:
            protocol = await self._in_time(Deferred.fromCoroutine(self._link.open()))
            if self._lease is not None:
                await self._in_time(Deferred.fromCoroutine(self._hearing.open(watcher)))
                self._lease.keep()
                if self._watermark is not None:
                    self._watermark.follow(lambda: self._life.mark)
            return await endangering_settings(protocol, self._url)
        except StoreMisconfigured:
            raise
        except Exception as problem:
            raise StoreMisconfigured(f"{self._url}: {reason(problem)}") from None

    def close(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        if self._lease is not None:
            with suppress(StoreUnavailable):
                leaving = Deferred.fromCoroutine(self._lease.give_up())
                await leaving.addTimeout(_GOODBYE_PATIENCE, self._clock, out_of_patience)
        await self._hearing.close()
        await self._link.close()
        if self._watermark is not None:
            self._watermark.close()

    def commit(self, drafts: Sequence[Draft], removals: Sequence[Removal]) -> Deferred[Committed]:
        asked = {
            "drafts": [_fields(draft) for draft in drafts],
            "removals": [[str(r.uid), r.generation, r.up_to, r.leaving] for r in removals],
            "node": self._node,
            **self._life.question(),
            "waiting": self._limits.waiting,
            "share": self._limits.share,
            **_MEMORY,
            **self._expiry(),
        }
        connected = self._in_time(self._link.connected())
        answer: Deferred[Any] = connected.addCallback(self._commits.ask, asked)
        answer.addErrback(away)
        answer.addCallback(self._noticing_loss).addCallback(_committed, removals)
        return Deferred.fromCoroutine(self._pulse.track(answer))

    async def claim(
        self, uid: int, after: int | None, renewed: int | None = None, device: str = ""
    ) -> InboxClaim:
        asked = {"uid": str(uid), "fresh": secrets.token_hex(8), **self._expiry()}
        if after is not None:
            asked["after"] = after
        if renewed is not None:
            asked["renewed"] = renewed
        if device:
            asked["device"] = device
        asked |= {**_MEMORY, **self._life.question(), **self._deadline()}
        with self._hearing.about(uid) as heard:
            answer = await self._ask(b"claim", asked)
            if not answer:
                raise TakenOver
            if answer == ["late"]:
                raise StoreUnavailable(NO_ANSWER)
            generation, epoch, last_id, waiting, acknowledged, expired = answer
            # What was stored since the claim has been told already, to nobody.
            missed = max(0, heard.newest - last_id)
            if heard.generation > generation:
                self._clock.callLater(0, self._watcher.taken_over, uid, heard.generation)
            last_id, waiting = last_id + missed, waiting + missed
            return InboxClaim(generation, epoch, last_id, waiting, acknowledged, expired)

    async def claim_device(self, uid: int, device: str) -> DeviceClaim:
        asked = {"uid": str(uid), "device": device, **_MEMORY, **self._deadline()}
        answer = await self._ask(b"claim_device", asked)
        if answer == ["late"]:
            raise StoreUnavailable(NO_ANSWER)
        return DeviceClaim(*answer)

    async def read(self, uid: int, after: int, limit: int) -> list[Message]:
        asked = {"uid": str(uid), "from": f"{after + 1}-0", "limit": limit}
        run, batches, page = await self._ask(b"read", asked)
        self._life.counted(run, batches)
        return [self._foreign.message(uid, *entry) for entry in page]

    async def examine(self) -> None:
        if self._lease is not None:
            # A Redis that is full, or misses its replicas, can be read and not written.
            await self._lease.renew()

    async def count(self, uid: int) -> int:
        (waiting,) = await self._ask(b"count", {"uid": str(uid)})
        return int(waiting)

    async def elsewhere(self, uids: Sequence[int]) -> set[int]:
        if not uids:
            return set()
        return set(map(int, await self._ask(b"elsewhere", {"uids": list(map(str, uids))})))

    async def nodes(self) -> dict[str, str]:
        return dict(await self._ask(b"nodes", {}))

    async def total(self) -> int:
        (waiting,) = await self._ask(b"total", {})
        return int(waiting)

    async def renew_epoch(self) -> None:
        await self._ask(b"restored", {"fresh": secrets.token_hex(8)})

    async def about(self) -> str:
        facts = parse_info(await self._say("INFO", "server"))
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
        return {"days": self._limits.days} if self._limits.days else {}

    def _deadline(self) -> dict[str, int]:
        return self._lease.deadline(self._patience) if self._lease is not None else {}

    async def _ask(self, entrance: bytes, asked: dict[str, Any]) -> Any:
        asked["node"] = self._node
        answer = self._in_time(self._link.connected().addCallback(evaluate, entrance, asked))
        return await self._pulse.track(answer.addErrback(away))

    async def _say(self, *words: str | bytes | int) -> Any:
        """A command's answer, as it came."""
        answer = self._link.connected().addCallback(lambda p: p.execute_command(*words))
        return await self._in_time(answer).addErrback(away)

    def _in_time(self, answer: Deferred[Any]) -> Deferred[Any]:
        return answer.addTimeout(self._patience, self._clock, onTimeoutCancel=out_of_patience)

    def _not_connected(self, problem: BaseException) -> None:
        self._pulse.lost(reason(problem))

    async def _introduce_in_time(self, protocol: Any) -> None:
        set_keepalive(protocol.transport, PEER_PATIENCE)
        await self._in_time(Deferred.fromCoroutine(self._introduce(protocol)))

    async def _introduce(self, protocol: Any) -> None:
        await self._address.greet(protocol)
        await require_version(protocol, self._url)
        await protocol.execute_command("SCRIPT", "LOAD", SCRIPT)
        if self._was_here:
            await self._check(protocol)
        elif self._lease is not None:
            await self._lease.take(partial(evaluate, protocol))
            # Another epoch alone is one that an admin has begun.
            if self._life.went_back:
                say_loss(self._log, self._url)
            self._life.begin_anew()  # nobody reads yet
        self._was_here = True
        self._pulse.found()

    def _may_have_missed(self) -> None:
        """Something may have been stored or taken over of which this node was not told."""
        Deferred.fromCoroutine(self._check_again()).addErrback(self._not_checked)

    async def _check_again(self) -> None:
        await self._check(await self._in_time(self._link.connected()))

    def _vacate(self, uid: int) -> None:
        vacating = Deferred.fromCoroutine(self._ask(b"vacate", {"uid": str(uid)}))
        vacating.addErrback(self._not_checked)

    def _not_checked(self, failure: Failure) -> None:
        # The connection is gone: the next one begins with a check.
        self._log.debug("Not compared: {reason}", reason=failure.getErrorMessage())

    def _noticing_loss(self, answer: Any) -> Any:
        outcomes, done, lost, run, batches, expired = answer
        self._life.counted(run, batches)
        if lost:
            self._may_have_missed()
        return outcomes, done, expired, lost

    async def _check(self, protocol: Any) -> None:
        """Compare the sessions' cursors with the inboxes, and tell the watcher."""
        cursors = [[str(c.uid), c.id, c.generation, c.at, c.shown] for c in self._watcher.cursors()]
        if self._lease is not None:
            await self._lease.take(partial(evaluate, protocol))  # which epoch is there now
        if self._life.is_over:
            say_loss(self._log, self._url)
        stale: list[int] = []
        taken: list[tuple[int, int]] = []
        for i in range(0, len(cursors), _CURSORS_AT_ONCE):
            page = cursors[i : i + _CURSORS_AT_ONCE]
            fresh = secrets.token_hex(8)
            asked = {"cursors": page, "node": self._node, "fresh": fresh}
            asked |= self._life.question()
            restarted, claimed = await evaluate(protocol, b"check", asked)
            stale += map(int, restarted)
            taken += [(int(uid), int(generation)) for uid, generation in claimed]
        self._clock.callLater(0, self._returned, stale, taken)

    def _returned(self, stale: list[int], taken: list[tuple[int, int]]) -> None:
        # Not before: what is stored until then is of data that these readers do not know.
        self._life.begin_anew()
        self._watcher.store_returned(stale, taken)


def _fields(draft: Draft) -> list[str | int]:
    fields: list[str | int] = [
        *(str(draft.to), str(draft.sender)),
        *(draft.name, str(draft.at), draft.text),
    ]
    if draft.n is None and draft.generation is None:
        return fields
    n = "" if draft.n is None else str(draft.n)
    again = "again" if draft.again else ""
    return [*fields, draft.device, n, again, draft.generation or 0, draft.sending or 0]


def _time(at: str) -> int:
    """The time of an entry; another program may have put anything there."""
    try:
        return int(float(at))
    except (ValueError, OverflowError):
        return 0


def _committed(answer: Any, removals: Sequence[Removal]) -> Committed:
    outcomes, done, expired, lost = answer
    verdicts = list(zip(done, removals, strict=False))
    return Committed(
        [_OUTCOMES[kind](*details) for kind, *details in outcomes],
        [removal for verdict, removal in verdicts if verdict == "refused"],
        [removal for verdict, removal in verdicts if verdict == "taken"],
        expired,
        lost,
    )
