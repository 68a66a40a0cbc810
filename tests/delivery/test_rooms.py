"""Rooms are delivered: to each session what lies within its user's memberships, once, in the order of the log."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from chatsvc.delivery.fan_out import AT_ONCE, GATHERED
from chatsvc.delivery.room_start import Known, is_over
from chatsvc.rooms.room import RoomOfUser
from chatsvc.wire import events as e
from tests.delivery.room_case import ALICE, BOB, RoomCase
from tests.delivery.rooms import RoomClient


class LiveTests(RoomCase):
    """Sessions that are level with their feed."""

    def test_begins_at_the_joining(self) -> None:
        """A device that says nothing of a room would not see its joining, or would see what came before it."""
        client = self.client(BOB)
        self.assertEqual(client.ids, [2])
        self.assertIsInstance(client.said[0], e.RoomShown)
        self.assertIsInstance(client.said[-1], e.Synced)

    def test_takes_what_is_stored(self) -> None:
        """What is said in a room would reach nobody who is there."""
        client = self.client()
        self.say()
        self.assertEqual(client.ids, [1, 2, 3])

    def test_gathers(self) -> None:
        """A busy room would cost a write for each message and connection."""
        client = self.client()
        self.say()
        self.say()
        self.say()
        self.assertEqual(client.ids, [1, 2, 3])
        self.node.clock.advance(GATHERED)
        self.assertEqual(client.ids, [1, 2, 3, 4, 5])

    def test_not_to_the_device_that_sent_it(self) -> None:
        """A device would show its own message a second time, or another device of the user would never show it."""
        sending, other = self.client(device="a" * 16), self.client(device="b" * 16)
        self.say(sender=ALICE, device="a" * 16)
        self.assertEqual([sending.ids, other.ids], [[1, 2], [1, 2, 3]])

    def test_left(self) -> None:
        """Somebody who has left would read on."""
        client = self.client()
        self.node.tell(self.rooms.event("left", ALICE))
        self.say()
        self.node.pass_time()
        self.assertEqual(client.ids, [1, 2, 3])
        self.assertEqual(client.said[-1], e.RoomLeft(7, "dev", "left"))
        self.assertIn(("closed here", [7]), self.rooms.noted)

    def test_acknowledging_the_end(self) -> None:
        """The account would keep a position in a room that it has left, and read it again at each log-in."""
        client = self.client()
        self.node.tell(self.rooms.event("left", ALICE))
        self.node.pass_time()
        self.assertTrue(client.reader.acknowledge(7, 3))
        self.assertEqual(client.acknowledged, [(7, 3, True)])
        self.assertFalse(client.reader.acknowledge(7, 3))

    def test_acknowledges_what_was_handed_over(self) -> None:
        """A client could acknowledge what it was never handed, and another device would not be shown it."""
        client = self.client()
        self.assertTrue(client.reader.acknowledge(7, 99))
        self.assertEqual(client.acknowledged, [(7, 2, False)])

    def test_own_messages_count_as_acknowledged(self) -> None:
        """The account's other sessions would be shown what this one has said, over and over."""
        client = self.client(device="a" * 16)
        self.say(2, sender=ALICE, device="a" * 16)
        self.node.pass_time()
        self.assertTrue(client.reader.acknowledge(7, 2))
        self.assertEqual(client.acknowledged, [(7, 4, False)])
        self.say(sender=ALICE, device="a" * 16)
        self.node.pass_time()
        client.reader.close()
        self.assertEqual(client.acknowledged[1:], [(7, 5, False)])

    def test_what_was_not_acknowledged_at_the_end(self) -> None:
        """What a session has not acknowledged would not be shown by the next one."""
        client = self.client(device="a" * 16)
        self.say(sender=ALICE, device="a" * 16)
        self.node.pass_time()
        client.reader.close()
        self.assertEqual(client.acknowledged, [])

    def test_missing_entry_is_read(self) -> None:
        """News that got lost would leave a hole in a room."""
        client = self.client()
        self.rooms.say(BOB)
        self.node.tell(self.rooms.say(BOB))
        self.node.pass_time()
        self.assertEqual(client.ids, [1, 2, 3, 4])

    def test_told_twice(self) -> None:
        """An entry that comes on two ways would be shown twice."""
        client = self.client()
        (entry,) = self.say()
        self.node.tell(entry)
        self.node.pass_time()
        self.assertEqual(client.ids, [1, 2, 3])

    def test_joins_again(self) -> None:
        """Who was removed and came back at once would hear nothing of the room any more."""
        client = self.client()
        self.rooms.event("removed", ALICE)
        self.rooms.say(BOB)
        self.rooms.event("joined", ALICE)
        client.reader.joined(self.rooms.mark(ALICE))  # the inbox is faster
        self.node.tell(*self.rooms.log[-3:])
        self.say()
        self.node.pass_time()
        self.assertEqual(client.ids, [1, 2, 3, 5, 6])

    def test_mark_of_a_room_that_is_read(self) -> None:
        """Each device that reads a room would read its beginning again when it comes to the mark in the inbox."""
        client = self.client()
        client.reader.joined(self.rooms.mark(ALICE))
        self.node.pass_time()
        self.assertEqual(client.ids, [1, 2])

    def test_mark_of_a_new_room(self) -> None:
        """A device that is here would not read a room that another device has joined."""
        self.rooms.members.clear()
        client = self.client()
        self.rooms.event("joined", ALICE)
        client.reader.joined(self.rooms.mark(ALICE))
        self.node.pass_time()
        self.assertEqual(client.ids, [3])
        self.assertIsInstance(client.said[-1], e.RoomShown)

    def test_joined_and_removed_while_away(self) -> None:
        """What was said between a joining and a removal would be lost to a device that was away for both."""
        self.rooms.members.clear()
        self.rooms.event("joined", ALICE)
        mark = self.rooms.mark(ALICE)
        self.rooms.say(BOB)
        self.rooms.event("removed", ALICE)
        self.rooms.say(BOB)
        client = self.client()
        client.reader.joined(mark)
        self.node.pass_time()
        self.assertEqual(client.ids, [3, 4, 5])
        self.assertEqual(client.said[-1], e.RoomLeft(7, "dev", "removed"))

    def test_synced_after_all(self) -> None:
        """A program would take for new what waited in a room that was joined and left while it was away."""
        self.rooms.members.clear()
        self.rooms.event("joined", ALICE)
        client = RoomClient(self.node, ALICE, "d" * 16)
        client.marks = [self.rooms.mark(ALICE)]
        self.rooms.event("removed", ALICE)
        self.rooms.is_held = True
        client.log_in(Known({}))
        self.node.pass_time()
        kinds = [type(one) for one in client.said]
        self.assertEqual(kinds, [e.RoomShown, e.RoomLeft, e.Synced])

    def test_many_in_bounded_turns(self) -> None:
        """A room of a thousand would hold up everybody else while all its connections are written to."""
        clients = [self.client(device=f"{i:016x}") for i in range(AT_ONCE + 1)]
        counts: list[int] = []

        def count() -> None:
            counts.append(sum(client.ids == [1, 2, 3] for client in clients))

        self.node.tell(self.rooms.say(BOB))
        self.node.clock.callLater(0, count)
        self.node.clock.callLater(10 * GATHERED, count)
        self.node.pass_time()
        self.assertEqual(counts, [AT_ONCE, AT_ONCE + 1])


