"""Rules taken out of the Lua script, to see that it is they which keep a promise."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from chatsvc.inbox.redis import script


def replace_rule(
    rule: str, instead: str, patch: Callable[[object, str, object], object] = setattr
) -> None:
    """
    Replace a piece of the script that this process runs in Redis.

    ``patch`` sets an attribute of an object, as ``setattr`` does for good, or a test's ``patch`` until its end.

    :raise ValueError: the script has no such piece, or more than one.
    """
    pieces = script.SCRIPT.count(rule.encode())
    if pieces != 1:
        raise ValueError(f"the script has {rule!r} {pieces} times, not once")
    changed = script.SCRIPT.replace(rule.encode(), instead.encode())
    patch(script, "SCRIPT", changed)
    patch(script, "SCRIPT_HASH", hashlib.sha1(changed).hexdigest())
