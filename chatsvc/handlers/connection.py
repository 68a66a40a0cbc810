"""The connection itself: who speaks on it, in which language, and its end."""

from __future__ import annotations

from dataclasses import replace

from chatsvc.session import LoggedIn, Session
from chatsvc.wire import commands as c
from chatsvc.wire import events as e


async def hello(session: Session, command: c.Hello) -> None:
    """Learn as which device and in which language the client speaks."""
    if session.user is not None and command.device != session.device:
        await _change_device(session, session.user, command.device)
    session.device = command.device
    if command.lang:
        session.connection.speak(command.lang)
    session.say(e.Welcome(session.services.auth.registration, re=command.n))


async def _change_device(session: Session, user: LoggedIn, device: str) -> None:
    session.device, generation = None, None
    if device:
        generation = (await session.services.inbox.claim_device(user.uid, device)).generation
    if session.user is user:  # not logged out meanwhile
        session.user = replace(user, device_generation=generation)


async def ping(session: Session, command: c.Ping) -> None:
    """Answer, once everything before has been answered."""
    session.say(e.Pong(re=command.n))


async def show_help(session: Session, command: c.Help) -> None:
    """Say which commands there are."""
    session.say(e.HelpShown(re=command.n))


async def set_lang(session: Session, command: c.SetLang) -> None:
    """Use another language."""
    session.connection.speak(command.lang)
    session.say(e.LangSet(re=command.n))


async def leave(session: Session, command: c.Quit) -> None:
    """Log out and close the connection."""
    session.leave("quit")
    session.say(e.Farewell(re=command.n))
    session.connection.close("quit")
