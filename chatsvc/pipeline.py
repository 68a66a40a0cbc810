"""
The commands of one connection: in which order they are carried out, and how many may be under way.

Commands are carried out and answered in the order in which they came. Messages do not wait for each other: a run of
them goes to the router together, and their outcomes come back in the same order. An acknowledgement has no answer; it
only waits for commands that change whose acknowledgement it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from chatsvc.delivery.feed import EntryBatch
from chatsvc.limits.connections import ConnectionLimits
from chatsvc.wire import commands as c
from chatsvc.wire import events as e

_CHANGE_WHO_ACKNOWLEDGES = frozenset((c.Hello, c.Auth, c.Logout, c.Quit))
"""After one of these an acknowledgement is another user's, or nobody's. A slow `find`, say, does not matter to it."""


class Connection(Protocol):
    """A connection as its session sees it: no bytes, no sockets."""

    number: int
    address: str

    @property
    def rooms(self) -> bool:
        """Whether its client has rooms: a person, or a program to which the feature was granted."""

    def say(self, event: e.Event) -> None:
        """Send an event."""

    def deliver(self, message: e.Message) -> None:
        """Send a message to its reader."""

    def deliver_entry(self, entry: e.RoomEntry, room_name: str) -> None:
        """Send an entry of a room to its reader."""

    def deliver_batch(self, batch: EntryBatch, own: Collection[int]) -> None:
        """Send entries of a room to their reader, at once, but for those places in the batch."""

    @property
    def is_for_people(self) -> bool:
        """Whether the peer speaks the text dialect, which has no features and no acknowledgements."""

    def track_acks(
        self,
        acknowledge: Callable[[int], object],
        acknowledge_room: Callable[[int, int], object],
    ) -> None:
        """
        Call ``acknowledge`` with the id up to which messages were received, where the peer cannot say it itself.

        ``acknowledge_room`` is called with a room and the id up to which its log was.
        """

    def poll_acks(self) -> None:
        """Find out now what has been received."""

    def stop_tracking_acks(self) -> None:
        """End what ``track_acks`` began."""

    def speak(self, lang: str) -> None:
        """Use another language."""

    def bring_devices(self, *, rooms: bool) -> None:
        """Say from now on what the feature ``devices`` brings, and ``rooms`` if that was granted, too."""

    def hold(self, reason: str) -> object:
        """Stop reading commands until every reason has been released."""

    def release(self, reason: str) -> None:
        """Drop one reason for not reading; reading resumes when none is left."""

    def expect_again(self, seconds: float) -> None:
        """Let the connection stay until a log-in can be repeated in so many seconds, and a while longer."""

    def authenticated(self) -> None:
        """A user has logged in: the connection may stay."""

    def logged_out(self) -> None:
        """Nobody is logged in any more: the connection may have to make room for others."""

    def inbox_restarted(self) -> None:
        """Forget the ids of the messages that were delivered: they no longer count."""

    def bye(self, why: str, *, forgotten: bool = False) -> None:
        """
        Ask the client to come back in a while, and close; ``why`` is a word for the log.

        ``forgotten``: not before a person has logged in again, for somebody had its device forgotten.
        """

    def close(self, why: str) -> None:
        """Send what was said, then close; ``why`` is a word for the log."""


class CommandPipeline:
    """
    Carries out commands in order, and holds its connection while too many are under way or a rate is exceeded.

    The session derives from it, rather than being called by it, because that costs a message no call.
    """

    def __init__(
        self, clock: IReactorTime, limits: ConnectionLimits, connection: Connection
    ) -> None:
        self._clock = clock
        self._limits = limits
        self.connection = connection
        # Commands that wait for their turn, with the bytes that each came in.
        self._queue: deque[tuple[c.Command, int]] = deque()
        self._in_router = 0
        # Commands that are carried out beside the others, and hold none of them up.
        self._beside: set[Deferred[None]] = set()
        self._unanswered_bytes = 0
        self._performing = False
        self._performing_size = 0
        # How many of _CHANGE_WHO_ACKNOWLEDGES wait or are under way.
        self._changes = 0
        self._overloaded = False
        self._slowed: dict[str, IDelayedCall] = {}
        self._when_answered: Callable[[], object] | None = None
        self.closed = False
        # The peer sends no more.
        self.parted = False

    @property
    def answered(self) -> bool:
        """Whether all that was asked so far has been carried out."""
        return not (self._queue or self._performing or self._in_router or self._beside)

    def when_answered(self, then: Callable[[], object]) -> None:
        """
        Call ``then`` once all that was asked so far has been carried out, perhaps at once; never after ``stop``.

        Nothing may be asked meanwhile, and only one caller can wait.
        """
        if self.answered:
            then()
        else:
            self._when_answered = then
            self._overloaded = True  # so that each answer checks whether it was the last

    def command(self, command: c.Command, size: int) -> None:
        """Take a command that came in a frame of ``size`` bytes."""
        if (type(command) is c.Ack or type(command) is c.AckRoom) and not self._changes:
            self._acknowledge(command)
            return
        self._unanswered_bytes += size
        waits = self._queue or self._performing
        if waits or not self._send_at_once(command, size):
            self._changes += type(command) in _CHANGE_WHO_ACKNOWLEDGES
            if waits or self._in_router:
                self._queue.append((command, size))
            else:
                self._begin(command, size)
                self._proceed()  # what came while it was carried out
        limits = self._limits
        if (
            self._in_router + len(self._queue) + len(self._beside) >= limits.unanswered
            or self._unanswered_bytes >= limits.unanswered_bytes
        ):
            self._overloaded = True
            self.connection.hold("unanswered")  # P8: its debts are kept in its own TCP window

    def keep_unanswered(self) -> int:
        """Count the command that is being carried out as unanswered until its outcome; the bytes of its frame."""
        self._unanswered_bytes += self._performing_size
        return self._performing_size

    def count_sent(self) -> None:
        """Count a message that goes to the router as unanswered until its outcome."""
        self._in_router += 1

    def perform_beside(self, command: c.Command, size: int) -> None:
        """Carry out a command from a frame of ``size`` bytes; those that follow do not wait for it."""
        performing = Deferred.fromCoroutine(self._perform(command))
        performing.addErrback(self._broken, command)
        if performing.called:
            self._unanswered_bytes -= size
            return
        self._beside.add(performing)
        performing.addCallback(self._performed_beside, performing, size)

    def stop(self) -> None:
        """Carry out and answer nothing more."""
        self.closed = True
        self._queue.clear()
        for performing in list(self._beside):
            performing.cancel()
        self._when_answered = None
        for slowed in self._slowed.values():
            slowed.cancel()
        self._slowed.clear()

    def _acknowledge(self, command: c.Ack | c.AckRoom) -> None:
        """Carry out an acknowledgement, at once."""
        raise NotImplementedError

    def _send_at_once(self, command: c.Command, size: int) -> bool:
        """Give a message to the router; False: it is none, or something must be waited for first."""
        raise NotImplementedError

    async def _perform(self, command: c.Command) -> None:
        """Carry out any command, and answer it."""
        raise NotImplementedError

    def _broken(self, failure: Failure, command: c.Command) -> None:
        """Answer a command that an error of ours kept from being carried out."""
        raise NotImplementedError

    def _proceed(self) -> None:
        """Carry out the commands that wait, up to one that must wait for those under way."""
        while self._queue and not self._performing:
            command, size = self._queue[0]
            if type(command) is c.Ack or type(command) is c.AckRoom:
                self._queue.popleft()
                self._unanswered_bytes -= size
                self._acknowledge(command)
            elif self._send_at_once(command, size):
                self._queue.popleft()
            elif self._in_router:
                return
            else:
                self._queue.popleft()
                self._begin(command, size)

    def _begin(self, command: c.Command, size: int) -> None:
        self._performing, self._performing_size = True, size
        performing = Deferred.fromCoroutine(self._perform(command))
        performing.addErrback(self._broken, command)
        if performing.called:
            self._end(command, size)
        else:
            performing.addCallback(self._performed, command, size)

    def _performed(self, _: object, command: c.Command, size: int) -> None:
        self._end(command, size)
        self._proceed()
        self._relieve()

    def _performed_beside(self, _: object, performing: Deferred[None], size: int) -> None:
        self._beside.discard(performing)
        self._unanswered_bytes -= size
        if not self.closed:
            self._relieve()

    def _end(self, command: c.Command, size: int) -> None:
        self._performing = False
        self._changes -= type(command) in _CHANGE_WHO_ACKNOWLEDGES
        self._unanswered_bytes -= size

    def _relieve(self) -> None:
        then = self._when_answered
        if then is not None and not self.answered:
            return
        limits = self._limits
        many = self._in_router + len(self._queue) + len(self._beside)
        much = self._unanswered_bytes
        if (
            self._overloaded
            and many <= limits.unanswered // 2
            and much <= limits.unanswered_bytes // 2
        ):
            self._overloaded = False
            self.connection.release("unanswered")
        if then is not None:
            self._when_answered = None
            then()

    def slow_down(self, reason: str, seconds: float) -> None:
        """Hold the connection for so many seconds; each further debt prolongs that."""
        if not seconds or self.closed:
            return
        slowed = self._slowed.get(reason)
        if slowed is not None:
            slowed.reset(seconds)
        else:
            self.connection.hold(reason)
            self._slowed[reason] = self._clock.callLater(seconds, self._read_on, reason)

    def _read_on(self, reason: str) -> None:
        del self._slowed[reason]
        self.connection.release(reason)
