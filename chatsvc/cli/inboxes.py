"""``chatsvc inbox``: the messages that wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from twisted.internet.task import deferLater

from chatsvc.backends import INBOX_SCHEMES
from chatsvc.cli.options import (
    UID,
    inbox_option,
    json_option,
    make_sure,
    require_terminal,
    yes_option,
)
from chatsvc.cli.output import in_one_line, local_time, print_json, print_rows
from chatsvc.cli.runner import open_inbox, require_file, store_errors, under_reactor
from chatsvc.inbox.interface import Backlog, Inbox
from chatsvc.storage.file_lock import FileLock
from chatsvc.storage.url import parse_store_url
from chatsvc.tap.standard_streams import done, require_output
from chatsvc.wire.entries import Invitation, Joining, Mark, Reference
from chatsvc.wire.events import Message
from chatsvc.wire.structured.dialect import message_fields

T = TypeVar("T")

_LARGEST_ID = 2**53 - 1

_PAGE = 256
"""Messages that are read at once to be counted."""

_LEASE_SECONDS = 16
"""Seconds after which a node that is gone is known to be: its lease, and one for clocks and the way."""


@click.group()
def inbox() -> None:
    """Waiting messages."""


@inbox.command()
@click.argument("uid", type=UID, required=False)
@json_option
@inbox_option
def count(url: str, uid: int | None, as_json: bool) -> None:
    """
    Print how many messages wait for UID, or all users for whom some do.

    Messages that one device has acknowledged wait no more, and copies of what the user has sent do not count. The
    columns: uid, how many wait, the newest one's id, when the oldest was sent. Nothing is changed.
    """
    found = _at_inbox(url, lambda waiting: waiting.backlogs(uid))
    if uid is None:
        print_rows(
            list(map(_backlog, found)),
            as_json,
            ("uid", "waiting", "last_id", "oldest"),
            oldest=local_time,
        )
        return
    (backlog,) = found or [Backlog(uid, 0, 0, 0)]
    if as_json:
        print_json(_backlog(backlog))
    else:
        click.echo(backlog.waiting)


@inbox.command()
@click.argument("uid", type=UID)
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=100,
    show_default=True,
    metavar="N",
    help="Most messages to print, the oldest first.",
)
@json_option
@inbox_option
def show(url: str, uid: int, limit: int, as_json: bool) -> None:
    """
    Print the messages that are kept for UID; nothing is taken from any device.

    Those are the messages that wait, and, with registered devices, those that one of them has acknowledged and another
    has not. The columns: id, sender's uid, sender's name, time, text, in one line each: control characters are shown as
    pictures, line breaks as ␊. Of a copy, of what UID has sent from another device, the name is followed by → and the
    recipient's uid; in JSON it has `to`, and where UID has registered devices, each message has its `serial`. What is
    no message says so in the place of the text, behind `*`: an earlier message was edited or retracted, by its serial,
    or UID has joined a room. In JSON it has `event`, then `target` or `room`. What the older server left moves into the
    inbox, as whenever it is read.
    """

    async def work(waiting: Inbox) -> tuple[list[Message], bool]:
        page = await waiting.read(uid, 0, limit)
        return page, as_json and bool(await waiting.devices(uid))

    page, has_devices = _at_inbox(url, work)
    rows = [_fields(message, has_devices) if as_json else _columns(message) for message in page]
    columns = ("id", "from", "name", "at", "text")
    print_rows(rows, as_json, columns, name=in_one_line, at=local_time, text=in_one_line)


@inbox.command()
@click.argument("uid", type=UID)
@click.option(
    "--up-to",
    type=click.IntRange(1, _LARGEST_ID),
    metavar="ID",
    help="Only this message and those before it.",
)
@yes_option
@inbox_option
def purge(url: str, uid: int, up_to: int | None, yes: bool) -> None:
    """
    Remove the messages that wait for UID, unread: nobody will get them, on any device.

    With them go those that only some devices have acknowledged, also where none waits, and copies of what UID has sent:
    all that `inbox show` lists, up to ID. Servers may run meanwhile. What comes after the question was asked is not
    removed.
    """
    require_terminal(yes)
    require_output()

    async def work(waiting: Inbox) -> int:
        kept, newest = await _kept(waiting, uid, up_to or _LARGEST_ID)
        (backlog,) = await waiting.backlogs(uid) or [Backlog(uid, 0, 0, 0)]
        last = min(up_to or newest, newest)
        if not kept:
            return 0
        some = await _waiting_up_to(waiting, backlog, last) if backlog.waiting else 0
        make_sure(f"Remove {_what(backlog, some, kept - some)} (up to id {last})?", yes)
        kept, _ = await _kept(waiting, uid, last)
        await waiting.purge(uid, last)
        return kept

    removed = _at_inbox(url, work)
    with done(f"messages removed: {removed}"):
        click.echo(f"Removed {removed} messages." if removed else "There was nothing to remove.")


@inbox.command()
@yes_option
@inbox_option
def restored(url: str, yes: bool) -> None:
    """
    Say that a back-up of the waiting messages was restored.

    Message ids that were given out after the back-up will be given out again: readers must forget the last one that
    they saw. Stop all servers before, start them after. A server notices by itself when messages are older than it
    knows; it cannot when its key folder was restored along with them. If a server seems to run nevertheless, it is
    named and the status is 1: stop it, and do this again.
    """
    require_output()
    make_sure("Were all servers stopped before the back-up was restored?", yes)
    with _nobody_serving(url):
        _with_reactor(url, _restored)
    with done("it was done nevertheless"):
        click.echo("Readers will forget the last message id that they have seen.")


async def _restored(waiting: Inbox, clock: Any) -> None:
    """
    Renew the epoch, and see that nobody serves, for as long as a node that is gone may have its lease.

    :raise click.ClickException: somebody does.
    """
    await waiting.renew_epoch()
    for _ in range(_LEASE_SECONDS):
        nodes = await waiting.nodes()
        if not nodes:
            return
        # One that is gone has a lease for a while: it was killed, or ran when the back-up was made a moment ago.
        await deferLater(clock, 1)
    names = ", ".join(sorted(nodes))
    raise click.ClickException(f"a server seems to run, {names}: stop it and do this again")


@contextmanager
def _nobody_serving(url: str) -> Iterator[None]:
    """Keep servers from starting meanwhile, if the store is an SQLite file, which one process may hold."""
    with store_errors(url):
        place = parse_store_url(url, INBOX_SCHEMES)
        require_file(place)
        lock = FileLock(place.path) if place.scheme == "sqlite" else None
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _at_inbox(url: str, work: Callable[[Inbox], Awaitable[T]]) -> T:
    """Run ``work`` on the inboxes at ``url`` under a reactor, once in a process."""
    return _with_reactor(url, lambda waiting, reactor: work(waiting))


def _with_reactor(url: str, work: Callable[[Inbox, Any], Awaitable[T]]) -> T:
    """Run ``work`` on the inboxes at ``url`` and the reactor that it runs under, once in a process."""

    async def run(reactor: Any) -> T:
        async with open_inbox(url, reactor) as waiting:
            return await work(waiting, reactor)

    return under_reactor(run)


async def _kept(waiting: Inbox, uid: int, up_to: int) -> tuple[int, int]:
    """How many messages and copies are kept up to an id, and the id of the last of them."""
    count, last = 0, 0
    while page := await waiting.read(uid, last, _PAGE):
        some = [message.id for message in page if message.id <= up_to]
        count += len(some)
        if len(some) < len(page):
            return count, some[-1] if some else last
        last = some[-1]
    return count, last


def _what(backlog: Backlog, some: int, others: int) -> str:
    """Name what is to be removed: of those that wait, and others that are kept for devices."""
    if not some:
        return f"{others} messages that are kept for devices of {backlog.uid}"
    waiting = f"{some} of {backlog.waiting} messages that wait for {backlog.uid}"
    return f"{waiting}, and {others} more that are kept for devices" if others else waiting


async def _waiting_up_to(waiting: Inbox, backlog: Backlog, last: int) -> int:
    """Count the messages that wait up to an id: all that wait are the last ones of the log, but for copies."""
    if last == backlog.last_id:
        return backlog.waiting
    later, after = 0, last
    while page := await waiting.read(backlog.uid, after, _PAGE):
        later += sum(not message.to for message in page)
        after = page[-1].id
    return max(0, backlog.waiting - later)


def _columns(message: Message) -> dict[str, Any]:
    thing, mark = message_fields(message), message.mark
    if message.to:
        thing["name"] += f" → {message.to}"
    if isinstance(mark, Joining):
        thing["text"] = f"* joined room {mark.room}"
    elif isinstance(mark, Reference) and mark.changes:
        thing["text"] = f"* {mark.kind} {mark.serial}" + (message.text and f": {message.text}")
    return thing


def _fields(message: Message, has_devices: bool) -> dict[str, Any]:
    """What JSON has of a message: without registered devices, as before there were any."""
    thing = message_fields(message)
    if has_devices and message.serial:
        thing["serial"] = message.serial
    if message.to:
        thing["to"] = message.to
    return {**thing, **_mark_fields(message.mark)}


def _mark_fields(mark: Mark | None) -> dict[str, Any]:
    if isinstance(mark, Joining):
        return {"event": "joined", "room": mark.room}
    if isinstance(mark, Invitation):
        return {"invite": {"room": mark.room, "name": mark.name}}
    if isinstance(mark, Reference):
        serial = mark.serial
        return {"event": mark.kind, "target": serial} if mark.changes else {"reply": serial}
    return {}


def _backlog(backlog: Backlog) -> dict[str, int | None]:
    return {
        "uid": backlog.uid,
        "waiting": backlog.waiting,
        "last_id": backlog.last_id,
        "oldest": backlog.oldest or None,
    }
