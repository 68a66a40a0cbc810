"""The benchmarks of rooms, in short: their pure parts, the relay with one room, and a run of a moment."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.comparing.board import Board
from benchmarks.comparing.load import LoadFailed, build
from benchmarks.comparing.subjects import ACCOUNTS, FIRST_UID, Relay
from benchmarks.comparing.talking import Effort
from benchmarks.fanout import contest
from benchmarks.rooming.coming_back import Outcome
from benchmarks.rooming.fan_out import Contest, Contestant, fan_out, figures, members_of
from benchmarks.rooming.redis_cost import cpu_in
from benchmarks.rooming.shapes import RoomShape, parse_room_shape
from chatsvc.tls.key_folder import KeyFolder
from tests.support.clients import TextClient

_SAID = {
    "deliveries": 398,
    "confirmations": 2,
    "missing": 0,
    "troubles": 0,
    "seconds": 2.0,
    "p50": 0.001,
    "p99": 0.002,
    "late_p50": 0.003,
    "late_p99": 0.004,
    "load_cpu": 1.0,
    "cpu": [0.00398, 0.0001],
}
_BACK = Outcome(
    members=10,
    sent=50,
    unconfirmed=0,
    cut_off=5,
    away=0,
    logged_in=0.5,
    level=0.9,
    lost=0,
    twice=0,
    disordered=0,
)


class ShapeTests(SynchronousTestCase):
    def test_read(self) -> None:
        """Another room than the one that was asked for would be measured."""
        shape = parse_room_shape("200x4x2")
        self.assertEqual(shape, RoomShape(200, 4, 2))
        self.assertEqual((shape.readers, shape.name), (199, "200x4x2"))

    def test_refused(self) -> None:
        """A room in which nobody writes, or nobody reads, would be measured as if it said something."""
        for text in ("200x4", "1x1x1", "4x5x1", "4x0x1", "4x1x0", "hot:4x1x1", ""):
            with self.assertRaises(ValueError, msg=text):
                parse_room_shape(text)


class MembersTests(SynchronousTestCase):
    def test_apart(self) -> None:
        """A member of two rooms would be handed the messages of both, and they would be counted for one."""
        shapes = [RoomShape(20, 4, 4), RoomShape(30, 1, 1)]
        self.assertEqual(
            members_of(shapes),
            [range(FIRST_UID, FIRST_UID + 20), range(FIRST_UID + 20, FIRST_UID + 50)],
        )

    def test_too_many(self) -> None:
        """A run would fail after minutes, for want of an account's token."""
        with self.assertRaises(ValueError):
            members_of([RoomShape(ACCOUNTS, 1, 1), RoomShape(2, 1, 1)])


class FiguresTests(SynchronousTestCase):
    def test_deliveries_and_messages(self) -> None:
        """A figure of a delivery would be that of a message, which is many deliveries."""
        found = figures(_SAID)
        self.assertEqual(found["deliveries/s"], 199)
        self.assertEqual(found["messages/s"], 1)
        self.assertAlmostEqual(found["server CPU µs/delivery"], 10)
        self.assertAlmostEqual(found["Redis CPU µs/message"], 50)
        self.assertEqual(found["confirmation p99 ms"], 2)
        self.assertEqual(found["generator's share of a core"], 0.5)

    def test_without_redis(self) -> None:
        """A service on SQLite could not be measured."""
        self.assertNotIn("Redis CPU µs/message", figures({**_SAID, "cpu": [1.0]}))

    def test_cpu_of_redis(self) -> None:
        """What Redis spends on writing its file anew would be taken for the cost of a message."""
        info = (
            "# CPU\r\nused_cpu_sys:1.5\r\nused_cpu_user:2.25\r\nused_cpu_sys_children:100\r\n"
            "used_cpu_user_children:100\r\nused_cpu_sys_main_thread:1\r\n"
        )
        self.assertEqual(cpu_in(info), 3.75)


class OutcomeTests(SynchronousTestCase):
    def test_read(self) -> None:
        """Seconds until all are back would be counted from another moment than the kill."""
        said = {
            "sent": 50,
            "confirmed": 49,
            "cut_off": 5,
            "away": 1,
            "in_at": 100.5,
            "level_at": 101.0,
            "lost": 3,
            "twice": 2,
            "disordered": 4,
            "shown": 7,
        }
        outcome = Outcome.of(said, 10, 100.0)
        self.assertEqual((outcome.logged_in, outcome.level), (0.5, 1.0))
        self.assertEqual((outcome.unconfirmed, outcome.away), (1, 1))
        self.assertEqual((outcome.lost, outcome.twice, outcome.disordered), (3, 2, 4))

    def test_kept(self) -> None:
        """A run that lost a message, or in which nobody was cut off, would pass."""
        self.assertTrue(_BACK.kept)
        for wrong in ("unconfirmed", "away", "lost", "twice", "disordered"):
            self.assertFalse(replace(_BACK, **{wrong: 1}).kept, wrong)
        self.assertFalse(replace(_BACK, cut_off=0).kept)
        self.assertFalse(replace(_BACK, level=10.1).kept)


@contextmanager
def relay_of_everybody() -> Iterator[Relay]:
    """Run the bare relay with one room."""
    with tempfile.TemporaryDirectory(prefix="chatsvc-") as folder:
        keys = Path(folder) / "keys"
        KeyFolder(str(keys)).ensure([])
        relay = Relay(keys, ["--everybody"])
        try:
            relay.start()
            yield relay
        finally:
            relay.stop()


class RelayTests(SynchronousTestCase):
    def test_everybody(self) -> None:
        """The service would be compared with a relay that does less: to some only, or without a confirmation."""
        with relay_of_everybody() as relay, ExitStack() as stack:
            clients = [
                stack.enter_context(closing(TextClient(relay.port, relay.ca))) for _ in range(3)
            ]
            for uid, client in enumerate(clients, 1):
                client.log_in(uid, "x")
            for uid, client in enumerate(clients, 1):
                client.send("msg #dev 你好")
                for one in clients:
                    said = one.read().partition("\n")[2]
                    self.assertEqual(said, f"[ #dev|user {uid}|UID:{uid} ]:你好")

    def test_load(self) -> None:
        """The generator would not count each delivery of a room once, and no ratio would be true."""
        self._build_generator()
        with relay_of_everybody() as relay:
            self._measure(Contest((Contestant("relay", relay),)), "text")

    def test_service(self) -> None:
        """Members of the service would not get into their room, or not be shown what is said there."""
        self._build_generator()
        with contest("sqlite") as both:
            self._measure(both, "structured")

    def _build_generator(self) -> None:
        try:
            build()
        except LoadFailed as problem:
            self.skipTest(f"the load generator cannot be built: {problem}")

    def _measure(self, both: Contest, dialect: str) -> None:
        board, shape = Board(), RoomShape(5, 2, 2)
        fan_out(board, both, Effort(1, 0.3), [shape], dialect)
        self.assertEqual(board.warnings, [])
        deliveries, messages = (
            board.rows[f"5x2x2 {dialect}: {what}/s"].value for what in ("deliveries", "messages")
        )
        self.assertGreater(messages, 0)
        # What a window begins and ends with is not the same messages.
        self.assertLess(abs(deliveries / messages - shape.readers), 2)
