"""Rules taken out of the Lua scripts, to see that it is they which keep a promise."""

from __future__ import annotations

from collections.abc import Callable

from chatsvc.inbox.redis import script

_SCRIPTS = ("BATCHES", "ROOM_BATCHES", "ROOMS", "REST")


def replace_rule(
    rule: str, instead: str, patch: Callable[[object, str, object], object] = setattr
) -> None:
    """
    Replace a piece of the scripts that this process runs in Redis.

    ``patch`` sets an attribute of an object, as ``setattr`` does for good, or a test's ``patch`` until its end.

    :raise ValueError: no script has such a piece, or one has it more than once.
    """
    pieces = [getattr(script, name).source.count(rule.encode()) for name in _SCRIPTS]
    if max(pieces) != 1:
        raise ValueError(f"the scripts have {rule!r} {pieces} times, not once")
    for name in _SCRIPTS:
        source = getattr(script, name).source.replace(rule.encode(), instead.encode())
        patch(script, name, script.LuaScript(source))
