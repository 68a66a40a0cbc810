"""
Which of the commands, keys and channels that a server needs its user of Redis may not use; nothing is changed.

Each command is tried so that it does nothing. Redis 7 could be asked instead (``ACL DRYRUN``); but a server's user has
no need of that right, and Redis notes in its ``ACL LOG`` whoever asks without it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import txredisapi
from twisted.internet.defer import Deferred, DeferredList

from chatsvc.inbox.redis.script import reason, timed_out
from chatsvc.inbox.redis.transport.connection import RedisConnection
from chatsvc.inbox.redis.transport.locator import RedisLocator
from chatsvc.storage.url import STORE_PATIENCE, StoreMisconfigured, StoreUnavailable, StoreURL

_KEY = "chat:{0}:permissions"
"""A key that nobody uses: no user has the uid 0."""

_OLD_LIST = "list_usermessages_of_userid:userid:0"
_CHANNEL = "chat:node:-"

_PATTERNS = {_OLD_LIST: "~list_usermessages_of_userid:userid:*", _CHANNEL: "&chat:node:*"}
"""What a user must be given of the keys and channels; all other keys are under ``chat:``."""

_TRIALS: dict[str, tuple[str, ...]] = {
    "info": ("INFO", "server"),
    "time": ("TIME",),
    "script|load": ("SCRIPT", "LOAD", "return 1"),
    "eval": ("EVAL", "return 1", "0"),
    "evalsha": ("EVALSHA", "0" * 40, "0"),
    "scan": ("SCAN", "0", "COUNT", "1"),
    "exists": ("EXISTS", _KEY),
    "get": ("GET", _KEY),
    "set": ("SET", _KEY, "", "XX"),  # only if it is there
    "incrby": ("INCRBY", _KEY, "no number"),
    "expire": ("EXPIRE", _KEY, "60"),
    "hget": ("HGET", _KEY, "field"),
    "hgetall": ("HGETALL", _KEY),
    "hmget": ("HMGET", _KEY, "field"),
    "hset": ("HSET", _KEY, "field", "value", "a field without a value"),
    "hdel": ("HDEL", _KEY, "field"),
    "llen": ("LLEN", _OLD_LIST),
    "lrange": ("LRANGE", _OLD_LIST, "0", "0"),
    "smembers": ("SMEMBERS", _KEY),
    "sadd": ("SADD", _KEY, "member"),  # taken out again by the next one
    "srem": ("SREM", _KEY, "member"),
    "xadd": ("XADD", _KEY, "NOMKSTREAM", "*", "field", "value"),
    "xlen": ("XLEN", _KEY),
    "xinfo|stream": ("XINFO", "STREAM", _KEY),
    "xrange": ("XRANGE", _KEY, "-", "+", "COUNT", "1"),
    "xrevrange": ("XREVRANGE", _KEY, "+", "-", "COUNT", "1"),
    "xdel": ("XDEL", _KEY, "1-0"),
    "xtrim": ("XTRIM", _KEY, "MINID", "0"),
    "del": ("DEL", _KEY),
    "publish": ("PUBLISH", _CHANNEL, ""),
}
"""The commands that the script and the first connection use, by the words of an ACL, each as a call without effect."""

_SUBSCRIBE = {"subscribe": ("SUBSCRIBE", _CHANNEL)}
"""The command of the second connection."""

_DENIED = re.compile(r"NOPERM .* run the '(\w+)")
"""What Redis says of a command that a user may not run; 6.2 and 7 differ in what stands before and behind."""

NEEDED = frozenset({*_TRIALS, *_SUBSCRIBE})
"""The commands that a server needs, but for those of a log-in."""


async def require_permissions(
    protocol: Any, url: StoreURL, reactor: Any, locator: RedisLocator
) -> None:
    """
    Log a new connection in, and find out what its user may not do.

    ``locator`` is asked for another connection: one that has subscribed can do nothing else.

    :raise StoreMisconfigured: something is missing; one line that says what to add to the ACL.
    """
    missing = await _tried_to_log_in(protocol, locator)
    missing |= await _tried(protocol) | await _tried_to_subscribe(reactor, locator)
    if missing:
        words = " ".join(sorted(missing))
        raise StoreMisconfigured(
            f"{url}: this user of Redis may not do all that a server does:"
            f" add {words} to its line in users.acl, then ACL LOAD"
        )


async def require_permissions_at(
    url: StoreURL, reactor: Any, patience: float = STORE_PATIENCE
) -> None:
    """
    Find out, over connections of its own, what the user that ``url`` names may not do.

    :raise StoreMisconfigured: something is missing; one line that says what to add to the ACL.
    :raise StoreUnavailable: Redis is away, or does not answer within ``patience`` seconds.
    """
    locator = RedisLocator(reactor, url)

    async def look(protocol: Any) -> None:
        await require_permissions(protocol, url, reactor, locator)

    looking = Deferred.fromCoroutine(_connected(reactor, locator, look))
    try:
        await looking.addTimeout(patience, reactor, onTimeoutCancel=timed_out)
    except (StoreMisconfigured, StoreUnavailable):
        raise
    except Exception as problem:
        raise StoreUnavailable(f"{url}: {reason(problem)}") from None


async def _tried_to_log_in(protocol: Any, locator: RedisLocator) -> set[str]:
    """Log in; what follows the password needs rights, too: without them the connection serves to try the others."""
    try:
        await locator.log_in(protocol)
    except txredisapi.ResponseError as problem:
        denied = _DENIED.match(str(problem))
        if denied is None:
            raise
        return {f"+{denied[1].lower()}"}
    return set()


async def _tried(protocol: Any) -> set[str]:
    """Try each command but one, in their order."""
    calls = [protocol.execute_command(*call) for call in _TRIALS.values()]
    missing: set[str] = set()
    answers = await DeferredList(calls, consumeErrors=True)
    for (name, call), (well, answer) in zip(_TRIALS.items(), answers, strict=True):
        if well:
            continue
        problem = answer.value  # type: ignore[attr-defined]
        if not isinstance(problem, txredisapi.ResponseError):
            raise problem
        if str(problem).startswith("NOPERM"):
            missing.add(_word(name, call, str(problem)))
    return missing


async def _tried_to_subscribe(reactor: Any, locator: RedisLocator) -> set[str]:
    ((name, call),) = _SUBSCRIBE.items()

    async def subscribe(protocol: Any) -> None:
        await _tried_to_log_in(protocol, locator)
        await protocol.subscribe([_CHANNEL])

    try:
        await _connected(reactor, locator, subscribe, lambda message: None)
    except txredisapi.ResponseError as problem:
        if not str(problem).startswith("NOPERM"):
            raise
        return {_word(name, call, str(problem))}
    return set()


async def _connected(
    reactor: Any,
    locator: RedisLocator,
    work: Callable[[Any], Awaitable[None]],
    on_message: Callable[[bytes], None] | None = None,
) -> None:
    """Do something over a connection of its own."""
    connection = RedisConnection(reactor, locator, work, lambda problem: None, on_message)
    try:
        await connection.open()
    finally:
        await connection.close()


def _word(name: str, call: tuple[str, ...], verdict: str) -> str:
    """
    The word that an ACL lacks, by what Redis says of a call: ``+COMMAND``, or a pattern of keys or channels.

    Of a key Redis says that it may not be accessed, of a command that it may not be run.
    """
    if "access" not in verdict:
        return f"+{name}"
    place = next((word for word in call if word in _PATTERNS), _KEY)
    return _PATTERNS.get(place, "~chat:*")
