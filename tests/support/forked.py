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
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO

_PROGRAM = Path(__file__).with_name("fork_server.py")
_ROOT = Path(__file__).parents[2]


class ForkedProgram:
    """
    ``twistd`` or ``chatsvc`` as a process.

    :param words: the program's path, and its arguments
    :param environment: all of its environment
    :param streams: standard input, output and errors
    """

    def __init__(
        self,
        *words: str,
        environment: Mapping[str, str],
        folder: str | Path,
        streams: tuple[IO[bytes], IO[bytes], IO[bytes]],
    ) -> None:
        request = {
            "words": words,
            "environment": dict(environment),
            "folder": os.path.abspath(folder),
        }
        self._line = socket.socket(socket.AF_UNIX)
        self._line.connect(_fork_server())
        data = json.dumps(request).encode() + b"\n"
        sent = socket.send_fds(self._line, [data], [stream.fileno() for stream in streams])
        self._line.sendall(data[sent:])
        self._answers = self._line.makefile("rb")
        self.pid = int(self._answers.readline())

    def wait(self, timeout: float) -> int:
        """
        Wait until it has ended.

        :return: its exit status; negative: the signal that ended it
        :raise TimeoutError: when it still runs after ``timeout`` seconds; it is killed then
        """
        self._line.settimeout(timeout)
        try:
            return int(self._answers.readline())
        except TimeoutError:
            os.kill(self.pid, 9)
            raise
        finally:
            self._answers.close()
            self._line.close()


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
            env={**os.environ, "PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"},
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
    :raise TimeoutError: when it still runs after ``timeout`` seconds
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
        status = program.wait(timeout)
        output.seek(0)
        errors.seek(0)
        return status, output.read(), errors.read()
