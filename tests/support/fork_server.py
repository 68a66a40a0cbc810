"""
The project's programs without a new interpreter for each: all is imported once, then this process forks.

``python fork_server.py DESCRIPTOR`` listens on that descriptor, a Unix socket, until its standard input ends. Each
connection is one program: a line of JSON with its ``words``, ``environment`` and ``folder``, and the descriptors that
are to be its standard input, output and errors. Two lines come back: the program's process id, and when it has ended,
its status as ``subprocess`` gives it.
"""

from __future__ import annotations

import ctypes
import gc
import io
import json
import locale
import os
import select
import signal
import socket
import sys
import time
import types
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_REACTOR = "twisted.internet.reactor"


class _LaterReactor(types.ModuleType):
    """
    Stands for the reactor while all is imported; its methods are those of the reactor that the program has.

    A library asks for it when it is imported. Made before the fork, it would be the same for all programs.
    """

    def __getattr__(self, name: str) -> Any:
        return partial(_of_reactor, name)


def _of_reactor(name: str, *arguments: Any, **more: Any) -> Any:
    from twisted.internet import reactor

    return getattr(reactor, name)(*arguments, **more)


def _twistd() -> None:
    from twisted.scripts.twistd import run

    run()


def _chatsvc() -> None:
    from chatsvc.cli.main import main

    main(prog_name="chatsvc")


_PROGRAMS: dict[str, Callable[[], None]] = {"twistd": _twistd, "chatsvc": _chatsvc}


def _prepare() -> None:
    """Import all that the programs import."""

    sys.modules[_REACTOR] = _LaterReactor(_REACTOR)
    from twisted.application.service import IServiceMaker
    from twisted.plugin import getPlugins

    import chatsvc.cli.main
    import chatsvc.tap.client
    import chatsvc.tap.server  # noqa: F401

    list(getPlugins(IServiceMaker))
    del sys.modules[_REACTOR]
    gc.freeze()  # what is not touched is not copied


def _serve(listener: socket.socket) -> None:
    """Fork for each connection, until nobody holds the other end of standard input."""
    watching: list[int] = []
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        line, _ = listener.accept()
        watching.append(os.fork())
        if not watching[-1]:
            listener.close()
            _watch(line)
        line.close()
        watching = [watcher for watcher in watching if not os.waitpid(watcher, os.WNOHANG)[0]]


def _watch(line: socket.socket) -> NoReturn:
    """Fork the program, and say how it ended."""
    _end_with_parent()
    request, streams, _, _ = socket.recv_fds(line, 1 << 20, 3)
    while not request.endswith(b"\n"):
        request += line.recv(1 << 20)
    program = os.fork()
    if program == 0:
        line.close()
        _be(json.loads(request), streams)
    for stream in streams:
        os.close(stream)
    line.sendall(b"%d\n" % program)
    _, status = os.waitpid(program, 0)
    line.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _be(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """Be the program."""
    _end_with_parent()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    _begin_as_an_interpreter_does()
    sys.argv = request["words"]
    _PROGRAMS[os.path.basename(sys.argv[0])]()
    sys.exit(0)


def _begin_as_an_interpreter_does() -> None:
    """Take from the environment what an interpreter takes from it when it starts."""
    time.tzset()
    with suppress(locale.Error):
        locale.setlocale(locale.LC_CTYPE, "")
    coerced = locale.setlocale(locale.LC_CTYPE) in ("C", "POSIX", "C.UTF-8", "C.utf8")
    errors = "surrogateescape" if coerced else "strict"
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    # New streams: those of this process remember whether what they began with was a file that can be sought in.
    for number, (name, mode) in enumerate((("stdin", "rb"), ("stdout", "wb"), ("stderr", "wb"))):
        stream = io.TextIOWrapper(
            os.fdopen(number, mode, closefd=False),
            encoding="utf-8",
            errors="backslashreplace" if name == "stderr" else errors,
            line_buffering=name == "stderr" or os.isatty(number),
            write_through=unbuffered,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    _prepare()
    _serve(socket.socket(fileno=int(sys.argv[1])))
