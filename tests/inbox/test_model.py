"""Both inboxes against a simple model of what they promise, driven at random by Hypothesis."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.inbox.claim import InboxClaim, Registration, TooManyDevices
from chatsvc.inbox.interface import Backlog
from chatsvc.inbox.limits import DEVICES
from chatsvc.inbox.outcome import Committed, Draft, Removal, RoomAcknowledgement, RoomDraft
from chatsvc.inbox.redis.inbox import RedisInbox
from chatsvc.inbox.redis.room_codec import encode_event
from chatsvc.inbox.redis.transport.connection import RedisConnection
from chatsvc.inbox.room_log import LogEvent
from chatsvc.inbox.sqlite.inbox import SQLiteInbox
from chatsvc.storage.database import Database
from chatsvc.storage.url import parse_store_url
from chatsvc.wire.events import Joining, Message, Missed
from tests.inbox.blocking import BlockingDatabase, BlockingRedis, at_once
from tests.inbox.fixtures import RecordingWatcher
from tests.inbox.model import LIMITS, Entry, Model, Models
from tests.inbox.room_model import ROOM_LIMITS
from tests.inbox.room_rules import READERS, ROOMS, RoomRules, reference_to, references
from tests.support.servers import PrivateRedis, redis

SENDERS = (1, 3)
DB = 63

BOUNDS = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


DEVICES_OF_READERS = ["a" * 16, "b" * 16, "c" * 16, "d" * 16]

SOME = ["1", "2", "3"]
"""Names that stand for a device that is registered."""

sends = st.tuples(
    st.sampled_from(READERS),
    st.sampled_from(SENDERS),
    st.sampled_from([None, *[f"{i:016x}" for i in range(DEVICES + 2)], *["0" * 16] * 8]),
    st.sampled_from([0, 0, 0, 0, -1, -2, 1, 5]),
    st.sampled_from(["x", "\0", "😀", "{}", "a b\n"]),
    references,
)


def of_message(message: Message) -> Entry:
    """The model's entry; nothing is promised of who a joining's note is from, and what it says."""
    is_note = isinstance(message.mark, Joining)
    what = (0, "") if is_note else (message.sender, message.text)
    return Entry(message.id, *what, message.to, message.device, message.serial, message.mark)


class InboxMachine(RoomRules):
    """Drives a store and its model side by side."""

    remembers = False

    def __init__(self) -> None:
        super().__init__()
        self.models = Models(READERS, ROOMS, self.remembers)
        self.copy: tuple[Any, Models] | None = None
        self.past_epochs: dict[int, set[str]] = {uid: set() for uid in READERS}

    def reopen(self) -> None:
        """Connect to what is there, as after a crash of this process."""
        raise NotImplementedError

    def take_copy(self) -> Any:
        """A back-up of the store."""
        raise NotImplementedError

    def put_back(self, copy: Any) -> None:
        """Restore it."""
        raise NotImplementedError

    def draft(
        self,
        to: int,
        sender: int,
        device: str | None,
        step: int,
        text: str,
        chosen: tuple[str, int] | None = None,
    ) -> Draft:
        """A message whose number is ``step`` from the next one of its device; changes have none."""
        reference = reference_to(chosen, self.models[to].known_serials())
        said = Draft(to, sender, "名", 1_700_000_000_123, text, reference=reference)
        if reference is not None and reference.changes:
            return replace(said, text=text if reference.kind == "edited" else "")
        if device is None:
            return said
        n = max(1, self.models[to].expected(sender, device) + step)
        return replace(said, device=device, n=n)

    def commit(
        self,
        drafts: Sequence[Draft | RoomDraft],
        removals: list[Removal],
        acknowledgements: Sequence[RoomAcknowledgement] = (),
    ) -> None:
        """Carry out a batch in the store and in the model, and compare."""
        committed: Committed = at_once(self.inbox.commit(drafts, removals, acknowledgements))
        expected = self.models.commit(drafts, removals, acknowledgements)
        self.models.learn_serials(drafts, committed.outcomes)
        ended = committed.refused + committed.taken
        refused = [one for one in ended if (one.uid, one.device) not in expected.found]
        assert (committed.outcomes, refused) == (expected.outcomes, expected.refused), (
            committed,
            expected,
        )
        told = set(committed.forgotten)
        assert expected.found <= told <= expected.found | expected.behind, (committed, expected)

    @rule(batch=st.lists(sends, max_size=6))
    def send(self, batch: list[Any]) -> None:
        """Several messages; their numbers are right for the moment before the batch."""
        self.unconfirmed = [self.draft(*send) for send in batch]
        self.commit(self.unconfirmed, [])

    @precondition(lambda self: self.unconfirmed)
    @rule()
    def resend(self) -> None:
        """The reply was lost: the same messages come again."""
        self.commit(self.unconfirmed, [])

    @rule(
        uid=st.sampled_from(READERS),
        beyond=st.sampled_from([None, -1, 0, 0, 1, 2**53 - 1]),
        device=st.sampled_from(["", "", *DEVICES_OF_READERS]),
    )
    def claim(self, uid: int, beyond: int | None, device: str = "") -> None:
        """A log-in of the unnamed device."""
        model = self.models[uid]
        after = None if beyond is None else max(0, min(model.last_id + beyond, 2**53 - 1))
        claim: InboxClaim = at_once(self.inbox.claim(uid, after, device=device))
        model.claim_unnamed(device)
        assert (claim.generation, claim.last_id, claim.waiting, claim.acknowledged) == (
            model.newest,
            model.last_id,
            model.waiting,
            model.devices[""].position,
        ), (claim, model)
        if model.epoch is None or (after is not None and after > model.last_id):
            assert claim.epoch not in self.past_epochs[uid]
        elif model.epoch is not None:
            assert claim.epoch == model.epoch
        model.epoch = claim.epoch
        self.past_epochs[uid].add(claim.epoch)

    @rule(
        uid=st.sampled_from(READERS),
        device=st.sampled_from(DEVICES_OF_READERS),
        says=st.sampled_from(["nothing", "nothing", "entry", "serial", "none", "all"]),
        place=st.integers(0, 20),
    )
    def claim_registered(self, uid: int, device: str, says: str, place: int) -> None:
        """A log-in of a registered device, whose client says what it has shown, or nothing."""
        model = self.models[uid]
        after, serial = self.shown(model, says, place)
        begin = model.beginning(device, after, serial)
        there = {one.device: one.online for one in at_once(self.inbox.devices(uid))}
        is_new, front, kept = device not in there, model.front, model.kept
        claiming = self.inbox.claim(
            uid, after, device=device, registration=Registration("x", serial)
        )
        if is_new and len(there) >= LIMITS.devices:
            if all(there.values()):
                try:
                    at_once(claiming)
                except TooManyDevices:
                    return
                raise AssertionError("it has made room")
            claim: InboxClaim = at_once(claiming)
            (gone,) = there.keys() - {one.device for one in at_once(self.inbox.devices(uid))}
            assert not there[gone], "it was logged in"
            del model.devices[gone]
        else:
            claim = at_once(claiming)
        model.claim_registered(device, begin)
        assert (claim.generation, claim.last_id, claim.waiting, claim.acknowledged) == (
            model.newest,
            model.last_id,
            model.waiting,
            model.devices[device].position,
        ), (claim, model)
        assert (claim.begin, claim.epoch) == (begin, ""), (claim, model)
        first = next(iter(kept)).serial if kept else None
        if after is None or after >= front:
            assert claim.missed is None
        elif is_new:
            assert claim.missed == Missed(after, front, first)

    def shown(self, model: Model, says: str, place: int) -> tuple[int | None, int | None]:
        """What a client says that it has shown: an id and its serial."""
        if says == "nothing" or not model.kept:
            return None, None
        entry = model.kept[place % len(model.kept)]
        if says == "entry":
            return entry.id, entry.serial
        return {
            "serial": (place, entry.serial + 5),
            "none": (place, model.kept[0].serial - 10),
            "all": (model.last_id + place, model.kept[-1].serial + 10),
        }[says]

    @rule(
        uid=st.sampled_from(READERS),
        device=st.sampled_from(["", "", "a" * 16, *SOME]),
        stale=st.sampled_from([0, 0, 0, 1]),
        up_to=st.sampled_from([-1, 0, 1, 2, 3, 99]),
        leaving=st.booleans(),
        batch=st.lists(sends, max_size=2),
    )
    def acknowledge(
        self, uid: int, device: str, stale: int, up_to: int, leaving: bool, batch: list[Any]
    ) -> None:
        """A removal, maybe by an older log-in or for no device, maybe together with new messages."""
        model = self.models[uid]
        device = self.known(model, device)
        if not model.newest or (not device and not model.generation):
            return
        known = model.devices.get(device)
        generation = model.newest if known is None else known.generation
        position = model.front if known is None else known.position
        id = max(0, position + up_to)
        removal = Removal(uid, generation - stale, id, leaving and bool(device), device, id)
        self.commit([self.draft(*send) for send in batch], [removal])

    @rule(
        uid=st.sampled_from(READERS),
        device=st.sampled_from(["", "a" * 16, *SOME]),
        stale=st.sampled_from([0, 0, 0, 1]),
        to=st.lists(st.sampled_from(READERS), min_size=1, max_size=5),
        numbered=st.booleans(),
        chosen=references,
    )
    def send_as_reader(
        self,
        uid: int,
        device: str,
        stale: int,
        to: list[int],
        numbered: bool,
        chosen: tuple[str, int] | None = None,
    ) -> None:
        """Messages of a session that reads: of a registered device, or of the unnamed one."""
        numbered = numbered and (chosen is None or chosen[0] == "reply")
        model = self.models[uid]
        device = self.known(model, device)
        generation = model.sending.get(device)
        if not device:
            if model.generation:
                drafts = [self.draft(one, uid, None, 0, "x", chosen) for one in to]
                generation = model.generation
                self.commit([replace(one, generation=generation) for one in drafts], [])
        elif generation is not None and generation > stale:  # there is no generation 0
            self.unconfirmed = [
                replace(
                    self.draft(one, uid, None, 0, "x", chosen),
                    device=device,
                    n=self.models[one].expected(uid, device) + place if numbered else None,
                    sending=max(1, generation - stale),
                    registered=True,
                )
                for place, one in enumerate(sorted(to))
            ]
            self.commit(self.unconfirmed, [])

    def known(self, model: Model, device: str) -> str:
        """A device; for a name of ``SOME`` one that is registered, if any is."""
        named = sorted(model.named())
        return named[SOME.index(device) % len(named)] if named and device in SOME else device

    @rule(uid=st.sampled_from(READERS), up_to=st.integers(-1, 8), texts=st.integers(1, 8))
    def write(self, uid: int, up_to: int, texts: int) -> None:
        """A reader writes to another at one of two devices, and the other one receives some of the copies."""
        one, two = DEVICES_OF_READERS[:2]
        for device in (one, two):
            self.claim_registered(uid, device, "nothing", 0)
        other = sum(READERS) - uid
        if {one, two} <= self.models[uid].devices.keys():
            self.send_as_reader(uid, one, 0, [other] * texts, False)
            self.acknowledge(uid, two, 0, up_to, False, [])

    @rule(uid=st.sampled_from(READERS), device=st.sampled_from(DEVICES_OF_READERS))
    def forget(self, uid: int, device: str) -> None:
        """A device is forgotten."""
        model = self.models[uid]
        assert at_once(self.inbox.forget(uid, device)) == (device in model.devices)
        if device in model.sending:
            model.take_generation(device)
        if model.devices.pop(device, None) is not None:
            model.trim()

    @rule(uid=st.sampled_from(READERS), up_to=st.sampled_from([-1, 0, 1, 2, 99]))
    def purge(self, uid: int, up_to: int) -> None:
        """An admin removes what waits, whoever reads it."""
        model = self.models[uid]
        removed = at_once(self.inbox.purge(uid, max(0, model.acknowledged + up_to)))
        assert removed == model.purge(max(0, model.acknowledged + up_to))

    @rule(uid=st.sampled_from(READERS), sender=st.sampled_from(SENDERS))
    def devices(self, uid: int, sender: int) -> None:
        """A sender with more devices than an inbox remembers for long, and a reader who keeps up."""
        model = self.models[uid]
        self.claim(uid, None)
        for i in range(DEVICES + 2):
            self.commit([], [Removal(uid, model.generation, model.last_id)])
            self.commit([self.draft(uid, sender, f"{i:016x}", 0, "x")], [])

    def learn_serial_of_invitation(self, uid: int) -> None:
        """Note the serial that the store has given the invitation that came last."""
        model = self.models[uid]
        page: list[Message] = at_once(self.inbox.read(uid, model.last_id - 1, 1))
        for message in page:
            model.kept[-1].serial = message.serial

    @rule(uid=st.sampled_from(READERS), after=st.integers(0, 30), limit=st.integers(1, 4))
    def read(self, uid: int, after: int, limit: int) -> None:
        """A page."""
        page: list[Message] = at_once(self.inbox.read(uid, after, limit))
        expected = [entry for entry in self.models[uid].kept if entry.id > after][:limit]
        assert [of_message(message) for message in page] == expected

    @rule()
    def crash(self) -> None:
        """The server is killed and started again."""
        self.reopen()

    @rule()
    def back_up(self) -> None:
        """A back-up is taken."""
        self.copy = self.take_copy(), deepcopy(self.models)

    @precondition(lambda self: self.copy is not None)
    @rule()
    def restore(self) -> None:
        """The back-up is restored, and the admin says so: ids that were given out since count for nothing."""
        assert self.copy is not None
        copy, models = self.copy
        self.put_back(copy)
        at_once(self.inbox.renew_epoch())
        self.models = deepcopy(models)
        for model in self.models.values():
            model.epoch = None

    @invariant()
    def all_is_there(self) -> None:
        """Nothing is lost, added or moved."""
        for uid, model in self.models.items():
            page: list[Message] = at_once(self.inbox.read(uid, 0, 1000))
            assert [of_message(message) for message in page] == model.kept, (page, model)
            assert at_once(self.inbox.count(uid)) == model.waiting, model
            devices = {one.device for one in at_once(self.inbox.devices(uid))}
            assert devices == set(model.named()), model
        waiting = [
            Backlog(uid, model.waiting, model.last_id, 1_700_000_000_123)
            for uid, model in self.models.items()
            if model.waiting
        ]
        assert at_once(self.inbox.backlogs(None)) == waiting


class SQLiteMachine(InboxMachine):
    """Drives inboxes in SQLite."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="chatsvc-")
        self.database: BlockingDatabase | None = None
        self.reopen()

    def reopen(self) -> None:
        """Connect to what is there."""
        if self.database is not None:
            self.database.close()
        self.database = BlockingDatabase(str(Path(self.folder) / "chat.db"))
        self.inbox = SQLiteInbox(cast(Database, self.database), LIMITS, room_limits=ROOM_LIMITS)
        at_once(self.inbox.open(RecordingWatcher()))

    def size_of(self, event: LogEvent) -> int:
        """How many bytes the store's entry of an event has beside the name."""
        said = {"event": event.event, "user": event.user, "details": dict(event.details)}
        return len(json.dumps(said, ensure_ascii=False).encode())

    @invariant()
    def bytes_of_rooms(self) -> None:
        """What was retracted, or was let go of, counts no more."""
        assert self.database is not None
        sql = "SELECT room, bytes - bytes_front FROM chat_room_log_state"
        for room, bytes in self.database._connection.execute(sql):
            assert bytes == self.models.rooms[room].bytes, (bytes, self.models.rooms[room])

    def take_copy(self) -> Any:
        """A back-up."""
        assert self.database is not None
        return self.database.copy()

    def put_back(self, copy: Any) -> None:
        """Restore it."""
        assert self.database is not None
        self.database.put_back(copy)

    def teardown(self) -> None:
        """Leave nothing behind."""
        if self.database is not None:
            self.database.close()
        shutil.rmtree(self.folder)


