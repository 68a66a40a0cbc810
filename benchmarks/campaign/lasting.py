"""Faults that last while others strike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.campaign.node import Node


@dataclass(frozen=True)
class _Lasting:
    """A fault that holds ``node``, if that is one, until ``until`` faults have struck; ``undo`` ends it."""

    node: Node | None
    until: int
    undo: Callable[[], None]


class LastingFaults:
    """``struck`` counts all that have struck, by name."""

    def __init__(self) -> None:
        self.struck: Counter[str] = Counter()
        self._lasting: list[_Lasting] = []

    def end(self) -> None:
        """Undo what still lasts."""
        self._undo(None)

    def _hold(self, node: Node | None, strikes: int, undo: Callable[[], None]) -> None:
        """Undo something after so many more strikes: a number, so that the schedule hangs on the seed alone."""
        self._lasting.append(_Lasting(node, self.struck.total() + strikes, undo))

    def _undo_what_is_over(self) -> None:
        self._undo(self.struck.total())

    def _undo(self, now: int | None) -> None:
        for lasting in [one for one in self._lasting if now is None or one.until <= now]:
            self._lasting.remove(lasting)
            lasting.undo()

    def _held(self) -> list[Node]:
        return [lasting.node for lasting in self._lasting if lasting.node is not None]
