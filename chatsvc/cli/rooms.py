"""``chatsvc room``: rooms, as SQL has them, and what is done to them without being a member."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import click

from chatsvc.accounts.name_index import HIGHEST
from chatsvc.accounts.names import BadName
from chatsvc.backends import INBOX_SCHEMES, require_permissions
from chatsvc.cli.options import (
    UID,
    accounts_option,
    as_of_server,
    json_option,
    make_sure,
    require_terminal,
    yes_option,
)
from chatsvc.cli.output import in_one_line, print_json, print_rows
from chatsvc.cli.runner import OpenAccounts, open_inbox, run_on_accounts, store_errors
from chatsvc.inbox.room_log import RoomLogs
from chatsvc.rooms.finishing import Finishing
from chatsvc.rooms.members import close_by_admin, create
from chatsvc.rooms.name import enforce_room_name
from chatsvc.rooms.room import MAX_TOPIC, PRIVATE, PUBLIC, Room, RoomRefused, is_long_topic
from chatsvc.rooms.room_change import NOBODY, Pending
from chatsvc.rooms.store import RoomStore
from chatsvc.storage.url import StoreUnavailable, parse_store_url
from chatsvc.tap.server_options import INBOX
from chatsvc.tap.standard_streams import done, require_output
from chatsvc.wire.problems import Problem

T = TypeVar("T")

_PAGE = 1000

_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)

_WHICH = "NAME|NUMBER"

_inbox_option = as_of_server(INBOX, "inbox_url", "URL", "Where messages wait.")


@click.group()
def room() -> None:
    """Make, list, look at and close rooms."""


@room.command()
@click.argument("name")
@click.option("--owner", type=UID, required=True, metavar="UID", help="Whose room it is.")
@click.option("--private", is_flag=True, help="Not listed, and by invitation only.")
@click.option("--topic", default="", metavar="TEXT", help="What it is about.")
@json_option
@_inbox_option
@accounts_option
def add(
    url: str, name: str, owner: int, private: bool, topic: str, as_json: bool, inbox_url: str
) -> None:
    """
    Make a room called NAME and print its number.

    It may be made where users make none, and whatever the owner has already. Servers may run meanwhile. Where messages
    wait in SQLite, a server that runs has the room ready within 2 seconds, or the next one that starts.
    """
    try:
        stored = enforce_room_name(name.removeprefix("#"))
    except BadName as problem:
        raise click.ClickException(str(problem)) from None
    if is_long_topic(topic):
        raise click.ClickException(f"the topic has more than {MAX_TOPIC} bytes")
    require_output()
    kind = PRIVATE if private else PUBLIC

    async def work(rooms: RoomStore) -> Pending:
        try:
            return await rooms.change(create, owner, stored, kind, topic, None, rooms.now)
        except RoomRefused as refused:
            taken = refused.problem is Problem.ROOM_NAME_TAKEN
            what = f"the name {name!r} is taken" if taken else f"there is no account {owner}"
            raise click.ClickException(what) from None

    made = _change(url, inbox_url, work, "was made")
    with done(f"room {_named(made)} was made"):
        if as_json:
            print_json(_fields(made))
        else:
            click.echo(made.number)


@room.command("list")
@json_option
@accounts_option
def list_rooms(url: str, as_json: bool) -> None:
    """
    Print all rooms that are not closed, public and private.

    The columns: number, name, kind (public or private), how many members, topic.
    """

    async def work(rooms: RoomStore) -> list[Room]:
        found: list[Room] = []
        page = await rooms.all_rooms(0, _PAGE)
        while page:
            found += page
            page = await rooms.all_rooms(page[-1].number, _PAGE)
        return found

    rows = [_fields(one) for one in _at_rooms(url, work)]
    print_rows(rows, as_json, ("room", "name", "kind", "members", "topic"), topic=in_one_line)


@room.command()
@click.argument("which", metavar=_WHICH)
@json_option
@accounts_option
def show(url: str, which: str, as_json: bool) -> None:
    """
    Print one room, given by its name, with or without `#`, or else by its number.

    Where a room is called 7, `7` is that one; number 7 is meant only if none that is not closed has that name. The
    columns: number, name, kind (public or private), what members may read of earlier times (all, or joined: none),
    how many members, the uids of the owners, whether it is closed (yes or no), topic. A closed room is found by its
    number only.
    """

    async def work(rooms: RoomStore) -> dict[str, Any]:
        found = await _find(rooms, which)
        return {**_fields(found), "owners": await rooms.owners(found.number)}

    row = _at_rooms(url, work)
    if as_json:
        print_json(row)
        return
    columns = ("room", "name", "kind", "history", "members", "owners", "closed", "topic")
    print_rows([row], False, columns, owners=_uids, closed=_yes_or_no, topic=in_one_line)


@room.command()
@click.argument("which", metavar=_WHICH)
@json_option
@accounts_option
def members(url: str, which: str, as_json: bool) -> None:
    """
    Print uid, name and role (owner, moderator, member) of all members of a room.

    It is given by its name, with or without `#`, or else by its number, as for `room show`.
    """

    async def work(rooms: RoomStore) -> list[tuple[int, str, str]]:
        number = (await _find(rooms, which)).number
        found, more = await rooms.members(number, None, _PAGE)
        while more:
            page, more = await rooms.members(number, found[-1][0], _PAGE)
            found += page
        return found

    rows = [{"uid": uid, "name": name, "role": role} for uid, name, role in _at_rooms(url, work)]
    print_rows(rows, as_json, ("uid", "name", "role"))


@room.command()
@click.argument("which", metavar=_WHICH)
@yes_option
@json_option
@_inbox_option
@accounts_option
def close(url: str, which: str, yes: bool, as_json: bool, inbox_url: str) -> None:
    """
    Close a room for ever: nobody is in it any more, and its name is free.

    It is given by its name, with or without `#`, or else by its number, as for `room show`; before it asks, it says
    which room that is. Servers may run meanwhile. Where messages wait in SQLite, a server that runs tells the members
    within 2 seconds.
    """
    require_terminal(yes)
    require_output()
    was_closed = False

    async def work(rooms: RoomStore) -> Pending:
        nonlocal was_closed
        found = await _find(rooms, which)
        was_closed = found.closed
        if not was_closed:
            members = "1 member" if found.members == 1 else f"{found.members} members"
            make_sure(f"Close room {_named(found)} with {members}?", yes)
        return await rooms.change(close_by_admin, found.number, rooms.now)

    closed = _change(url, inbox_url, work, "was closed")
    with done(f"room {_named(closed)} was closed"):
        if as_json:
            print_json({"room": closed.number, "name": closed.name, "closed": True})
        else:
            room = _named(closed)
            click.echo(f"Room {room} was closed already." if was_closed else f"Closed room {room}.")


def _fields(one: Room) -> dict[str, Any]:
    return {
        "room": one.number,
        "name": one.name,
        "kind": one.kind,
        "history": one.history,
        "topic": one.topic,
        "members": one.members,
        "closed": one.closed,
    }


def _uids(uids: list[int]) -> str:
    return " ".join(map(str, uids))


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


def _named(one: Room) -> str:
    return f"#{one.name} (number {one.number})"


async def _find(rooms: RoomStore, which: str) -> Room:
    """Find the room that is called so; or else, whether it is closed or not, the one with that number."""
    name = which.removeprefix("#")
    found = (await rooms.standing(NOBODY, name)).room
    if found is not None:
        return found
    if not _NUMBER.fullmatch(name):
        raise click.ClickException(f"there is no room called {name!r}")
    found = (await rooms.standing(NOBODY, min(int(name), HIGHEST))).room
    if found is None:
        raise click.ClickException(f"there is no room called {name!r}, and none has that number")
    return found


def _at_rooms(url: str, work: Callable[[RoomStore], Awaitable[T]]) -> T:
    """Run ``work`` on the rooms in the database at ``url``."""
    return run_on_accounts(url, lambda opened: _with_rooms(opened, work))


async def _with_rooms(opened: OpenAccounts, work: Callable[[RoomStore], Awaitable[T]]) -> T:
    await opened.accounts.open()
    return await work(RoomStore(opened.database, time.time))


def _change(
    url: str, inbox_url: str, change: Callable[[RoomStore], Awaitable[Pending]], what: str
) -> Room:
    """Change a room, and finish the change if the logs can be reached from here; ``what`` was done to it then."""

    async def work(opened: OpenAccounts) -> Room:
        await opened.accounts.open()
        rooms = RoomStore(opened.database, time.time)
        async with _logs(opened, inbox_url) as logs:
            pending = await change(rooms)
            if logs is None:
                return pending.room
            try:
                return (await Finishing(rooms, logs).settle(pending)).room
            except StoreUnavailable as problem:
                raise click.ClickException(
                    f"room {_named(pending.room)} {what}, and a server that runs goes on from there: {problem}"
                ) from None

    return run_on_accounts(url, work)


@asynccontextmanager
async def _logs(opened: OpenAccounts, inbox_url: str) -> AsyncIterator[RoomLogs | None]:
    """The logs of rooms; None: they are in SQLite, where the one server that uses the file sees to them."""
    with store_errors(inbox_url):
        place = parse_store_url(inbox_url, INBOX_SCHEMES)
    if place.scheme == "sqlite":
        yield None
        return
    with store_errors(inbox_url):
        await require_permissions(place, opened.reactor)
    async with open_inbox(inbox_url, opened.reactor) as inbox:
        yield inbox.rooms