class BehindTests(RoomCase):
    """Sessions that cannot take more, come back, or find that something is gone."""

    def test_paused(self) -> None:
        """A slow reader would lose what comes while its connection is full, or be handed it twice."""
        client = self.client()
        client.takes = 1
        self.say()
        self.node.pass_time()
        self.say(4)
        self.node.pass_time()
        self.assertEqual(client.ids, [1, 2, 3])
        client.takes = 2
        client.reader.resume()
        self.node.pass_time()
        self.assertEqual(client.ids, [1, 2, 3, 4, 5])
        client.takes = 100
        client.reader.resume()
        self.node.pass_time()
        self.say()
        self.node.pass_time()
        self.assertEqual(client.ids, [*range(1, 9)])

    def test_inbox_first(self) -> None:
        """Rooms would be read while the inbox still is."""
        client = RoomClient(self.node, ALICE, "d" * 16)
        client.inbox_is_live = False
        client.log_in(Known({}))
        self.node.pass_time()
        self.assertEqual(client.ids, [])
        client.inbox_is_live = True
        client.reader.read_on()
        self.node.pass_time()
        self.assertEqual(client.ids, [1, 2])

    def test_goes_on_where_it_was(self) -> None:
        """A device that comes back would be shown again what it has shown."""
        self.rooms.say(BOB)
        client = self.client(known=Known({7: (2, 20)}))
        self.assertEqual(client.ids, [3])

    def test_missed(self) -> None:
        """A client would not know that entries are missing."""
        self.rooms.window = 3
        for _ in range(5):
            self.rooms.say(BOB)
        client = self.client(known=Known({7: (2, 20)}))
        self.assertEqual(client.said[1], e.RoomMissed(7, 2, 4, 50, "dev"))
        self.assertEqual(client.ids, [5, 6, 7])

    def test_missed_while_paused(self) -> None:
        """A client that was slow would not know that entries are missing."""
        client = self.client()
        self.rooms.window = 3
        client.reader.pause()
        self.say(6)
        self.node.pass_time()
        client.reader.resume()
        self.node.pass_time()
        self.assertEqual(client.ids, [1, 2, 6, 7, 8])
        self.assertIn(e.RoomMissed(7, 2, 5, 60, "dev"), client.said)

    def test_removed_while_away(self) -> None:
        """Somebody who was removed would not see what was said before, or would see what came after."""
        self.rooms.say(BOB)
        self.rooms.event("removed", ALICE)
        self.rooms.say(BOB)
        client = self.client(known=Known({7: (2, 20)}))
        self.assertEqual(client.ids, [3, 4])
        self.assertEqual(client.said[-2:], [e.RoomLeft(7, "dev", "removed"), e.Synced()])

    def test_over_at_the_log_in(self) -> None:
        """A client would keep a room for ever of which nothing is left for it."""
        removed = self.rooms.event("removed", ALICE)
        client = self.client(known=Known({7: (removed.id, removed.serial), 8: (1, 10)}))
        self.assertEqual(
            client.said[:2], [e.RoomLeft(7, "dev", "removed"), e.RoomLeft(8, "", "left")]
        )

    def test_removed_and_back_while_away(self) -> None:
        """What was said while somebody was no member would be shown to them."""
        self.rooms.event("removed", ALICE)
        self.rooms.say(BOB)
        self.rooms.event("joined", ALICE)
        self.rooms.say(BOB)
        client = self.client(known=Known({7: (2, 20)}))
        self.assertEqual(client.ids, [3, 5, 6])
        self.assertFalse([one for one in client.said if type(one) is e.RoomLeft])

    def test_account_position(self) -> None:
        """A session that says nothing of rooms would be shown again what the account has acknowledged."""
        self.rooms.say(BOB)
        self.rooms.positions[ALICE] = 2, 20
        self.assertEqual(self.client(known=Known()).ids, [3])

    def test_back_without_a_position(self) -> None:
        """Who has left and come back would be shown again what is long past, and what was said in between (P5)."""
        self.rooms.say(BOB)
        self.rooms.event("left", ALICE)
        self.rooms.say(BOB)
        self.rooms.event("joined", ALICE)
        self.rooms.say(BOB)
        for backlog in (None, 50):
            self.assertEqual(self.client(known=Known(None, backlog)).ids, [6, 7])

    def test_end_of_an_earlier_membership_is_not_acknowledged(self) -> None:
        """Who was removed and came back, and crashes then, would never be shown the removal (P3)."""
        self.rooms.event("removed", ALICE)
        self.rooms.say(BOB)
        self.rooms.event("joined", ALICE)
        client = RoomClient(self.node, ALICE, "d" * 16)
        client.takes = 2
        client.log_in(Known({7: (1, 10)}))
        self.node.pass_time()
        self.assertEqual(client.ids, [2, 3])
        self.assertTrue(client.reader.acknowledge(7, 2))
        client.reader.close()
        self.assertEqual(client.acknowledged, [(7, 2, False)])

    def test_left_with_a_position(self) -> None:
        """A person who was removed while away would not be shown what was said before."""
        self.rooms.say(BOB)
        self.rooms.positions[ALICE] = 2, 20
        self.rooms.event("removed", ALICE)
        client = self.client(known=Known(), device="")
        self.assertEqual(client.ids, [3, 4])

    def test_backlog(self) -> None:
        """A person would be flooded with all that was said in a room."""
        for _ in range(10):
            self.rooms.say(BOB)
        self.assertEqual(self.client(known=Known(backlog=3)).ids, [10, 11, 12])

    def test_told_of_the_backlog(self) -> None:
        """A person would take the newest entries for all, or a program that asked for them be told."""
        for _ in range(10):
            self.rooms.say(BOB)
        for window, position, left_out in (
            (100, (4, 40), (4, 9)),  # only the backlog
            (100, (9, 90), None),
            (100, (11, 110), None),
            (5, (4, 40), (4, 9)),  # some are not kept either
            (2, (4, 40), (4, 10)),  # fewer are kept than the backlog has
        ):
            self.setUp()
            self.rooms.window = window
            for _ in range(10):
                self.rooms.say(BOB)
            self.rooms.positions[ALICE] = position
            client = self.client(known=Known(backlog=3, tells_backlog=True), device="")
            said = [one for one in client.said if isinstance(one, e.RoomMissed)]
            told = [(one.after, one.until) for one in said]
            self.assertEqual(told, [] if left_out is None else [left_out], window)
            self.assertEqual(client.ids[-1], 12)
        asked = self.client(known=Known(backlog=1), device="")
        self.assertEqual([one for one in asked.said if isinstance(one, e.RoomMissed)], [])

    def test_removed_while_logging_in(self) -> None:
        """Somebody who was removed between two questions of a log-in would read the room for ever."""
        for known in (Known({7: (2, 20)}, backlog=0), Known({7: (10**15, 10**15)})):
            self.setUp()
            self.rooms.is_held = True
            client = RoomClient(self.node, ALICE, "d" * 16)
            client.log_in(known)
            self.node.tell(self.rooms.event("removed", ALICE))
            self.node.pass_time()
            self.say()
            self.node.pass_time()
            self.assertNotIn(4, client.ids)
            self.assertEqual([type(one) for one in client.said], [e.RoomLeft, e.Synced])

    def test_room_that_changes_all_the_time(self) -> None:
        """A log-in would never end while a room changes."""
        self.rooms.is_held = True
        client = RoomClient(self.node, ALICE, "d" * 16)
        client.log_in(Known({}))
        for _ in range(20):
            self.rooms.event("changed", BOB)
            self.rooms.let()
            self.node.clock.advance(0.1)
        self.assertFalse(client.is_logged_in)
        self.assertEqual(self.rooms.waiting, [])

    def test_left_but_not_in_the_log(self) -> None:
        """Who leaves while a log-in reads SQL would be told so at once, and not be shown what was said before."""
        self.rooms.say(BOB)
        room = RoomOfUser(self.rooms.a_room(), "", tuple(self.rooms.members[ALICE]))
        self.assertFalse(is_over(room, Known({7: (2, 20)})))

    def test_joined_but_not_in_the_log(self) -> None:
        """A log-in would fail that comes while its user joins a room, or comes back into one."""
        self.rooms.event("left", ALICE)
        for known in (Known(), Known({}), Known({7: (3, 30)})):
            for memberships in ((), tuple(self.rooms.members[ALICE])):
                room = RoomOfUser(self.rooms.a_room(), "", memberships)
                client = RoomClient(self.node, ALICE, "d" * 16)
                opened = Deferred.fromCoroutine(client.reader.open([room], known))
                self.successResultOf(opened)
                client.reader.close()

    def test_store_away(self) -> None:
        """A reader would stop for ever when the store was away for a moment."""
        client = RoomClient(self.node, ALICE, "d" * 16)
        client.inbox_is_live = False
        client.log_in(Known({}))
        self.rooms.is_away, client.inbox_is_live = True, True
        client.reader.read_on()
        self.node.pass_time()
        self.rooms.is_away = False
        self.node.pass_time()
        self.assertEqual(client.ids, [1, 2])

    def test_stop(self) -> None:
        """A server that stops would read for ever for a session that is behind, and do nothing else."""
        client = RoomClient(self.node, ALICE, "d" * 16)
        client.inbox_is_live = False
        client.log_in(Known({}))
        self.node.feeds.close()
        client.inbox_is_live = True
        client.reader.read_on()
        self.node.pass_time()
        self.assertEqual(client.ids, [])

    def test_news_while_opening(self) -> None:
        """What is stored while a session finds out where it begins would not be shown before the next message."""
        self.rooms.is_held = True
        client = RoomClient(self.node, ALICE, "d" * 16)
        client.log_in(Known({}))
        self.rooms.let()
        self.node.tell(self.rooms.say(BOB))
        self.rooms.is_held = False
        self.node.pass_time()
        self.assertEqual(client.ids, [1, 2, 3])


