"""``chatsvc check``: whether a server would start, and what endangers it."""

from __future__ import annotations

import time
from typing import Any

import click
from click.core import ParameterSource

from chatsvc.check.finding import Severity
from chatsvc.check.inspection import inspect
from chatsvc.cli.options import json_option
from chatsvc.cli.output import print_rows
from chatsvc.cli.runner import under_reactor
from chatsvc.tap.check import configuration, with_options


@click.command()
@click.option("--strict", is_flag=True, help="Let warnings count: the exit status is then 1, too.")
@json_option
@with_options
@click.pass_context
def check(context: click.Context, /, strict: bool, as_json: bool, **words: Any) -> None:
    """
    Look at all that a server needs: its options, both stores, keys and certificates, the modes of files.

    Takes the options of `twistd chat` and reads the same variables. Prints a line for each thing: ok, warn (it works,
    and something endangers that) or FAIL (it does not, or will not in two weeks), what it is about, and what to do. The
    exit status is 1 if anything fails. Nothing is changed, and servers may run meanwhile.
    """
    group = context.parent
    if group and group.get_parameter_source("url") is ParameterSource.COMMANDLINE:
        words["option_accounts"] = words["option_accounts"] or group.params["url"]
    config, findings = configuration(words)
    if config is not None:
        asked = config
        findings += under_reactor(lambda reactor: inspect(reactor, asked, time.time()))
    rows = [{"verdict": one.verdict, "about": one.about, "text": one.text} for one in findings]
    print_rows(rows, as_json, ("verdict", "about", "text"))
    bad = {Severity.FAIL, Severity.WARN} if strict else {Severity.FAIL}
    if any(finding.verdict in bad for finding in findings):
        context.exit(1)
