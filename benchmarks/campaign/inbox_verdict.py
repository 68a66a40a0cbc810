"""What was found of inboxes in a campaign: counts, complaints, and some examples."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.campaign.complaints import Complaints


@dataclass
class Verdict(Complaints):
    """What became of all messages."""

    confirmed: int = 0
    refused: int = 0
    owed: int = 0
    """Showings of confirmed messages, one for each session that it was for, copies among them."""
    copies: int = 0
    """Those of them that are copies…"""
    copies_wrong: int = 0
    """…and those of these that are lost, shown twice or out of order."""
    events: int = 0
    """Those of them that are of events of confirmed edits and retractions."""
    lost: int = 0
    passed_over: int = 0
    """Those lost ones whose reader was shown a later message of the same sender: they cannot come any more."""
    shown_twice: int = 0
    out_of_order: int = 0
    shown_though_refused: int = 0
    misdirected: int = 0
    """Copies that were shown to the device that sent them, or to who is not to have any."""
    missed: int = 0
    """Confirmed ones that a device was told of as gone, or copies of when it was not registered: exempt."""
    missed_for_no_reason: int = 0
    """Times that a device was told so though nobody had it forgotten and it was not too far behind."""
    wrong: int = 0
    """Frames that are not as they should be."""
    lost_with_store: int = 0
    """Confirmed ones that the store lost when it went back: exempt."""
    shown_again: int = 0
    """Showings that come of that, too: exempt."""
    kicked: int = 0
    """Times that a user was logged out for a log-in that had failed, or was given up: a nuisance, not a loss."""
    devices: int = 0
    """Times that a user took a new device, because its numbers had been used."""

    def blame(self, kind: str, what: str, copy: bool = False) -> None:
        """Count a complaint."""
        super().blame(kind, what)
        self.copies_wrong += copy

    @property
    def is_broken(self) -> bool:
        """Whether any promise is."""
        return bool(
            self.lost
            or self.shown_twice
            or self.out_of_order
            or self.shown_though_refused
            or self.misdirected
            or self.missed_for_no_reason
            or self.wrong
        )