class LossTests(RoomCase):
    """A store that lost entries and goes on, with the same ids and greater serials."""

    def test_steps_back(self) -> None:
        """What is said under ids that were given out before would be shown to nobody."""
        client = self.client()
        self.say(3)
        self.node.pass_time()
        self.rooms.lose(2)
        self.rooms.say(BOB)
        self.node.feeds.store_returned()
        self.node.pass_time()
        self.assertEqual(client.ids, [1, 2, 3, 4, 5, 4])
        self.assertGreater(client.handed[-1].serial, client.handed[-2].serial)

    def test_acknowledgement_of_what_is_lost(self) -> None:
        """An acknowledgement of a lost entry would count for the one that has its id now."""
        client = self.client()
        self.say(2)
        self.node.pass_time()
        self.rooms.lose(1)
        self.rooms.say(BOB)
        self.node.feeds.store_returned()
        self.node.pass_time()
        self.assertFalse(client.reader.acknowledge(7, 4))

    def test_id_given_out_twice(self) -> None:
        """A node that heard nothing of a loss would take a new entry for one that it knows."""
        client = self.client()
        self.say(2)
        self.node.pass_time()
        self.rooms.lose(1)
        self.node.tell(self.rooms.say(BOB))
        self.node.pass_time()
        self.assertEqual(client.ids, [1, 2, 3, 4, 4])
