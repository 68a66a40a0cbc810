"""The connection itself: who speaks on it, in which language, and its end."""

from __future__ import annotations

from dataclasses import replace

from chatsvc.accounts.authenticator import Denied
from chatsvc.inbox.features import DEVICES, ROOMS
from chatsvc.logged_in import LoggedIn
from chatsvc.session import Session
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem

_CLIENT_LENGTH = 64
"""Characters kept of a client's name and version: ``devices`` lists it, and a frame has to hold the list."""


async def hello(session: Session, command: c.Hello) -> None:
    """
    Learn as which device and in which language the client speaks, and grant features.

    :raise Denied: the session's device is a registered one, which stays.
    :raise StoreUnavailable: nobody knows whether the features can be granted, or the device could not be claimed.
    """
    if session.features and DEVICES in session.features:
        raise Denied(Problem.BAD_FIELD)
    granted = await _grant(session, command)
    if session.user is not None and command.device != session.device:
        await _change_device(session, session.user, command.device)
    session.device, session.client = command.device, command.client[:_CLIENT_LENGTH]
    if command.lang:
        session.connection.speak(command.lang)
    if DEVICES in granted:
        session.connection.bring_devices(rooms=ROOMS in granted)
    features = None if command.features is None else granted
    session.say(e.Welcome(session.services.auth.registration, features, re=command.n))


async def _grant(session: Session, command: c.Hello) -> tuple[str, ...]:
    """Return the features that are granted, and let the session have them."""
    session.features = ()
    if command.features and command.device and session.user is None:
        session.features = None
        granted = await session.services.features.grant(command.features)
        if DEVICES not in granted:
            granted = tuple(word for word in granted if word != ROOMS)
        session.features = granted
    return session.features


async def _change_device(session: Session, user: LoggedIn, device: str) -> None:
    session.device, generation = None, None
    if device:
        generation = (await session.services.inbox.claim_device(user.uid, device)).generation
    if session.user is user:  # not logged out meanwhile
        session.user = replace(user, device_generation=generation)
        if user.reader is not None:
            user.reader.speaks_as = device


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