@cache
def mortal() -> PrivateRedis:
    """A Redis that these tests kill."""
    server = PrivateRedis()
    server.start()
    return server


class RedisMachine(InboxMachine):
    """Drives inboxes in Redis."""

    server: PrivateRedis
    remembers = True
    kills = 0
    most_kills = 0

    def __init__(self) -> None:
        super().__init__()
        self.link: BlockingRedis | None = None
        self.server.execute("FLUSHDB", db=DB)
        self.reopen()

    def reopen(self) -> None:
        """Connect to what is there."""
        if self.link is not None:
            self.link.close()
        self.link = BlockingRedis(self.server.socket)
        at_once(self.link.execute_command("SELECT", DB))
        url = parse_store_url(f"redis+unix://{self.server.socket}?db={DB}", ("redis+unix",))
        inbox = RedisInbox(Clock(), url, LIMITS, "node", room_limits=ROOM_LIMITS)
        inbox._connection = cast(RedisConnection, self.link)
        self.inbox = inbox

    def size_of(self, event: LogEvent) -> int:
        """How many bytes the store's entry of an event has beside the name."""
        return len(encode_event(event)["text"].encode())

    @invariant()
    def bytes_of_rooms(self) -> None:
        """What was retracted, or was let go of, counts no more."""
        for room, model in self.models.rooms.items():
            fields = at_once(self.command("HGETALL", f"chat:{{#{room}}}:version"))
            said = dict(zip(fields[::2], fields[1::2], strict=True))
            assert int(said.get(b"bytes", 0)) == model.bytes, (said, model)

    def take_copy(self) -> Any:
        """A back-up."""
        keys = at_once(self.command("KEYS", "*"))
        return [(key, at_once(self.command("DUMP", key))) for key in keys]

    def put_back(self, copy: Any) -> None:
        """Restore it."""
        at_once(self.command("FLUSHDB"))
        for key, value in copy:
            at_once(self.command("RESTORE", key, 0, value))

    def command(self, *words: str | bytes | int) -> Deferred[Any]:
        """Ask Redis as a plain client does."""
        assert self.link is not None
        return self.link.execute_command(*words)

    @precondition(lambda self: type(self).kills < self.most_kills)
    @rule()
    def kill(self) -> None:
        """Redis itself is killed and started again."""
        type(self).kills += 1
        self.server.kill()
        self.server.start()
        self.reopen()

    def teardown(self) -> None:
        """Leave nothing behind."""
        if self.link is not None:
            self.link.close()


class ModelTests(SynchronousTestCase):
    """Both kinds of store, and a Redis that is killed."""

    def test_sqlite(self) -> None:
        """Some order of events would lose, double or reorder messages in SQLite."""
        run_state_machine_as_test(SQLiteMachine, settings=BOUNDS)

    def test_redis(self) -> None:
        """Some order of events would lose, double or reorder messages in Redis."""
        RedisMachine.server = redis()
        run_state_machine_as_test(RedisMachine, settings=BOUNDS)

    def test_redis_that_is_killed(self) -> None:
        """A crash of Redis would lose, double or reorder what it had confirmed."""

        class Killed(RedisMachine):
            server = mortal()
            most_kills = 8

        self.addCleanup(mortal().remove)
        bounds = settings(BOUNDS, max_examples=6, stateful_step_count=20, derandomize=True)
        run_state_machine_as_test(Killed, settings=bounds)
        self.assertGreater(Killed.kills, 0)
