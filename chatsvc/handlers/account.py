"""Accounts: registering, changing one's password, finding others."""

from __future__ import annotations

from chatsvc.session import Session
from chatsvc.wire import commands as c
from chatsvc.wire import events as e


async def register(session: Session, command: c.Register) -> None:
    """
    Make an account.

    :raise Denied: registration is closed or throttled, or the name or the password cannot be had.
    """
    uid = await session.services.auth.register(session.connection.address, command)
    session.log.registered(uid)
    session.say(e.Registered(uid, re=command.n))


async def passwd(session: Session, command: c.Passwd) -> None:
    """
    Change the password of the user.

    :raise Denied: the old password is wrong, the new one cannot be had, or the attempt is throttled.
    """
    assert session.user is not None
    auth, uid = session.services.auth, session.user.uid
    device = session.user.device
    identity = await auth.change_password(session.caller, uid, command, device)
    session.log.password_changed(uid)
    token = auth.issue_token(identity) if command.token else ""
    session.say(e.PasswordChanged(token, re=command.n))


async def find(session: Session, command: c.Find) -> None:
    """Find the users of a name, and whether each is online."""
    assert session.user is not None
    services = session.services
    session.slow_down("find-rate", services.rates.find.delay(session.user.uid))
    uids = await services.accounts.find(command.name)
    here = services.online
    elsewhere = await services.inbox.elsewhere([uid for uid in uids if uid not in here])
    users = tuple((uid, uid in here or uid in elsewhere) for uid in uids)
    session.say(e.Found(command.name, users, re=command.n))
