"""Click commands that take the options of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from chatsvc.tap.options import Option

ClickValues = Mapping[str, Any]
"""What click passes to a command: by parameter, a text, a tuple of texts, or None."""


def with_table(
    table: Sequence[Option],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a click command the options of a table, as parameters for :func:`option_value`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(table):
            command = click.option(
                f"--{option.name}",
                _parameter(option),
                metavar=None if option.flag else "TEXT",
                multiple=option.repeatable,
                is_flag=option.flag,
                help=f"{option.help}  [env var: {option.variable}]",
            )(command)
        return command

    return decorate


def option_value(option: Option, values: ClickValues, environment: Mapping[str, str]) -> Any:
    """
    Parse the value of an option, as :meth:`Option.value` does.

    :raise usage.UsageError: one line that names the option and the value.
    """
    word = values[_parameter(option)]
    if option.flag:
        word = "1" if word else None
    texts = [] if word is None else [word] if isinstance(word, str) else list(word)
    return option.value(texts or None, environment)


def _parameter(option: Option) -> str:
    return f"option_{option.name.replace('-', '_')}"
