"""``chatsvc inbox``: the messages that wait."""

from __future__ import annotations

from typing import Any

import click

from chatsvc.admin.desk import one_line, require_file, under_reactor
from chatsvc.admin.options import inbox_option
from chatsvc.inbox.places import INBOX_SCHEMES, inbox_at
from chatsvc.store import parse_store_url


@click.group()
def inbox() -> None:
    """Waiting messages."""


@inbox.command()
@inbox_option
@click.confirmation_option(
    "--yes", prompt="Were all servers stopped before the back-up was restored?"
)
def restored(url: str) -> None:
    """
    Say that a back-up of the waiting messages was restored.

    Message ids that were given out after the back-up will be given out again: readers must forget the last one that
    they saw. Stop all servers before, start them after.
    """

    async def work(reactor: Any) -> None:
        place = parse_store_url(url, INBOX_SCHEMES)
        require_file(place)
        waiting = await inbox_at(place, reactor)
        await waiting.renew_epoch()
        await waiting.close()

    with one_line(url):
        under_reactor(work)
    click.echo("Readers will forget the last message id that they have seen.")
