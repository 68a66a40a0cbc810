"""Log-in and log-out."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from chatsvc.accounts.authenticator import Denied, Identity
from chatsvc.delivery.reader import Reader
from chatsvc.inbox.claim import InboxClaim
from chatsvc.session import LoggedIn, Session
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem


async def auth(session: Session, command: c.Auth) -> None:
    """
    Log a user in.

    :raise Denied: a user is logged in already, the log-in is wrong, or it is throttled.
    """
    if session.user is not None:
        raise Denied(Problem.ALREADY_LOGGED_IN)
    services = session.services
    session.authenticating = Deferred.fromCoroutine(
        services.auth.authenticate(session.caller, command)
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

    :raise Denied: the present token is none of this user's, or too old.
    """
    assert session.user is not None
    token = session.services.auth.renew_token(session.user.uid, command.token)
    session.say(e.Renewed(token, re=command.n))


async def logout(session: Session, command: c.Logout) -> None:
    """Log the user out; the connection stays."""
    session.leave("logout")
    session.say(e.LoggedOut(re=command.n))


async def _enter(session: Session, identity: Identity, command: c.Auth) -> None:
    services, account = session.services, identity.account
    uid, reader, epoch, generation = account.uid, None, "", None
    if command.receive:
        reader, claim = await _take_over(session, uid, command.after)
        epoch, waiting = claim.epoch, claim.waiting
        generation = reader.generation if session.device else None
    elif session.device:
        hold = await services.inbox.claim_device(uid, session.device)
        generation, waiting = hold.generation, hold.waiting
    else:
        waiting = await services.inbox.count(uid)
    if session.closed:
        return
    session.enter(LoggedIn(uid, account.name, reader, services.clock.seconds(), generation))
    services.metrics.logins["ok"].inc()
    token, lifetime = services.auth.issue_token(identity), int(services.auth.tokens.lifetime)
    session.say(e.LoggedIn(uid, account.name, token, epoch, waiting, lifetime, re=command.n))
    if reader is not None:
        session.begin_reading(reader)


async def _take_over(session: Session, uid: int, after: int | None) -> tuple[Reader, InboxClaim]:
    """Claim the inbox, and log out the session that held it here, unless this connection has ended meanwhile."""
    services = session.services
    await _wait_for_turn(session, uid)
    older = services.online.get(uid)
    if older is not None:
        older.poll_acks()
    await services.router.removed(uid)  # or the claim would make these removals stale
    origin = session.log.address
    claim: InboxClaim = await services.inbox.claim(
        uid, after, device=session.device or "", origin=origin
    )
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
        after or 0,
    )
    older = services.online.get(uid)
    if not session.closed:
        services.online[uid] = reader
        if older is not None:
            older.taken_over(origin)
    elif older is None:
        reader.close()
    # Else the older one stays; it claims anew when its next removal is refused.
    return reader, claim


async def _wait_for_turn(session: Session, uid: int) -> None:
    """Let some time pass before another log-in is ended, if log-ins of this user have just ended one another."""
    services, waited = session.services, 0.0
    while (wait := services.rates.take_over.wait(uid)) > waited:
        if not (uid in services.online or await services.inbox.elsewhere([uid])):
            return
        session.log.take_over_slowed(uid, wait)
        session.authenticating = deferLater(services.clock, wait - waited)
        try:
            await session.authenticating
        finally:
            session.authenticating = None
        waited = wait
