"""One connection: bytes to frames to the session, events to frames to bytes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from struct import Struct
from typing import Any

from OpenSSL.SSL import Error as TLSError
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
)
from twisted.logger import Logger
from twisted.protocols.basic import Int16StringReceiver
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from chatsvc.session import Session
from chatsvc.switchboard import ConnectionRegistry, OutputProducer
from chatsvc.transport.ack_tracker import AckTracker, meter_of, read_at_once
from chatsvc.transport.sockets import set_keepalive
from chatsvc.wire import events as e
from chatsvc.wire.commands import MAX_FRAME
from chatsvc.wire.structured import StructuredDialect
from chatsvc.wire.text import TextDialect

_GOODBYE_PATIENCE = 1.0
"""Seconds that a peer has to answer our closing of TLS with its own."""

_RETURN_PATIENCE = 30.0
"""Seconds after a log-in that was told to come again in which it must have come: a person types it."""

_CLOSING_PATIENCE = 30.0
"""Seconds that a peer has to take what was said last."""

_ANSWERS_PATIENCE = 30.0
"""Seconds in which a peer that sends no more gets the answers to what it has sent."""

_PARTING_PATIENCE = 5.0
"""Seconds that it then has to take what waits for it."""

_MOST_GATHERED = 64 * 1024
"""Bytes that may gather; past it they go to the transport, which can say no."""

_STRANGER_READ, _MEMBER_READ = 8 * 1024, 64 * 1024
"""Bytes read in one go before and after the log-in: TLS hands on all records in them, however small, with no pause."""

_MOST_AT_ONCE = 64
"""Frames of one connection that are taken in a row, then it is the others' turn."""

_BRACE = ord("{")


