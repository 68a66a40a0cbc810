"""What the dialects are tried with: events of each kind, and texts with characters that do mischief."""

from __future__ import annotations

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
    e.LangSet(),
    e.Farewell(),
    e.Kicked(),
    e.Bye(2.5),
    *[e.Refused(problem, to=2, waiting=3, expected=4, retry_after=5.0) for problem in Problem],
]
"""One of each kind, and a refusal of each kind."""
