"""What the dialects are tried with: events of each kind, and texts with characters that do mischief."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NASTY = st.text(
    st.sampled_from(
        "a 你[]|:\t\n\r\0\x0b\x0c\x1b\x7f\x85\x9b\u2028\u2029\u202e\u2066\u206a\u200b\u0301\u0302\ufff9😀{}%"
    ),
    max_size=200,
)
ANY = NASTY | st.text(max_size=200)

AT = 1763888424123


def message(text: str = "你好", sender: int = 10001, name: str = "张三") -> e.Message:
    """Return a message that was accepted at ``AT``."""
    return e.Message(41, sender, name, AT, text)


def room_message(
    text: str = "hi", sender: int = 10001, name: str = "a", device: str = ""
) -> e.RoomMessage:
    """Return a message of room 7 that was accepted at ``AT``."""
    return e.RoomMessage(7, 121, 10 * AT, sender, name, AT, text, device)


def room_event(event: str, user: int = 10002, name: str = "b", **details: Any) -> e.RoomEvent:
    """Return an event of room 7, by 10001."""
    return e.RoomEvent(7, 122, 10 * AT, 5, AT, event, 10001, user, name, details)


EVENTS: list[e.Event | e.Message] = [
    message(),
    e.Greeting(),
    e.Welcome(True),
    e.LoggedIn(10001, "a", "t", "e", 3),
    e.Sent(10002, 41, message(), True, 1),
    e.Registered(10001),
    e.PasswordChanged(),
    e.Renewed("t"),
    e.Found("a", ((1, True),)),
    e.DevicesListed((e.Device("ab" * 8, "x/1", 1, 2, True),), "ab" * 8),
    e.DeviceForgotten(),
    e.Missed(1, 2, 3),
    e.LoggedOut(),
    e.Pong(),
    e.HelpShown(),
    e.HelpOnRoomsShown(),
    e.RoomShown(7, "dev", "public", "", "all", "member", 12, 120, 118),
    e.RoomLeft(7, "dev", "removed"),
    e.RoomMissed(7, 1, 2, 3),
    e.Synced(),
    e.RoomSent(7, "dev", 121, room_message()),
    e.RoomDone("created", 7, "dev"),
    e.RoomsListed((e.ListedRoom(7, "dev", "x", 12, True),), True),
    e.MembersListed(7, "dev", (e.ListedMember(1, "a", "owner", True),), True),
    e.LangSet(),
    e.Farewell(),
    e.Kicked(),
    e.Bye(2.5),
    *[
        e.Refused(problem, to=2, waiting=3, expected=4, retry_after=5.0, room=7)
        for problem in Problem
    ],
]
"""One of each kind, and a refusal of each kind."""
