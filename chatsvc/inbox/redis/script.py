"""The Lua scripts in Redis: how they are called, and what can stand in the way of an answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

import orjson
import txredisapi
from twisted.internet.defer import CancelledError, Deferred, TimeoutError

from chatsvc.storage.url import StoreUnavailable

_FOLDER = resources.files(__package__).joinpath("lua")
_COMMON = ("keys", "serial", "rollback", "stream", "session", "sender", "devices", "inbox")


@dataclass(frozen=True)
class LuaScript:
    """A script as Redis gets it; ``hash`` is the name by which EVALSHA calls it and protects nothing."""

    source: bytes

    @classmethod
    def of(cls, *parts: str) -> LuaScript:
        """Put a script together from files in their order: each uses what stands in those before it."""
        return cls(b"\n".join(_FOLDER.joinpath(f"{part}.lua").read_bytes() for part in parts))

    @cached_property
    def hash(self) -> str:
        """The SHA-1 of the source."""
        return hashlib.sha1(self.source).hexdigest()


_BATCH = (*_COMMON, "news", "batch")

BATCHES = LuaScript.of(*_BATCH, "commit", "dispatch")
"""The script of the command `commit` alone: each call makes all functions anew, so the most frequent one has few."""

ROOM_BATCHES = LuaScript.of(*_BATCH, "room_log", "room_batch", "dispatch")
"""The script of batches that have to do with rooms."""

_ROOM_PARTS = ("room_log", "room_events", "room_readers", "room_retention")

ROOMS = LuaScript.of(*_COMMON, "news", *_ROOM_PARTS, "dispatch")
"""The script of the other commands for rooms."""

REST = LuaScript.of(*_COMMON, "readers", "nodes", "admin", "dispatch")
"""The script of all other commands."""

ARCHIVE = LuaScript.of("keys", "archive")
"""The script of the archive's queue."""

_OF_ARCHIVE = frozenset({b"take_archive", b"leave_archive", b"archive_ends"})
"""The commands of ``ARCHIVE``."""

_OF_ROOMS = frozenset({b"apply", b"load", b"open", b"read_room", b"expire_rooms", b"close_here"})
"""The commands of ``ROOMS``."""

NO_ANSWER = "no answer in time"


async def load(protocol: Any) -> None:
    """Load the scripts over a connection, so that they can be called by their hashes."""
    for script in (BATCHES, ROOM_BATCHES, ROOMS, ARCHIVE, REST):
        await protocol.execute_command("SCRIPT", "LOAD", script.source)


def _script_of(command: bytes) -> LuaScript:
    if command == b"commit":
        return BATCHES
    if command == b"commit_rooms":
        return ROOM_BATCHES
    if command in _OF_ARCHIVE:
        return ARCHIVE
    return ROOMS if command in _OF_ROOMS else REST


def evaluate(protocol: Any, command: bytes, arguments: dict[str, Any]) -> Deferred[Any]:
    """Call a command of its script over a connection; its answer is a JSON value."""
    script = _script_of(command)
    words = (0, command, orjson.dumps(arguments))
    answer: Deferred[Any] = protocol.execute_command("EVALSHA", script.hash, *words)

    def load_again(failure: Any) -> Any:
        failure.trap(txredisapi.ResponseError)
        if "READONLY" in str(failure.value):
            protocol.transport.abortConnection()  # it is no primary any more: look for the one that is
        if not str(failure.value).startswith("NOSCRIPT"):
            return failure
        # Somebody flushed the server's scripts.
        again: Deferred[Any] = protocol.execute_command("EVAL", script.source, *words)
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


def keep_for_late(
    answer: Deferred[Any], wait: Callable[[Deferred[Any]], Deferred[Any]]
) -> Deferred[Any]:
    """Return what ``wait`` makes of an answer; if it gives up waiting, the answer's own callbacks still run."""
    waiting: Deferred[Any] = Deferred()

    def answered(result: Any) -> None:
        if not waiting.called:
            waiting.callback(result)

    answer.addBoth(answered)
    return wait(waiting)


def reason(problem: BaseException) -> str:
    """Say in a few words what stands in the way."""
    if isinstance(problem, TimeoutError | CancelledError):
        return NO_ANSWER
    # Redis quotes a command that it does not know, with a password if it has one.
    return str(problem).partition(", with args")[0] or type(problem).__name__
