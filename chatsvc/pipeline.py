"""
The commands of one connection: in which order they are carried out, and how many may be under way.

They are carried out in the order in which they came, and answered in that order. Messages need not wait for each other:
those that follow one another go into the post together, whose outcomes come back in the same order. An acknowledgement,
which has no answer, waits only for what changes whose it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from chatsvc.connection import Connection
from chatsvc.limits.connections import ConnectionLimits
from chatsvc.wire import commands as c

_MOVES = frozenset((c.Hello, c.Auth, c.Logout, c.Quit))
"""After these an acknowledgement is another user's, or nobody's. The rest, such as a slow `find`, is nothing to it."""


class CommandPipeline:
    """
    Carries out commands in order, and has its connection read no more while too many are under way or somebody is too
    fast. Who carries them out derives from it: that costs a message no call.
    """

    def __init__(
        self, clock: IReactorTime, limits: ConnectionLimits, connection: Connection
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._connection = connection
        # Commands that wait for their turn, with the bytes that each came in.
        self._queue: deque[tuple[c.Command, int]] = deque()
        self._in_post = 0
        self._unanswered_bytes = 0
        self._performing = False
        # How many wait or are under way that an acknowledgement must not overtake.
        self._moves = 0
        self._overloaded = False
        self._slowed: dict[str, IDelayedCall] = {}
        self._when_answered: Callable[[], object] | None = None
        self._closed = False

    @property
    def answered(self) -> bool:
        """Whether all that was asked so far has been carried out."""
        return not (self._queue or self._performing or self._in_post)

    def when_answered(self, then: Callable[[], object]) -> None:
        """
        Call ``then`` once all that was asked so far has been carried out, perhaps at once; never after ``stop``.
        Nothing may be asked meanwhile, and only one can wait for it.
        """
        if self.answered:
            then()
        else:
            self._when_answered = then
            self._overloaded = True  # so that each answer looks whether it was the last

    def command(self, command: c.Command, size: int) -> None:
        """A command has come, in a frame of ``size`` bytes."""
        if type(command) is c.Ack and not self._moves:
            self._acknowledge(command)
            return
        self._unanswered_bytes += size
        if self._queue or self._performing or not self._post_at_once(command, size):
            self._queue.append((command, size))
            self._moves += type(command) in _MOVES
            if not self._performing:
                self._proceed()
        limits = self._limits
        if (
            self._in_post + len(self._queue) >= limits.unanswered
            or self._unanswered_bytes >= limits.unanswered_bytes
        ):
            self._overloaded = True
            self._connection.hold("unanswered")

    def stop(self) -> None:
        """Carry out and answer nothing more."""
        self._closed = True
        self._queue.clear()
        self._when_answered = None
        for slowed in self._slowed.values():
            slowed.cancel()
        self._slowed.clear()

    def _acknowledge(self, command: c.Ack) -> None:
        """Carry out an acknowledgement, at once."""
        raise NotImplementedError

    def _post_at_once(self, command: c.Command, size: int) -> bool:
        """Send a message if that needs no waiting; False: it is none, or does."""
        raise NotImplementedError

    async def _perform(self, command: c.Command) -> None:
        """Carry out any other command, and answer it."""
        raise NotImplementedError

    def _broken(self, failure: Failure, command: c.Command) -> None:
        """Answer a command that could not be carried out for an error of ours."""
        raise NotImplementedError

    def _proceed(self) -> None:
        """Carry out what waits, as far as it need not wait for what is under way."""
        while self._queue and not self._performing:
            command, size = self._queue[0]
            if type(command) is c.Ack:
                self._queue.popleft()
                self._unanswered_bytes -= size
                self._acknowledge(command)
            elif self._post_at_once(command, size):
                self._queue.popleft()
            elif self._in_post:
                return
            else:
                self._queue.popleft()
                self._begin(command, size)

    def _begin(self, command: c.Command, size: int) -> None:
        self._performing = True
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

    def _end(self, command: c.Command, size: int) -> None:
        self._performing = False
        self._moves -= type(command) in _MOVES
        self._unanswered_bytes -= size

    def _relieve(self) -> None:
        then = self._when_answered
        if then is not None and not self.answered:
            return
        limits = self._limits
        many, much = self._in_post + len(self._queue), self._unanswered_bytes
        if (
            self._overloaded
            and many <= limits.unanswered // 2
            and much <= limits.unanswered_bytes // 2
        ):
            self._overloaded = False
            self._connection.release("unanswered")
        if then is not None:
            self._when_answered = None
            then()

    def _slow_down(self, reason: str, seconds: float) -> None:
        """Read on only after a while, which each further debt makes longer."""
        if not seconds or self._closed:
            return
        slowed = self._slowed.get(reason)
        if slowed is not None:
            slowed.reset(seconds)
        else:
            self._connection.hold(reason)
            self._slowed[reason] = self._clock.callLater(seconds, self._read_on, reason)

    def _read_on(self, reason: str) -> None:
        del self._slowed[reason]
        self._connection.release(reason)
