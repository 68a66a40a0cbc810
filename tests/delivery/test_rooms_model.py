"""Rooms under any sequence of events: each device is handed what lies within its user's memberships, once, in order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.delivery.room_start import Known, covers
from chatsvc.wire import events as e
from tests.delivery.rooms import MemoryRooms, RoomClient, RoomNode

USERS = (10001, 10002)
DEVICES = ("a" * 16, "b" * 16)
VISITS = (Known(), Known(None, 2), Known({}, 0), Known({7: (10**6, 10**9)}))
"""What sessions say that keep nothing; the last one lies."""


class Person:
    """A device that keeps what it has shown, and drops what it has shown before, as docs/protocol.md says."""

    def __init__(self, uid: int, device: str) -> None:
        self.uid = uid
        self.device = device
        self.client: RoomClient | None = None
        self.shown: list[e.RoomEntry] = []
        self.taken = 0
        self.marks: list[e.Joining] = []

    def position(self) -> dict[int, tuple[int, int]]:
        """What it says in ``auth``."""
        last = self.shown[-1] if self.shown else None
        return {7: (last.id, last.serial)} if last is not None else {}

    def take(self) -> None:
        """Show what has come."""
        if self.client is None:
            return
        for entry in self.client.handed[self.taken :]:
            last = self.shown[-1] if self.shown else None
            if last is None or entry.id > last.id or entry.serial > last.serial:
                self.shown.append(entry)
        self.taken = len(self.client.handed)


class RoomMachine(RuleBasedStateMachine):
    """One room, its log, one node, and the devices of two users."""

    @initialize()
    def begin(self) -> None:
        self.rooms = MemoryRooms()
        self.node = RoomNode(self.rooms)
        self.rooms.event("joined", 1)
        self.people = [Person(uid, device) for uid in USERS for device in DEVICES]
        self.visitors: dict[int, RoomClient] = {}

    def told(self, entry: e.RoomEntry, heard: bool) -> None:
        """Tell the node of an entry, or let the news get lost."""
        if heard:
            self.node.tell(entry)

    @rule(
        sender=st.sampled_from((1, *USERS)),
        device=st.sampled_from(("", *DEVICES)),
        heard=st.booleans(),
    )
    def say(self, sender: int, device: str, heard: bool) -> None:
        if sender == 1 or self.rooms.is_member(sender):
            self.told(self.rooms.say(sender, device), heard)

    @rule(
        sender=st.sampled_from((1, *USERS)),
        place=st.integers(-6, -1),
        kinds=st.lists(st.sampled_from(("edited", "retracted")), min_size=1, max_size=3),
        heard=st.booleans(),
    )
    def change(self, sender: int, place: int, kinds: list[str], heard: bool) -> None:
        """Edit or retract what was said: the log has gaps then."""
        said = [entry.serial for entry in self.rooms.log if type(entry) is e.RoomMessage]
        if said and (sender == 1 or self.rooms.is_member(sender)):
            for kind in kinds:
                self.told(self.rooms.change(sender, said[place % len(said)], kind), heard)

    @rule(user=st.sampled_from(USERS), heard=st.booleans(), mark_first=st.booleans())
    def come_or_go(self, user: int, heard: bool, mark_first: bool) -> None:
        is_member = self.rooms.is_member(user)
        entry = self.rooms.event("removed" if is_member else "joined", user)
        if not mark_first:
            self.told(entry, heard)
        if not is_member:
            for person in self.people:
                if person.uid == user:
                    if person.client is None:
                        person.marks.append(self.rooms.mark(user))
                    else:
                        person.client.joined(self.rooms.mark(user))
            if user in self.visitors:
                self.visitors[user].joined(self.rooms.mark(user))
        if mark_first:
            self.told(entry, heard)

    @rule(count=st.integers(1, 2))
    def lose(self, count: int) -> None:
        """Let the store lose its newest messages; the node finds out when it is told that the store is back."""
        if all(type(entry) is e.RoomMessage for entry in self.rooms.log[-count:]):
            self.rooms.lose(count)
            self.node.feeds.store_returned()

    @rule(who=st.integers(0, 3))
    def log_in(self, who: int) -> None:
        person = self.people[who]
        if person.client is not None:
            return
        person.client, person.taken = RoomClient(self.node, person.uid, person.device), 0
        person.client.marks, person.marks = person.marks, []
        person.client.log_in(Known(person.position()))

    @rule(who=st.integers(0, 3))
    def log_out(self, who: int) -> None:
        person = self.people[who]
        if person.client is not None and not self.rooms.waiting:
            # A mark counts as acknowledged when it was come to: here its joining was handed over by then.
            person.client.takes = 10**9
            person.client.reader.resume()
            self.node.pass_time()
            person.take()
            person.client.reader.close()
            person.client = None

    @rule(user=st.sampled_from(USERS), known=st.sampled_from(VISITS))
    def visit(self, user: int, known: Known) -> None:
        """Log in, or out, with a session that keeps nothing; the account may have a position."""
        visitor = self.visitors.pop(user, None)
        if visitor is not None:
            visitor.reader.close()
            if visitor.handed and known.backlog is None:
                last = visitor.handed[-1]
                self.rooms.positions[user] = last.id, last.serial
            return
        self.visitors[user] = RoomClient(self.node, user)
        self.visitors[user].log_in(known)

    @rule(who=st.integers(0, 3), takes=st.integers(1, 3))
    def pause(self, who: int, takes: int) -> None:
        client = self.people[who].client
        if client is not None:
            client.takes = takes

    @rule(who=st.integers(0, 3))
    def resume(self, who: int) -> None:
        client = self.people[who].client
        if client is not None:
            client.takes = 10**9
            client.reader.resume()

    @rule()
    def hold(self) -> None:
        self.rooms.is_held = True

    @rule()
    def let(self) -> None:
        self.rooms.is_held = False
        self.rooms.let()

    @rule(seconds=st.sampled_from((0.0, 0.03, 0.2)))
    def pass_time(self, seconds: float) -> None:
        self.node.clock.advance(seconds)

    @invariant()
    def is_in_order(self) -> None:
        for person in self.people:
            person.take()
            serials = [entry.serial for entry in person.shown]
            assert serials == sorted(set(serials)), "out of order, or twice"

    @invariant()
    def nothing_is_missed(self) -> None:
        """All that was not retracted is kept, so nobody is told that something is not."""
        clients = [person.client for person in self.people if person.client is not None]
        for client in (*clients, *self.visitors.values()):
            assert not [one for one in client.said if type(one) is e.RoomMissed]

    @invariant()
    def is_within_memberships(self) -> None:
        clients = [person.client for person in self.people if person.client is not None]
        for client in (*clients, *self.visitors.values()):
            spans = self.rooms.members[client.uid]
            for entry in client.handed:
                assert covers(spans, entry.serial), "handed to somebody who was no member"

    def teardown(self) -> None:
        self.rooms.is_held = False
        self.rooms.let()
        for who, person in enumerate(self.people):
            self.log_in(who)
            if person.client is not None:
                person.client.takes = 10**9
                person.client.reader.resume()
        self.node.tell(self.rooms.say(1))
        self.node.pass_time()
        for person in self.people:
            person.take()
            kept = {entry.serial for entry in self.rooms.log}
            shown = [entry.id for entry in person.shown if entry.serial in kept]
            assert shown == self.expected(person), person.device

    def expected(self, person: Person) -> list[int]:
        """The ids that a device has shown in the end."""
        spans = self.rooms.members[person.uid]
        inside = [
            entry
            for entry in self.rooms.log
            if any(one.serial <= entry.serial <= (one.until or entry.serial) for one in spans)
        ]
        return [
            entry.id
            for entry in inside
            if not (
                type(entry) is e.RoomMessage
                and entry.sender == person.uid
                and entry.device == person.device
            )
        ]


class RoomModelTests(SynchronousTestCase):
    """The model, run by Hypothesis."""

    def test_model(self) -> None:
        """Some sequence of joinings, lost news, full connections and log-ins would lose, double or leak an entry."""
        steps = settings(max_examples=300, stateful_step_count=30, deadline=None)
        run_state_machine_as_test(RoomMachine, settings=steps)
