"""Options in tables: their values come from the command line, else from the environment, else from a default."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from twisted.python import usage

PREFIX = "CHATSVC_"
"""Of the environment variables of all options."""

_ANSWERS = {
    **dict.fromkeys(("1", "yes", "true", "on"), True),
    **dict.fromkeys(("0", "no", "false", "off", ""), False),
}


@dataclass(frozen=True)
class Option:
    """
    One option.

    ``parse`` turns its text into its value, or raises ValueError with a few words on what is wrong; ``shown`` turns the
    text into what an error may show of it. A ``repeatable`` option has a tuple of values; in the environment they are
    separated by spaces. A ``flag`` takes no text on the command line, where it means ``1``.
    """

    name: str
    default: str
    parse: Callable[[str], Any]
    help: str
    repeatable: bool = False
    shown: Callable[[str], str] = str
    flag: bool = False

    def value(self, given: list[str] | None, environment: Mapping[str, str]) -> Any:
        """
        Parse its value, from the command line, the environment, or the default.

        :raise usage.UsageError: one line that names the option and the value.
        """
        texts = given
        if texts is None:
            # Set but empty, as env files leave it, is not set.
            text = environment.get(self.variable) or self.default
            texts = text.split() if self.repeatable else [text]
        values = tuple(self._parse(text) for text in texts)
        return values if self.repeatable else values[-1]

    @property
    def variable(self) -> str:
        """The name of its environment variable."""
        return PREFIX + self.name.upper().replace("-", "_")

    def _parse(self, text: str) -> Any:
        try:
            return self.parse(text)
        except ValueError as problem:
            raise usage.UsageError(f"--{self.name} {self.shown(text)!r}: {problem}") from None


def whole(least: int, most: int = 2**31 - 1) -> Callable[[str], int]:
    """Make a parser of whole numbers in a range."""

    def parse(text: str) -> int:
        if not (
            text.isascii() and text.isdigit() and len(text) < 12 and least <= int(text) <= most
        ):
            raise ValueError(f"a whole number from {least} to {most} is expected")
        return int(text)

    return parse


def choice(*words: str) -> Callable[[str], str]:
    """Make a parser of one of a few words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"{' or '.join(words)} is expected")
        return text

    return parse


def yes_or_no(text: str) -> bool:
    """Parse a flag; an empty text is no."""
    if text.lower() not in _ANSWERS:
        raise ValueError("1 or 0 is expected")
    return _ANSWERS[text.lower()]


def anything(text: str) -> str:
    """Parse any text but an empty one."""
    if not text.strip():
        raise ValueError("a value is expected")
    return text


def fail(line: str) -> NoReturn:
    """End the process with one line on standard error and status 1."""
    print(line, file=sys.__stderr__, flush=True)
    raise SystemExit(1)


class TableOptions(usage.Options):
    """
    Options from a table. After parsing, ``values_by_name`` maps their names to their values.

    Under ``twistd`` a wrong option ends the process with one line; elsewhere it is a ``UsageError``.
    """

    table: tuple[Option, ...] = ()
    tapname = ""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._given: dict[str, list[str]] = {}
        self.values_by_name: dict[str, Any] = {}
        super().__init__()

    def __init_subclass__(cls) -> None:
        for option in cls.table:
            setattr(cls, f"opt_{option.name.replace('-', '_')}", _taker(option))

    def parseOptions(self, options: Any = None) -> None:
        try:
            super().parseOptions(options)
        except usage.UsageError as problem:
            if self.under_twistd:
                fail(f"{self.tapname}: {problem}")
            raise

    def opt_help(self) -> None:
        """Display this help and exit."""
        try:
            print(self, flush=True)
        except OSError as problem:
            fail(f"{self.tapname}: standard output: {problem.strerror}")
        sys.exit(0)

    def parseArgs(self, *words: str) -> None:
        if words:
            raise usage.UsageError(f"{words[0]!r} is no option; see --help")

    def postOptions(self) -> None:
        for option in self.table:
            given = self._given.get(option.name)
            self.values_by_name[option.name] = option.value(given, self._environment)

    def words(self, *others: str) -> list[str]:
        """List the options that the command line gave, without ``others``, as words for another process."""
        return [
            f"--{option.name}" if option.flag else f"--{option.name}={text}"
            for option in self.table
            if option.name not in others
            for text in self._given.get(option.name, ())
        ]

    @property
    def under_twistd(self) -> bool:
        """Whether ``twistd`` (or ``twist``) has parsed these options."""
        return getattr(self, "parent", None) is not None


def _taker(option: Option) -> Callable[..., None]:
    """Make the method by which ``usage.Options`` learns of an option; for a flag it has no argument."""

    def take(self: TableOptions, text: str) -> None:
        self._given.setdefault(option.name, []).append(text)

    def set_flag(self: TableOptions) -> None:
        take(self, "1")

    again = " (may be repeated)" if option.repeatable else ""
    default = f" (default: {option.default})" if option.default else ""
    taker: Callable[..., None] = set_flag if option.flag else take
    taker.__doc__ = f"{option.help}{again}{default} [{option.variable}]"
    return taker
