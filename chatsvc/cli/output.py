"""Rows of results: a table for people, tabs for scripts, JSON for programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
import orjson
from wcwidth import wcswidth

from chatsvc.wire.sanitize import sanitized

_GAP = "  "


def print_json(thing: Any) -> None:
    """Print one line of JSON, in UTF-8 whatever the locale (RFC 8259, section 8.1)."""
    click.echo(orjson.dumps(thing))


def print_rows(
    rows: Sequence[Mapping[str, Any]],
    as_json: bool,
    columns: Sequence[str],
    **shown: Callable[[Any], str],
) -> None:
    """
    Print rows as a JSON list of objects, or their ``columns``: under headings on a terminal, with tabs elsewhere.

    ``shown`` turns the values of a column into text, except for JSON; it must be one line without control characters.
    """
    if as_json:
        print_json(rows)
        return
    lines = [[shown.get(name, _plain)(row[name]) for name in columns] for row in rows]
    if sys.stdout.isatty():
        for line in aligned([[name.replace("_", " ") for name in columns], *lines]):
            click.echo(line)
    else:
        for cells in lines:
            click.echo("\t".join(cells))


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Pad cells so that columns stand below each other; a Chinese character takes two places."""
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    return [
        _GAP.join(
            cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)
        ).rstrip()
        for cells in lines
    ]


def local_time(milliseconds: int | None) -> str:
    """Format a time, in ms since 1970, in the local time zone; empty: there is none."""
    if not milliseconds:
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(milliseconds // 1000))


def in_one_line(text: str) -> str:
    """Make any text one line that is safe to show: control characters as pictures, line breaks as ␊."""
    return sanitized(text).replace("\n    ", "␊")


def _plain(value: Any) -> str:
    return "" if value is None else str(value)


def _width(cell: str) -> int:
    return max(wcswidth(cell), 0)  # -1: there are control characters, which no cell has