@implementer(IHandshakeListener, IHalfCloseableProtocol)
class ChatProtocol(Int16StringReceiver):
    """
    A frame is its length, two bytes, and that many bytes.

    Frames are gathered for a moment and leave together, as one TLS record where they fit one.
    """

    MAX_LENGTH = MAX_FRAME  # Twisted's own is more than two bytes can say
    factory: ConnectionRegistry  # type: ignore[assignment]
    transport: Any

    _log = Logger()
    _length = Struct("!H")
    _gathers = True

    def __init__(self, number: int, address: str) -> None:
        self.number = number
        self.address = address
        self._outbox: list[bytes] = []
        self._gathered = 0
        self._untaken = 0
        self._wanted = 2
        self._pieces: list[bytes] = []
        self._taken = 0
        self._in_a_row = 0
        self._rest: IDelayedCall | None = None
        self._held: set[str] = set()
        self._begun = False
        self._parting = False  # the peer sends no more
        self._closing = False
        self._why = ""
        self._deadline: IDelayedCall | None = None
        self._receipts: AckTracker | None = None
        self._unwritten = 0  # the last message that was handed and not written yet

    def connectionMade(self) -> None:
        clock = self.factory.chat.clock
        self._since = clock.seconds()
        self._note(
            "connected", "connected from {address}", address=self.address or "a local socket"
        )
        self._dialect: TextDialect | StructuredDialect = TextDialect(self.factory.chat.lang)
        self.session = Session(self.factory.chat, self)
        timeout = self.factory.chat.limits.login_timeout
        self._deadline = clock.callLater(timeout, self._never_logged_in)
        set_keepalive(self.transport)
        self._meter = meter_of(self.transport)
        read_at_once(self._meter, _STRANGER_READ)
        if self._meter is not None:
            self._meter.closing = self._closed_below
        if not isinstance(self.transport, TLSMemoryBIOProtocol):
            self._begin()

    def handshakeCompleted(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._begun = True
        # Not earlier: during the handshake the transport would pause its own reading.
        self.transport.registerProducer(OutputProducer(self.session), True)
        refusal = self.factory.admit(self)
        if refusal is None:
            self.say(e.Greeting())
        else:
            self.say(refusal)
            self.say_structured(refusal)
            self.close("refused")

    def dataReceived(self, data: bytes) -> None:
        self._untaken += len(data)
        if data and (self.paused or self._untaken < self._wanted):
            # Not to the receiver: it would copy all that it has each time.
            self._pieces.append(data)
            self.session.count()
        else:
            self._pieces.append(data)
            data = b"".join(self._pieces)
            self._pieces.clear()
            super().dataReceived(data)
            self._wanted = self._next_frame_size()
        if self._untaken and self._rest is None:
            self._expect_rest()

    def _next_frame_size(self) -> int:
        """The bytes of the next frame, with its length, as far as they are known."""
        begun: bytes = self._unprocessed
        return 2 if len(begun) < 2 else 2 + int(self._length.unpack_from(begun)[0])

    def stringReceived(self, frame: bytes) -> None:
        size = len(frame)
        self._untaken -= size + 2
        self._taken += 1
        self._in_a_row += 1
        if self._in_a_row >= _MOST_AT_ONCE:
            self._in_a_row = 0
            self.hold("turn")
            self.factory.chat.clock.callLater(0, self.release, "turn")
        if self._closing:
            return
        if not frame:
            self.session.count()
            return
        if frame[0] != _BRACE or self._dialect.acknowledges:
            self.session.command(self._dialect.parse(frame), size)
        elif self.session.answered:
            self._choose_dialect(frame)
        else:
            self.hold("dialect")
            self.session.when_answered(partial(self._choose_dialect, frame))

    def _choose_dialect(self, frame: bytes) -> None:
        """It is a program's frame if nobody is logged in when its turn comes: not before what was asked is done."""
        if not self.session.logged_in:
            self._dialect = StructuredDialect(self._dialect.lang)
        self.session.command(self._dialect.parse(frame), len(frame))
        self.release("dialect")  # if it had to wait

    def readConnectionLost(self) -> None:
        """The peer sends no more: what it has asked is carried out and answered, then the connection is closed."""
        if self._closing or not self._begun:
            self._why = self._why or _BY_CLIENT
            self._close_below()
        elif not self._parting:
            self._parting = True
            self.transport.pauseProducing()  # nothing can come
            self._stay()
            clock = self.factory.chat.clock
            self._deadline = clock.callLater(_ANSWERS_PATIENCE, self._out_of_patience)
            self._part_when_answered()

    def writeConnectionLost(self) -> None:
        pass

    def resumeProducing(self) -> None:
        if self._parting:
            self.paused = False
            self.dataReceived(b"")
            self._part_when_answered()
        else:
            super().resumeProducing()

    def _part_when_answered(self) -> None:
        if not self.paused:  # else there may be frames that nobody has looked at
            self.session.when_answered(self._part)

    def _out_of_patience(self) -> None:
        self._deadline = None
        self._part()

    def _part(self) -> None:
        """Nobody is here any more, and what was asked has been answered."""
        if not self._closing:
            self.close(_BY_CLIENT)
            self._leave_soon(_PARTING_PATIENCE)
            self._close_below()

    def _leave_soon(self, patience: float) -> None:
        """The session is over, and in so many seconds the connection at the latest."""
        self.session.close(self._why)
        self._stay()
        self._deadline = self.factory.chat.clock.callLater(patience, self._abort)

    def _close_below(self) -> None:
        (self._meter or self.transport).loseConnection()

    def _closed_below(self) -> None:
        """A layer below has closed the connection, by itself if it was not we: nothing more can be said."""
        if not self._closing:
            self._closing = True
            self._outbox.clear()
            self._why = self._why or "tls"
            self.transport.unregisterProducer()  # Twisted would wait for it
            self._leave_soon(_GOODBYE_PATIENCE)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._closing = True
        self._outbox.clear()
        self._held.clear()
        self._stay()
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        why = self._why or _why_lost(reason)
        self.session.close(why)
        self.factory.forget(self)
        seconds = self.factory.chat.clock.seconds() - self._since
        text = "disconnected after {seconds:.1f} s: {reason}"
        self._note("disconnected", text, seconds=seconds, reason=why)

    def _note(self, event: str, text: str, **facts: Any) -> None:
        self._log.debug(text, event=event, connection=self.number, **facts)

    # What the session asks of its connection

    def say(self, event: e.Event) -> None:
        self._send(self._dialect.encode(event))

    def deliver(self, message: e.Message) -> None:
        if self._receipts is not None and not self._closing:
            self._unwritten = message.id  # before: what has gathered may be written now
        self._send(self._dialect.encode(message))

    def track_acks(self, received: Callable[[int], object]) -> None:
        if not self._dialect.acknowledges:
            clock = self.factory.chat.clock
            self._receipts = AckTracker(clock, self._meter, received)

    def poll_acks(self) -> None:
        if self._receipts is not None:
            self._receipts.poll()

    def stop_tracking_acks(self) -> None:
        if self._receipts is not None:
            self._receipts.close()
            self._receipts = None
            self._unwritten = 0

    def speak(self, lang: str) -> None:
        self._dialect.lang = lang

    def hold(self, reason: str) -> None:
        if self._closing:
            return
        if not self._held:
            self.pauseProducing()
        if reason not in self._held:
            self._held.add(reason)
            counter = self.factory.chat.metrics.held.get(reason)
            if counter is not None:
                counter.inc()

    def release(self, reason: str) -> None:
        if reason in self._held:
            self._held.discard(reason)
            if not self._held:
                self.resumeProducing()

    def expect_again(self, seconds: float) -> None:
        deadline = self._deadline
        if deadline is None or self._closing:
            return
        left = deadline.getTime() - self.factory.chat.clock.seconds()
        if left < seconds + _RETURN_PATIENCE:
            deadline.reset(seconds + _RETURN_PATIENCE)

    def authenticated(self) -> None:
        self._stay()
        read_at_once(self._meter, _MEMBER_READ)
        self.factory.authenticated(self)

    def logged_out(self) -> None:
        self.factory.logged_out(self)

    def inbox_restarted(self) -> None:
        if self._dialect.acknowledges:
            self.bye("inbox-restarted")
        elif self._receipts is not None:
            self._receipts.forget()
            self._unwritten = 0

    def bye(self, why: str) -> None:
        """Ask a program to come back in a while, and close."""
        self.say(e.Bye(self.factory.retry_after()))
        self.close(why)

    def cut(self, why: str) -> None:
        """End the connection at once."""
        self._why = why
        self.transport.abortConnection()

    def close(self, why: str) -> None:
        if not self._closing:
            self.flush()
            self._closing = True
            self._why = why
            self.session.stop()
            self._stay()
            self._deadline = self.factory.chat.clock.callLater(_GOODBYE_PATIENCE, self._hang_up)
            self.transport.unregisterProducer()
            if self._held:
                # Else the peer's own closing would never be read.
                self._held.clear()
                self.resumeProducing()
            self.transport.loseConnection()

    def say_structured(self, event: e.Event) -> None:
        """Say an event to a program that has not yet said that it is one."""
        self._send(StructuredDialect(self._dialect.lang).encode(event))

    def _send(self, frames: list[bytes]) -> None:
        if self._closing or not frames:
            return
        if not self._outbox:
            self.factory.chat.outgoing.add(self)
        for frame in frames:
            size = len(frame)
            self._outbox.append(self._length.pack(size) + frame)
            self._gathered += size
        if self._gathered >= _MOST_GATHERED:
            self._write()

    def flush(self) -> None:
        """Hand what was said to the transport: the others had their turn since it was asked."""
        self._in_a_row = 0
        self._write()

    def _write(self) -> None:
        if not self._outbox:
            return
        frames, self._outbox, self._gathered = self._outbox, [], 0
        meter = self._meter
        before = meter.handed if meter is not None else -1
        if self._gathers:
            self.transport.write(b"".join(frames))
        else:
            for frame in frames:
                self.transport.write(frame)
        if meter is not None and meter.handed == before:
            self._closed_below()  # a layer has dropped it
        elif self._receipts is not None and self._unwritten:
            self._receipts.written(self._unwritten)
            self._unwritten = 0

    def _expect_rest(self) -> None:
        """A frame is there in part: wait for the rest of it, not for ever."""
        timeout = self.factory.chat.limits.frame_timeout
        self._rest = self.factory.chat.clock.callLater(timeout, self._look_for_rest, self._taken)

    def _look_for_rest(self, taken: int) -> None:
        self._rest = None
        if self._untaken and (self._held or self._taken != taken):
            self._expect_rest()  # it is we who do not read, or this is another frame
        elif self._untaken:
            self._end_by("frame-timeout")

    def _never_logged_in(self) -> None:
        self._deadline = None
        self._end_by("login-timeout")

    def _end_by(self, limit: str) -> None:
        self.factory.chat.metrics.ended[limit].inc()
        self.close(limit)

    def _hang_up(self) -> None:
        """End the connection under TLS, once it has taken what lies in its buffer."""
        self._deadline = None
        if self._meter is not None:
            self._meter.loseConnection()
        self._leave_soon(_CLOSING_PATIENCE)

    def _abort(self) -> None:
        self._deadline = None
        self.transport.abortConnection()

    def _stay(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


_BY_CLIENT = "closed-by-client"


def _why_lost(reason: Failure) -> str:
    """A word for the log on a connection that was ended by the other end, or on the way."""
    if reason.check(ConnectionDone):
        return _BY_CLIENT
    return "tls" if reason.check(TLSError) else "lost"


class LegacyChatProtocol(ChatProtocol):
    """
    For the older asyncio clients: lengths are little-endian, and each frame is a TLS record of its own, because they
    take what one ``read(n)`` brings for a whole frame.
    """

    structFormat = "<H"
    _length = Struct("<H")
    _gathers = False
