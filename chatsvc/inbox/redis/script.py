"""The script in Redis: how it is asked, and what stands in the way of an answer."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Any

import orjson
import txredisapi
from twisted.internet.defer import CancelledError, Deferred, TimeoutError

from chatsvc.storage.url import StoreUnavailable

_PARTS = ("keys", "rollback", "stream", "session", "device", "batch", "commands")
"""Each uses what stands in those before it."""

_FOLDER = resources.files(__package__).joinpath("lua")
SCRIPT = b"\n".join(_FOLDER.joinpath(f"{part}.lua").read_bytes() for part in _PARTS)
SCRIPT_HASH = hashlib.sha1(SCRIPT).hexdigest()  # what EVALSHA asks for; no matter of security

NO_ANSWER = "no answer in time"


def evaluate(protocol: Any, entrance: bytes, asked: dict[str, Any]) -> Deferred[Any]:
    """Ask the script, by one of its entrances, over a connection."""
    arguments = (0, entrance, orjson.dumps(asked))
    answer: Deferred[Any] = protocol.execute_command("EVALSHA", SCRIPT_HASH, *arguments)

    def load_again(failure: Any) -> Any:
        failure.trap(txredisapi.ResponseError)
        if "READONLY" in str(failure.value):
            protocol.transport.abortConnection()  # it is no primary any more: look for the one that is
        if not str(failure.value).startswith("NOSCRIPT"):
            return failure
        # Somebody flushed the server's scripts.
        again: Deferred[Any] = protocol.execute_command("EVAL", SCRIPT, *arguments)
        return again

    return answer.addErrback(load_again).addCallback(_parse)


def _parse(answer: bytes) -> Any:
    # What the older server left need not be UTF-8.
    return orjson.loads(answer.decode(errors="replace"))


def away(failure: Any) -> Any:
    """An errback: whatever stood in the way, the store is unavailable."""
    if failure.check(StoreUnavailable):
        return failure
    raise StoreUnavailable(reason(failure.value)) from None


def out_of_patience(result: Any, patience: float) -> Any:
    """What a time-out is, for ``Deferred.addTimeout``."""
    raise StoreUnavailable(NO_ANSWER)


def reason(problem: BaseException) -> str:
    """What stands in the way, in a few words."""
    if isinstance(problem, TimeoutError | CancelledError):
        return NO_ANSWER
    # Redis quotes a command that it does not know, with a password if it has one.
    return str(problem).partition(", with args")[0] or type(problem).__name__
