"""Strangers: connections on which nobody is logged in. They make room for others, the oldest first."""

from __future__ import annotations

from typing import Generic, TypeVar

One = TypeVar("One")


class UnauthenticatedConnections(Generic[One]):
    """In the order in which they came, in all and from each network; an empty network has no order of its own."""

    def __init__(self) -> None:
        self._since: dict[One, float] = {}
        self._networks: dict[str, dict[One, float]] = {}

    def add(self, one: One, network: str, now: float) -> None:
        """Somebody has come, or is one again; ``now`` in seconds of a clock that only goes forward."""
        self._since[one] = now
        if network:
            self._networks.setdefault(network, {})[one] = now

    def discard(self, one: One, network: str) -> None:
        """One is gone, or no stranger any more."""
        self._since.pop(one, None)
        there = self._networks.get(network)
        if there is not None:
            there.pop(one, None)
            if not there:
                del self._networks[network]

    def oldest(self, latest: float, network: str | None = None) -> One | None:
        """The one that has waited longest, since ``latest`` or before; None: nobody has, there or (None) anywhere."""
        those = self._since if network is None else self._networks.get(network, {})
        one = next(iter(those), None)
        return one if one is not None and those[one] <= latest else None
