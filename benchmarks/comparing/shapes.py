"""How many talk, and how: ``40x8`` in pairs, ``hot:200x1`` to one reader, ``burst:40x50`` in bursts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from benchmarks.comparing.subjects import FIRST_UID

_SHAPE = re.compile(r"(?:(hot|burst):)?(\d+)x(\d+)")


@dataclass(frozen=True)
class Shape:
    """
    ``writers`` connections with ``flight`` messages each under way. In pairs they write to each other; ``hot``: all to
    one more, who only reads; ``burst``: the next ``flight`` messages leave together when the last ones have arrived.
    """

    name: str
    writers: int
    flight: int
    kind: str = ""

    @property
    def crowd(self) -> dict[str, int]:
        """Words of the generator's command line."""
        if self.kind == "hot":
            return {"lines": self.writers + 1, "to": FIRST_UID}
        return {"lines": self.writers}

    @property
    def run(self) -> dict[str, int]:
        """Words of one of its runs."""
        return {"flight": self.flight, "burst": int(self.kind == "burst")}


def parse_shape(text: str) -> Shape:
    """
    Read a shape.

    :raise ValueError: it is none.
    """
    match = _SHAPE.fullmatch(text)
    if match is None or not int(match[2]) or not int(match[3]):
        raise ValueError(f"{text!r} is no shape: write 40x8, hot:200x1 or burst:40x50")
    return Shape(text, int(match[2]), int(match[3]), match[1] or "")


USUAL = tuple(map(parse_shape, ("40x8", "400x2", "4000x1", "hot:200x1", "burst:40x50")))
QUICK = USUAL[:2]
