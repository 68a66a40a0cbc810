"""What certificates say, and requests for them."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.tls.certificates import facts, fingerprint, request
from chatsvc.tls.key_files import BadKeys
from chatsvc.tls.key_folder import KeyFolder
from tests.support.authority import NOW

DAY = 86_400.0
KEY = ec.generate_private_key(ec.SECP256R1())


class FactsTests(SynchronousTestCase):
    def test_our_own(self) -> None:
        """The names, the addresses or the days that are left would not be those of the certificate."""
        keys = KeyFolder(self.mktemp(), lambda: NOW.timestamp())
        keys.ensure(["chat.example", "10.1.2.3"])
        (pem_bytes,) = keys.context().certificates
        (found,) = facts(pem_bytes)
        self.assertEqual((found.subject, found.issuer), ("CN=localhost", "CN=localhost"))
        self.assertEqual(
            list(found.names), ["localhost", "chat.example", "10.1.2.3", "127.0.0.1", "::1"]
        )
        self.assertEqual(found.fingerprint, fingerprint(pem_bytes))
        end = found.not_after.timestamp()
        self.assertEqual([found.days_left(end - 10 * DAY), found.days_left(end + 1)], [10, -1])

    def test_nothing(self) -> None:
        """A file without a certificate would count as one with none."""
        with self.assertRaises(ValueError):
            facts(b"nothing")


class RequestTests(SynchronousTestCase):
    def test_request(self) -> None:
        """An authority would refuse the request, or certify other names."""
        for key in (
            KEY,
            rsa.generate_private_key(65537, 2048),
            ed25519.Ed25519PrivateKey.generate(),
        ):
            made = x509.load_pem_x509_csr(request(key, ["Chat.example", "10.1.2.3"]))
            self.assertTrue(made.is_signature_valid)
            self.assertEqual(made.public_key(), key.public_key())
            self.assertEqual(made.subject.rfc4514_string(), "CN=chat.example")
            found = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            self.assertEqual(found.get_values_for_type(x509.DNSName), ["chat.example"])
            self.assertEqual(
                list(map(str, found.get_values_for_type(x509.IPAddress))), ["10.1.2.3"]
            )

    def test_long_name(self) -> None:
        """A name too long for a subject would end in a traceback."""
        name = ".".join(["a" * 30] * 3)
        made = x509.load_pem_x509_csr(request(KEY, [name]))
        self.assertEqual(made.subject.rfc4514_string(), "")

    def test_refused(self) -> None:
        """A slip in a name, or an unfit key, would end in a traceback or be left out in silence."""
        for name in ("a b", "", "http://x", "张 三"):
            with self.assertRaises(BadKeys):
                request(KEY, ["chat.example", name])
        with self.assertRaises(BadKeys):
            request(x25519.X25519PrivateKey.generate(), ["chat.example"])
