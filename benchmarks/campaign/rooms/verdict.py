"""What was found of rooms in a campaign: counts, complaints, and some examples."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.campaign.complaints import Complaints


@dataclass
class RoomVerdict(Complaints):
    """What became of rooms' messages and events."""

    confirmed: int = 0
    refused: int = 0
    changes: int = 0
    """Events of rooms, as SQL has them."""
    edits: int = 0
    retractions: int = 0
    """Changes of messages that were confirmed."""
    owed: int = 0
    lost: int = 0
    passed_over: int = 0
    """Those lost ones whose reader was shown a later entry of the room: they cannot come any more."""
    shown_twice: int = 0
    out_of_order: int = 0
    leaked: int = 0
    misdirected: int = 0
    """Messages that were shown to the device which sent them, or though they were refused."""
    refused_for_no_reason: int = 0
    """Messages of members that were refused as those of others."""
    missed: int = 0
    missed_for_no_reason: int = 0
    unfinished: int = 0
    """Changes that never got into their room's log."""
    wrong: int = 0
    lost_with_store: int = 0
    shown_again: int = 0
    retracted: int = 0
    """Messages, and edits of them, that were gone from the log before a reader came to them: exempt."""
    unplaced: int = 0
    """Confirmed ones of which nobody knows on which side of a joining or leaving they stand: exempt."""

    @property
    def is_broken(self) -> bool:
        """Whether any promise is."""
        return bool(
            self.lost
            or self.shown_twice
            or self.out_of_order
            or self.leaked
            or self.misdirected
            or self.refused_for_no_reason
            or self.missed_for_no_reason
            or self.unfinished
            or self.wrong
        )
