"""
Does the campaign of faults notice when a rule is off? Each rule is switched off until there is a complaint.

    python benchmarks/rules.py
    python benchmarks/rules.py room-versions

The test suite does the same for the other rules, which show sooner. It takes a quarter of an hour; the status is 1 if a
rule could be off and nobody would notice.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

_CAMPAIGN = Path(__file__).with_name("faults.py")

RULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "room-members": ("in rooms: leaked", ("--only", "clients killed")),
    "room-memberships": (
        "in rooms: leaked",
        ("--only", "clients killed", "--only", "readers moved"),
    ),
    "room-versions": ("in rooms: lost", ("--only", "redis set back")),
    "room-cursor": ("in rooms: lost", ("--nodes", "2", "--only", "news lost")),
    "room-sender": (
        "in rooms: misdirected",
        ("--store", "sqlite", "--only", "connections cut"),
    ),
    "room-repeats": ("in rooms: shown twice", ("--nodes", "2", "--only", "users hopped")),
    "room-serials": ("in rooms: lost", ("--only", "redis set back")),
    "room-marks": ("wrong frames", ("--store", "sqlite", "--only", "senders moved")),
    "archive-outcome": ("archive: missing", ("--nodes", "2", "--only", "database killed")),
    "archive-edits": (
        "archive: reads otherwise",
        ("--store", "sqlite", "--only", "connections cut"),
    ),
    "archive-retractions": ("archive: left in rooms", ("--only", "clients killed")),
}
"""By rule: the complaint that there must be, and the faults that bring it about."""


def is_noticed(rule: str) -> bool:
    """Run campaigns without a rule until one complains of it; a few dozen faults at most."""
    complaint, faults = RULES[rule]
    common = ("--rooms", "3", "--users", "8", "--faults", "24", "--rate", "60")
    words = [*common, "--sabotage", rule, "--until", complaint, *faults]
    run = subprocess.run(
        [sys.executable, str(_CAMPAIGN), *words], capture_output=True, text=True, check=False
    )
    said = [line for line in run.stdout.splitlines() if line.startswith(complaint)]
    print(f"{rule}: {said[-1] if said else run.stderr.strip()[-200:]}", flush=True)
    return run.returncode == 1 and bool(said) and not said[-1].startswith(f"{complaint} 0")


def main() -> None:
    """Try the rules that are named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "rule", nargs="*", choices=[[], *RULES], metavar="RULE", help="default: all"
    )
    rules = parser.parse_args().rule or [*RULES]
    unnoticed = [rule for rule in rules if not is_noticed(rule)]
    if unnoticed:
        sys.exit(f"not noticed: {', '.join(unnoticed)}")


if __name__ == "__main__":
    main()
