"""``chatsvc send`` against a scripted server, with a time of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory

from chatsvc.client.script.job import JobContext
from chatsvc.client.script.send import SendJob, SendOptions
from chatsvc.client.trust_policy import TrustPolicy
from chatsvc.wire import commands as c
from chatsvc.wire.client_codec import Confirmed
from tests.client.peer import ME, SERVER, YOU, PeerCase

TIMEOUT = 3.0


class Nowhere:
    """An endpoint that is never reached: the test is the connection."""

    def connect(self, factory: Factory) -> Deferred[None]:
        return Deferred()


class Lines:
    """The lines of an input that goes on and on."""

    def __init__(self) -> None:
        self._written: deque[tuple[int, bytes] | None] = deque()
        self._more: Deferred[None] | None = None

    def write(self, line: tuple[int, bytes] | None) -> None:
        """The input has another line, by its number; None: it ends."""
        self._written.append(line)
        more, self._more = self._more, None
        if more is not None:
            more.callback(None)

    async def read(self) -> AsyncIterator[tuple[int, bytes]]:
        while True:
            while not self._written:
                self._more = Deferred()
                await self._more
            line = self._written.popleft()
            if line is None:
                return
            yield line


class SendJobs(PeerCase):
    def begin(self) -> None:
        super().begin()
        self.lines = Lines()
        self.confirmed: list[Confirmed] = []
        self.ends: list[tuple[int, str]] = []
        context = JobContext(
            cast(IStreamClientEndpoint, Nowhere()),
            SERVER,
            cast(TrustPolicy, None),
            lambda uid, suits: self._open(uid),
            self.saved_login,
            "en",
            c.Auth(ME, "pw"),
        )
        options = SendOptions(YOU, self.lines.read(), lines=True, timeout=TIMEOUT, wait=None)
        self.job = SendJob(
            self.clock, context, options, self.confirmed.append, lambda line: None, self._finish
        )
        self.conversation = self.job._conversation

    def _finish(self, status: int, line: str) -> None:
        self.ends.append((status, line))
        self.outboxes.clear()

    def start(self) -> None:
        """The first line is there, and the server lets the job in."""
        self.lines.write((1, b"first"))
        self.job.start()
        self.connect()
        (auth,) = self.take("auth")
        self.accept(auth)

    def test_nothing_to_send(self) -> None:
        """The end of a quiet hour of a log that is followed would be taken for a server that does not answer."""
        self.start()
        self.assertEqual(self.numbers(), [(1, "first")])
        self.sent(1)
        self.clock.advance(1000 * TIMEOUT)
        self.assertEqual(self.ends, [])
        self.lines.write((2, b"second"))
        self.assertEqual(self.numbers(), [(2, "second")])
        self.sent(2)
        self.lines.write(None)
        self.assertEqual((len(self.confirmed), self.ends), (2, [(0, "")]))

    def test_no_answer(self) -> None:
        """A server that takes a message and never answers would be waited for, for ever."""
        self.start()
        self.clock.advance(TIMEOUT - 0.1)
        self.assertEqual(self.ends, [])
        self.clock.advance(0.2)
        ((status, line),) = self.ends
        self.assertEqual((status, line.startswith("line 1: it is not known")), (1, True), line)

    def test_store_away(self) -> None:
        """A log would have the message's text, and a promise of what happens by itself to a command that has ended."""
        self.start()
        self.refuse(1, "store-unavailable")
        self.clock.advance(TIMEOUT + 0.1)
        ((status, line),) = self.ends
        self.assertEqual(status, 1)
        self.assertIn("<store-unavailable>", line)
        self.assertNotIn("first", line.removeprefix("line 1"))
        self.assertNotIn("by itself", line)

    def test_each_answer_gives_time(self) -> None:
        """A slow server that confirms one message after the other would be given up."""
        self.start()
        for number in range(2, 5):
            self.lines.write((number, b"more"))
        for n in range(1, 5):
            self.clock.advance(TIMEOUT - 0.1)
            self.sent(n)
        self.lines.write(None)
        self.assertEqual(self.ends, [(0, "")])
