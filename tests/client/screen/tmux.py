"""A terminal that tests can look at: tmux, with a server of its own."""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PATIENCE = 30.0
"""Seconds that anything may take to appear."""

_BETWEEN_LOOKS = 0.02

_BETWEEN_LINES = 0.15
"""Seconds between two lines: what comes faster has been pasted."""

_REACTION = 0.6
"""Seconds that somebody takes to read a question and answer it."""

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


class Cursor(NamedTuple):
    """Where the cursor stands, from (0, 0) in the upper left corner; a Chinese character takes two columns."""

    x: int
    y: int


class Tmux:
    """
    A terminal of ``columns`` and ``rows`` that ``command`` runs in, until `close`. It stays when the command ends.

    What is awaited and does not come is an AssertionError that shows the screen.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        columns: int = 80,
        rows: int = 24,
    ) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="tmux-")
        self._socket = str(Path(self._home.name) / "socket")
        self._server = subprocess.Popen(
            ["tmux", "-D", "-u", "-f", "/dev/null", "-S", self._socket],
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            preexec_fn=_end_with_parent,
        )
        await_that(self._begun, lambda: "tmux did not start")
        self._tell("set-option", "-g", "remain-on-exit-format", "")
        self._tell("set-option", "-g", "history-limit", "100000")
        self._tell("set-option", "-g", "default-terminal", "tmux-256color")
        variables = [f"{name}={value}" for name, value in environment.items() if name != "TERM"]
        self._tell(
            *("new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(folder)),
            shlex.join(["exec", "env", "-u", "LC_ALL", *variables, *command]),
        )

    def close(self) -> None:
        """End the terminal, and what runs in it."""
        self._server.send_signal(signal.SIGTERM)
        self._server.wait(PATIENCE)
        self._home.cleanup()

    # Looking

    def screen(self) -> str:
        """What stands there, without what is blank at the ends of lines and below the last."""
        return _trimmed(self._tell("capture-pane", "-p"))

    def everything(self) -> str:
        """The same, and all that has gone off the top."""
        return _trimmed(self._tell("capture-pane", "-p", "-S", "-"))

    def colours(self) -> str:
        """What stands there, with the escape sequences (SGR) of its colours."""
        return _trimmed(self._tell("capture-pane", "-p", "-e"))

    def cursor(self) -> Cursor:
        """Where the cursor stands."""
        x, y = self.value("#{cursor_x} #{cursor_y}").split()
        return Cursor(int(x), int(y))

    def value(self, wanted: str) -> str:
        """What tmux knows of the terminal; ``wanted`` is a format of tmux(1)."""
        return self._tell("display-message", "-p", wanted).rstrip("\n")

    def await_screen(self, *texts: str, gone: Sequence[str] = ()) -> str:
        """The screen, as soon as all of some texts stand there and none of others."""

        def there() -> bool:
            screen = self.screen()
            return all(text in screen for text in texts) and not any(
                text in screen for text in gone
            )

        self.await_that(there, f"{texts} without {gone}")
        return self.screen()

    def await_value(self, wanted: str, value: str) -> None:
        """Wait until tmux says something of the terminal."""
        self.await_that(lambda: self.value(wanted) == value, f"{wanted} = {value}")

    def await_that(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until something is so."""
        await_that(condition, lambda: f"{what} did not come:\n{self.screen()}")

    def status(self) -> int:
        """The exit status of the command, when it has ended."""
        ended = "#{pane_dead_status} #{pane_dead_signal}"  # known a little later than #{pane_dead}

        def known() -> bool:
            self._server.send_signal(signal.SIGCHLD)  # tmux 3.3a misses some
            return bool(self.value(ended).strip())

        self.await_value("#{pane_dead}", "1")
        self.await_that(known, "the exit status")
        status, number = self.value(ended).split(" ")
        return int(status or -int(number))

    # Doing

    def type(self, text: str) -> None:
        """Type characters."""
        self._tell("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names: ``Enter``, ``Up``, ``C-c``, …"""
        self._tell("send-keys", *keys)

    def enter(self, line: str) -> None:
        """Type a line and send it off, as fast as a person does."""
        self.type(line)
        self.press("Enter")
        time.sleep(_BETWEEN_LINES)

    def answer(self, *keys: str) -> None:
        """Press keys, one by one, as somebody does who has read the question that stands there."""
        time.sleep(_REACTION)
        for key in keys:
            self.press(key)
            time.sleep(_BETWEEN_LOOKS)

    def paste_bare(self, text: str) -> None:
        """Paste as terminals do that know no brackets."""
        self._copy(text)
        self._tell("paste-buffer")

    def _copy(self, text: str) -> None:
        copied = Path(self._home.name) / "copied"
        copied.write_text(text)
        self._tell("load-buffer", str(copied))

    def paste(self, text: str) -> None:
        """Paste as terminals do: with brackets around it where the program asked for them."""
        self._copy(text)
        self._tell("paste-buffer", "-p")

    def resize(self, columns: int, rows: int) -> None:
        """Give the window another size."""
        self._tell("resize-window", "-x", str(columns), "-y", str(rows))

    def hang_up(self) -> None:
        """Close the window, as its button does."""
        self._tell("kill-pane")

    def watch_bell(self) -> None:
        """Keep in ``#{window_bell_flag}`` whether the bell has rung."""
        self._tell("set-option", "-g", "monitor-bell", "on")
        self._tell("new-window", "-d", "cat")  # a window that is looked at has no flag

    def _begun(self) -> bool:
        # Its socket is there before it listens.
        return not self._try("set-option", "-g", "remain-on-exit", "on").returncode

    def _try(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["tmux", "-u", "-S", self._socket, *words], capture_output=True, text=True
        )

    def _tell(self, *words: str) -> str:
        told = self._try(*words)
        if told.returncode:
            raise RuntimeError(f"tmux {words}: {told.stderr}")
        return told.stdout


def _trimmed(screen: str) -> str:
    lines = [line.rstrip() for line in screen.split("\n")]
    return "\n".join(lines).rstrip("\n") + "\n"


def await_that(condition: Callable[[], bool], said: Callable[[], str]) -> None:
    """Wait until something is so; if it does not come to be, an AssertionError that says ``said``."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(said())
        time.sleep(_BETWEEN_LOOKS)


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
