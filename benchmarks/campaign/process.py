"""A program that is started, told something, frozen, ended and started again."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1


class Process:
    """A program on always the same arguments, in a network namespace if one is named. It ends with this process."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, name: str, namespace: str = ""
    ) -> None:
        within = ["ip", "netns", "exec", namespace] if namespace else []
        self._arguments = [*within, *arguments]
        self._folder = folder
        self.log = folder / f"{name}.log"
        self._complaints = folder / f"{name}.err"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log, self._complaints.open("ab") as complaints:
            self._process = subprocess.Popen(
                self._arguments,
                cwd=self._folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=complaints,
                text=True,
                env={**os.environ},
                preexec_fn=_die_with_parent,
            )

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def freeze(self) -> None:
        """It and its children do nothing more when this returns; their kernel still answers for them."""
        freeze(self.pids())

    def thaw(self) -> None:
        """A frozen one goes on as if nothing had happened."""
        thaw(self.pids())

    def pids(self) -> list[int]:
        """Of itself and of its children."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def end(self, number: int = signal.SIGKILL, patience: float = 15) -> None:
        """End it by a signal and wait for that."""
        if self._process is not None:
            self._signal(number)
            self._process.wait(patience)
            self._process = None

    def runs(self) -> bool:
        """Whether it was started and has not ended, by itself or else."""
        return self._process is not None and self._process.poll() is None

    def last_line(self) -> str:
        """What it printed last; a line that is not complete yet does not count."""
        said = self.log.read_text(errors="replace") if self.log.exists() else ""
        return said.rpartition("\n")[0].rpartition("\n")[2]

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)


def freeze(pids: Iterable[int]) -> None:
    """Let processes stand still."""
    for pid in pids:
        _send(pid, signal.SIGSTOP)
    wait_until(lambda: all(map(_stands_still, pids)), "a standstill", 5)


def thaw(pids: Iterable[int]) -> None:
    """Let them go on."""
    for pid in pids:
        _send(pid, signal.SIGCONT)


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):  # a child may have ended
        os.kill(pid, number)


def _stands_still(pid: int) -> bool:
    """Whether each of its threads does, or it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            if (task / "stat").read_text().rpartition(")")[2].split()[0] not in ("T", "Z", "X"):
                return False
    return True


def wait_until(condition: Callable[[], bool], what: str, patience: float) -> None:
    """Wait for something that must come up."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not come up")
        time.sleep(0.05)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
