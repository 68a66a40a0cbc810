"""Log-in and log-out."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from chatsvc.accounts.authenticator import Denied, Identity
from chatsvc.delivery.online import holders_of, reader_of
from chatsvc.delivery.reader import Reader
from chatsvc.delivery.room_reader import RoomReader
from chatsvc.delivery.room_start import TEXT_BACKLOG, Known
from chatsvc.inbox.claim import InboxClaim, TooManyDevices
from chatsvc.logged_in import LoggedIn
from chatsvc.session import Session
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem


async def auth(session: Session, command: c.Auth) -> None:
    """
    Log a user in.

    :raise Denied: a user is logged in already, the log-in is wrong, or it is throttled.
    :raise StoreUnavailable: a store is away, or was when features were asked for.
    """
    if session.user is not None:
        raise Denied(Problem.ALREADY_LOGGED_IN)
    if session.features is None:
        raise StoreUnavailable("nobody knows which features are granted")
    registration = session.registration(command)
    if registration is not None and command.after is not None and command.serial is None:
        raise Denied(Problem.BAD_FIELD)
    services, device = session.services, session.device or ""
    session.authenticating = Deferred.fromCoroutine(
        services.auth.authenticate(session.caller, command, device if registration else "")
    )
    try:
        identity = await session.authenticating
    except Denied as denied:
        # A mistyped uid may be a password: only one that is known is logged.
        known = services.accounts.cached_name(command.uid) is not None
        session.log.refused(command.uid if known else None, denied.problem)
        if denied.retry_after:
            session.connection.expect_again(denied.retry_after)
        raise
    finally:
        session.authenticating = None
    if not session.closed:
        await _enter(session, identity, command)


async def renew(session: Session, command: c.Renew) -> None:
    """
    Give the user a newer token, so that a log-in that lasts does not outlive its token.

    :raise Denied: the present token is none of this user's, another device's, or too old.
    """
    user = session.user
    assert user is not None
    token = session.services.auth.renew_token(user.uid, command.token, user.device)
    session.say(e.Renewed(token, re=command.n))


async def logout(session: Session, command: c.Logout) -> None:
    """Log the user out; the connection stays."""
    session.leave("logout")
    session.say(e.LoggedOut(re=command.n))


async def _enter(session: Session, identity: Identity, command: c.Auth) -> None:
    services, account = session.services, identity.account
    uid, reader, epoch, generation = account.uid, None, "", None
    session.early_end = None
    rooms: RoomReader | None = None
    told: list[e.Event] = []
    if command.receive:
        reader, claim = await _take_over(session, uid, command)
        epoch, waiting = claim.epoch, claim.waiting
        generation = reader.generation if session.device else None
        told = [claim.missed] if claim.missed is not None else []
        if session.reads_rooms and not session.closed:
            rooms = _room_reader(session, uid, reader.device)
            told += await _open_rooms(session, rooms, reader, claim, command)
    elif session.device:
        hold = await services.inbox.claim_device(uid, session.device)
        generation, waiting = hold.generation, hold.waiting
    else:
        waiting = await services.inbox.count(uid)
    if session.closed:
        _give_up(session, reader, rooms)
        return
    user = LoggedIn(uid, account.name, reader, services.clock.seconds(), generation, rooms)
    session.enter(user)
    services.metrics.logins["ok"].inc()
    token = services.auth.issue_token(identity)
    lifetime = int(services.auth.tokens.lifetime)
    session.say(e.LoggedIn(uid, account.name, token, epoch, waiting, lifetime, re=command.n))
    for event in told:
        session.say(event)
    if session.early_end is not None:
        session.early_end()
    elif reader is not None and await _may_stay(session, identity):
        session.begin_reading(reader, rooms)


def _room_reader(session: Session, uid: int, device: str) -> RoomReader:
    services = session.services
    return RoomReader(
        services.feeds,
        services.rooms,
        uid,
        device,
        session,
        session.connection,
        services.metrics.room_entries_handed,
        says_synced=not session.connection.is_for_people,
    )


async def _open_rooms(
    session: Session, rooms: RoomReader, reader: Reader, claim: InboxClaim, command: c.Auth
) -> list[e.Event]:
    """
    Find out where the session begins in its user's rooms, after it has claimed the inbox.

    So whoever joins later leaves a mark in the inbox that this session comes to.

    :raise StoreUnavailable: a store is away; the log-in is given up.
    """
    for_people = session.connection.is_for_people
    backlog = TEXT_BACKLOG if for_people else command.backlog
    known = Known(command.rooms, backlog, claim.registered_at, tells_backlog=for_people)
    try:
        found = await session.services.rooms.of_user(reader.uid, list(command.rooms or ()))
        return await rooms.open(found, known)
    except BaseException:
        _give_up(session, reader, rooms)
        raise


def _give_up(session: Session, reader: Reader | None, rooms: RoomReader | None) -> None:
    """Let go of what a log-in has taken that does not come to its end."""
    if rooms is not None:
        rooms.close()
    if reader is not None:
        session.drop(reader)


async def _may_stay(session: Session, identity: Identity) -> bool:
    """
    Return whether the log-in may read; end it if its device was forgotten since its token or password was checked.

    Whoever forgot the device came before the claim, which has registered it again.
    """
    services, user, forgotten = session.services, session.user, False
    if not identity.device:
        return True
    try:
        forgotten = await services.auth.was_forgotten(identity)
        if forgotten:
            await services.inbox.forget(identity.account.uid, identity.device)
            session.forgotten(on_request=True)
    except StoreUnavailable:
        session.connection.bye("store-unavailable", forgotten=forgotten)
    return session.user is not None and session.user is user


async def _take_over(session: Session, uid: int, command: c.Auth) -> tuple[Reader, InboxClaim]:
    """Claim the inbox, and log out who held its device here, unless this connection has ended meanwhile."""
    services, registration = session.services, session.registration(command)
    speaks_as = session.device or ""
    device = "" if registration is None else speaks_as
    await _wait_for_turn(session, uid, device)
    older = holders_of(services.online.get(uid, ()), device, speaks_as)
    for one in older:
        one.poll_acks()
    for held in {device, *(one.device for one in older)}:
        await services.router.removed(uid, held)  # or the claim would make these removals stale
    origin = session.log.address
    try:
        claim: InboxClaim = await services.inbox.claim(
            *(uid, command.after, None, speaks_as, origin, registration)
        )
    except TooManyDevices:
        session.log.refused(uid, Problem.TOO_MANY_DEVICES)
        raise Denied(Problem.TOO_MANY_DEVICES) from None
    services.router.expired(claim.expired)
    reader = Reader(
        services.clock,
        services.inbox,
        services.router,
        uid,
        claim,
        session,
        session.connection.deliver,
        services.metrics.handed,
        command.after or 0,
        registration,
        speaks_as,
        session.connection.is_for_people,
    )
    older = holders_of(services.online.get(uid, ()), device, speaks_as)
    if not session.closed:
        services.online.add(uid, reader)
        for one in older:
            one.taken_over(origin)
        return reader, claim
    reader.close()
    for one in older:
        one.stay()
    return reader, claim


async def _wait_for_turn(session: Session, uid: int, device: str) -> None:
    """
    Let some time pass before another log-in is ended, if log-ins of this device have just ended one another.

    :raise Denied: the peer sends no more: perhaps it is dead, and the other log-in its living successor's.
    """
    services, waited = session.services, 0.0
    while (wait := services.rates.take_over.wait(uid, device)) > waited:
        here = reader_of(services.online.get(uid, ()), device)
        if here is None and not await services.inbox.elsewhere([uid]):
            return
        session.log.take_over_slowed(uid, wait)
        if not session.parted:
            await _wait_for(session, wait - waited)
        if session.parted:
            raise Denied(Problem.THROTTLED, retry_after=wait)
        waited = wait


async def _wait_for(session: Session, seconds: float) -> None:
    """Wait, unless the peer stops sending before."""
    session.turn = session.authenticating = deferLater(session.services.clock, seconds)
    try:
        await session.turn
    except CancelledError:
        if session.closed or not session.parted:
            raise
    finally:
        session.turn = session.authenticating = None
