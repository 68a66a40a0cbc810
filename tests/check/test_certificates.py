"""Whether certificates will do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.check.certificates import DAYS_TO_RENEW, judge
from chatsvc.check.finding import Finding, Severity
from chatsvc.tls.certificates import fingerprint
from tests.support.authority import LEAF, NOW, Authority, pem

DAY = 86_400.0
KEY = ec.generate_private_key(ec.SECP256R1())
ROOT = Authority("root")
MIDDLE = Authority("middle", ROOT)
LEAVES = MIDDLE.sign(LEAF, KEY.public_key(), False, "chat.example", "*.chat.example")


class JudgeTests(SynchronousTestCase):
    """Certificates that are valid from a day ago until in 30 days."""

    def judge(self, *chain: x509.Certificate, days: float = 0) -> Sequence[Finding]:
        return judge("x.crt", pem(*chain), NOW.timestamp() + days * DAY)

    def assert_fails(self, found: Sequence[Finding], *words: str) -> None:
        self.assertEqual([one.verdict for one in found], [Severity.FAIL] * len(words), found)
        for one, word in zip(found, words, strict=True):
            self.assertIn("x.crt", one.text)
            self.assertIn(word, one.text)

    def test_good(self) -> None:
        """A good chain would be found wrong, or its names and days not be said."""
        for chain in (
            [LEAVES],
            [LEAVES, MIDDLE.certificate],
            [LEAVES, MIDDLE.certificate, ROOT.certificate],
        ):
            (found,) = self.judge(*chain)
            self.assertEqual(found.verdict, Severity.OK)
            for words in ("chat.example, *.chat.example", "29 days", fingerprint(pem(LEAVES))):
                self.assertIn(words, found.text)

    def test_days(self) -> None:
        """An admin would hear of a certificate's end when it has come."""
        last = 30 - DAYS_TO_RENEW
        self.assertEqual(self.judge(LEAVES, days=last - 0.1)[0].verdict, Severity.OK)
        self.assert_fails(self.judge(LEAVES, days=last + 0.1), "in 13 days: renew it")
        self.assert_fails(self.judge(LEAVES, days=31), "has expired")
        self.assert_fails(self.judge(LEAVES, days=-2), "is valid only from")

    def test_any_of_the_chain(self) -> None:
        """The end of an authority's certificate would come unseen."""
        builder = x509.CertificateBuilder(
            ROOT.name, MIDDLE.name, MIDDLE.key.public_key(), x509.random_serial_number()
        )
        builder = builder.not_valid_before(NOW - timedelta(9)).not_valid_after(NOW + timedelta(1))
        builder = builder.add_extension(x509.BasicConstraints(True, None), True)
        short = builder.sign(ROOT.key, LEAVES.signature_hash_algorithm)  # type: ignore[arg-type]
        self.assert_fails(self.judge(LEAVES, short), "CN=middle ends on")

    def test_order(self) -> None:
        """Clients that take the chain as it comes could not verify it, and the admin not see why."""
        (found,) = self.judge(LEAVES, ROOT.certificate, MIDDLE.certificate)
        self.assertEqual(found.verdict, Severity.WARN)
        self.assertIn("CN=leaf be followed by its issuer", found.text)

    def test_gap(self) -> None:
        """A chain without the certificate in the middle would pass."""
        self.assert_fails(self.judge(LEAVES, ROOT.certificate), "what follows CN=leaf")
        impostor = Authority("middle")
        self.assert_fails(self.judge(LEAVES, impostor.certificate), "what follows CN=leaf")

    def test_no_names(self) -> None:
        """A certificate that no client of today accepts would pass."""
        builder = x509.CertificateBuilder(ROOT.name, LEAF, KEY.public_key(), 1)
        builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(30))
        old = builder.sign(ROOT.key, LEAVES.signature_hash_algorithm)  # type: ignore[arg-type]
        self.assert_fails(self.judge(old, days=1), "names no host")
