"""Edits and retractions: a change of an earlier message goes the way of a message, and is judged where it is stored."""

from __future__ import annotations

from collections.abc import Awaitable

from twisted.internet.defer import Deferred

from chatsvc.accounts.authenticator import Denied
from chatsvc.handlers.history import answer, history_of, timed
from chatsvc.handlers.room_messages import wait_for_room
from chatsvc.history.changing import NotAllowed, Original
from chatsvc.history.history import History
from chatsvc.inbox.features import REFERENCES
from chatsvc.inbox.outcome import (
    Behind,
    Draft,
    Full,
    Gone,
    Moved,
    NotMember,
    Outcome,
    RoomDraft,
    Stored,
    Unregistered,
)
from chatsvc.logged_in import LoggedIn
from chatsvc.session import Session
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire import history_events as h
from chatsvc.wire.problems import Problem

_REFUSALS: dict[type[Outcome], Problem] = {
    Full: Problem.INBOX_FULL,
    Moved: Problem.NOT_LOGGED_IN,
    Unregistered: Problem.NOT_LOGGED_IN,
    NotMember: Problem.NOT_A_MEMBER,
    Gone: Problem.FORBIDDEN,
}


@timed("edit")
async def edit(session: Session, command: c.Edit) -> None:
    """
    Have a message read otherwise, for everybody who was shown it.

    :raise Denied: there is no history, or the user may not do that.
    :raise StoreUnavailable: nobody knows whether it was done.
    """
    history, user = _begin(session)
    reference = e.Reference("edited", command.serial)
    async with history.changing(command.serial):
        original = await _allowed(history.editable(user.uid, command.serial, command.text))
        await _change(session, user, original, reference, command.text)
    answer(session, user, command, h.Changed(re=command.n))


@timed("retract")
async def retract(session: Session, command: c.Retract) -> None:
    """
    Take a message out of the history, for everybody who was shown it.

    :raise Denied: there is no history, or the user may not do that.
    :raise StoreUnavailable: nobody knows whether it was done.
    """
    history, user = _begin(session)
    reference = e.Reference("retracted", command.serial)
    async with history.changing(command.serial):
        original = await _allowed(history.retractable(user.uid, command.serial))
        if original.room is not None:  # the room's log is looked through
            delay = session.services.rates.room.delay(user.uid)
            session.slow_down("room-command-rate", delay)
        await _change(session, user, original, reference, "")
    answer(session, user, command, h.Changed(re=command.n))


def _begin(session: Session) -> tuple[History, LoggedIn]:
    """
    Count a change towards the rate of messages, also one that is refused: nobody is to guess serials fast.

    :raise Denied: there is no history.
    """
    history, user = history_of(session)
    session.charge_message(user.uid)
    return history, user


async def _allowed(judging: Awaitable[Original]) -> Original:
    try:
        return await judging
    except NotAllowed:
        raise Denied(Problem.FORBIDDEN) from None


async def _change(
    session: Session,
    user: LoggedIn,
    original: Original,
    reference: e.Reference,
    text: str,
) -> None:
    """Store a change, unless it was made before."""
    if original.room is not None and not session.connection.rooms:
        raise Denied(Problem.FORBIDDEN)  # what such a client is shown has no rooms
    if not original.is_done and session.user is user:
        services = session.services
        if not await services.features.all_know(REFERENCES):
            raise StoreUnavailable("nodes of an older version are running")
        if original.room is not None:
            outcome = await _into_room(session, user, original.room, reference, text)
        else:
            assert original.to is not None
            outcome = await _to_user(session, user, original.to, reference, text)
        if isinstance(outcome, Gone) and reference.kind == "retracted":
            return  # somebody else has just done it, at another node
        problem = _REFUSALS.get(type(outcome)) if outcome is not None else None
        if problem is not None:
            raise Denied(problem)
        if not isinstance(outcome, Stored):
            raise StoreUnavailable("nobody knows whether it was stored")


async def _to_user(
    session: Session, user: LoggedIn, to: int, reference: e.Reference, text: str
) -> Outcome | None:
    generation, sending, registered = user.generations
    draft = Draft(
        *(to, user.uid, user.name, _now(session), text),
        device=session.device or "",
        generation=generation,
        sending=sending,
        registered=registered,
        reference=reference,
    )
    done: Deferred[Outcome | None] = Deferred()
    session.services.router.send(draft, lambda outcome, message: _tell(done, outcome))
    outcome = await done
    if isinstance(outcome, Stored) and outcome.copy:
        session.charge_copy(user.uid)
    return outcome


async def _into_room(
    session: Session, user: LoggedIn, number: int, reference: e.Reference, text: str
) -> Outcome | None:
    services = session.services
    room, _ = await services.rooms.find(user.uid, number)
    generation, sending, registered = user.generations
    draft = RoomDraft(
        *(number, user.uid, user.name, _now(session), text),
        device=session.device or "",
        generation=generation,
        sending=sending,
        registered=registered,
        version=room.version,
        reference=reference,
    )
    done: Deferred[Outcome | None] = Deferred()
    services.router.send_to_room(draft, lambda outcome, message: _tell(done, outcome))
    wait_for_room(session, number)
    outcome = await done
    if isinstance(outcome, Behind):
        services.rooms.lost_events(number)
    elif isinstance(outcome, Stored):
        session.slow_down("room-rate", services.rates.into_room.delay(number))
    return outcome


def _tell(done: Deferred[Outcome | None], outcome: Outcome | None) -> None:
    if not done.called:  # else the session has ended meanwhile
        done.callback(outcome)


def _now(session: Session) -> int:
    return int(session.services.now() * 1000)
