"""``chatsvc inbox``: the messages that wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from chatsvc.backends import INBOX_SCHEMES, inbox_at
from chatsvc.cli.options import (
    UID,
    inbox_option,
    json_option,
    make_sure,
    require_terminal,
    yes_option,
)
from chatsvc.cli.output import local_time, print_json, print_rows
from chatsvc.cli.runner import require_file, store_errors, under_reactor
from chatsvc.inbox.interface import Backlog, Inbox
from chatsvc.storage.file_lock import FileLock
from chatsvc.storage.url import parse_store_url
from chatsvc.tap.standard_streams import done, require_output
from chatsvc.wire.sanitize import sanitized
from chatsvc.wire.structured import message_fields

T = TypeVar("T")

_LARGEST_ID = 2**53 - 1


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

    The columns: uid, how many wait, the newest one's id, when the oldest was sent. Nothing is changed.
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
    Print the messages that wait for UID; they go on waiting.

    The columns: id, sender's uid, sender's name, time, text, in one line each: control characters are shown as
    pictures, line breaks as ␊. What the older server left moves into the inbox, as whenever it is read.
    """
    page = _at_inbox(url, lambda waiting: waiting.read(uid, 0, limit))
    rows = list(map(message_fields, page))
    columns = ("id", "from", "name", "at", "text")
    print_rows(rows, as_json, columns, name=_in_one_line, at=local_time, text=_in_one_line)


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
    Remove the messages that wait for UID, unread: nobody will get them.

    Servers may run meanwhile. What comes after the question was asked is not removed.
    """
    require_terminal(yes)
    require_output()

    async def work(waiting: Inbox) -> int:
        for backlog in await waiting.backlogs(uid):
            first = backlog.last_id - backlog.waiting + 1
            last = min(up_to or backlog.last_id, backlog.last_id)
            if last >= first:
                what = f"{last - first + 1} of {backlog.waiting}"
                make_sure(f"Remove {what} messages that wait for {uid} (up to id {last})?", yes)
                return await waiting.purge(uid, last)
        return 0

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
    knows; it cannot when its key folder was restored along with them.
    """
    require_output()
    make_sure("Were all servers stopped before the back-up was restored?", yes)
    with _nobody_serving(url):
        _at_inbox(url, _restored)
    with done("it was done nevertheless"):
        click.echo("Readers will forget the last message id that they have seen.")


async def _restored(waiting: Inbox) -> None:
    await waiting.renew_epoch()
    nodes = await waiting.nodes()
    if nodes:  # or one ran when a back-up of the last 15 seconds was made
        names = ", ".join(sorted(nodes))
        click.echo(f"careful: a server seems to run, {names}: stop it and do this again", err=True)


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

    async def run(reactor: Any) -> T:
        place = parse_store_url(url, INBOX_SCHEMES)
        require_file(place)
        waiting, _ = await inbox_at(place, reactor)
        try:
            return await work(waiting)
        finally:
            await waiting.close()

    with store_errors(url):
        return under_reactor(run)


def _backlog(backlog: Backlog) -> dict[str, int | None]:
    return {
        "uid": backlog.uid,
        "waiting": backlog.waiting,
        "last_id": backlog.last_id,
        "oldest": backlog.oldest or None,
    }


def _in_one_line(text: str) -> str:
    return sanitized(text).replace("\n    ", "␊")
