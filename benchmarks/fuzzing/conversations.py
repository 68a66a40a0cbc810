"""
Conversations that no proper client has: bursts of frames, cut into pieces, with lengths that are wrong, broken off.

Drawn like frames, so that the number of a conversation and a seed say all that is sent in it, but for the token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from struct import Struct

from benchmarks.fuzzing.frames import (
    MAX_FRAME,
    Corpus,
    Targets,
    frame,
    structured_corpus,
    text_corpus,
)

_BIG, _LITTLE = Struct("!H"), Struct("<H")

_TRICKLED = 2_000
"""Bytes of a burst at most that go out one by one."""

_MIXED_EACH = 20
"""One conversation in so many speaks both dialects."""

_WRONG_EACH = 150
"""One frame in so many has a wrong length before it. What follows on its connection is mostly noise."""

_TLS_EACH, _HURRIED_EACH = 8, 8


@dataclass(frozen=True)
class Conversation:
    """
    What one connection sends, each of the ``pieces`` by a call of its own, so over TLS as a record of its own.

    ``reset``: it ends by a reset, else in an orderly way; ``hurried``: without waiting for the last answers.
    """

    structured: bool
    legacy: bool
    logged_in: bool
    tls: bool
    reset: bool
    hurried: bool
    pieces: tuple[bytes, ...]


@dataclass(frozen=True)
class Corpora:
    """The valid commands of both dialects."""

    text: Corpus
    structured: Corpus

    @classmethod
    def about(cls, targets: Targets) -> Corpora:
        """Commands about these users."""
        return cls(text_corpus(targets), structured_corpus(targets))


def conversation(rng: Random, corpora: Corpora, most: int = 200) -> Conversation:
    """One conversation, of at most so many frames; one in two breaks off at any byte."""
    structured, legacy, logged_in, reset, cut = (bool(rng.randrange(2)) for _ in range(5))
    tls, hurried, mixed = (
        rng.randrange(each) == each - 1 for each in (_TLS_EACH, _HURRIED_EACH, _MIXED_EACH)
    )
    corpus = corpora.structured if structured else corpora.text
    if mixed:
        corpus = corpora.text + corpora.structured
    sent: list[bytes] = []
    room = rng.randint(1, most)
    while room > 0:
        frames = [frame(rng, corpus) for _ in range(rng.randint(1, min(room, 50)))]
        sent += burst(rng, frames, legacy)
        room -= len(frames)
    if cut:
        last = sent.pop()
        sent.append(last[: rng.randint(0, len(last))])
    return Conversation(structured, legacy, logged_in, tls, reset, hurried, tuple(sent))


def burst(rng: Random, frames: Sequence[bytes], legacy: bool) -> list[bytes]:
    """Frames on their way, in pieces; now and then one has a wrong length."""
    on_their_way = []
    for data in frames:
        wrong = rng.randrange(_WRONG_EACH) == _WRONG_EACH - 1
        size = rng.choice(_WRONG_SIZES)(rng, len(data)) if wrong else len(data)
        on_their_way.append(_length(legacy).pack(size) + data)
    return rng.choice(_WAYS)(rng, on_their_way)


def packed(data: bytes, legacy: bool) -> bytes:
    """A proper frame."""
    return _length(legacy).pack(len(data)) + data


def split(sent: bytes, legacy: bool) -> Iterator[bytes]:
    """The frames that a server reads in these bytes, with their lengths; the last one may be cut short."""
    unpack, at = _length(legacy).unpack_from, 0
    while at < len(sent):
        end = at + 2 + (unpack(sent, at)[0] if at + 2 <= len(sent) else 0)
        yield sent[at:end]
        at = end


def frames_in(sent: bytes, legacy: bool) -> int:
    """How many frames a server reads in these bytes. One that was begun counts, an empty one does not."""
    return sum(data[:2] != b"\0\0" for data in split(sent, legacy))


def pieces(rng: Random, data: bytes) -> list[bytes]:
    """The same bytes, cut anywhere."""
    ends = sorted(rng.randint(0, len(data)) for _ in range(rng.randint(1, 8)))
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


def _length(legacy: bool) -> Struct:
    return _LITTLE if legacy else _BIG


def _too_small(rng: Random, size: int) -> int:
    """What is left of the frame is taken for the next length."""
    return rng.randint(0, size)


def _too_large(rng: Random, size: int) -> int:
    """It runs into the next frames."""
    return min(MAX_FRAME, size + rng.choice((1, 2, 10, 1_000, MAX_FRAME)))


def _swapped(rng: Random, size: int) -> int:
    """In the other byte order."""
    return int.from_bytes(size.to_bytes(2, "big"), "little")


_WRONG_SIZES: tuple[Callable[[Random, int], int], ...] = (_too_small, _too_large, _swapped)


def _together(rng: Random, frames: list[bytes]) -> list[bytes]:
    return [b"".join(frames)]


def _each(rng: Random, frames: list[bytes]) -> list[bytes]:
    return frames


def _anyhow(rng: Random, frames: list[bytes]) -> list[bytes]:
    return pieces(rng, b"".join(frames))


def _byte_by_byte(rng: Random, frames: list[bytes]) -> list[bytes]:
    data = b"".join(frames)
    if len(data) > _TRICKLED:
        return pieces(rng, data)
    return [data[at : at + 1] for at in range(len(data))]


_WAYS: tuple[Callable[[Random, list[bytes]], list[bytes]], ...] = (
    *(_together, _together, _each, _anyhow),
    _byte_by_byte,
)
