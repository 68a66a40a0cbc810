"""
Framing: the length of each frame in two bytes, and that many bytes.

Twisted's receiver copies all that it has whenever something comes, so bytes are gathered here until a frame is whole.
A frame that does not become whole in time is reported, and a peer that sends many in a row lets others have a turn.
Frames to the peer are gathered too, and leave together, as one TLS record if they fit one.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.protocols.basic import Int16StringReceiver
from zope.interface import implementer

from chatsvc.transport.flush import FlushConsolidator
from chatsvc.transport.twisted_internals import unprocessed

MOST_IN_A_ROW = 64
"""Frames of one connection that are taken in a row; then it is the others' turn."""


_MOST_GATHERED = 64 * 1024
"""Bytes that may gather; past it they go to the transport, which can say no."""


class FrameProtocol(Int16StringReceiver):
    """
    Frames in both directions; reading stops for as long as there is a reason to.

    ``flusher`` is set when the connection is made. A subclass counts each frame in its ``stringReceived``: a call of
    its own would make every message dearer. Without ``gathers`` each frame is a write, and so a TLS record, of its
    own.
    """

    flusher: FlushConsolidator
    transport: Any
    length_format = Struct("!H")
    gathers = True

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        # Bytes that have come and are in no frame that was taken, and those that the next one is known to need.
        self._untaken = 0
        self._wanted = 2
        self._frames = 0
        self._in_a_row = 0
        self._rest: IDelayedCall | None = None
        self._held: set[str] = set()
        self._outgoing: list[bytes] = []
        self._gathered = 0
        self._closing = False
        """Whether nothing more may be sent."""

    @property
    def clock(self) -> IReactorTime:
        """The clock by which to wait."""
        raise NotImplementedError

    @property
    def frame_timeout(self) -> float:
        """Seconds in which a frame that has begun must end."""
        raise NotImplementedError

    def dataReceived(self, data: bytes) -> None:
        self._untaken += len(data)
        if data and (self.paused or self._untaken < self._wanted):
            self._pieces.append(data)
            self.piece_received()
        else:
            self._pieces.append(data)
            data = b"".join(self._pieces)
            self._pieces.clear()
            super().dataReceived(data)
            self._wanted = self._next_frame_size()
        if self._untaken and self._rest is None:
            self._expect_rest()

    def piece_received(self) -> None:
        """Take note of bytes that complete no frame."""
        raise NotImplementedError

    def frame_timed_out(self) -> None:
        """Give a peer up that has begun a frame and not ended it in time."""
        raise NotImplementedError

    def hold(self, reason: str) -> bool:
        """Stop reading until every reason has been released; whether this one is new."""
        if reason in self._held:
            return False
        if not self._held:
            self.pauseProducing()
        self._held.add(reason)
        return True

    def release(self, reason: str) -> None:
        """Drop one reason for not reading; reading resumes when none is left."""
        if reason in self._held:
            self._held.discard(reason)
            if not self._held:
                self.resumeProducing()

    def release_all(self) -> None:
        """Read on, whatever the reasons not to."""
        if self._held:
            self._held.clear()
            self.resumeProducing()

    def stop_receiving(self) -> None:
        """Forget what was begun: the connection is gone."""
        self._held.clear()
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def give_way(self) -> None:
        """Let the other connections have a turn of the reactor first."""
        self._in_a_row = 0
        self.hold("turn")
        self.clock.callLater(0, self.release, "turn")

    def _next_frame_size(self) -> int:
        """The bytes of the next frame and of its length, as far as they are known."""
        begun = unprocessed(self)
        return 2 if len(begun) < 2 else 2 + int(self.length_format.unpack_from(begun)[0])

    def _expect_rest(self) -> None:
        """Wait for the rest of a frame, not for ever."""
        self._rest = self.clock.callLater(self.frame_timeout, self._check_rest, self._frames)

    def _check_rest(self, frames: int) -> None:
        self._rest = None
        if self._untaken and (self._held or self._frames != frames):
            self._expect_rest()  # it is we who do not read, or this is another frame
        elif self._untaken:
            self.frame_timed_out()

    def _send(self, frames: list[bytes]) -> None:
        if self._closing or not frames:
            return
        if not self._outgoing:
            self.flusher.add(self)
        for frame in frames:
            size = len(frame)
            self._outgoing.append(self.length_format.pack(size) + frame)
            self._gathered += size
        if self._gathered >= _MOST_GATHERED:
            self._write()

    def send_packed(self, packed: bytes) -> None:
        """Send frames whose lengths are before them already, with what has gathered, now."""
        self._outgoing.append(packed)
        self._write()

    def flush(self) -> None:
        """Hand what has gathered to the transport: the other connections had their turn since it was asked."""
        self._in_a_row = 0
        if self._outgoing:
            self._write()

    def _write(self) -> None:
        frames, self._outgoing, self._gathered = self._outgoing, [], 0
        if self.gathers:
            self.transport.write(b"".join(frames))
        else:
            for frame in frames:
                self.transport.write(frame)


class Pausable(Protocol):
    """What sends frames, and can be asked to wait."""

    def pause(self) -> None:
        """Send nothing for now."""

    def resume(self) -> None:
        """Send again."""


@implementer(IPushProducer)
class OutputProducer:
    """Lets a sender of frames wait while the transport has more than it can send."""

    def __init__(self, sender: Pausable) -> None:
        self._sender = sender

    def pauseProducing(self) -> None:
        self._sender.pause()

    def resumeProducing(self) -> None:
        self._sender.resume()

    def stopProducing(self) -> None:
        pass
