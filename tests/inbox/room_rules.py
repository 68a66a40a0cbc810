"""What Hypothesis does with rooms' logs, beside what it does with inboxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chatsvc.inbox.interface import Inbox
from chatsvc.inbox.outcome import Draft, Removal, RoomAcknowledgement, RoomDraft
from chatsvc.inbox.room_log import Applied, Invited, LogEvent, Opened, Place, RoomPage, RoomStart
from chatsvc.wire.entries import Reference, reply_to
from chatsvc.wire.events import RoomEntry, RoomEvent
from tests.inbox.blocking import at_once
from tests.inbox.model import Models
from tests.inbox.room_model import RoomModelEntry

READERS = (1, 2)
ROOMS = (1, 7)
AT = 1_700_000_000_123

in_rooms = st.sampled_from(ROOMS)
readers = st.sampled_from(READERS)
references = st.one_of(
    st.none(),
    st.tuples(
        st.sampled_from(["reply", "edited", "retracted", "retracted"]),
        st.one_of(st.integers(-1, 3), st.integers(0, 20)),
    ),
)
"""What a message has to do with another: how, and with which of those that its model knows."""


def reference_to(chosen: tuple[str, int] | None, serials: Sequence[int]) -> Reference | None:
    """A reference to one of these serials."""
    return None if chosen is None else Reference(chosen[0], serials[chosen[1] % len(serials)])


says = st.tuples(
    in_rooms,
    st.sampled_from((*READERS, 3)),
    st.sampled_from([None, "a" * 16, "b" * 16]),
    st.sampled_from([0, 0, 0, -1, 1]),
    st.sampled_from([0, 0, 0, 0, 1, -1]),
    st.sampled_from(["x", "\0", "{}", "你" * 50]),
    references,
)
"""A message to a room: which, of whom, of which device; how far number and version are off; text and reference."""

changes = st.tuples(st.sampled_from(["joined", "joined", "left", "invited", "", "closed"]), readers)


def of_entry(entry: RoomEntry) -> RoomModelEntry:
    """The model's entry of a room's log."""
    if isinstance(entry, RoomEvent) and not entry.version:
        assert (entry.user, entry.name) == (0, "名")
        text = entry.details.get("text", "")
        change = Reference(entry.event, entry.details["target"])
        assert set(entry.details) == {"target", *(["text"] if entry.event == "edited" else [])}
        return RoomModelEntry(entry.id, 0, entry.by, text, entry.serial, change)
    if isinstance(entry, RoomEvent):
        return RoomModelEntry(entry.id, entry.version, entry.by, entry.event, entry.serial)
    reference = reply_to(entry.reply or None)
    return RoomModelEntry(entry.id, 0, entry.sender, entry.text, entry.serial, reference)


def change(room: int, version: int, what: str, user: int) -> LogEvent:
    """A change of a room; its first makes it."""
    about = (room, version, AT)
    by_whom = (3, user, "名")
    if version == 1:
        members = ((user, "owner"), (3, "member"))
        return LogEvent(*about, "created", *by_whom, {}, members, joins=True)
    if what == "joined":
        return LogEvent(*about, what, *by_whom, {"a": [1]}, ((user, "member"),), joins=True)
    if what == "left":
        return LogEvent(*about, what, *by_whom, {}, ((user, None),))
    if what == "invited":
        return LogEvent(*about, "", *by_whom, invited=Invited(user, 3, "名", "dev", "join #dev"))
    return LogEvent(*about, what, *by_whom, closes=what == "closed")


class RoomRules(RuleBasedStateMachine):
    """Drives rooms' logs and their models side by side."""

    inbox: Inbox
    models: Models

    def __init__(self) -> None:
        super().__init__()
        self.unconfirmed: list[Draft | RoomDraft] = []

    def commit(
        self,
        drafts: Sequence[Draft | RoomDraft],
        removals: list[Removal],
        acknowledgements: Sequence[RoomAcknowledgement] = (),
    ) -> None:
        """Carry out a batch in the store and in the model, and compare."""
        raise NotImplementedError

    def size_of(self, event: LogEvent) -> int:
        """How many bytes the store's entry of an event has beside the name."""
        raise NotImplementedError

    def room_draft(
        self,
        room: int,
        sender: int,
        device: str | None,
        step: int,
        version: int,
        text: str,
        chosen: tuple[str, int] | None,
    ) -> RoomDraft:
        """A message whose number is ``step`` from the next one of its device; changes have none."""
        model = self.models.rooms[room]
        its = max(0, model.version + version)
        reference = reference_to(chosen, model.known_serials())
        if reference is not None and reference.kind == "retracted":
            text = ""
        said = RoomDraft(room, sender, "名", AT, text, version=its, reference=reference)
        if device is None:
            return said
        if reference is not None and reference.changes:
            return replace(said, device=device, mark=device)
        n = max(1, model.expected(sender, device) + step)
        return replace(said, device=device, n=n, mark=device)

    @initialize()
    def begin_room(self) -> None:
        """One of the rooms is there from the beginning, with all as its members."""
        self.change_room(ROOMS[0], [("created", READERS[0]), ("joined", READERS[1])], 0)

    @rule(batch=st.lists(says, max_size=6), to=st.lists(readers, max_size=2))
    def send_to_rooms(self, batch: list[Any], to: list[int]) -> None:
        """Several messages to rooms, and some to inboxes between them."""
        self.unconfirmed = [self.room_draft(*one) for one in batch]
        for place, uid in enumerate(to):
            self.unconfirmed.insert(2 * place, Draft(uid, 3, "名", AT, "x"))
        self.commit(self.unconfirmed, [])

    @rule(
        room=in_rooms,
        uid=readers,
        device=st.sampled_from(["a" * 16, "b" * 16]),
        stale=st.integers(0, 1),
        chosen=references,
    )
    def send_to_a_room_as_reader(
        self, room: int, uid: int, device: str, stale: int, chosen: tuple[str, int] | None
    ) -> None:
        """A message to a room, of a session of a registered device."""
        generation = self.models[uid].sending.get(device, 0) - stale
        if generation > 0:
            version = min(1, self.models.rooms[room].version) - 1
            sent = self.room_draft(room, uid, device, 0, version, "x", chosen)
            sent = replace(sent, version=1, sending=generation, registered=True)
            self.commit([sent], [])

    @rule(
        room=in_rooms,
        some=st.lists(changes, min_size=1, max_size=4),
        gap=st.sampled_from([0, 0, 0, 1]),
    )
    def change_room(self, room: int, some: list[tuple[str, int]], gap: int) -> None:
        """Several changes of a room, the first of which may have been lost."""
        model = self.models.rooms[room]
        first = model.version + 1 + gap
        events = [change(room, version, *one) for version, one in enumerate(some, first)]
        applied: Applied = at_once(self.inbox.rooms.apply(room, events))
        if gap:
            assert applied == Applied([], model.version or None), applied
            return
        assert [place.version for place in applied.places] == [one.version for one in events]
        for event, place in zip(events, applied.places, strict=True):
            self.models.change(event, place.serial, self.size_of(event))
            id = model.last if event.event else 0
            assert (place.id, place.full) == (id, event.version in model.full), (place, model)
            if event.invited is not None and not place.full:
                self.learn_serial_of_invitation(event.invited.user)
        assert applied.version == model.version

    def learn_serial_of_invitation(self, uid: int) -> None:
        """Note the serial that the store has given the invitation that came last."""
        raise NotImplementedError

    @rule(room=in_rooms, back=st.integers(1, 9))
    def change_room_again(self, room: int, back: int) -> None:
        """Changes that the log has come again."""
        model = self.models.rooms[room]
        events = model.events[-back:]
        if not events:
            return
        applied: Applied = at_once(self.inbox.rooms.apply(room, events))
        kept = {entry.version: entry for entry in model.kept if entry.version}
        for event, place in zip(events, applied.places, strict=True):
            entry = kept.get(event.version)
            if entry is not None:
                assert place == Place(event.version, entry.id, entry.serial), (place, model)
                continue
            assert (place.id, place.full) == (0, event.version in model.full), (place, model)
            if event.event and model.kept:
                assert place.serial < model.kept[0].serial
        assert applied.version == model.version

    @rule(
        room=in_rooms,
        uid=readers,
        back=st.integers(-2, 9),
        over=st.sampled_from([False, False, True]),
    )
    def acknowledge_room(self, room: int, uid: int, back: int, over: bool) -> None:
        """A session has a room's log up to an id."""
        id = self.models.rooms[room].last - back
        if id > 0:
            self.commit([], [], [RoomAcknowledgement(uid, room, id, over)])

    @rule(
        uid=readers,
        rooms=st.lists(in_rooms, unique=True),
        place=st.integers(-1, 11),
        floor=st.integers(-1, 11),
        step=st.sampled_from([0, 0, 5, -5]),
    )
    def open_rooms(self, uid: int, rooms: list[int], place: int, floor: int, step: int) -> None:
        """A session begins in some rooms, and says what it has shown, or nothing."""
        starts = []
        for room in rooms:
            model = self.models.rooms[room]
            known = [*model.kept, *model.gone[-5:]]
            least = known[floor % len(known)].serial if known and floor >= 0 else 0
            said: tuple[int | None, int | None] = (None, None)
            if known and place >= 0:
                entry = known[place % len(known)]
                said = entry.id, entry.serial + step
            starts.append(RoomStart(room, *said, least))
        opened: Opened = at_once(self.inbox.rooms.open(uid, starts))
        for start, ends in zip(starts, opened.ends, strict=True):
            model = self.models.rooms[start.room]
            assert (ends.room, ends.version, ends.front, ends.last) == (
                start.room,
                model.version,
                model.front,
                model.last,
            ), (ends, model)
            assert (ends.begin, ends.after) == model.begin(uid, start), (ends, start, model)
            first_serial = model.kept[0].serial if model.kept else 0
            knows_all = (
                ends.begin == model.last and ends.after is not None and ends.after >= model.front
            )
            # Who has all of the log need not be told where it begins.
            assert ends.first_serial in ((first_serial, 0) if knows_all else (first_serial,)), (
                ends,
                model,
            )
        others = {one for one, model in self.models.rooms.items() if uid in model.positions}
        assert set(opened.others) == others - set(rooms)

    @rule(room=in_rooms, back=st.integers(-1, 8), limit=st.integers(1, 4))
    def read_room(self, room: int, back: int, limit: int) -> None:
        """A page, perhaps over what was retracted."""
        model = self.models.rooms[room]
        after = max(0, model.last - back)
        page: RoomPage = at_once(self.inbox.rooms.read(room, after, limit))
        expected = [entry for entry in model.kept if entry.id > after][:limit]
        assert [of_entry(entry) for entry in page.entries] == expected, (page, model)
        assert (page.front, page.first_serial) == (
            model.front,
            model.kept[0].serial if model.kept else 0,
        )

    @rule(
        rooms=st.permutations(ROOMS),
        place=st.integers(0, 11),
        step=st.sampled_from([0, 0, 5, -5]),
        limit=st.integers(1, 9),
    )
    def expire_rooms(self, rooms: list[int], place: int, step: int, limit: int) -> None:
        """What is too old is let go of, or a part of it."""
        serials = [entry.serial for model in self.models.rooms.values() for entry in model.kept]
        before = serials[place % len(serials)] + step if serials else 0
        more = at_once(self.inbox.rooms.expire(rooms, before, limit))
        left, missing = limit, []
        for room in rooms:
            left -= self.models.rooms[room].expire(before, left)
            kept = self.models.rooms[room].kept
            missing += [room] if kept and kept[0].serial < before else []
        assert set(missing) <= set(more), (more, before)
        assert not (more and left), (more, before)

    @rule(room=in_rooms, sender=readers, edits=st.integers(0, 8))
    def say_and_retract(self, room: int, sender: int, edits: int) -> None:
        """A message that is edited, and retracted, so that a large part of a log is gone."""
        model = self.models.rooms[room]
        if not model.version:
            return
        self.commit([RoomDraft(room, sender, "名", AT, "x" * 200)], [])
        if not model.kept:
            return
        serial = model.kept[-1].serial
        for kind in [*["edited"] * edits, "retracted"]:
            text = "x" if kind == "edited" else ""
            self.commit(
                [RoomDraft(room, sender, "名", AT, text, reference=Reference(kind, serial))], []
            )

    @invariant()
    def all_of_rooms_is_there(self) -> None:
        """Nothing of a room is lost, added or moved."""
        for room, model in self.models.rooms.items():
            page: RoomPage = at_once(self.inbox.rooms.read(room, 0, 1000))
            assert [of_entry(entry) for entry in page.entries] == model.kept, (page, model)
            assert page.front == model.front
