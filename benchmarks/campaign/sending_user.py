"""A user's second session, which only sends: it has a device of its own, and is refused more often than others."""

from __future__ import annotations

import random

from benchmarks.campaign.structured_user import StructuredUser


class SendingUser(StructuredUser):
    """Half of what it says is for the one who acknowledges seldom, where its share is full most of the time."""

    kind = "s"
    number = 1
    receives = False

    def choose(self) -> int:
        slow: int = self.options.slow
        choice = self.recipients()
        return slow if slow in choice and random.random() < 0.5 else random.choice(choice)
