"""What was found of the archive in a campaign: counts, complaints, and some examples."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.campaign.complaints import Complaints


@dataclass
class ArchiveVerdict(Complaints):
    """What became of all messages in the archive."""

    messages: int = 0
    """Messages that are in it."""
    owed: int = 0
    """Messages that must be: confirmed ones, and those that were shown."""
    missing: int = 0
    passed_over: int = 0
    """Those missing ones above whose serial there is another message: they cannot come any more."""
    twice: int = 0
    wrong: int = 0
    """Those that nobody has sent, that were refused, or that are not as they were sent and shown."""
    out_of_order: int = 0
    edits: int = 0
    retractions: int = 0
    """Changes that were confirmed."""
    otherwise: int = 0
    """Messages that do not read as they were edited last, or that are, or are not, retracted."""
    otherwise_for_good: int = 0
    """Those of them where the archive has what was said later: they stay so."""
    in_rooms: int = 0
    """Retracted messages, and edits of them, that are still in their rooms' logs."""
    told_otherwise: int = 0
    """Those that read otherwise than readers were told last."""
    changes_refused: int = 0
    """Changes of messages between two users that were refused for no reason."""
    lost_with_store: int = 0
    """Missing ones that the store lost when it went back: exempt."""
    kept: int = 0
    """Those that the store lost, while the archive still has them."""
    unindexed: int = 0
    unfound: int = 0
    """Messages that are not found by each of their words."""
    stray: int = 0
    """Words in the index of messages that are not there, or do not have them."""
    queued: int = 0
    """Entries that never left the queue."""
    refused: int = 0
    """Entries that the archive did not take."""

    @property
    def is_broken(self) -> bool:
        """Whether any promise is."""
        return bool(
            self.missing
            or self.twice
            or self.wrong
            or self.out_of_order
            or self.otherwise
            or self.in_rooms
            or self.told_otherwise
            or self.changes_refused
            or self.unindexed
            or self.unfound
            or self.stray
            or self.queued
            or self.refused
        )
