"""Batches in their order."""

from __future__ import annotations

from typing import Any

from chatsvc.inbox.redis import script
from tests.inbox.fixtures import READER, draft
from tests.inbox.redis.stores import OnRedis
from tests.support.script_rules import replace_rule


class OrderTests(OnRedis):
    """Two batches under way, and a script's cache that is flushed between them."""

    async def flushed_between(self) -> list[str]:
        """The texts in the inbox, after the first of two batches met a flushed cache, and the second did not."""
        inbox = self.store()
        await inbox.open(self.watcher)
        protocol: Any = await inbox._connection.connected()
        ask, evals = protocol.execute_command, 0

        def between(*words: Any) -> Any:
            nonlocal evals
            if words[:2] != ("EVALSHA", script.BATCHES.hash):
                return ask(*words)
            evals += 1
            if evals == 1:
                ask("SCRIPT", "FLUSH")
            answer = ask(*words)
            if evals == 1:
                ask("SCRIPT", "LOAD", script.BATCHES.source)  # by another node
            return answer

        self.patch(protocol, "execute_command", between)
        committing = [inbox.commit([draft(text)], []) for text in ("first", "second")]
        outcomes = [(await one).outcomes for one in committing]
        self.assertEqual(len(outcomes), 2)
        return [message.text for message in await inbox.read(READER, 0, 10)]

    async def test_flush(self) -> None:
        """Two messages of one sender would be swapped."""
        self.assertEqual(await self.flushed_between(), ["first", "second"])

    async def test_it_is_the_order(self) -> None:
        """Something else would keep the order, and the rule be of no use."""
        replace_rule("if args.previous and", "if false and", self.patch)
        self.assertEqual(await self.flushed_between(), ["second", "first"])
