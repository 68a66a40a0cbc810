"""Changes of a room, and the events that they are for its log."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.rooms.event import (
    RoomChange,
    before,
    details_text,
    from_row,
    log_event,
    raised_members,
)
from chatsvc.rooms.room import MEMBER, MODERATOR, OWNER

ANN, BOB = 10001, 10002


def change(event: str, version: int = 1, user: int = BOB, **details: Any) -> RoomChange:
    """A change by ANN."""
    return RoomChange(version, 5, event, ANN, user, "bob", details)


class LogEventTests(SynchronousTestCase):
    def test_members(self) -> None:
        """Who may send would not follow who has come, gone, or has another role."""
        for event, expected in (
            (change("created"), ((BOB, OWNER),)),
            (change("joined"), ((BOB, MEMBER),)),
            (change("left"), ((BOB, None),)),
            (change("removed", ban=True), ((BOB, None),)),
            (change("role", role=MODERATOR), ((BOB, MODERATOR),)),
            (change("changed", topic="x"), ()),
            (change("closed"), ()),
            (change("banned"), ()),
            (change("raised", members={ANN: OWNER}), ()),
        ):
            self.assertEqual(log_event(7, event).members, expected, event)

    def test_entries(self) -> None:
        """Members would be shown what is nobody's business, or not what is theirs."""
        shown = ("created", "joined", "left", "removed", "role", "changed", "closed")
        hidden = ("withdrawn", "banned", "unbanned", "raised")
        for event in (*shown, *hidden):
            made = log_event(7, change(event, role="x", members={}))
            self.assertEqual(made.event, event if event in shown else "")
            self.assertEqual(bool(made.details), event in shown)
            self.assertEqual(made.joins, event in ("created", "joined"))
            self.assertEqual(made.closes, event == "closed")
            self.assertIsNone(made.invited)
            self.assertEqual(
                (made.room, made.version, made.at, made.by, made.user, made.name),
                (7, 1, 5, ANN, BOB, "bob"),
            )

    def test_invitation(self) -> None:
        """An invitation would reach nobody, or all members."""
        made = log_event(7, change("invited", inviter="ann", room_name="dev"))
        self.assertEqual((made.event, made.details), ("", {}))
        assert made.invited is not None
        self.assertEqual((made.invited.user, made.invited.sender), (BOB, ANN))
        self.assertEqual((made.invited.name, made.invited.room_name), ("ann", "dev"))


class BeforeTests(SynchronousTestCase):
    def test_before(self) -> None:
        """A log that begins anew would have members of another time, whom its next events do not fit."""
        after = {1: OWNER, 2: MODERATOR, 4: MEMBER}
        changes = [
            change("joined", 5, 4),
            change("left", 6, 3),
            change("role", 7, 2, role=MODERATOR),
            change("joined", 8, 9),
            change("removed", 9, 9),
        ]
        for order in (changes, changes[::-1]):
            self.assertEqual(set(before(after, order)), {1, 2, 3})
        self.assertEqual(before(after, []), after)
        self.assertEqual(before({1: OWNER}, [change("created", 1, 1)]), {})

    def test_there_and_back(self) -> None:
        """A change would be another one after it stood in the table."""
        made = change("raised", members={ANN: OWNER, BOB: MEMBER})
        row = (1, 5, "raised", ANN, BOB, "bob", details_text(made.details))
        self.assertEqual(raised_members(from_row(row)), {ANN: OWNER, BOB: MEMBER})
        self.assertEqual(from_row((*row[:-1], '{"name":"开发"}')).details, {"name": "开发"})
