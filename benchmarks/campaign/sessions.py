"""Who is in the campaign: the sessions of each user, by their names."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.campaign.journal import split_name
from benchmarks.campaign.records import DEVICE, TEXT

_MIX = (("",), ("d1", "d2"), ("d1", "d2", "d3"), ("", "d1", "d2"))
"""The kinds of the sessions of four users: one today's program, several devices, today's program beside devices."""

MOST_DEVICES = 4
"""Devices that a user may have, as the campaign's servers are told: one more than anybody has."""


def sessions_of(
    uids: Sequence[int], devices: int | None, *, rooms: bool = False
) -> dict[int, list[str]]:
    """
    The names of all sessions that read, by uid: so many registered devices for each user, or a mix.

    In the mix half of those who use today's program beside devices use the text dialect. The last user, who
    acknowledges seldom, has no device.

    With ``rooms`` the other users without a device use the text dialect, so that they can be in rooms.
    """
    found = {}
    for place, uid in enumerate(reversed(uids)):
        kinds = _MIX[place % len(_MIX)] if devices is None else _so_many(devices)
        if len(kinds) > 1 and kinds[0] == "" and place // len(_MIX) % 2:
            kinds = (TEXT, *kinds[1:])
        if rooms and place and kinds == ("",):
            kinds = (TEXT,)
        found[uid] = [f"{uid}{kind}" for kind in kinds]
    return dict(sorted(found.items()))


def _so_many(devices: int) -> tuple[str, ...]:
    return tuple(f"{DEVICE}{number}" for number in range(1, devices + 1)) or ("",)


def is_device(name: str) -> bool:
    """Whether a session is that of a registered device."""
    return split_name(name)[1].startswith(DEVICE)


def is_text(name: str) -> bool:
    """Whether a session speaks the text dialect."""
    return split_name(name)[1] == TEXT
