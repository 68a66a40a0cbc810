"""What goes wrong in a command, as one line for the admin instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from chatsvc.accounts.creation import NameTaken
from chatsvc.storage.sql import SQL_ERRORS, first_line
from chatsvc.storage.url import StoreMisconfigured, StoreUnavailable, without_password


@contextmanager
def one_line(*kinds: type[Exception]) -> Iterator[None]:
    """
    Turn exceptions of these kinds, whose text is one line already, into click's.

    :raise click.ClickException: there was one.
    """
    try:
        yield
    except kinds as problem:
        raise click.ClickException(str(problem)) from None


@contextmanager
def store_errors(url: str) -> Iterator[None]:
    """
    Turn whatever goes wrong with the store at ``url`` into one line that names it.

    :raise click.ClickException: something did.
    """
    try:
        with one_line(StoreMisconfigured, StoreUnavailable, ValueError):
            yield
    except NameTaken as problem:
        raise click.ClickException(f"the name {str(problem)!r} is taken") from None
    except SQL_ERRORS as problem:
        raise click.ClickException(f"{without_password(url)}: {first_line(problem)}") from None
