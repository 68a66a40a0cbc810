"""
Programs of the project that are run to their ends in great number.

A start of the interpreter with all imports costs half a second of a processor, the rest of a refusal next to nothing.
So one process a test process imports everything (``fork_server.py``) and forks for each program. Servers that tests
talk to, and the documents' commands, are started as users start them.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

_PROGRAM = Path(__file__).with_name("fork_server.py")
_ROOT = Path(__file__).parents[2]


class ForkedProgram:
    """
    ``twistd`` or ``chatsvc`` as a process; what it offers is as ``subprocess.Popen`` offers it.

    :param words: the program's path, and its arguments
    :param environment: all of its environment
    :param streams: standard input, output and errors; without them there are pipes to it
    """

    stdin: IO[str] | None = None
    stdout: IO[str] | None = None
    stderr: IO[str] | None = None

    def __init__(
        self,
        *words: str,
        environment: Mapping[str, str],
        folder: str | Path,
        streams: Sequence[IO[bytes]] = (),
    ) -> None:
        self._status: int | None = None
        theirs = [stream.fileno() for stream in streams] or self._make_pipes()
        folder = os.path.abspath(folder)
        request = {"words": words, "environment": dict(environment), "folder": folder}
        self._line = socket.socket(socket.AF_UNIX)
        self._line.connect(_fork_server())
        data = json.dumps(request).encode() + b"\n"
        sent = socket.send_fds(self._line, [data], theirs)
        self._line.sendall(data[sent:])
        if not streams:
            for descriptor in theirs:
                os.close(descriptor)
        self.pid = int(self._read_number())

    @property
    def returncode(self) -> int:
        """Its exit status, when it has ended; negative: the signal that ended it."""
        assert self._status is not None
        return self._status

    def _make_pipes(self) -> list[int]:
        theirs, stdin = os.pipe()
        stdout, their_output = os.pipe()
        stderr, their_errors = os.pipe()
        self.stdin = os.fdopen(stdin, "w")
        self.stdout, self.stderr = os.fdopen(stdout), os.fdopen(stderr)
        return [theirs, their_output, their_errors]

    def _read_number(self) -> int:
        line = b""
        while not line.endswith(b"\n"):
            line += self._line.recv(1)
        return int(line)

    def wait(self, timeout: float | None = None) -> int:
        """
        Wait until it has ended.

        :return: its exit status; negative: the signal that ended it
        :raise subprocess.TimeoutExpired: when it still runs after ``timeout`` seconds
        """
        if self._status is None:
            if not select.select([self._line], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired([str(self.pid)], timeout or 0)
            self._status = self._read_number()
            self._line.close()
        return self._status

    def poll(self) -> int | None:
        """Give its exit status, None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self._status

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Tell it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def communicate(
        self, input: str | None = None, timeout: float | None = None
    ) -> tuple[str, str]:
        """
        Write to it, read all that it says, and wait until it has ended.

        :raise subprocess.TimeoutExpired: when it still runs after ``timeout`` seconds
        """
        assert self.stdin is not None and self.stdout is not None and self.stderr is not None
        deadline = None if timeout is None else time.monotonic() + timeout
        with ThreadPoolExecutor(3) as pool:
            writing = pool.submit(self._write, self.stdin, input or "")
            reading = [pool.submit(stream.read) for stream in (self.stdout, self.stderr)]
            try:
                self.wait(timeout)
                output, errors = (
                    one.result(deadline and deadline - time.monotonic()) for one in reading
                )
            except BaseException:
                self.kill()
                raise
            writing.result()
        return output, errors

    @staticmethod
    def _write(stream: IO[str], text: str) -> None:
        with suppress(BrokenPipeError, ValueError):
            stream.write(text)
        with suppress(BrokenPipeError):
            stream.close()


@cache
def _fork_server() -> str:
    """Start the process that forks; the path of its socket."""
    folder = tempfile.TemporaryDirectory(prefix="chatsvc-")
    atexit.register(folder.cleanup)
    path = os.path.join(folder.name, "fork")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(100)
        server = subprocess.Popen(
            [sys.executable, str(_PROGRAM), str(listener.fileno())],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
        )
    atexit.register(server.wait)
    atexit.register(server.kill)
    return path


def run(
    *words: str,
    environment: Mapping[str, str],
    folder: str | Path | None = None,
    stdin: bytes = b"",
    timeout: float,
) -> tuple[int, bytes, bytes]:
    """
    Run a program to its end, in an empty folder if none is given.

    :return: its exit status, and what it said on standard output and errors
    :raise subprocess.TimeoutExpired: when it still runs after ``timeout`` seconds; it is killed then
    """
    with (
        tempfile.TemporaryDirectory(prefix="chatsvc-") as empty,
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        given.write(stdin)
        given.seek(0)
        program = ForkedProgram(
            *words,
            environment=environment,
            folder=folder or empty,
            streams=(given, output, errors),
        )
        try:
            status = program.wait(timeout)
        finally:
            program.kill()
        output.seek(0)
        errors.seek(0)
        return status, output.read(), errors.read()
