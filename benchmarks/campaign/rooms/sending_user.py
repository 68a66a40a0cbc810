"""A user's second session, which only sends, into rooms, too; it comes and goes by commands, and is told of nothing."""

from __future__ import annotations

from benchmarks.campaign.rooms.member import RoomMember
from benchmarks.campaign.sending_user import SendingUser


class RoomSendingUser(RoomMember, SendingUser):
    """Knows of the rooms that it is in by the answers to what it has asked."""
