"""The figures of all rounds, their medians, and which limits they keep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

_WIDTH = 58


@dataclass
class Row:
    """
    One figure, by round: what was measured and what it is compared with, the relay's unless ``than`` says other.

    A base that is 0 (too little was used to be counted) leaves no ratio.
    """

    name: str
    than: str = "relay"
    values: list[float] = field(default_factory=list)
    bases: list[float] = field(default_factory=list)

    @property
    def value(self) -> float:
        """The median of what was measured."""
        return median(self.values)

    @property
    def base(self) -> float | None:
        """The median of what it is compared with."""
        return median(self.bases) if self.bases else None

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' ratios."""
        pairs = [pair for pair in zip(self.values, self.bases, strict=False) if pair[1]]
        return median(value / base for value, base in pairs) if pairs else None

    def __str__(self) -> str:
        base = "" if self.base is None else f"{self.base:,.4g}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        than = "" if self.than in ("", "relay") else f"  (base: {self.than})"
        return f"{self.name:{_WIDTH}}{base:>12}{self.value:>12,.4g}{ratio:>8}{than}"


@dataclass(frozen=True)
class Limit:
    """What a row's ratio may be: ``at_least`` or at most ``bound``."""

    row: str
    bound: float
    at_least: bool
    why: str = ""

    def judge(self, ratio: float) -> str:
        """One line: what is asked, what is, reached or not."""
        reached = ratio >= self.bound if self.at_least else ratio <= self.bound
        sign = "≥" if self.at_least else "≤"
        word = "reached    " if reached else "NOT reached"
        return f"{word} {self.row}: {ratio:.2f} ({sign} {self.bound:g}){self.why}"


class Board:
    """All rows, in the order of their first figures."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.limits: dict[str, Limit] = {}
        self.warnings: list[str] = []

    def value(self, name: str, value: float, than: str = "relay") -> None:
        """A figure of the service."""
        self.rows.setdefault(name, Row(name, than)).values.append(value)

    def base(self, name: str, value: float, than: str = "relay") -> None:
        """The figure of the same round that it is compared with."""
        self.rows.setdefault(name, Row(name, than)).bases.append(value)

    def note(self, who: str, name: str, value: float) -> None:
        """A figure of the relay or of the service."""
        (self.base if who == "relay" else self.value)(name, value)

    def at_least(self, row: str, bound: float, why: str = "") -> None:
        """A limit of a row's ratio."""
        self.limits[row] = Limit(row, bound, True, why)

    def at_most(self, row: str, bound: float, why: str = "") -> None:
        """A limit of a row's ratio."""
        self.limits[row] = Limit(row, bound, False, why)

    def warn(self, line: str) -> None:
        """Something that makes the figures doubtful; said once."""
        if line not in self.warnings:
            self.warnings.append(line)

    def table(self) -> Iterator[str]:
        """Lines: a head, then the medians of every row."""
        yield f"{'median of the rounds':{_WIDTH}}{'base':>12}{'service':>12}{'ratio':>8}"
        yield from map(str, (row for row in self.rows.values() if row.values))

    def verdicts(self) -> Iterator[str]:
        """Lines: each limit of what was measured."""
        for name, limit in self.limits.items():
            ratio = self.rows[name].ratio if name in self.rows else None
            yield f"not known   {name}" if ratio is None else limit.judge(ratio)
