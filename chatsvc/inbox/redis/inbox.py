"""Inboxes in Redis (6.2 or newer) or Valkey: one stream for each, written by one Lua call for each batch."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatsvc.inbox.claim import Comparison, DeviceClaim, InboxClaim, Registration
from chatsvc.inbox.foreign_entries import ForeignEntries
from chatsvc.inbox.interface import ANOTHER_NODE, Backlog, NullWatcher, StoreWatcher
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.notice import Notice
from chatsvc.inbox.outcome import Committed, Draft, Removal, RoomAcknowledgement, RoomDraft
from chatsvc.inbox.redis.archive_queue import RedisArchiveQueue
from chatsvc.inbox.redis.batch_codec import (
    MEMORY,
    SERIAL_STEP,
    decode_batch,
    decode_forgotten,
    device_name,
    encode_acknowledgements,
    encode_batch,
    inbox_rules,
    is_for_rooms,
)
from chatsvc.inbox.redis.checks import endangering_settings, parse_info, product, require_version
from chatsvc.inbox.redis.claim_codec import (
    decode_claim,
    decode_devices,
    decode_registered_claim,
    encode_claim,
    require_granted,
)
from chatsvc.inbox.redis.cursor_check import check_cursors
from chatsvc.inbox.redis.lease import LEASE, Lease
from chatsvc.inbox.redis.permissions import require_permissions
from chatsvc.inbox.redis.room_codec import decode_recipient, encode_notice
from chatsvc.inbox.redis.room_logs import OTHER_DATA, RedisRoomLogs
from chatsvc.inbox.redis.scan import count_backlogs, find_uids, upgrade
from chatsvc.inbox.redis.script import (
    evaluate,
    keep_for_late,
    load,
    reason,
    timed_out,
    unavailable,
)
from chatsvc.inbox.redis.sequence import OrderedScript
from chatsvc.inbox.redis.subscriber import PEER_PATIENCE, Subscriber
from chatsvc.inbox.redis.transport.connection import RedisConnection
from chatsvc.inbox.redis.transport.locator import RedisLocator
from chatsvc.inbox.rollback import RollbackDetector, log_data_loss
from chatsvc.inbox.room_log import RoomLogLimits
from chatsvc.inbox.watermark import Watermark
from chatsvc.storage.monitor import StoreMonitor
from chatsvc.storage.url import STORE_PATIENCE, StoreMisconfigured, StoreUnavailable, StoreURL
from chatsvc.transport.sockets import set_keepalive
from chatsvc.wire.events import Device, Message

_GOODBYE_PATIENCE = 1.0
"""Seconds in which a Redis that is still there lets go of the lease."""


class RedisInbox:
    """
    All inboxes in one Redis; an :class:`~chatsvc.inbox.interface.Inbox`.

    ``node`` names this process in the sessions' keys, and ``about`` gives what it publishes about itself. ``lease`` is
    in seconds; 0: this process is no node, it only administers. ``monitor`` is notified of every request, and of each
    connection that is lost or made. ``watermark`` keeps how far the data in Redis was. ``archives``: what is stored
    goes into the archive's queue, too.
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
        monitor: StoreMonitor | None = None,
        watermark: Watermark | None = None,
        room_limits: RoomLogLimits | None = None,
        archives: bool = False,
    ) -> None:
        self._clock: IReactorTime = reactor
        self._monitor = monitor or StoreMonitor(url)
        self._url = url
        self._node = node
        self._patience = patience
        self._watcher: StoreWatcher = NullWatcher()
        self._rules = inbox_rules(limits)
        self._batch_rules = {"waiting": limits.waiting, "share": limits.share} | self._rules
        if archives:
            self._batch_rules["archive"] = True
        self._connected_before = False
        self._locator = locator = RedisLocator(reactor, url)
        self._connection = RedisConnection(reactor, locator, self._prepare_in_time, self._lost)
        self._watermark = watermark
        self._rollback = rollback = RollbackDetector(watermark.known if watermark else None)
        missed, channel = self._may_have_missed, f"chat:node:{node}"
        logs = room_limits or RoomLogLimits()
        self._room_rules = {"window": logs.window, "room_bytes": logs.bytes}
        rules = self._batch_rules | self._room_rules
        self.rooms = RedisRoomLogs(
            *(self._call, self._late_call, rules, rollback, missed, self._in_background)
        )
        self._subscriber = Subscriber(
            *(reactor, locator, channel, rollback, missed, self._release, self.rooms.published)
        )
        self.archive = RedisArchiveQueue(self._call) if archives else None
        self._foreign = ForeignEntries()
        self._commits = OrderedScript()
        self._lease: Lease | None = None
        if lease:
            self._lease = Lease(reactor, node, about, lease, self._call, missed, rollback)

    def go_on_above(self, serial: int) -> None:
        """Tell the script when this node connects."""
        self._rollback.advance("", 0, serial)

    async def open(self, watcher: StoreWatcher) -> list[str]:
        """Connect, and take this node's place among the others."""
        self._watcher = self.rooms.watcher = watcher
        try:
            protocol = await self._in_time(Deferred.fromCoroutine(self._connection.open()))
            if self._lease is not None:
                await self._in_time(Deferred.fromCoroutine(self._subscriber.open(watcher)))
                self._lease.keep()
                if self._watermark is not None:
                    self._watermark.follow(lambda: self._rollback.mark)
            return await endangering_settings(protocol, self._url)
        except StoreMisconfigured:
            raise
        except Exception as problem:
            raise StoreMisconfigured(f"{self._url}: {reason(problem)}") from None

    def close(self) -> Deferred[None]:
        """Give up the lease if Redis is there, and disconnect."""
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        if self._lease is not None:
            with suppress(StoreUnavailable):
                leaving = Deferred.fromCoroutine(self._lease.give_up())
                await leaving.addTimeout(_GOODBYE_PATIENCE, self._clock, timed_out)
        await self._subscriber.close()
        await self._connection.close()
        if self._watermark is not None:
            self._watermark.close()

    def commit(
        self,
        drafts: Sequence[Draft | RoomDraft],
        removals: Sequence[Removal],
        acknowledgements: Sequence[RoomAcknowledgement] = (),
    ) -> Deferred[Committed]:
        """Carry out a batch by one call of the script, after the batches before it."""
        arguments = {
            **encode_batch(drafts, removals),
            "node": self._node,
            **self._rollback.script_arguments(),
            **self._batch_rules,
        }
        command = b"commit"
        if is_for_rooms(drafts, acknowledgements):
            command = b"commit_rooms"
            arguments |= encode_acknowledgements(acknowledgements) | self._room_rules
        connected = self._in_time(self._connection.connected())
        answer: Deferred[Any] = connected.addCallback(self._commits.call, command, arguments)
        committed = answer.addErrback(unavailable).addCallback(self._committed, removals)
        return Deferred.fromCoroutine(self._monitor.track(committed))

    def _committed(self, answer: Any, removals: Sequence[Removal]) -> Committed:
        outcomes, done, lost, run, batches, expired, first, forgotten = answer
        serial = int(first)
        self._rollback.advance(run, batches, serial + SERIAL_STEP * max(0, len(outcomes) - 1))
        if lost:
            self._may_have_missed()
        return decode_batch(removals, outcomes, serial, done, expired, lost, forgotten)

    async def claim(
        self,
        uid: int,
        after: int | None,
        renewed: int | None = None,
        device: str = "",
        origin: str = "",
        registration: Registration | None = None,
    ) -> InboxClaim:
        """Claim an inbox, and count in what was published about it before the answer came."""
        arguments = encode_claim(uid, after, renewed, device, origin, registration)
        arguments |= {**self._rules, **self._rollback.script_arguments()}
        command, decode, name = b"claim", decode_claim, ""
        if registration is not None:
            command, decode, name = b"claim_registered", decode_registered_claim, device
        with self._subscriber.claiming(uid) as pending:
            answer = await self._call(command, arguments | self._deadline())
            require_granted(answer)
            claim = decode(answer)
            # What was stored since the claim was already published, when no session was there to take it.
            missed = max(0, pending.newest_id - claim.last_id)
            newest = pending.generations.get(name, 0)
            if newest > claim.generation:
                taken = self._watcher.taken_over
                self._clock.callLater(0, taken, uid, newest, ANOTHER_NODE, name)
            last_id, waiting = claim.last_id + missed, claim.waiting + missed
            return replace(claim, last_id=last_id, waiting=waiting)

    async def claim_device(self, uid: int, device: str) -> DeviceClaim:
        """Claim a device, and leave the inbox alone."""
        arguments = {"uid": str(uid), "device": device, **MEMORY, **self._deadline()}
        answer = await self._call(b"claim_device", arguments)
        require_granted(answer)
        return DeviceClaim(*answer)

    async def read(self, uid: int, after: int, limit: int) -> list[Message]:
        """Read a page of the stream."""
        arguments = {"uid": str(uid), "from": f"{after + 1}-0", "limit": limit}
        answer = await self._call(b"read", arguments | self._rollback.script_arguments())
        if not answer:
            self._may_have_missed()
            raise StoreUnavailable(OTHER_DATA)
        run, batches, page, last = answer
        self._rollback.advance(run, batches, int(last))
        return [self._message(uid, *fields) for fields in page]

    def _message(
        self, uid: int, id: int, serial: str, to: str, device: str, *fields: Any
    ) -> Message:
        recipient, mark = decode_recipient(to)
        name = device_name(device)
        return self._foreign.message(
            *(uid, id, *fields), serial=int(serial), to=recipient, device=name, mark=mark
        )

    async def devices(self, uid: int) -> list[Device]:
        """The devices that the user's key names, the first registered first."""
        return decode_devices(await self._call(b"devices", {"uid": str(uid)}))

    async def forget(self, uid: int, device: str) -> bool:
        """Forget a device, and publish that for the node at which it is logged in."""
        arguments = {"uid": str(uid), "device": device}
        found, forgotten = await self._call(b"forget", arguments)
        for ended in decode_forgotten(forgotten):
            self._clock.callLater(0, self._watcher.forgotten, *ended, True)
        return bool(found)

    async def examine(self) -> None:
        """Renew the lease, which is a write: a Redis that is full or misses its replicas can still be read."""
        if self._lease is not None:
            await self._lease.renew()

    async def count(self, uid: int) -> int:
        """The length of the stream, after the older server's list has moved in."""
        return int((await self._call(b"count", {"uid": str(uid)}))[0])

    async def notify(self, notices: Sequence[Notice]) -> None:
        """Publish for the other nodes at which these users' devices are, and tell the readers here."""
        self._watcher.noticed(notices)
        await self._call(b"notify", {"notices": list(map(encode_notice, notices))})

    async def elsewhere(self, uids: Sequence[int]) -> set[int]:
        """Those of the users whose session is held by another node with a lease."""
        if not uids:
            return set()
        return set(map(int, await self._call(b"elsewhere", {"uids": list(map(str, uids))})))

    async def nodes(self) -> dict[str, str]:
        """What the nodes that have a lease publish about themselves, by name."""
        return dict(await self._call(b"nodes", {}))

    async def total(self) -> int:
        """The counter that every batch keeps."""
        return int((await self._call(b"total", {}))[0])

    async def renew_epoch(self) -> None:
        """Begin a new epoch, common to all inboxes."""
        await self._call(b"restored", {"fresh": secrets.token_hex(8)})

    async def about(self) -> str:
        """The name, Redis or Valkey, and the version."""
        return product(parse_info(await self._execute("INFO", "server")))

    async def backlogs(self, uid: int | None) -> list[Backlog]:
        """Scan all keys unless one user is named, and count what waits, some inboxes at a time."""
        uids = [uid] if uid is not None else sorted(await find_uids(self._execute))
        return await count_backlogs(self._call, uids)

    async def purge(self, uid: int, up_to: int) -> int:
        """Trim the stream, whoever reads it."""
        return int((await self._call(b"purge", {"uid": str(uid), "up_to": up_to}))[0])

    def _deadline(self) -> dict[str, int]:
        return self._lease.deadline(self._patience) if self._lease is not None else {}

    async def _call(self, command: bytes, arguments: dict[str, Any]) -> Any:
        """A command of the script, watched by the monitor."""
        arguments["node"] = self._node
        return await self._monitor.track(self._request(evaluate, command, arguments))

    async def _late_call(
        self, command: bytes, arguments: dict[str, Any], tell: Callable[[Any], None]
    ) -> Any:
        """The same, but its answer is told also if nobody waits for it any more."""
        arguments["node"] = self._node
        connected = self._in_time(self._connection.connected())
        answer = connected.addCallback(evaluate, command, arguments).addErrback(unavailable)

        def told(found: Any) -> Any:
            tell(found)
            return found

        answer.addCallback(told)
        return await self._monitor.track(keep_for_late(answer, self._in_time))

    async def _execute(self, *words: str | bytes | int) -> Any:
        """A command of Redis's own; the answer is as it came."""
        return await self._request(lambda protocol: protocol.execute_command(*words))

    def _request(self, send: Callable[..., Deferred[Any]], *arguments: Any) -> Deferred[Any]:
        answer = self._connection.connected().addCallback(send, *arguments)
        return self._in_time(answer).addErrback(unavailable)

    def _in_time(self, answer: Deferred[Any]) -> Deferred[Any]:
        return answer.addTimeout(self._patience, self._clock, onTimeoutCancel=timed_out)

    def _lost(self, problem: BaseException) -> None:
        self._monitor.lost(reason(problem))

    async def _prepare_in_time(self, protocol: Any) -> None:
        set_keepalive(protocol.transport, PEER_PATIENCE)
        await self._in_time(Deferred.fromCoroutine(self._prepare(protocol)))

    async def _prepare(self, protocol: Any) -> None:
        if self._lease is not None and not self._connected_before:
            await require_permissions(protocol, self._url, self._clock, self._locator)
        else:
            await self._locator.log_in(protocol)
        await require_version(protocol, self._url)
        await load(protocol)
        if self._connected_before:
            await self._check(protocol)
        elif self._lease is not None:
            await self._lease.take(partial(evaluate, protocol))
            # Another epoch alone is one that an admin has begun.
            if self._rollback.went_back:
                log_data_loss(self._log, self._url)
            self._rollback.accept()  # nobody reads yet
            if not self._lease.has_serials:
                await upgrade(partial(evaluate, protocol), protocol.execute_command, self._url)
        self._connected_before = True
        self._monitor.found()

    def _may_have_missed(self) -> None:
        """Something may have been stored or taken over that was not published to this node."""
        self._in_background(self._check_again())

    async def _check_again(self) -> None:
        await self._check(await self._in_time(self._connection.connected()))

    def _release(self, uid: int) -> None:
        """Redis says that this node holds a session which is not here: a claim ran after it had been given up."""
        self._in_background(self._call(b"release", {"uid": str(uid)}))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        def not_checked(failure: Failure) -> None:
            # The connection is gone: the next one begins with a check.
            self._log.debug("Not compared: {reason}", reason=failure.getErrorMessage())

        Deferred.fromCoroutine(work).addErrback(not_checked)

    async def _check(self, protocol: Any) -> None:
        """Compare the sessions' cursors with the inboxes, and pass the result to the watcher."""
        cursors = self._watcher.cursors()
        if self._lease is not None:
            await self._lease.take(partial(evaluate, protocol))  # which epoch is there now
        if self._rollback.is_replaced:
            log_data_loss(self._log, self._url)
        found = await check_cursors(protocol, self._node, cursors, self._rollback)
        self._clock.callLater(0, self._returned, found)

    def _returned(self, found: Comparison) -> None:
        found = replace(found, is_other_data=self._rollback.is_replaced)
        # Not before: until then, what is stored is in data that these readers do not know.
        self._rollback.accept()
        self._watcher.store_returned(found)
