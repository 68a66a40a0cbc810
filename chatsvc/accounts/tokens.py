"""Tokens: logging the same account in again without hashing its password again."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from itsdangerous import BadData, TimestampSigner
from itsdangerous.encoding import base64_decode, bytes_to_int

from chatsvc.accounts.phc import is_locked

# One spelling for each token: base64 is read more leniently than it is written, and 32 bytes leave two bits unused.
# The time of a token is 8 bytes at most.
_FORM = re.compile(r"(-?\d+)\.([0-9a-f]{32})\.([\w-]{1,11})\.[\w-]{42}[AEIMQUYcgkosw048]", re.ASCII)

SKEW = 60
"""Seconds by which the clocks of two nodes may differ: a token may be from so far ahead."""

_OLDEST = 366 * 86400
"""Seconds since a token was made for which a client may still have it, though it ended long ago."""


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a token of ours says: that somebody has logged in to ``uid`` with the password that ``mark`` stands for."""

    uid: int
    mark: str


class Tokens:
    """
    Makes and checks tokens, signed with HMAC-SHA256.

    A token names an account and carries a mark of its stored password, so that it ends with the
    password: changing it, replacing its hash by a stronger one or locking the account refuses it. ``locks``, how often
    the account was locked and unlocked, is part of the mark: what was locked once stays refused.

    ``lifetime`` is in seconds, ``now`` says seconds since the epoch. Nodes that share ``secret``
    accept each other's tokens.
    """

    def __init__(
        self, secret: bytes, lifetime: float = 7 * 86400, now: Callable[[], float] = time.time
    ) -> None:
        self._lifetime = lifetime
        self._now = now
        self._secret = b""
        self.change_secret(secret)

    def change_secret(self, secret: bytes) -> bool:
        """Sign with this secret from now on; True: it is another one, and the tokens that are out no longer count."""
        changed = secret != self._secret
        now = self._now

        class Signer(TimestampSigner):
            def get_timestamp(self) -> int:
                return int(now())

        self._secret = secret
        self._signer = Signer(
            secret, salt="chatsvc.token", digest_method=hashlib.sha256, key_derivation="hmac"
        )
        return changed

    @property
    def fingerprint(self) -> str:
        """What nodes that share the secret have in common, and what tells nothing of it."""
        return hmac.digest(self._secret, b"chatsvc.fingerprint", "sha256")[:8].hex()

    def issue(self, uid: int, stored: str, locks: int = 0) -> str:
        """A token for an account and its stored password: ASCII without spaces, some 100 bytes."""
        return self._signer.sign(f"{uid}.{self._mark(stored, locks)}").decode("ascii")

    def read(self, token: str) -> TokenClaims | None:
        """What the token claims; None: it is not one of ours, or too old. Any string may be asked."""
        parts = _FORM.fullmatch(token)
        if parts is None:
            return None
        try:
            _, signed = self._signer.unsign(token, return_timestamp=True)
        except BadData:
            return None
        age = self._now() - signed.timestamp()
        return TokenClaims(int(parts[1]), parts[2]) if -SKEW <= age <= self._lifetime else None

    def may_have_been(self, token: str) -> bool:
        """
        Whether the token looks like one that was ours: its form is, and it is no older than one that somebody may have
        kept. Whoever has one of before the secret was replaced is no guesser; but such a thing is easily made up.
        """
        parts = _FORM.fullmatch(token)
        if parts is None:
            return False
        try:
            age = self._now() - bytes_to_int(base64_decode(parts[3]))
        except (BadData, OverflowError):
            return False
        return -SKEW <= age <= max(_OLDEST, self._lifetime)

    def fits(self, claim: TokenClaims, stored: str, locks: int = 0) -> bool:
        """Whether the account that is claimed is open to this token, now that ``stored`` is its password."""
        return not is_locked(stored) and hmac.compare_digest(claim.mark, self._mark(stored, locks))

    def _mark(self, stored: str, locks: int) -> str:
        # Keyed, so that a token gives nothing away about a password that is still plain text.
        message = b"chatsvc.stored\0" + stored.encode("utf-8", "surrogatepass")
        if locks:  # else the mark is the one of releases that did not count
            message += b"\0%d" % locks
        return hmac.digest(self._secret, message, "sha256")[:16].hex()
