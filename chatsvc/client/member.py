"""Who is logged in, on this connection or the next: the messages that they send and read."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from chatsvc.client.outbox import Entry, Outbox
from chatsvc.client.posting import Posting
from chatsvc.client.reading import Reading
from chatsvc.client.voice import Voice
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem
from chatsvc.wire.structured_client import Confirmed, Rejected
from chatsvc.wire.text import harmless

Fate = Confirmed | Rejected


class Member:
    """
    ``uid``, until they log out. ``tell`` sends a command that is not answered by a number of its own, and drops it when
    there is no connection.
    """

    def __init__(
        self,
        clock: IReactorTime,
        uid: int,
        name: str,
        outbox: Outbox,
        voice: Voice,
        tell: Callable[[c.Command], None],
    ) -> None:
        self.uid = uid
        self.outbox = outbox
        self._clock = clock
        self.name = name
        self._voice = voice
        self._tell = tell
        self._posting = Posting(clock, outbox, tell, self._settled, self._put_off)
        self._reading: Reading | None = None
        self._fates: dict[int, Deferred[Fate]] = {}
        self._postponed: set[int] = set()

    @property
    def awaited(self) -> int:
        """How many of the messages that waited at log-in have not come yet."""
        return max(0, self._reading.awaited) if self._reading else 0

    def entered(self, event: e.LoggedIn) -> None:
        """A connection is logged in."""
        self.outbox.logged_in(event.epoch, event.token)
        self._reading = Reading(
            self._clock,
            self.outbox,
            event.epoch,
            event.waiting,
            self._voice.audience,
            lambda id: self._tell(c.Ack(id)),
            lambda failure: self._voice.fail(failure.value),
        )
        self._posting.start()

    def interrupted(self) -> None:
        """The connection is gone."""
        self._posting.stop()
        if self._reading is not None:
            self._reading.retire()

    def left(self) -> None:
        """Logged out: what is unconfirmed is sent after the next log-in."""
        self.interrupted()
        fates, self._fates = self._fates, {}
        for fate in fates.values():
            fate.callback(self._voice.rejection("not-logged-in", Problem.NOT_LOGGED_IN))

    def read_up(self) -> Deferred[None]:
        """Fires when all that has arrived is recorded."""
        return self._reading.settled() if self._reading else succeed(None)

    def send(self, to: int, text: str) -> Deferred[Fate]:
        """Put a message on record and on its way; fires with its fate when that is decided."""
        if abs(to) >= c.NO_UID:  # no outbox could hold it either
            return succeed(self._voice.rejection("unknown-user", Problem.UNKNOWN_USER))
        if not text or len(text.encode()) > c.MAX_TEXT:
            return succeed(self._voice.rejection("too-long", Problem.TOO_LONG))
        fate: Deferred[Fate] = Deferred()
        self._fates[self._posting.post(to, text).key] = fate
        return fate

    def answered(self, answer: Fate) -> None:
        """The server's word on a message."""
        self._posting.answered(answer)

    def arrived(self, message: e.Message) -> None:
        """A message for them."""
        if self._reading is not None:
            self._reading.arrived(message)

    def _settled(self, entry: Entry, answer: Fate) -> None:
        self._postponed.discard(entry.key)
        if isinstance(answer, Confirmed):
            self._voice.tell(self._sent(entry, answer))
        else:
            self._voice.audience.not_sent(entry.to, entry.text, answer.text)
        fate = self._fates.pop(entry.key, None)
        if fate is not None:
            fate.callback(answer)

    def _sent(self, entry: Entry, answer: Confirmed) -> e.Sent:
        message = e.Message(answer.id or 0, self.uid, self.name, answer.at, entry.text)
        online, waiting, repeated = answer.online, answer.waiting, answer.duplicate
        return e.Sent(entry.to, answer.id, message, online, waiting, repeated)

    def _put_off(self, entry: Entry, answer: Rejected) -> None:
        if entry.key not in self._postponed:
            self._postponed.add(entry.key)
            text = self._voice.words.postponed.format(text=harmless(entry.text))
            self._voice.audience.say(text)
