"""The command as an admin runs it: a process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import Outcome, run


def chatsvc(
    *words: str,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    folder: str | Path | None = None,
) -> Outcome:
    """Run ``chatsvc``, with nothing of this process's own settings, to its end; it never ends in a traceback."""
    outcome = run("chatsvc", *words, env=env, folder=folder or ".", stdin=stdin)
    if "Traceback" in outcome.stderr:
        raise AssertionError(outcome)
    return outcome
