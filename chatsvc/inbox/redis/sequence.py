"""
Batches in their order: one that overtakes the one before is sent again.

A batch is sent while the one before is under way. The script's cache may be flushed between the two: the first is then
sent once more, whole, and the second would be carried out before it if another node has loaded the script meanwhile.
So the script refuses a batch that names a batch before it which was not carried out.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from chatsvc.inbox.redis.script import evaluate

_AGAIN = ["again"]


class OrderedScript:
    """Calls commands of the script that are for batches, so that they are carried out in their order."""

    def __init__(self) -> None:
        self._order = 0
        self._connection: Any = None
        self._unanswered = 0

    def call(self, protocol: Any, command: bytes, arguments: dict[str, Any]) -> Deferred[Any]:
        """Call a command over a connection; its place in the order is added to ``arguments``."""
        if protocol is not self._connection:
            self._connection, self._unanswered = protocol, 0
        self._order += 1
        arguments["order"] = self._order
        if self._unanswered:
            arguments["previous"] = self._order - 1
        self._unanswered += 1
        answer = evaluate(protocol, command, arguments)
        answer.addBoth(self._answered, protocol)
        return answer.addCallback(self._not_too_early, protocol, command, arguments)

    def _answered(self, answer: Any, protocol: Any) -> Any:
        if protocol is self._connection:
            self._unanswered -= 1
        return answer

    def _not_too_early(
        self, answer: Any, protocol: Any, command: bytes, arguments: dict[str, Any]
    ) -> Any:
        if answer != _AGAIN:
            return answer
        # The one before was sent again when its own answer came, so this one comes behind it.
        del arguments["previous"]
        return evaluate(protocol, command, arguments)
