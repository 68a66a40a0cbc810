"""The command as an admin runs it: a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import Outcome

PATIENCE = 60


def chatsvc(
    *words: str,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    folder: str | Path | None = None,
) -> Outcome:
    """Run ``chatsvc``, with nothing of this process's own settings, to its end; it never ends in a traceback."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHATSVC_")}
    done = subprocess.run(
        [sys.executable, "-m", "chatsvc.cli", *words],
        cwd=folder,
        env={**kept, **(env or {})},
        input=stdin,
        capture_output=True,
        timeout=PATIENCE,
    )
    outcome = Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())
    if "Traceback" in outcome.stderr:
        raise AssertionError(outcome)
    return outcome
