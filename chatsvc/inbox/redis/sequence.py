"""
Batches in their order: one that overtakes the one before is sent again.

A batch is sent while the one before is under way. Somebody may flush the script's cache between the two: the first is
then sent once more, whole, and the second would be carried out before it if another node has loaded the script
meanwhile. The script refuses a batch that names one before it which was not carried out.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from chatsvc.inbox.redis.script import evaluate

_AGAIN = ["again"]


class OrderedScript:
    """Asks the script by one ``entrance``, so that it is carried out in the order of the questions."""

    def __init__(self, entrance: bytes) -> None:
        self._entrance = entrance
        self._order = 0
        self._connection: Any = None
        self._unanswered = 0

    def ask(self, protocol: Any, asked: dict[str, Any]) -> Deferred[Any]:
        """Ask over a connection; what is asked is changed."""
        if protocol is not self._connection:
            self._connection, self._unanswered = protocol, 0
        self._order += 1
        asked["order"] = self._order
        if self._unanswered:
            asked["previous"] = self._order - 1
        self._unanswered += 1
        answer = evaluate(protocol, self._entrance, asked)
        answer.addBoth(self._answered, protocol)
        return answer.addCallback(self._not_too_early, protocol, asked)

    def _answered(self, answer: Any, protocol: Any) -> Any:
        if protocol is self._connection:
            self._unanswered -= 1
        return answer

    def _not_too_early(self, answer: Any, protocol: Any, asked: dict[str, Any]) -> Any:
        if answer != _AGAIN:
            return answer
        # The one before was sent again when its own answer came, so this one comes behind it.
        del asked["previous"]
        return evaluate(protocol, self._entrance, asked)
