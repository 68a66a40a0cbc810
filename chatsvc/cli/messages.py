"""The commands of ``chatsvc`` that talk to a server: ``client``, ``send`` and ``listen``."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Sequence
from itertools import count as count_from
from math import isnan
from typing import Any

import click
import orjson

from chatsvc.client.plain.line_reader import LineQueue
from chatsvc.client.script.job import ScriptJob
from chatsvc.client.script.listen import ListenJob, ListenOptions
from chatsvc.client.script.send import SendJob, SendOptions
from chatsvc.tap.one_shot import OneShot, with_options
from chatsvc.wire.client_codec import Confirmed
from chatsvc.wire.sanitize import sanitized_lines
from chatsvc.wire.text.rooms import HASHES

_TWISTD = (
    "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; sys.exit(run())"
)


@click.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": [],
    }
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def client(options: Sequence[str]) -> None:
    """Start the terminal client: short for twistd -n chatclient."""
    # -P: a file in the working directory must not be imported instead of a module.
    words = [sys.executable, "-P", "-c", _TWISTD, "-n", "chatclient", *options]
    os.execv(sys.executable, words)


_MOST_SECONDS = 1_000_000_000
"""Some thirty years: without end, for whoever waits."""


class _Seconds(click.FloatRange):
    """A time; ``nan`` is none, and would be neither over nor to come."""

    def __init__(self, least: float | None = None) -> None:
        super().__init__(least or 0, _MOST_SECONDS, min_open=least is None)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        return (
            self.fail(f"{value} is no number of seconds", param, ctx) if isnan(seconds) else seconds
        )


class _Recipient(click.types.IntParamType):
    """A uid; somebody who names a room is told that messages go to users."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and value.strip().startswith(HASHES):
            self.fail("chatsvc send writes to users, not into rooms: a UID is expected", param, ctx)
        return super().convert(value, param, ctx)


class _SendCommand(click.Command):
    """Takes ``--wait`` and ``--wait=S``: as with GNU's ``getopt``, a word after it is not its value."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        args = [
            f"--wait={_MOST_SECONDS}" if word == "--wait" else word for word in args[:end]
        ] + args[end:]
        return super().parse_args(context, args)


@click.command(cls=_SendCommand)
@click.option("--to", type=_Recipient(), required=True, metavar="UID", help="Whom it is for.")
@click.option("--lines", is_flag=True, help="Each line of standard input is a message.")
@click.option(
    "--timeout",
    type=_Seconds(),
    default=30.0,
    show_default=True,
    metavar="S",
    help="Seconds to wait for the server, each time.",
)
@click.option(
    "--wait",
    type=_Seconds(least=0.0),
    metavar="[=S]",
    help="Wait, at most so many seconds, until the reader was online to take it.",
)
@click.option("--verbose", is_flag=True, help="Print what a person would be told.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each message.")
@with_options
@click.argument("text", required=False)
def send(
    to: int,
    text: str | None,
    lines: bool,
    timeout: float,
    wait: float | None,
    verbose: bool,
    as_json: bool,
    **values: str | None,
) -> None:
    """
    Send TEXT, or standard input if it is -, to a user.

    The status is 0 when the server has confirmed all of it.
    """
    if text is None and not lines:
        raise click.UsageError("TEXT is missing; - is for standard input")
    if lines and text not in (None, "-"):
        raise click.UsageError("--lines are those of standard input, not TEXT")
    process = OneShot("send", values)
    if as_json or verbose:
        process.require_stream(sys.__stdout__, "stdout")
    if lines or text == "-":
        process.require_stream(sys.stdin, "stdin")
    content = b"" if lines or text is None else process.message_text(text)

    def make(reactor: Any) -> ScriptJob:
        texts = _lines(reactor) if lines else _one(content)
        options = SendOptions(to, texts, lines, timeout, wait)
        confirmed = _print_confirmed if as_json else _nothing
        show = _print if verbose else _nothing
        return SendJob(
            reactor, process.job_context(reactor), options, confirmed, show, process.finish
        )

    process.run(make)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after so many messages.")
@click.option(
    "--timeout",
    type=_Seconds(),
    metavar="S",
    help="End after so many seconds; with --count, the status is then 1.",
)
@with_options
def listen(as_json: bool, count: int | None, timeout: float | None, **values: str | None) -> None:
    """
    Print messages as they come, and those that wait.

    Each is acknowledged when it has been written out; what could not be written comes again.
    """
    process = OneShot("listen", values)
    process.require_stream(sys.__stdout__, "stdout")
    options = ListenOptions(as_json, sys.stdout.encoding, count, timeout)

    def make(reactor: Any) -> ScriptJob:
        context, descriptor = process.job_context(reactor), sys.stdout.fileno()
        return ListenJob(reactor, context, options, descriptor, process.warn, process.finish)

    process.run(make)


async def _one(text: bytes) -> AsyncIterator[tuple[int, bytes]]:
    yield 1, text


async def _lines(reactor: Any) -> AsyncIterator[tuple[int, bytes]]:
    """Give the lines of standard input that are not empty, with their numbers from 1."""
    feed = LineQueue(reactor, sys.stdin.fileno(), sys.stdin.encoding)
    for number in count_from(1):
        line = await feed.next()
        if line is None:
            return
        if line:
            yield number, line


def _nothing(_: object) -> None:
    """Print nothing."""


def _print(line: str) -> None:
    print(sanitized_lines(line), file=sys.__stdout__, flush=True)  # `SendJob` knows the OSError


def _print_confirmed(sent: Confirmed) -> None:
    thing = {
        "to": sent.to,
        "id": sent.id,
        "at": sent.at,
        "state": "online" if sent.online else "offline",
        "waiting": sent.waiting,
    }
    print(orjson.dumps(thing).decode(), file=sys.__stdout__, flush=True)
