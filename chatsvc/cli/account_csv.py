"""Accounts to be made, as a CSV file lists them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from chatsvc.accounts import opaque_string, phc
from chatsvc.accounts.creation import HIGHEST_GIVEN
from chatsvc.accounts.hash_cost import MOST_LANES, MOST_WORK, is_too_costly
from chatsvc.accounts.names import BadName, enforce, fold
from chatsvc.accounts.opaque_string import BadPassword

_COLUMNS = frozenset({"name", "password", "uid"})
_NEEDED = frozenset({"name", "password"})

_OTHER_HASH = re.compile(r"[!*]?\$[0-9a-z-]+\$", re.ASCII)
"""How hashes of crypt(5) and the like begin. Stored as a plain password, a hash would let its readers in."""


@dataclass(frozen=True)
class AccountRow:
    """
    One account to be made.

    ``name`` is as it is stored. ``password`` is empty where one is to be made up, a plain text, or an argon2 hash that
    is moved over; no text of an error shows it.
    """

    line: int
    name: str
    password: str = field(repr=False)
    uid: int | None = None


class BadCSV(Exception):
    """Some lines are wrong; ``problems`` are (line, what is wrong), without anything that could be a password."""

    def __init__(self, problems: Sequence[tuple[int, str]]) -> None:
        super().__init__(problems)
        self.problems = sorted(problems)


class _BadField(ValueError):
    """One line is wrong; a few words."""


def parse_csv(raw: bytes) -> list[AccountRow]:
    """
    Read the accounts in a CSV file (RFC 4180) in UTF-8, with or without a byte order mark.

    The first line names the columns: ``name``, ``password`` and perhaps ``uid``, in any order.

    :raise BadCSV: some lines are wrong; it lists all.
    """
    lines = _lines(raw)
    at, titles = next(lines, (1, []))
    columns = [title.strip().lower() for title in titles]
    if not _NEEDED <= set(columns) <= _COLUMNS or len(columns) != len(set(columns)):
        # The line is not repeated: without a heading it has somebody's password in it.
        raise BadCSV([(at, "the first line must be name,password or name,password,uid")])
    entries: list[AccountRow] = []
    problems: list[tuple[int, str]] = []
    try:
        for at, cells in lines:
            try:
                entries.append(_account_row(at, columns, cells))
            except (_BadField, BadName, BadPassword) as problem:
                problems.append((at, str(problem)))
    except BadCSV as broken:
        problems += broken.problems
    problems += _repeated(entries)
    if problems:
        raise BadCSV(problems)
    return entries


def _lines(raw: bytes) -> Iterator[tuple[int, list[str]]]:
    """Give the lines that are not empty, with their numbers."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        at = raw.count(b"\n", 0, problem.start) + 1
        raise BadCSV([(at, "this is not UTF-8")]) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    at = 1
    try:
        for cells in reader:
            if any(cells):
                yield at, cells
            at = reader.line_num + 1
    except csv.Error:
        raise BadCSV([(at, "a quotation mark is missing or misplaced")]) from None


def _account_row(line: int, columns: Sequence[str], cells: Sequence[str]) -> AccountRow:
    if len(cells) != len(columns):
        raise _BadField(f"it has {len(cells)} fields, the first line has {len(columns)}")
    row = dict(zip(columns, cells, strict=True))
    name, password = enforce(row["name"]), row["password"]
    if phc.is_hashed(password):
        if not phc.is_sound(password):
            raise _BadField("the password is a damaged argon2 hash")
        if is_too_costly(phc.unlock(password)):
            raise _BadField(
                f"the argon2 hash costs too much to check: at most t * m = {MOST_WORK}, p = {MOST_LANES}"
            )
    elif _OTHER_HASH.match(password):
        raise _BadField("the password looks like a hash, and only argon2's can be moved over")
    elif password:
        opaque_string.enforce(password)
    return AccountRow(line, name, password, _uid(row.get("uid", "").strip()))


def _uid(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:20]) < HIGHEST_GIVEN):
        raise _BadField(f"a uid is a whole number from 1 to {HIGHEST_GIVEN - 1}")
    return int(text)


def _repeated(entries: Sequence[AccountRow]) -> Iterator[tuple[int, str]]:
    names: dict[str, int] = {}
    uids: dict[int, int] = {}
    for entry in entries:
        first = names.setdefault(fold(entry.name), entry.line)
        if first != entry.line:
            yield entry.line, f"the name {entry.name!r} stands in line {first} already"
        if entry.uid is not None:
            first = uids.setdefault(entry.uid, entry.line)
            if first != entry.line:
                yield entry.line, f"the uid {entry.uid} stands in line {first} already"
