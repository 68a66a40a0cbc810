"""Secrets that are recognised wherever they turn up: cut short, escaped or encoded."""

from __future__ import annotations

import json
import secrets
import string
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from urllib.parse import quote

HEADS = {"password": "鑰", "text": "箋", "name": "彧"}
"""What the secrets of a kind begin with: a character that nothing else says, so that a short quotation shows too."""

_RANDOM = 12
_WINDOW = 8
"""Characters that are enough to recognise a secret by; 62**8 make a chance hit unlikely in any log."""

_ALPHABET = string.ascii_letters + string.digits


class Secrets:
    """What a test must not find again, by kind."""

    def __init__(self) -> None:
        self._known: list[tuple[str, str]] = []

    def new(self, kind: str, head: str | None = None) -> str:
        """A new secret, one word; ``head`` is what it begins with in place of its kind's own."""
        word = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
        head = HEADS[kind] if head is None else head
        self.add(kind, word)
        if not head.isascii():
            self.add(kind, head)
        return head + word

    def add(self, kind: str, secret: str) -> str:
        """Somebody else's secret."""
        if (kind, secret) not in self._known:
            self._known.append((kind, secret))
        return secret

    def found_in(self, said: bytes, *but: str) -> list[str]:
        """What of the secrets stands there, one line for each, except for the kinds in ``but``."""
        haystack = said.lower()
        while b"\\\\" in haystack:  # what was escaped twice
            haystack = haystack.replace(b"\\\\", b"\\")
        return [
            f"{kind} {secret!r}, written as {needle.decode(errors='replace')!r}"
            for kind, secret in self._known
            if kind not in but
            for needle in _first(haystack, secret)
        ]


def _first(haystack: bytes, secret: str) -> list[bytes]:
    needles = {needle for piece in _pieces(secret) for needle in forms(piece)}
    return [needle for needle in needles if needle.lower() in haystack][:1]


def _pieces(secret: str) -> Iterator[str]:
    """Every window of it, or all of it if it is shorter."""
    last = max(0, len(secret) - _WINDOW)
    yield from (secret[i : i + _WINDOW] for i in range(last + 1))


def forms(piece: str) -> Iterator[bytes]:
    """All ways in which programs write a piece of text down."""
    data = piece.encode()
    yield data
    yield repr(data)[2:-1].encode()  # \xe9
    yield ascii(piece)[1:-1].encode()  # \u9470, \U0001f5dd
    yield json.dumps(piece)[1:-1].encode()  # \ud83d\udddd
    yield quote(data, safe="").encode()
    if len(data) < _WINDOW:
        return  # what follows would be short enough to occur by chance
    yield data.hex().encode()
    for offset in range(3):
        # Where it begins and ends within three bytes, what comes before and after it shows in the letters there.
        before, whole = (0, 2, 3)[offset], (offset + len(data)) * 8 // 6
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(b"\0" * offset + data)[before:whole]
