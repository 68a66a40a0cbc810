"""One connection: bytes to frames to the session, events to frames to bytes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from struct import Struct
from typing import Any, Protocol

from OpenSSL.SSL import Error as TLSError
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IReactorTime,
)
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from chatsvc.entry_frames import EntryFrames
from chatsvc.handlers.routes import ROUTES
from chatsvc.services import Services
from chatsvc.session import Session
from chatsvc.transport.ack_tracker import AckTracker, meter_of, read_at_once
from chatsvc.transport.framing import MOST_IN_A_ROW, OutputProducer
from chatsvc.transport.sockets import set_keepalive
from chatsvc.wire import events as e
from chatsvc.wire.commands import BYTE_ORDER_MARK, MAX_FRAME
from chatsvc.wire.structured.dialect import StructuredDialect
from chatsvc.wire.text.dialect import TextDialect

_GOODBYE_PATIENCE = 1.0
"""Seconds that a peer has to answer our closing of TLS with its own."""

_RETURN_PATIENCE = 30.0
"""Seconds in which a log-in that may be repeated now must come: a person types it."""

_CLOSING_PATIENCE = 30.0
"""Seconds that a peer has to take the last frames."""

_ANSWERS_PATIENCE = 30.0
"""Seconds in which a peer that sends no more gets the answers to what it has sent."""

_PARTING_PATIENCE = 5.0
"""Seconds that it then has to take what waits for it."""

_STRANGER_READ, _USER_READ = 8 * 1024, 64 * 1024
"""Bytes read in one go before and after the log-in: TLS hands on all records in them, however small, with no pause."""

_BRACE = ord("{")
_MARK_BEGINS = BYTE_ORDER_MARK[:1]

_BY_CLIENT = "closed-by-client"


class ConnectionRegistry(Protocol):
    """The factory, as its connections know it."""

    services: Services

    def admit(self, connection: ChatProtocol) -> e.Refused | None:
        """Decide whether a connection that is ready may stay; None: it may."""

    def forget(self, connection: ChatProtocol) -> None:
        """Drop a connection that is gone."""

    def authenticated(self, connection: ChatProtocol) -> None:
        """Take note that a user has logged in on a connection."""

    def logged_out(self, connection: ChatProtocol) -> None:
        """Take note that nobody is logged in on a connection any more."""

    def retry_after(self) -> float:
        """Seconds after which a program should come back."""


@implementer(IHandshakeListener, IHalfCloseableProtocol)
class ChatProtocol(EntryFrames):
    """
    Connection ``number``, from ``address`` (empty: a local socket).

    At each stage of its life (log-in, answers to a peer that sends no more, goodbye, closing) it has one deadline.
    """

    MAX_LENGTH = MAX_FRAME  # Twisted's own is more than two bytes can say
    factory: ConnectionRegistry  # type: ignore[assignment]
    transport: Any

    _log = Logger()

    def __init__(self, number: int, address: str) -> None:
        super().__init__()
        self.number = number
        self.address = address
        self._begun = False
        self._parting = False  # the peer sends no more
        self._why = ""
        self._deadline: IDelayedCall | None = None
        self._ack_tracker: AckTracker | None = None

    def connectionMade(self) -> None:
        services = self.factory.services
        self.flusher = services.flush
        self._since = self.clock.seconds()
        self._note(
            "connected", "connected from {address}", address=self.address or "a local socket"
        )
        self._dialect: TextDialect | StructuredDialect = TextDialect(services.lang)
        self.session = Session(services, self, ROUTES)
        self._set_deadline(services.limits.login_timeout, partial(self._end_by, "login-timeout"))
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

    # Properties, not attributes: with more than 30 of these CPython (3.11 to 3.13) looks all of them up more slowly.

    @property
    def clock(self) -> IReactorTime:
        return self.factory.services.clock

    @property
    def frame_timeout(self) -> float:
        return self.factory.services.limits.frame_timeout

    # Frames from the peer

    def stringReceived(self, frame: bytes) -> None:
        size = len(frame)
        self._untaken -= size + 2
        self._frames += 1
        self._in_a_row += 1
        if self._in_a_row >= MOST_IN_A_ROW:
            self.give_way()
        if self._closing:
            return
        if frame[:1] == _MARK_BEGINS:  # without a call: few frames begin so
            frame = frame.removeprefix(BYTE_ORDER_MARK)
        if not frame:
            self.session.charge_request()
        elif frame[0] != _BRACE or self._dialect.acknowledges:
            self.session.command(self._dialect.parse(frame), size)
        elif self.session.answered:
            self._choose_dialect(frame)
        else:
            self.hold("dialect")
            self.session.when_answered(partial(self._choose_dialect, frame))

    def _choose_dialect(self, frame: bytes) -> None:
        """Take a frame for a program's if nobody is logged in when its turn comes: once all before it is answered."""
        if not self.session.logged_in:
            self._dialect = StructuredDialect(self._dialect.lang)
        self.session.command(self._dialect.parse(frame), len(frame))
        self.release("dialect")  # if it had to wait

    def piece_received(self) -> None:
        self.session.charge_request()

    def frame_timed_out(self) -> None:
        self._end_by("frame-timeout")

    def hold(self, reason: str) -> bool:
        new = not self._closing and super().hold(reason)
        if new:
            counter = self.factory.services.metrics.held.get(reason)
            if counter is not None:
                counter.inc()
        return new

    # A peer that sends no more, and may still read

    def readConnectionLost(self) -> None:
        """Carry out and answer what the peer has asked, then close the connection."""
        if self._closing or not self._begun:
            self._why = self._why or _BY_CLIENT
            self._close_below()
        elif not self._parting:
            self._parting = True
            self.session.peer_parted()
            self.transport.pauseProducing()  # nothing can come
            self._set_deadline(_ANSWERS_PATIENCE, self._part)
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
        if not self.paused:  # else there may be frames that nobody has read
            self.session.when_answered(self._part)

    def _part(self) -> None:
        if not self._closing:
            self.close(_BY_CLIENT)
            self._abort_after(_PARTING_PATIENCE)
            self._close_below()

    # What the session asks of its connection

    def say(self, event: e.Event) -> None:
        """Send an event."""
        self._send(self._dialect.encode(event))

    def deliver(self, message: e.Message) -> None:
        """Send a message to its reader."""
        if self._ack_tracker is not None and not self._closing:
            self._ack_tracker.unwritten = message.id  # before: what has gathered may be written now
        self._send(self._dialect.encode(message))

    def track_acks(
        self,
        acknowledge: Callable[[int], object],
        acknowledge_room: Callable[[int, int], object],
    ) -> None:
        if not self._dialect.acknowledges:
            self._ack_tracker = AckTracker(self.clock, self._meter, acknowledge, acknowledge_room)

    def poll_acks(self) -> None:
        if self._ack_tracker is not None:
            self._ack_tracker.poll()

    def stop_tracking_acks(self) -> None:
        if self._ack_tracker is not None:
            self._ack_tracker.close()
            self._ack_tracker = None

    def speak(self, lang: str) -> None:
        self._dialect.lang = lang

    def bring_devices(self, *, rooms: bool) -> None:
        if isinstance(self._dialect, StructuredDialect):
            self._dialect.bring_devices()
            if rooms:
                self._dialect.bring_rooms()

    def expect_again(self, seconds: float) -> None:
        deadline = self._deadline
        if deadline is None or self._closing:
            return
        left = deadline.getTime() - self.clock.seconds()
        if left < seconds + _RETURN_PATIENCE:
            deadline.reset(seconds + _RETURN_PATIENCE)

    def authenticated(self) -> None:
        self._cancel_deadline()
        read_at_once(self._meter, _USER_READ)
        self.factory.authenticated(self)

    def logged_out(self) -> None:
        self.factory.logged_out(self)

    def inbox_restarted(self) -> None:
        if self._dialect.acknowledges:
            self.bye("inbox-restarted")
        elif self._ack_tracker is not None:
            self._ack_tracker.forget()

    # Frames to the peer

    def say_structured(self, event: e.Event) -> None:
        """Send an event to a program that has not yet said that it is one."""
        self._send(StructuredDialect(self._dialect.lang).encode(event))

    def _write(self) -> None:
        meter, tracker = self._meter, self._ack_tracker
        before = meter.handed if meter is not None else -1
        super()._write()
        if meter is not None and meter.handed == before:
            self._closed_below()  # a layer has dropped it
        elif tracker is not None and (tracker.unwritten or tracker.unwritten_in_rooms):
            tracker.written()

    # The end

    def bye(self, why: str, *, forgotten: bool = False) -> None:
        self.say(e.Bye(self.factory.retry_after(), forgotten))
        self.close(why)

    def cut(self, why: str) -> None:
        """End the connection at once."""
        self._why = why
        self.transport.abortConnection()

    def close(self, why: str) -> None:
        """Send what was said, then close; ``why`` is a word for the log."""
        if not self._closing:
            self.flush()
            self._closing = True
            self._why = why
            self.session.stop()
            self._set_deadline(_GOODBYE_PATIENCE, self._hang_up)
            self.transport.unregisterProducer()
            self.release_all()  # else the peer's own closing would never be read
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._closing = True
        self._outgoing.clear()
        self._cancel_deadline()
        self.stop_receiving()
        why = self._why or _why_lost(reason)
        self.session.close(why)
        self.factory.forget(self)
        seconds = self.clock.seconds() - self._since
        text = "disconnected after {seconds:.1f} s: {reason}"
        self._note("disconnected", text, seconds=seconds, reason=why)

    def _end_by(self, limit: str) -> None:
        self.factory.services.metrics.ended[limit].inc()
        self.close(limit)

    def _hang_up(self) -> None:
        """End the connection under TLS, once it has taken what lies in its buffer."""
        if self._meter is not None:
            self._meter.loseConnection()
        self._abort_after(_CLOSING_PATIENCE)

    def _abort_after(self, patience: float) -> None:
        """End the session now, and the connection in so many seconds at the latest."""
        self.session.close(self._why)
        self._set_deadline(patience, lambda: self.transport.abortConnection())

    def _close_below(self) -> None:
        (self._meter or self.transport).loseConnection()

    def _closed_below(self) -> None:
        """Take note that a layer below has closed the connection, by itself if we did not: nothing more can be said."""
        if not self._closing:
            self._closing = True
            self._outgoing.clear()
            self._why = self._why or "tls"
            self.transport.unregisterProducer()  # Twisted would wait for it
            self._abort_after(_GOODBYE_PATIENCE)

    def _set_deadline(self, seconds: float, then: Callable[[], object]) -> None:
        """Call ``then`` in so many seconds, unless another stage begins before."""
        self._cancel_deadline()
        self._deadline = self.clock.callLater(seconds, self._deadline_passed, then)

    def _deadline_passed(self, then: Callable[[], object]) -> None:
        self._deadline = None
        then()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _note(self, event: str, text: str, **facts: Any) -> None:
        self._log.debug(text, event=event, connection=self.number, **facts)


def _why_lost(reason: Failure) -> str:
    """A word for the log on a connection that was ended by the other end, or on the way."""
    if reason.check(ConnectionDone):
        return _BY_CLIENT
    return "tls" if reason.check(TLSError) else "lost"


class LegacyChatProtocol(ChatProtocol):
    """
    A connection of one of the older asyncio clients.

    Lengths are little-endian, and each frame is a TLS record of its own, because these clients take the bytes of one
    ``read(n)`` for a whole frame.
    """

    structFormat = "<H"
    length_format = Struct("<H")
    gathers = False
