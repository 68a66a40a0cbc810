"""Options that several commands take."""

from __future__ import annotations

import re
import secrets
import signal
import sys
from codecs import BOM_UTF8
from collections.abc import Callable
from typing import Any, TypeVar

import click

from chatsvc.accounts import opaque_string
from chatsvc.tap.options import Option
from chatsvc.tap.server_options import ACCOUNTS, INBOX, KEYS
from chatsvc.tap.standard_streams import standard_input
from chatsvc.wire.encodings import in_utf8
from chatsvc.wire.uid import UID_RANGE, possible_uid

Command = TypeVar("Command", bound=Callable[..., Any])


class _Uid(click.ParamType):
    """A uid as people type it. One that no store could hold is an error that is worth a line of its own."""

    name = "uid"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> int:
        uid = possible_uid(str(value))
        if uid is None:
            shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"
            problem = f"{shown!r} is no uid: {UID_RANGE} is expected"
            if _NUMBER.fullmatch(value):  # a number, and nobody can have it
                raise click.ClickException(problem)
            self.fail(problem, parameter, context)
        return uid


UID = _Uid()

_NUMBER = re.compile(r"-?[0-9]+", re.ASCII)

_SHOWN = 40
"""Most characters of a mistyped uid that an error repeats."""

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def as_of_server(
    option: Option, parameter: str, metavar: str, help: str
) -> Callable[[Command], Command]:
    """Give a command an option of ``twistd chat``, with the same variable and default, as ``parameter``."""
    return click.option(
        f"--{option.name}",
        parameter,
        metavar=metavar,
        envvar=option.variable,
        default=option.default,
        show_default=True,
        show_envvar=True,
        help=help,
    )


inbox_option = as_of_server(INBOX, "url", "URL", "Where messages wait.")

keys_option = as_of_server(KEYS, "folder", "DIR", KEYS.help)

ACCOUNTS_HELP = "Where the accounts are."


def _take_url(context: click.Context, _: click.Parameter, url: str | None) -> None:
    if url:
        context.obj = url


def accounts_option(command: Command) -> Command:
    """Give a command ``--accounts``, which may also stand before the command, as its first argument."""
    option = click.option(
        "--accounts",
        metavar="URL",
        callback=_take_url,
        expose_value=False,
        help=f"{ACCOUNTS_HELP}  [env var: {ACCOUNTS.variable}; default: {ACCOUNTS.default}]",
    )
    return option(click.pass_obj(command))  # type: ignore[return-value]


def require_terminal(yes: bool) -> None:
    """
    Require a terminal, at which ``make_sure`` can ask, unless ``yes`` was given.

    :raise click.ClickException: there is none.
    """
    if not yes and (sys.stdin is None or not sys.stdin.isatty()):
        raise click.ClickException("there is no terminal to ask whether you are sure: use --yes")


def make_sure(question: str, yes: bool) -> None:
    """
    Have the admin confirm something that cannot be undone, unless ``yes`` was given.

    :raise click.ClickException: there is nobody to ask.
    :raise click.Abort: the answer was no.
    """
    require_terminal(yes)
    if yes:
        return
    # The reactor's own handler would only be called when there is an answer.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        click.confirm(question, abort=True, err=True)
    finally:
        signal.signal(signal.SIGINT, handler)


def password_options(command: Command) -> Command:
    """Give a command two ways to take a password that keep it off the command line, for `new_password`."""
    from_stdin = click.option(
        "--password-stdin", "from_stdin", is_flag=True, help="Read it from stdin's first line."
    )
    generate = click.option("--generate", is_flag=True, help="Make one up and print it.")
    return from_stdin(generate(command))


def new_password(from_stdin: bool, generate: bool) -> str:
    """
    Read a password from standard input or the terminal, or make one up.

    :raise click.ClickException: there is no terminal to ask at, or the password cannot be used.
    """
    if from_stdin and generate:
        raise click.UsageError("--password-stdin and --generate exclude each other")
    if generate:
        return secrets.token_urlsafe(12)
    if from_stdin:
        return _acceptable(_first_line())
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.ClickException(
            "there is no terminal to ask for a password: use --password-stdin or --generate"
        )
    prompt = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return _acceptable(str(prompt))


def _first_line() -> str:
    """Read a line, as far as a password may go, without the byte order mark that some editors put before it."""
    try:
        line = standard_input().readline(opaque_string.MAX_PASSWORD + len("\r\n") + len(BOM_UTF8))
    except OSError as problem:
        raise click.ClickException(f"standard input cannot be read: {problem.strerror}") from None
    encoding = sys.stdin.encoding if sys.stdin is not None else "utf-8"
    return in_utf8(line, encoding).decode(errors="surrogateescape").rstrip("\r\n")


def _acceptable(password: str) -> str:
    try:
        return opaque_string.enforce(password)
    except opaque_string.BadPassword as problem:
        raise click.ClickException(str(problem)) from None
