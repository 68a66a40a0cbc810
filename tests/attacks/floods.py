"""Ways to send much at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from tests.support.clients import FrameClient

LARGEST = 65_535
"""Bytes of the longest frame."""

AT_ONCE = 100
"""Frames that a flood has under way on one connection."""

PATIENCE = 30.0
"""Seconds that the next answer may take: whoever sends so much is made to wait."""

T = TypeVar("T")


def flood(client: FrameClient, frames: Iterable[str | bytes]) -> list[str]:
    """Send frames, many at once; the answers to them, of which each has one."""
    answers: list[str] = []
    left = iter(frames)
    while some := list(islice(left, AT_ONCE)):
        client.send_many(some)
        answers += [client.read(PATIENCE) for _ in some]
    return answers


def together(attacks: Sequence[Callable[[], T]]) -> list[T]:
    """Make attacks at the same time; what came of each."""
    with ThreadPoolExecutor(len(attacks)) as threads:
        return [attack.result() for attack in [threads.submit(attack) for attack in attacks]]


def largest(**thing: object) -> bytes:
    """An object in a frame that is as long as it can be."""
    frame = json.dumps({**thing, "more": ""}).encode()
    return frame[:-2] + b"x" * (LARGEST - len(frame)) + frame[-2:]
