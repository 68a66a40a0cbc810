"""The Lua script in Redis: how it is called, and what can stand in the way of an answer."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Any

import orjson
import txredisapi
from twisted.internet.defer import CancelledError, Deferred, TimeoutError

from chatsvc.storage.url import StoreUnavailable

_PARTS = (
    *("keys", "serial", "rollback", "stream", "session", "sender", "devices", "inbox"),
    *("batch", "readers", "nodes", "admin", "dispatch"),
)
"""The files of the script in their order: each uses what stands in those before it."""

_FOLDER = resources.files(__package__).joinpath("lua")
SCRIPT = b"\n".join(_FOLDER.joinpath(f"{part}.lua").read_bytes() for part in _PARTS)
SCRIPT_HASH = hashlib.sha1(SCRIPT).hexdigest()
"""The name by which EVALSHA calls the script; it protects nothing."""

NO_ANSWER = "no answer in time"


def load(protocol: Any) -> Deferred[Any]:
    """Load the script over a connection, so that it can be called by its hash."""
    loaded: Deferred[Any] = protocol.execute_command("SCRIPT", "LOAD", SCRIPT)
    return loaded


def evaluate(protocol: Any, command: bytes, arguments: dict[str, Any]) -> Deferred[Any]:
    """Call a command of the script over a connection; its answer is a JSON value."""
    words = (0, command, orjson.dumps(arguments))
    answer: Deferred[Any] = protocol.execute_command("EVALSHA", SCRIPT_HASH, *words)

    def load_again(failure: Any) -> Any:
        failure.trap(txredisapi.ResponseError)
        if "READONLY" in str(failure.value):
            protocol.transport.abortConnection()  # it is no primary any more: look for the one that is
        if not str(failure.value).startswith("NOSCRIPT"):
            return failure
        # Somebody flushed the server's scripts.
        again: Deferred[Any] = protocol.execute_command("EVAL", SCRIPT, *words)
        return again

    return answer.addErrback(load_again).addCallback(_parse)


def _parse(answer: bytes) -> Any:
    # What the older server left need not be UTF-8.
    return orjson.loads(answer.decode(errors="replace"))


def unavailable(failure: Any) -> Any:
    """
    Turn any failure of a call into one of the store; an errback.

    :raise StoreUnavailable: always, unless ``failure`` is one already and is returned.
    """
    if failure.check(StoreUnavailable):
        return failure
    raise StoreUnavailable(reason(failure.value)) from None


def timed_out(result: Any, patience: float) -> Any:
    """
    Turn a time-out into a failure of the store, for ``Deferred.addTimeout``.

    :raise StoreUnavailable: always.
    """
    raise StoreUnavailable(NO_ANSWER)


def reason(problem: BaseException) -> str:
    """Say in a few words what stands in the way."""
    if isinstance(problem, TimeoutError | CancelledError):
        return NO_ANSWER
    # Redis quotes a command that it does not know, with a password if it has one.
    return str(problem).partition(", with args")[0] or type(problem).__name__
