"""
What every attack is made against: a real server over TLS, on which two users talk to each other all the while.

A test of an attack is an `AttackCase`, and attacks inside ``with self.talk():``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.clients import StructuredClient, TextClient
from tests.support.processes import PASSWORD, ChatServer, SQLiteStores, Stores, new_address, shared

PAUSE = 0.03
"""Seconds from one message's end to the next one; each of the two writes every second one, below the default rate."""

LONGEST = 5.0
"""Seconds that no message may take. An attack that stops the others' messages stops them for longer."""


@dataclass
class Talk:
    """The seconds that each message took, from its sending until it was confirmed and read."""

    seconds: list[float] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many messages flowed."""
        return len(self.seconds)

    @property
    def worst(self) -> float:
        """What the slowest took."""
        return max(self.seconds)

    @property
    def p99(self) -> float:
        """What all but the slowest hundredth kept to."""
        return sorted(self.seconds)[-1 - len(self.seconds) // 100]

    def __str__(self) -> str:
        return f"{self.count} messages, p99 {self.p99:.3f} s, worst {self.worst:.3f} s"


class _Pair:
    """Two users who write to each other in turn, in a thread of their own."""

    def __init__(self, uids: Sequence[int], clients: Sequence[StructuredClient]) -> None:
        self.talk = Talk()
        self._uids = uids
        self._clients = clients
        self._over = Event()
        self._broken: BaseException | None = None
        self._thread = Thread(target=self._talk, daemon=True)

    def begin(self) -> None:
        """Let a message of each flow, and go on."""
        self._exchange()
        self._thread.start()

    def end(self) -> None:
        """Let a message of each flow once more, now that all is over; raise what went wrong meanwhile."""
        self.stop()
        if self._broken is not None:
            raise AssertionError(f"after {self.talk}: {self._broken!r}") from self._broken
        self._exchange()

    def stop(self) -> None:
        """Talk no more."""
        self._over.set()
        self._thread.join()

    def _talk(self) -> None:
        try:
            while not self._over.wait(PAUSE):
                self._exchange()
        except BaseException as broken:
            self._broken = broken

    def _exchange(self) -> None:
        self._say(0, 1)
        time.sleep(PAUSE)
        self._say(1, 0)

    def _say(self, writer: int, reader: int) -> None:
        """
        One message, which its reader has next, and only it. Both have had as many before, so its number is its id too:
        one that came twice, or too late, would be another.
        """
        number, began = self.talk.count // 2 + 1, time.monotonic()
        text = f"{number} 你好"
        to = self._uids[reader]
        self._clients[writer].say(type="msg", n=number, to=to, text=text)
        sent, message = self._clients[writer].next(), self._clients[reader].next()
        self.talk.seconds.append(time.monotonic() - began)
        expected = ("sent", number, to, number)
        assert (sent["type"], sent.get("re"), sent.get("to"), sent.get("id")) == expected, sent
        expected_message = ("msg", number, self._uids[writer], text)
        said = (message["type"], message.get("id"), message.get("from"), message.get("text"))
        assert said == expected_message, message
        self._clients[reader].say(type="ack", id=number)


class AttackCase(SynchronousTestCase):
    """Attacks on one server, which all tests of a class share; its log must never have a traceback."""

    options: tuple[str, ...] = ()
    """What the server is told, besides where its stores are."""

    store: type[Stores] = SQLiteStores

    def setUp(self) -> None:
        def make() -> tuple[Stores, ChatServer]:
            stores = self.store()
            return stores, self.make_server(stores).start()

        self.stores, self.server = shared(type(self), make, lambda both: both[1].remove())
        self.addCleanup(self.no_traceback)

    def make_server(self, stores: Stores) -> ChatServer:
        """The server to attack, not yet started."""
        return ChatServer(*stores.options, *self.options)

    def no_traceback(self) -> None:
        """Fail if the server's log has a traceback."""
        self.assertEqual(self.server.tracebacks(), [])

    def user(self, name: str = "somebody") -> int:
        """A new user's uid; the password is `PASSWORD`."""
        return self.stores.add_user(name)

    def text(self, uid: int = 0, **more: Any) -> TextClient:
        """A text client from an address of its own, logged in if there is a uid."""
        client = self.server.text(**{"source": new_address(), **more})
        self.addCleanup(client.close)
        if uid:
            client.log_in(uid, PASSWORD)
        return client

    def structured(self, uid: int = 0, **more: Any) -> StructuredClient:
        """A structured client from an address of its own, with a device and logged in if there is a uid."""
        device = {"device": f"{uid:032x}"} if uid else {}
        client = self.server.structured(**{"source": new_address(), **device, **more})
        self.addCleanup(client.close)
        if uid:
            client.log_in(uid, PASSWORD)
        return client

    @contextmanager
    def talk(self) -> Iterator[Talk]:
        """
        Two users who talk to each other as long as this lasts; fail unless each message was confirmed, and read once,
        in order, and in less than `LONGEST` seconds. What they saw so far can be looked at all the time.
        """
        uids = self.user("one"), self.user("other")
        pair = _Pair(uids, [self.structured(uid) for uid in uids])
        pair.begin()
        try:
            yield pair.talk
        except BaseException:
            pair.stop()
            raise
        pair.end()
        self.assertLess(pair.talk.worst, LONGEST, str(pair.talk))
