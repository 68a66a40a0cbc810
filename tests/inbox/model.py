"""A simple model of what an inbox promises."""

from __future__ import annotations

from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Draft, Duplicate, Full, Gap, Outcome, Removal, Stored

LIMITS = InboxLimits(waiting=9, share=5)


class Model:
    """One inbox as the interface describes it."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, int, str]] = []
        self.last_id = 0
        self.generation = 0
        self.epoch: str | None = None
        self.shares: dict[int, int] = {}
        # Devices of a sender: the texts that were accepted, and the id of the last. All are used within a day.
        self.devices: dict[int, dict[str, tuple[list[str], int]]] = {}

    def append(self, draft: Draft) -> Outcome:
        """The outcome of a message, which it stores or not."""
        waiting = len(self.messages)
        known = self.devices.setdefault(draft.sender, {})
        if draft.n is not None:
            texts, id = known.get(draft.device, ([], 0))
            newest = len(texts)
            if draft.n <= newest and draft.text == texts[draft.n - 1]:
                return Duplicate(id if draft.n == newest else None, waiting)
            if draft.n != newest + 1:
                return Gap(newest + 1)
        if waiting >= LIMITS.waiting:
            return Full(waiting, False)
        if self.shares.get(draft.sender, 0) >= LIMITS.share:
            return Full(waiting, True)
        self.last_id += 1
        self.messages.append((self.last_id, draft.sender, draft.text))
        self.shares[draft.sender] = self.shares.get(draft.sender, 0) + 1
        if draft.n is not None:
            known[draft.device] = ([*texts, draft.text], self.last_id)
        return Stored(self.last_id, waiting + 1)

    def remove(self, removal: Removal) -> bool:
        """Remove what a session has received; False: it is refused."""
        if removal.generation != self.generation or removal.up_to > self.last_id:
            return False
        self.purge(removal.up_to)
        return True

    def purge(self, up_to: int) -> int:
        """Remove what waits up to an id; how many messages that were."""
        before = len(self.messages)
        kept = [message for message in self.messages if message[0] > up_to]
        if len(kept) < before:
            self.messages, self.shares = kept, {}
        return before - len(kept)

    def expected(self, sender: int, device: str) -> int:
        """The next number of a device."""
        return len(self.devices.get(sender, {}).get(device, ([], 0))[0]) + 1
