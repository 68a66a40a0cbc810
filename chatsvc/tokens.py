"""Tokens: logging the same account in again without hashing its password again."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable

from itsdangerous import BadData, TimestampSigner, URLSafeTimedSerializer

from chatsvc.passwords import is_locked

# One spelling for each token: base64 is read more leniently than it is written, and 32 bytes leave two bits unused.
_FORM = re.compile(r"[\w-]+\.[\w-]+\.[\w-]{42}[AEIMQUYcgkosw048]", re.ASCII)

SKEW = 60
"""Seconds by which the clocks of two nodes may differ: a token may be from so far ahead."""


class Tokens:
    """
    Makes and checks tokens, signed with HMAC-SHA256.

    A token names an account and carries a mark of its stored password, so that it ends with the
    password: changing it, replacing its hash by a stronger one or locking the account refuses it.

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
        self._serializer = URLSafeTimedSerializer(
            secret,
            salt="chatsvc.token",
            signer=Signer,
            signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
        )
        return changed

    def issue(self, uid: int, stored: str) -> str:
        """A token for an account and its stored password: ASCII without spaces, some 100 bytes."""
        token = self._serializer.dumps([uid, self._mark(stored)])
        return token if isinstance(token, str) else token.decode("ascii")

    def uid_of(self, token: str) -> int | None:
        """Whose token it is; None: it is not one of ours, or too old. Any string may be asked."""
        claim = self._claim(token)
        return claim[0] if claim else None

    def valid(self, token: str, uid: int, stored: str) -> bool:
        """Whether the token still logs this account in, which now has this stored password."""
        claim = self._claim(token)
        if claim is None or is_locked(stored):
            return False
        return claim[0] == uid and hmac.compare_digest(claim[1], self._mark(stored))

    def _claim(self, token: str) -> tuple[int, str] | None:
        if not _FORM.fullmatch(token):
            return None
        try:
            (uid, mark), signed = self._serializer.loads(token, return_timestamp=True)
        except BadData:
            return None
        age = self._now() - signed.timestamp()
        return (uid, mark) if -SKEW <= age <= self._lifetime else None

    def _mark(self, stored: str) -> str:
        # Keyed, so that a token gives nothing away about a password that is still plain text.
        message = b"chatsvc.stored\0" + stored.encode("utf-8", "surrogatepass")
        return hmac.digest(self._secret, message, "sha256")[:16].hex()
