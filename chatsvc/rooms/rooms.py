"""
Rooms, as sessions use them: a change is one transaction of SQL, then goes into the room's log, then is confirmed.

Every method raises :class:`~chatsvc.storage.url.StoreUnavailable` if a store is away; a change may then have been made
or not, and may be asked for again. Rooms are named by their number or by their name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chatsvc.rooms.room import Room, RoomOfUser
from chatsvc.wire.events import ListedRoom


class Rooms(Protocol):
    """To become the class ``Rooms``: what sessions and readers ask of it. All methods may raise ``RoomRefused``."""

    async def create(self, by: int, name: str, kind: str, topic: str) -> Room:
        """Make a room."""

    async def join(self, uid: int, room: int | str) -> Room:
        """Become a member."""

    async def leave(self, uid: int, room: int | str) -> Room:
        """Be a member no longer."""

    async def invite(self, by: int, room: int | str, user: int) -> Room:
        """Invite a user."""

    async def remove(self, by: int, room: int | str, user: int, ban: bool) -> Room:
        """Remove a member."""

    async def unban(self, by: int, room: int | str, user: int) -> Room:
        """Let a user join again."""

    async def set_role(self, by: int, room: int | str, user: int, role: str) -> Room:
        """Give a member another role."""

    async def change(
        self,
        by: int,
        room: int | str,
        name: str | None = None,
        topic: str | None = None,
        kind: str | None = None,
        history: str | None = None,
    ) -> Room:
        """Change what is not None."""

    async def close(self, by: int, room: int | str) -> Room:
        """Close a room."""

    async def list_rooms(
        self, uid: int, name: str, after: int, limit: int, mine: bool
    ) -> tuple[list[ListedRoom], bool]:
        """List public rooms and the user's own; whether there are more."""

    async def list_members(
        self, uid: int, room: int | str, after: int | None, limit: int
    ) -> tuple[Room, list[tuple[int, str, str]], bool]:
        """List the members of a room: uid, name, role each; whether there are more."""

    async def of_user(self, uid: int, also: Sequence[int] = ()) -> list[RoomOfUser]:
        """
        The rooms of a user, and those of ``also`` in which the user was once, each with its events finished.

        A room of ``also`` that the user was never in is left out.
        """

    async def ready(self, room: int) -> Room:
        """Finish a room's events, and remember its version in SQL, so that messages can be stored."""

    async def find(self, uid: int, room: int | str) -> tuple[Room, bool]:
        """
        Find the room that a message of ``uid`` is for, ready for messages; whether the user may know of it.

        For a number that no room has it gives one of version 0: the store judges numbered messages, and an answer of
        this node would tell a room that does not exist from one that the user may not know of.

        :raise RoomRefused: ``UNKNOWN_ROOM``: there is none of that name that this user may know of.
        """

    def known(self, room: int) -> Room | None:
        """The room, if it was made ready since the store was connected to last: nothing needs to be waited for."""

    def entry_seen(self, room: int, version: int, name: str | None, kind: str | None) -> None:
        """Take note of an event of a room's log, so that what is known of the room stays true."""

    def lost_events(self, room: int) -> None:
        """Make a room ready anew before the next message: its log was found to lack events."""

    def reconnected(self) -> None:
        """Forget which rooms are ready: the store may have lost events."""
