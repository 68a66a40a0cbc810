"""The history: what was said, as far as the user may read it. Answers come when they are ready, and hold nothing up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import wraps
from typing import TypeVar

from chatsvc.accounts.authenticator import Denied
from chatsvc.archive.segmenter import query_of
from chatsvc.history.access import Conversation
from chatsvc.history.history import History, Wanted
from chatsvc.inbox.notice import Notice
from chatsvc.logged_in import LoggedIn
from chatsvc.session import Session
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire import history_events as h
from chatsvc.wire.problems import Problem

C = TypeVar("C", bound=c.Command)
Handler = Callable[[Session, C], Awaitable[None]]


def beside(session: Session, command: c.Command, size: int) -> bool:
    """Begin to carry a command out beside those that follow; False: nobody is logged in."""
    if session.user is None:
        return False
    session.perform_beside(command, size)
    return True


def timed(word: str) -> Callable[[Handler[C]], Handler[C]]:
    """Have the metrics know how long a command takes that programs know by ``word``, with all that it waits for."""

    def decorate(handler: Handler[C]) -> Handler[C]:
        @wraps(handler)
        async def handle(session: Session, command: C) -> None:
            services = session.services
            began = services.clock.seconds()
            try:
                await handler(session, command)
            finally:
                took = services.clock.seconds() - began
                services.metrics.history_seconds[word].observe(took)

        return handle

    return decorate


@timed("history")
async def read(session: Session, command: c.ReadHistory) -> None:
    """
    Show a page of a conversation.

    :raise Denied: there is no history, or the client has no rooms, and asks for one.
    :raise RoomRefused: there is no such room, or the user is no member.
    :raise StoreUnavailable: a store is away, or the archive is behind.
    """
    history, user = history_of(session)
    where = _conversation(session, command.other, command.room)
    wanted = (command.before, command.after, command.limit)
    async with session.turn_to_answer("page"):
        page = await history.page(user.uid, where, *wanted)
        room = (page.room.number, page.room.name) if page.room else (None, "")
        is_after = command.after is not None
        shown = (tuple(page.messages), page.complete, command.other, *room, is_after)
        answer(session, user, command, h.HistoryShown(*shown, re=command.n))


@timed("search")
async def search(session: Session, command: c.Search) -> None:
    """
    Show messages that have all words; past the rate of questions after a name the connection is read more slowly.

    :raise Denied: there is no history, or no word; or the client has no rooms, and asks for one.
    :raise RoomRefused: there is no such room, or the user is no member.
    :raise StoreUnavailable: a store is away, or archive or index are behind.
    """
    history, user = history_of(session)
    session.slow_down("find-rate", session.services.rates.find.delay(user.uid))
    query = query_of(command.text)
    if query.is_empty:
        raise Denied(Problem.NOTHING_TO_SEARCH)
    where = _perhaps(session, command.other, command.room)
    sought = (query, where, command.sender, command.before, command.limit)
    async with session.turn_to_answer("search"):
        found = await history.search(user.uid, Wanted(*sought, session.connection.rooms))
        answer(session, user, command, replace(found, re=command.n))


@timed("conversations")
async def list_conversations(session: Session, command: c.ListConversations) -> None:
    """
    List the user's conversations; slowed down as a search is.

    :raise Denied: there is no history.
    :raise StoreUnavailable: a store is away, or the archive is behind.
    """
    history, user = history_of(session)
    session.slow_down("find-rate", session.services.rates.find.delay(user.uid))
    wanted = (command.before, command.limit, session.connection.rooms)
    async with session.turn_to_answer("list"):
        listed, complete = await history.conversations(user.uid, *wanted)
        event = h.ConversationsListed(tuple(listed), complete, re=command.n)
        answer(session, user, command, event)


@timed("read")
async def mark_read(session: Session, command: c.MarkRead) -> None:
    """
    Note how far the user has read a conversation.

    :raise Denied: there is no history, or the client has no rooms, and names one.
    :raise RoomRefused: there is no such room, or the user is no member.
    :raise StoreUnavailable: a store is away, or the archive is behind.
    """
    history, user = history_of(session)
    where = _conversation(session, command.other, command.room)
    marked = await history.mark_read(user.uid, where, command.serial)
    if marked is not None:
        serial, is_told = marked
        event = h.ReadElsewhere(serial, command.other, command.room)
        notices = [Notice(user.uid, event, user.device)]
        if is_told and command.other is not None:
            notices.append(Notice(command.other, h.Receipt(user.uid, serial)))
        with suppress(StoreUnavailable):  # they see it when they ask for their conversations
            await session.services.inbox.notify(notices)
    answer(session, user, command, h.ReadNoted(re=command.n))


@timed("settings")
async def change_settings(session: Session, command: c.ChangeSettings) -> None:
    """
    Change settings, and show them.

    :raise Denied: there is no history, or the client has no rooms, and names one.
    :raise RoomRefused: there is no such room, or the user is no member.
    :raise StoreUnavailable: the accounts' database is away.
    """
    history, user = history_of(session)
    session.slow_down("find-rate", session.services.rates.find.delay(user.uid))
    where = _perhaps(session, command.other, command.room)
    receipts, muted = await history.settings(user.uid, command.receipts, where, command.muted)
    shown = (receipts, command.other, command.room, muted)
    answer(session, user, command, h.SettingsShown(*shown, re=command.n))


async def show_help(session: Session, command: c.HelpOnHistory) -> None:
    """Say which commands for the history there are."""
    session.say(h.HelpOnHistoryShown(re=command.n))


def history_of(session: Session) -> tuple[History, LoggedIn]:
    """
    Return the history, and the user who asks.

    :raise Denied: there is no history.
    """
    history, user = session.services.history, session.user
    assert user is not None
    if not history.is_on:
        raise Denied(Problem.HISTORY_OFF)
    return history, user


def _conversation(session: Session, other: int | None, room: int | str | None) -> Conversation:
    if room is not None and not session.connection.rooms:
        raise Denied(Problem.UNKNOWN_COMMAND)
    return Conversation(other, room)


def _perhaps(session: Session, other: int | None, room: int | str | None) -> Conversation | None:
    return None if other is None and room is None else _conversation(session, other, room)


def answer(session: Session, user: LoggedIn, command: c.Command, event: e.Event) -> None:
    """Give an answer to who asked; another user may have logged in on the connection meanwhile, or nobody be there."""
    if session.user is user:
        session.say(event)
    else:
        session.refuse(command, Problem.NOT_LOGGED_IN)
