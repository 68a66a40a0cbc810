"""Tokens: an account logs in again without its password being hashed again."""

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

# A uid, the device that the token names, if any, a mark, a time, a signature. Each token has one spelling: base64 is
# decoded leniently, and 32 bytes leave two bits of the last letter unused. The time takes 8 bytes at most.
_FORM = re.compile(
    r"(?P<uid>-?\d+)\.(?:(?P<device>[0-9a-f]{16,32})\.)?(?P<mark>[0-9a-f]{32})\.(?P<time>[\w-]{1,11})"
    r"\.[\w-]{42}[AEIMQUYcgkosw048]",
    re.ASCII,
)

SKEW = 60
"""Seconds by which the clocks of two nodes may differ: a token may come from that far in the future."""

_OLDEST = 366 * 86400
"""Age in seconds up to which an invalid token is taken for one of ours that a client has kept."""


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """
    The content of a token: somebody has logged in as ``uid`` with the password that ``mark`` stands for.

    ``device`` is the name of the registered device that the token was issued to; empty: to none.
    """

    uid: int
    mark: str
    device: str = ""


class Tokens:
    """
    Issues and checks tokens, signed with HMAC-SHA256.

    A token names an account and carries a mark of its stored password. It becomes invalid when that changes: with a new
    password, a stronger hash of the old one, or a lock. The mark includes ``locks``, the count of locks and unlocks, so
    that unlocking an account does not make its old tokens valid again.

    A token that was issued to a registered device names that device. Its mark includes ``forgets``, the count of how
    often the device was forgotten, so that each time makes the device's tokens invalid. A token that names none has the
    form of releases that did not know devices.

    ``lifetime`` is in seconds, ``now`` returns seconds since 1970. Nodes that share ``secret`` accept each other's
    tokens.
    """

    def __init__(
        self, secret: bytes, lifetime: float = 7 * 86400, now: Callable[[], float] = time.time
    ) -> None:
        self.lifetime = lifetime
        self._now = now
        self._secret = b""
        self.change_secret(secret)

    def change_secret(self, secret: bytes) -> bool:
        """Sign with this secret from now on; return whether it differs, which makes all older tokens invalid."""
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
        """A text that is equal on nodes with the same secret, and does not reveal it."""
        return hmac.digest(self._secret, b"chatsvc.fingerprint", "sha256")[:8].hex()

    def issue(
        self, uid: int, stored: str, locks: int = 0, device: str = "", forgets: int = 0
    ) -> str:
        """
        Return a token for an account and its stored password: ASCII without spaces, some 100 bytes.

        ``device`` is the name of a registered device, 16 to 32 lower hexadecimal digits, or empty.
        """
        return self.renew(TokenClaims(uid, self._mark(stored, locks, device, forgets), device))

    def renew(self, claims: TokenClaims) -> str:
        """Return a token with the same claims whose time begins now."""
        device = f"{claims.device}." if claims.device else ""
        return self._signer.sign(f"{claims.uid}.{device}{claims.mark}").decode("ascii")

    def read(self, token: str) -> TokenClaims | None:
        """Return a token's claims, or None if the text is no token of ours or too old."""
        parts = _FORM.fullmatch(token)
        if parts is None:
            return None
        try:
            _, signed = self._signer.unsign(token, return_timestamp=True)
        except BadData:
            return None
        age = self._now() - signed.timestamp()
        if not -SKEW <= age <= self.lifetime:
            return None
        return TokenClaims(int(parts["uid"]), parts["mark"], parts["device"] or "")

    def may_have_been(self, token: str) -> bool:
        """
        Return whether the text has a token's form and an age at which a client may still have kept it.

        A client with a token from before the secret was replaced is not guessing. Such a text is easily made up,
        though.
        """
        parts = _FORM.fullmatch(token)
        if parts is None:
            return False
        try:
            age = self._now() - bytes_to_int(base64_decode(parts["time"]))
        except (BadData, OverflowError):
            return False
        return -SKEW <= age <= max(_OLDEST, self.lifetime)

    def fits(self, claims: TokenClaims, stored: str, locks: int = 0, forgets: int = 0) -> bool:
        """
        Return whether a token with these claims is valid for the account, whose stored password is ``stored``.

        ``forgets`` is how often the device that the token names was forgotten.
        """
        mark = self._mark(stored, locks, claims.device, forgets)
        return not is_locked(stored) and hmac.compare_digest(claims.mark, mark)

    def _mark(self, stored: str, locks: int, device: str, forgets: int) -> str:
        # Keyed, so that a token reveals nothing about a password that is still plain text.
        password = stored.encode("utf-8", "surrogatepass")
        if device:
            counts = b"%s %d %d" % (device.encode(), forgets, locks)
            message = b"chatsvc.device\0" + counts + b"\0" + password
        else:
            message = b"chatsvc.stored\0" + password
            if locks:  # without, the mark is as in releases that did not count locks
                message += b"\0%d" % locks
        return hmac.digest(self._secret, message, "sha256")[:16].hex()
