"""The configuration that a server would have, for ``chatsvc check``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from twisted.python import usage

from chatsvc.check.finding import Finding, fail, ok, warn
from chatsvc.config import Config
from chatsvc.tap.click_options import ClickValues, option_value, with_table
from chatsvc.tap.client_location import LOCATION_OPTIONS
from chatsvc.tap.client_login import LOGIN_OPTIONS, PASSWORD_VARIABLE
from chatsvc.tap.options import PREFIX
from chatsvc.tap.server_options import ServerOptions

_ABOUT = "config"

with_options: Callable[[Callable[..., None]], Callable[..., None]] = with_table(ServerOptions.table)
"""Give a click command the options of ``twistd chat``, for `configuration`."""


def configuration(
    words: ClickValues, environment: Mapping[str, str] = os.environ
) -> tuple[Config | None, list[Finding]]:
    """Make the configuration that ``twistd chat`` would have, None if it would refuse its options, and findings."""
    options = ServerOptions(environment)
    values: dict[str, Any] = {}
    findings = [*_unknown_variables(environment)]
    for option in options.table:
        try:
            values[option.name] = option_value(option, words, environment)
        except usage.UsageError as problem:
            findings.append(fail(_ABOUT, str(problem)))
    if len(values) < len(options.table):
        return None, findings
    options.values_by_name = values
    return options.config, [ok(_ABOUT, "the options are in order"), *findings]


def _unknown_variables(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Warn of variables that nobody reads: most likely they are mistyped."""
    options = (*ServerOptions.table, *LOCATION_OPTIONS, *LOGIN_OPTIONS)
    known = {option.variable for option in options} | {PASSWORD_VARIABLE}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            yield warn(_ABOUT, f"{name} is no option's variable: is it mistyped?")
