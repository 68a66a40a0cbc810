"""The registered devices of a user."""

from __future__ import annotations

from chatsvc.session import Session
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem


async def list_devices(session: Session, command: c.Devices) -> None:
    """
    Say which devices the user has registered.

    :raise StoreUnavailable: the store is away.
    """
    user = session.user
    assert user is not None
    devices = await session.services.inbox.devices(user.uid)
    session.say(e.DevicesListed(tuple(devices), user.device, re=command.n))


async def forget(session: Session, command: c.Forget) -> None:
    """
    Forget a device of the user: void its tokens first, then end its session, at whichever node it is.

    :raise StoreUnavailable: a store is away; the device may be forgotten or not.
    """
    user = session.user
    assert user is not None
    if user.device != command.device:
        await _forget(session, user.uid, command)
        return
    # Its own one: it leaves before, so that nothing ends the connection before the answer is given.
    session.leave("device-forgotten")
    forgotten = False
    try:
        await _forget(session, user.uid, command)
        forgotten = True
    except StoreUnavailable:
        session.refuse(command, Problem.STORE_UNAVAILABLE)
    session.connection.bye("device-forgotten", forgotten=forgotten)


async def _forget(session: Session, uid: int, command: c.Forget) -> None:
    await session.services.auth.forget_device(uid, command.device)
    await session.services.inbox.forget(uid, command.device)
    session.say(e.DeviceForgotten(re=command.n))
