"""The load generator of ``benchmarks/load``: built at first use, then told what to do, one run a line."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

SOURCES = Path(__file__).parents[1] / "load"
_PROGRAM = SOURCES / "build" / "load"
_FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Wno-missing-field-initializers")

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


class LoadFailed(Exception):
    """The generator could not be built, or ended before its time."""


def build() -> Path:
    """The program, compiled anew if a source is younger."""
    sources = sorted(SOURCES.glob("*.c"))
    newest = max(path.stat().st_mtime for path in (*sources, *SOURCES.glob("*.h")))
    if _PROGRAM.exists() and _PROGRAM.stat().st_mtime > newest:
        return _PROGRAM
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise LoadFailed("there is no C compiler (Debian: apt install gcc libc6-dev libssl-dev)")
    _PROGRAM.parent.mkdir(exist_ok=True)
    new = _PROGRAM.with_name(f"load.{os.getpid()}")  # another process may run, or make, the program
    words = [compiler, *_FLAGS, *map(str, sources), "-o", str(new), "-lssl", "-lcrypto"]
    made = subprocess.run(words, capture_output=True, text=True, check=False)
    if made.returncode:
        raise LoadFailed(f"{made.stderr}\n(Debian: apt install gcc libc6-dev libssl-dev)")
    return new.replace(_PROGRAM)


def end_with_parent() -> None:
    """What a child runs before its program: it ends with us."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def words(**options: object) -> list[str]:
    """``NAME=VALUE`` words."""
    return [f"{name}={value}" for name, value in options.items()]


class Load:
    """
    A running generator, whose lines are all in; ``arrival`` is what it says of their way in. ``niceness`` is nice(1)'s.
    """

    def __init__(self, mode: str, options: Sequence[str], niceness: int = 0) -> None:
        self._process = subprocess.Popen(
            ["nice", f"-n{niceness}", str(build()), mode, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=end_with_parent,
        )
        self.arrival = self._read()

    def __enter__(self) -> Load:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def begin(self, **run: object) -> None:
        """Tell a run and wait until its window begins."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(" ".join(words(**run)) + "\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != "began\n":
            self._fail()

    def end(self) -> dict[str, Any]:
        """Wait until the run is over; what came of it."""
        return self._read()

    def run(self, **run: object) -> dict[str, Any]:
        """One run from its begin to its end."""
        self.begin(**run)
        return self.end()

    def close(self) -> None:
        """Have all lines closed; the process ends."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._fail()
        said: dict[str, Any] = json.loads(line)
        return said

    def _fail(self) -> NoReturn:
        self._process.kill()
        self._process.wait()
        said = self._process.stderr.read() if self._process.stderr else ""
        raise LoadFailed(f"the load generator ended ({self._process.returncode}): {said}")
