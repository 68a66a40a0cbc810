"""What clients may be granted: a feature that every node knows, for stores cannot serve those who do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from twisted.logger import Logger

from chatsvc.inbox.interface import Inbox
from chatsvc.inbox.nodes import parse_facts
from chatsvc.observability.log_limiter import LogLimiter
from chatsvc.storage.url import StoreUnavailable
from chatsvc.waiters import Waiters

DEVICES = "devices"
"""The feature of registered devices."""

ROOMS = "rooms"
"""The feature of rooms; it needs that of devices."""

FEATURES = (DEVICES, ROOMS)
"""The features that this version knows."""

REFERENCES = "references"
"""What a client need not ask for: a node that does not know it cannot read messages that refer to earlier ones."""

FACTS = (*FEATURES, REFERENCES)
"""What a node of this version publishes that it knows."""

_NO_DEVICES = "no client is granted a registered device"
_NO_REFERENCES = "no message is edited, retracted or marked as an answer"

_ASKED_EVERY = 1.0
"""Seconds after which the store is asked again who the nodes are: many clients come at once after a restart."""

LOOKED_EVERY = 10.0
"""Seconds after which a server looks for older nodes of its own accord: most come when nobody asks for a feature."""

_SAID_EVERY = 60.0
"""Seconds in which the log says once that an older node is there."""


class FeatureGrants:
    """
    Decides which features are granted: those that all nodes with a lease say they know.

    ``now`` returns monotonic seconds.
    """

    _log = Logger()

    def __init__(self, inbox: Inbox, now: Callable[[], float]) -> None:
        self._inbox = inbox
        self._now = now
        self._known: frozenset[str] = frozenset()
        self._asked = float("-inf")
        self._asking = False
        self._answer = Waiters[bool]()
        self._older = LogLimiter(now, _SAID_EVERY)

    async def grant(self, asked: Iterable[str]) -> tuple[str, ...]:
        """
        Return which of the features that a client asks for are granted, each once, in its order.

        :raise StoreUnavailable: the store that knows the nodes is away.
        """
        words = [word for word in dict.fromkeys(asked) if word in FEATURES]
        if not words:
            return ()
        return tuple([word for word in words if await self.all_know(word)])

    def is_known(self, fact: str) -> bool:
        """Whether all nodes knew it when they were asked last."""
        return fact in self._known

    async def all_know(self, fact: str) -> bool:
        """
        Return whether all nodes know it.

        :raise StoreUnavailable: the store that knows the nodes is away.
        """
        if self._now() >= self._asked + _ASKED_EVERY:
            await self._ask()
        return fact in self._known

    async def look(self) -> None:
        """Look who the nodes are, and say so if one is of an older version; nothing if the store is away."""
        with suppress(StoreUnavailable):
            await self._ask()

    async def _ask(self) -> None:
        """Ask the store, or wait for the answer if somebody has asked."""
        if self._asking:
            if not await self._answer.wait():
                raise StoreUnavailable("the nodes are not known")
            return
        self._asking, answered = True, False
        try:
            self._learn(await self._inbox.nodes())
            answered = True
        finally:
            self._asking = False
            self._answer.fire(answered)

    def _learn(self, nodes: Mapping[str, str]) -> None:
        facts = {name: frozenset(parse_facts(text).features) for name, text in nodes.items()}
        self._known = frozenset(FACTS).intersection(*facts.values())
        self._asked = self._now()
        older = sorted(name for name, known in facts.items() if not known >= set(FACTS))
        if older and (count := self._older.hit()):
            lacks = _NO_REFERENCES if self._known >= set(FEATURES) else _NO_DEVICES
            self._log.error(
                "Nodes of an older version are running: {lacks} until they are stopped ({nodes})",
                event="older-node",
                lacks=lacks,
                nodes=", ".join(older),
                count=count,
            )
