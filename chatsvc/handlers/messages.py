"""Messages that cannot be sent at once, because something has to be waited for or is missing."""

from __future__ import annotations

from dataclasses import replace

from chatsvc.accounts.authenticator import Denied
from chatsvc.inbox.features import REFERENCES
from chatsvc.session import Session
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire import commands as c
from chatsvc.wire.problems import Problem


async def send(session: Session, command: c.Send) -> None:
    """
    Send a message when its recipient is known to exist.

    :raise Denied: ``again`` without a device, so that nobody could tell whether the message was stored before.
    :raise StoreUnavailable: the device could not be claimed, or the accounts are away.
    """
    user, services = session.user, session.services
    assert user is not None
    if session.device is None:
        raise StoreUnavailable("the device could not be claimed")
    if command.again and not session.device:
        raise Denied(Problem.BAD_FIELD)
    if await services.accounts.name(command.to) is None:
        session.slow_down("message-rate", services.rates.message.delay(user.uid))
        session.refuse(command, Problem.UNKNOWN_USER)
    elif command.reply is not None and not await services.features.all_know(REFERENCES):
        await send(session, replace(command, reply=None))  # a node could not read it
    elif session.user is None:  # logged out by another log-in meanwhile
        session.refuse(command, Problem.NOT_LOGGED_IN)
    else:
        session.route(session.user, command, session.keep_unanswered())
