"""
What nobody would send, drawn and shrunk by Hypothesis; ``benchmarks/fuzz.py`` sends a million of the same.

The draws are the same each time, so that a change that breaks nothing breaks no test.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.fuzzing.attackers import Listener, play
from benchmarks.fuzzing.conversations import (
    Conversation,
    Corpora,
    conversation,
    packed,
    pieces,
    split,
)
from benchmarks.fuzzing.frames import Targets, frame
from benchmarks.fuzzing.stage import FourDoors, settle
from chatsvc.wire import commands as c
from chatsvc.wire.structured.dialect import StructuredDialect
from chatsvc.wire.text.dialect import TextDialect
from tests.attacks.bystanders import AttackCase, Talk
from tests.support.connections import ProtocolCase
from tests.support.processes import Stores, new_address
from tests.support.worlds import ALICE, BOB

_FUZZ = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"

REPEATABLE = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

CORPORA = Corpora.about(Targets((ALICE, BOB), "a"))
"""They are about the users of the fakes, the first of whom has this password."""

RANDOM = st.randoms(use_true_random=False)


@st.composite
def frames(draw: DrawFn) -> bytes:
    """A frame of either dialect, or of none."""
    rng = draw(RANDOM)
    return frame(rng, rng.choice((CORPORA.text, CORPORA.structured)))


@st.composite
def conversations(draw: DrawFn, corpora: Corpora = CORPORA, most: int = 20) -> Conversation:
    """A conversation about the users of these corpora."""
    return conversation(draw(RANDOM), corpora, most)


@contextmanager
def blaming(thing: object) -> Iterator[None]:
    """Say what was drawn where that breaks something: trial does not show what Hypothesis notes."""
    try:
        yield
    except Exception as problem:
        raise AssertionError(f"{problem!r} after {thing!r}") from problem


class ParseTests(SynchronousTestCase):
    """Bytes to commands."""

    @settings(REPEATABLE, max_examples=1_000)
    @given(frames() | st.binary(max_size=100))
    def test_any_bytes(self, data: bytes) -> None:
        """A frame would raise, or become a message that cannot be stored."""
        for dialect in (TextDialect("zh"), StructuredDialect("zh")):
            with blaming(data):
                command = dialect.parse(data)
                self.assertIsInstance(command, c.Command)
                if isinstance(command, c.Send):
                    self.assertIs(type(command.to), int)
                if isinstance(command, c.Send | c.SendToRoom):
                    self.assertTrue(1 <= len(command.text.encode()) <= c.MAX_TEXT)


class PiecesTests(ProtocolCase):
    """How bytes arrive says nothing."""

    def commands(self, legacy: bool, arriving: Iterable[bytes]) -> list[c.Command]:
        """The commands in bytes that arrive in these pieces."""
        end = self.connect(legacy)
        commands: list[c.Command] = []
        self.patch(end.protocol.session, "command", lambda command, *_: commands.append(command))
        for piece in arriving:
            end.protocol.dataReceived(piece)
        end.lose()
        return commands

    def said(self, drawn: Conversation, arriving: Iterable[bytes]) -> list[str]:
        """What a server says to bytes that arrive in these pieces."""
        self.make()
        end = self.text(legacy=drawn.legacy) if drawn.logged_in else self.connect(drawn.legacy)
        for piece in arriving:
            end.protocol.dataReceived(piece)
        for _ in range(30):
            self.turn()
        return end.raw()

    @settings(REPEATABLE, max_examples=100)
    @given(conversations(), RANDOM)
    def test_commands(self, drawn: Conversation, rng: Random) -> None:
        """The meaning of commands would depend on how the network cuts it."""
        data = b"".join(drawn.pieces)
        with blaming(drawn):
            whole = self.commands(drawn.legacy, split(data, drawn.legacy))
            for arriving in (drawn.pieces, pieces(rng, data), [data]):
                self.assertEqual(self.commands(drawn.legacy, arriving), whole)

    @settings(REPEATABLE, max_examples=100)
    @given(conversations())
    def test_answers(self, drawn: Conversation) -> None:
        """Answers would depend on how the network cuts it, or would not be well formed."""
        data = b"".join(drawn.pieces)
        with blaming(drawn):
            whole = self.said(drawn, split(data, drawn.legacy))
            self.assertEqual(self.said(drawn, drawn.pieces), whole)
            listener = Listener(drawn.legacy)
            for line in whole:
                listener.hear(packed(line.encode(), drawn.legacy))
            self.assertEqual((listener.broken, listener.frames), ([], len(whole)))


class NothingFlows(BaseException):
    """Others are not served any more. No Exception: Hypothesis would go on with a server that is of no use."""


class ServerTests(AttackCase):
    """A real server, over real connections."""

    def make_server(self, stores: Stores) -> FourDoors:
        self.four_doors = FourDoors(stores)
        return self.four_doors

    def test_conversations(self) -> None:
        """Somebody could make the server fail, say what is not well formed, or serve nobody else."""
        people = settle(self.stores, self.server)
        had: set[tuple[bool, bool, bool]] = set()

        @settings(REPEATABLE, max_examples=70)
        @given(conversations(people.corpora, most=60))
        def have(drawn: Conversation) -> None:
            said, source = len(self.server.tracebacks()), new_address()
            with blaming(drawn):
                tally = play(drawn, self.four_doors.doors, people.members[0], source, quiet=0.05)
                self.flows(talk, drawn)
                self.assertEqual((tally.broken, tally.kept_out, tally.late), ([], 0, 0))
                self.assertEqual(self.server.tracebacks()[said:], [])
            had.add((drawn.structured, drawn.legacy, drawn.logged_in))

        try:
            with self.talk() as talk:
                have()
        except NothingFlows as problem:
            self.fail(str(problem))
        self.assertEqual(len(had), 8, "a dialect, an order or a state is missing")

    def flows(self, talk: Talk, drawn: Conversation) -> None:
        """Fail unless another message of the bystanders arrives whose way has not begun yet."""
        before, deadline = talk.count, time.monotonic() + 10
        while talk.count < before + 2:
            if time.monotonic() > deadline:
                raise NothingFlows(f"the bystanders' messages do not flow after {drawn!r}")
            time.sleep(0.005)


class CampaignTests(SynchronousTestCase):
    """The program of the long campaign."""

    def test_short(self) -> None:
        """The campaign would not run, or blame a server that stands it."""
        frames = "--warm-up", "500", "--frames", "500"
        done = subprocess.run(
            [sys.executable, str(_FUZZ), "--processes", "1", *frames],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        output = done.stdout + done.stderr
        self.assertEqual(done.returncode, 0, output)
        self.assertRegex(output, r"(?m)^frames ([5-9]\d\d|\d{4,}) ")


class ListenerTests(SynchronousTestCase):
    def test_judgement(self) -> None:
        """Attackers would not notice that a server says what is not well formed."""
        for said, right in (
            ("2026-11-23 17:00:24\n[ 张三|UID:10001 ]:你好".encode(), True),
            (b'{"type":"pong"}', True),
            (b"", False),
            (b"\xed\xa0\x80", False),
            (b'{"type":"pong"', False),
            (b'{"text":"\x1b"}', False),
            (b"a\x1b[2J", False),
            (b"a\rb", False),
            ("a\x9bb".encode(), False),
            ("a\N{RIGHT-TO-LEFT OVERRIDE}b".encode(), False),
        ):
            for legacy in (False, True):
                listener = Listener(legacy)
                for byte in packed(said, legacy):
                    listener.hear(bytes([byte]))
                self.assertEqual((listener.frames, not listener.broken), (1, right), said)
