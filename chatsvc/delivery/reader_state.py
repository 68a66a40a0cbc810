"""The states of a reader, and what leads from one to another."""

from __future__ import annotations

from enum import Enum, auto


class State(Enum):
    """What a reader is doing."""

    CATCHING_UP = auto()
    LIVE = auto()
    PAUSED = auto()
    CLOSED = auto()


class Input(Enum):
    """What happens to a reader."""

    MISSED = auto()
    """The inbox may hold messages that this reader has not seen."""
    CAUGHT_UP = auto()
    """All that the inbox holds was delivered."""
    PAUSE = auto()
    RESUME = auto()
    """The connection can take messages, and none was missed."""
    RESUME_BEHIND = auto()
    """The connection can take messages, and some were missed."""
    CLOSE = auto()


TRANSITIONS: dict[State, dict[Input, State]] = {
    State.PAUSED: {
        Input.RESUME: State.LIVE,
        Input.RESUME_BEHIND: State.CATCHING_UP,
        Input.CLOSE: State.CLOSED,
    },
    State.CATCHING_UP: {
        Input.CAUGHT_UP: State.LIVE,
        Input.PAUSE: State.PAUSED,
        Input.CLOSE: State.CLOSED,
    },
    State.LIVE: {
        Input.MISSED: State.CATCHING_UP,
        Input.PAUSE: State.PAUSED,
        Input.CLOSE: State.CLOSED,
    },
    State.CLOSED: {},
}
"""All transitions of a reader. An input that a state does not name changes nothing."""
