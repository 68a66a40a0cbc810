"""
Points at which a server dies or stands still, in the middle of a room's change or of a message to a room.

The campaign writes ``POINT SIGNAL`` into the file whose path the server has in its environment (``plan.py``). The
process that comes to the point first takes the file away, by renaming it to one that ends in its own pid, and sends
itself the signal.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from chatsvc.inbox.outcome import Committed, Draft, RoomDraft
from chatsvc.inbox.redis.inbox import RedisInbox
from chatsvc.inbox.sqlite.inbox import SQLiteInbox
from chatsvc.rooms.finishing import Finishing
from chatsvc.rooms.store import RoomStore

POINTS = ("changed", "logged", "placed", "stored")
"""
A room's change is committed in SQL; its event is in the room's log; its place there is in SQL; a message is in the log
and nobody has been told.
"""


def pass_point(path: Path, point: str) -> None:
    """Die, or stand still, if that is wanted here."""
    try:
        wanted, number = path.read_text().split()
        if wanted == point:
            path.rename(f"{path}.{os.getpid()}")
            os.kill(os.getpid(), int(number))
    except (FileNotFoundError, ValueError):
        pass  # nothing is wanted, or another process was quicker, or the file is being written


def watch(path: Path) -> None:
    """Let this process pass all points from now on."""
    for owner, name, point in (
        (RoomStore, "change", "changed"),
        (Finishing, "_put", "logged"),
        (RoomStore, "write_places", "placed"),
    ):
        pass_after(owner, name, partial(pass_point, path, point))
    for inbox in (RedisInbox, SQLiteInbox):
        _pass_after_rooms(inbox, partial(pass_point, path, "stored"))


def pass_after(owner: type, name: str, passing: Callable[[], None]) -> None:
    """Pass a point whenever this method, a coroutine, is done."""
    honest = getattr(owner, name)

    async def and_pass(*arguments: Any, **settings: Any) -> Any:
        result = await honest(*arguments, **settings)
        passing()
        return result

    setattr(owner, name, and_pass)


def _pass_after_rooms(inbox: Any, passing: Callable[[], None]) -> None:
    honest = inbox.commit

    def commit(
        self: Any, drafts: Sequence[Draft | RoomDraft], *more: Any, **settings: Any
    ) -> Deferred[Committed]:
        done: Deferred[Committed] = honest(self, drafts, *more, **settings)
        if any(isinstance(draft, RoomDraft) for draft in drafts):
            done.addCallback(passed)
        return done

    def passed(committed: Committed) -> Committed:
        passing()
        return committed

    inbox.commit = commit
