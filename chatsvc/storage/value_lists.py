"""Lists of values in statements, of lengths that databases and drivers bear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def parts(whole: Sequence[T], most: int) -> list[Sequence[T]]:
    """Cut a sequence into parts of ``most`` values; the last one has fewer."""
    return [whole[start : start + most] for start in range(0, len(whole), most)]


def padded(some: Sequence[T]) -> list[T]:
    """
    Repeat the last value until there are 1, 2, 4, 8 … values.

    So there are few statements of different lengths: drivers and :mod:`chatsvc.storage.sql` remember each.
    """
    many = 1 << (len(some) - 1).bit_length()
    return [*some, *[some[-1]] * (many - len(some))]


def places(some: Sequence[object]) -> str:
    """Return a list of placeholders, one for each value."""
    return f"({', '.join('?' * len(some))})"


def rows_of_places(columns: int, rows: int) -> str:
    """Return the placeholders of so many rows of so many columns."""
    return ", ".join([f"({', '.join('?' * columns)})"] * rows)
