"""Connections on which nobody is logged in: the oldest is closed first when others need its place."""

from __future__ import annotations

from typing import Generic, TypeVar

One = TypeVar("One")


class UnauthenticatedConnections(Generic[One]):
    """Unauthenticated connections in order of age, in all and for each network; the network ``""`` is not kept."""

    def __init__(self) -> None:
        self._since: dict[One, float] = {}
        self._networks: dict[str, dict[One, float]] = {}

    def add(self, one: One, network: str, now: float) -> None:
        """Add a new connection, or one that has logged out; ``now`` is in monotonic seconds."""
        self._since[one] = now
        if network:
            self._networks.setdefault(network, {})[one] = now

    def discard(self, one: One, network: str) -> None:
        """Remove a connection that is closed or has logged in."""
        self._since.pop(one, None)
        there = self._networks.get(network)
        if there is not None:
            there.pop(one, None)
            if not there:
                del self._networks[network]

    def oldest(self, latest: float, network: str | None = None) -> One | None:
        """Return the oldest of a network or (None) of all, or None if none was added at ``latest`` or before."""
        those = self._since if network is None else self._networks.get(network, {})
        one = next(iter(those), None)
        return one if one is not None and those[one] <= latest else None
