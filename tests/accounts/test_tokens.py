"""Tokens: for whom they speak, how long, and what ends them."""

from __future__ import annotations

import hashlib
import hmac
import re

from hypothesis import example, given
from hypothesis import strategies as st
from itsdangerous import TimestampSigner
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.accounts.phc import lock
from chatsvc.accounts.tokens import SKEW, TokenClaims, Tokens

SECRET = bytes(range(32))
DEVICE = "0123456789abcdef"
STORED = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA"
CHANGED = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaB"


class TokenTests(SynchronousTestCase):
    """Tokens on a clock of the test's own."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_800_000_000.5)
        self.tokens = Tokens(SECRET, 100, self.clock.seconds)
        self.token = self.tokens.issue(10001, STORED)

    def accepted(self, tokens: Tokens | None = None, stored: str = STORED) -> bool:
        """Return whether the token is accepted by these tokens for this stored password."""
        tokens = tokens or self.tokens
        claim = tokens.read(self.token)
        return claim is not None and claim.uid == 10001 and tokens.fits(claim, stored)

    def test_fresh(self) -> None:
        """A client would need the password again at each reconnect."""
        self.assertTrue(self.accepted())

    def test_sendable(self) -> None:
        """A token could not be sent as one word, or would not fit a frame."""
        self.assertRegex(self.token, r"\A[\x21-\x7e]{20,200}\Z")

    def test_any_uid(self) -> None:
        """Accounts of old databases could not use tokens."""
        for uid in (0, -1, 2**63):
            claim = self.tokens.read(self.tokens.issue(uid, STORED))
            self.assertEqual(claim and claim.uid, uid)

    def test_age(self) -> None:
        """A token stolen once would be good for ever, or end too early."""
        self.clock.advance(99)
        self.assertTrue(self.accepted())
        self.clock.advance(2)
        self.assertFalse(self.accepted())

    def test_default_lifetime(self) -> None:
        """Tokens would not last the seven days that are promised."""
        self.tokens = Tokens(SECRET, now=self.clock.seconds)
        self.clock.advance(7 * 86400 - 2)
        self.assertTrue(self.accepted())
        self.clock.advance(4)
        self.assertFalse(self.accepted())

    def test_clocks_of_two_nodes(self) -> None:
        """A node whose clock is a little behind would refuse another's tokens."""
        self.clock.rightNow -= SKEW - 1
        self.assertTrue(self.accepted())
        self.clock.rightNow -= 2
        self.assertFalse(self.accepted())

    def test_password_changed(self) -> None:
        """A thief would stay logged in after the password was changed."""
        self.assertFalse(self.accepted(stored=CHANGED))

    def test_locked(self) -> None:
        """A locked account could go on with its token."""
        self.assertFalse(self.accepted(stored=lock(STORED)))
        self.token = self.tokens.issue(10001, lock(STORED))
        self.assertFalse(self.accepted(stored=lock(STORED)))

    def test_another_node(self) -> None:
        """A client could not move to another node without its password."""
        self.assertTrue(self.accepted(Tokens(SECRET, 100, self.clock.seconds)))

    def test_another_secret(self) -> None:
        """Anybody could make tokens, or the secret could not be renewed."""
        self.assertIsNone(Tokens(b"x" * 32, 100, self.clock.seconds).read(self.token))

    def test_changed_token(self) -> None:
        """A token could be altered to name another account."""
        for index in range(self.token.rindex(".")):
            other = "A" if self.token[index] != "A" else "B"
            changed = self.token[:index] + other + self.token[index + 1 :]
            self.assertIsNone(self.tokens.read(changed))

    def test_other_uses_of_the_secret(self) -> None:
        """Something else signed with the same secret would pass for a token."""
        other = TimestampSigner(SECRET, digest_method=hashlib.sha256, key_derivation="hmac")
        self.assertIsNone(self.tokens.read(other.sign(self.token.rsplit(".", 2)[0]).decode()))

    def test_stored_password_is_hidden(self) -> None:
        """Equal passwords of two servers could be told from their tokens."""
        mine = self.tokens.issue(1, "plain")
        theirs = Tokens(b"x" * 32, 100, self.clock.seconds).issue(1, "plain")
        self.assertNotEqual(mine.split(".")[1], theirs.split(".")[1])

    @given(st.text(st.characters(exclude_categories=())))
    @example("")
    @example("\ud800")
    @example("令牌")
    @example("a.b.c")
    @example("..")
    @example(".eJw.zzzzzzzzzzzzzzzz.x")
    def test_any_string(self, token: str) -> None:
        """A client could end a connection in a traceback."""
        self.assertIsNone(self.tokens.read(token))

    def test_may_have_been(self) -> None:
        """An office whose tokens were made worthless would be taken for guessers, or guessers for an office."""
        other = Tokens(b"x" * 32, 100, self.clock.seconds)
        dead = [other.issue(10001, STORED), other.issue(1, CHANGED), self.token]
        for token in dead:
            self.assertTrue(self.tokens.may_have_been(token))
        early = Tokens(SECRET, 100, lambda: self.clock.seconds() + 2 * SKEW).issue(1, STORED)
        huge = self.token.split(".")
        huge[2] = "A" * 400
        for token in ("", "a.b.c", self.token[:-1], early, ".".join(huge), "你好"):
            self.assertFalse(self.tokens.may_have_been(token), token)
        self.clock.advance(100 * 86400)
        self.assertTrue(self.tokens.may_have_been(self.token), "of before the holidays")
        self.clock.advance(300 * 86400)
        self.assertFalse(self.tokens.may_have_been(self.token))

    def test_locks(self) -> None:
        """A lock would end no tokens, or an upgrade the tokens of accounts that were never locked."""
        claim = self.tokens.read(self.tokens.issue(10001, STORED, 2))
        assert claim is not None
        fitting = [locks for locks in range(5) if self.tokens.fits(claim, STORED, locks)]
        self.assertEqual(fitting, [2])
        self.assertEqual(self.token, self.tokens.issue(10001, STORED, 0))

    def test_device(self) -> None:
        """A forgotten device could go on with its token, or its token would end with another device."""
        token = self.tokens.issue(10001, STORED, 2, DEVICE, 3)
        claim = self.tokens.read(token)
        assert claim is not None
        self.assertEqual((claim.uid, claim.device), (10001, DEVICE))
        fitting = [
            (locks, forgets)
            for locks in range(4)
            for forgets in range(5)
            if self.tokens.fits(claim, STORED, locks, forgets)
        ]
        self.assertEqual(fitting, [(2, 3)])
        self.assertFalse(self.tokens.fits(claim, CHANGED, 2, 3))
        self.assertTrue(self.tokens.may_have_been(token))
        self.assertRegex(token, r"\A[\x21-\x7e]{20,200}\Z")
        for index in range(token.rindex(".")):
            other = "A" if token[index] != "A" else "B"
            self.assertIsNone(self.tokens.read(token[:index] + other + token[index + 1 :]))

    def test_device_of_any_length(self) -> None:
        """A device whose name is as short or as long as may be would get a token that nobody reads."""
        for device in ("0" * 16, "f" * 32):
            claim = self.tokens.read(self.tokens.issue(-7, STORED, device=device))
            self.assertEqual(claim and (claim.uid, claim.device), (-7, device))

    def test_renewed_device(self) -> None:
        """A session could renew its token into one that outlives its device."""
        claim = self.tokens.read(self.tokens.issue(10001, STORED, 1, DEVICE, 4))
        assert claim is not None
        self.clock.advance(60)
        renewed = self.tokens.read(self.tokens.renew(claim))
        self.assertEqual(renewed, claim)
        self.clock.advance(60)
        self.assertIsNotNone(self.tokens.read(self.tokens.renew(claim)))

    def test_without_a_device(self) -> None:
        """A node of the release before would refuse tokens of sessions that have no registered device."""
        older = re.compile(
            r"-?\d+\.[0-9a-f]{32}\.[\w-]{1,11}\.[\w-]{42}[AEIMQUYcgkosw048]", re.ASCII
        )
        for locks in (0, 3):
            token = self.tokens.issue(10001, STORED, locks)
            self.assertRegex(token, rf"\A{older.pattern}\Z")
        # As that release makes it: of the stored password, then, if the account was ever locked, how often.
        mark = hmac.digest(SECRET, b"chatsvc.stored\0" + STORED.encode() + b"\0003", "sha256")
        self.assertEqual(token.split(".")[1], mark[:16].hex())

    def test_a_token_for_a_device_is_no_other(self) -> None:
        """Whoever has a token of a device could take the device out of it, and keep it after it was forgotten."""
        uid, device, *rest = self.tokens.issue(10001, STORED, 0, DEVICE, 0).split(".")
        self.assertEqual(device, DEVICE)
        self.assertIsNone(self.tokens.read(".".join([uid, *rest])))
        claim = self.tokens.read(self.token)
        assert claim is not None
        self.assertFalse(self.tokens.fits(TokenClaims(claim.uid, claim.mark, DEVICE), STORED))
