"""Names and addresses as certificates have them."""

from __future__ import annotations

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.tls.host_names import covers, general_name, general_names


class GeneralNameTests(SynchronousTestCase):
    def test_forms(self) -> None:
        """A certificate would not be for the name that clients ask for, or a name be there twice."""
        for name, form in (
            ("Chat.Example", "chat.example"),
            ("chat.example.", "chat.example"),
            ("my_host", "my_host"),
            ("7", "7"),
            ("聊天.example", "xn--rss932g.example"),
            ("聊天。example", "xn--rss932g.example"),
            ("xn--rss932g.example", "xn--rss932g.example"),
            ("BÜCHER.example.", "xn--bcher-kva.example"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("10.0.0.1", "10.0.0.1"),
            ("x" * 63 + ".example", "x" * 63 + ".example"),
        ):
            found = general_name(name)
            assert found is not None, name
            self.assertEqual(str(found.value), form)
            self.assertEqual(general_names([name, form, "a b"]), [found])

    def test_no_names(self) -> None:
        """A certificate would be made for a name that no client can ask for, or without one that was asked for."""
        for name in (
            *("", ".", "a b", "a..b", ".a", "-a", "a-", "a.-b", "*", "chat.example:10000", "[::1]"),
            *("300.1.1.1", "1.2.3", "1.2.3.4.", "fe80::1%eth0", "x" * 64, "a." * 126 + "aa"),
            *(
                "☃.example",
                "聊 天.example",
                "聊天..example",
                "xn--zz.example",
                "聊" * 63,
                "a/b",
                "a\n",
            ),
        ):
            self.assertIsNone(general_name(name), name)

    def test_covers(self) -> None:
        """A certificate would be said not to be for a name that it is for, or the other way round."""
        for names, name, expected in (
            (["chat.example"], "chat.example", True),
            (["Chat.Example"], "chat.example", True),
            (["*.example"], "chat.example", True),
            (["*.example"], "a.chat.example", False),
            (["*.example"], "example", False),
            ([], "chat.example", False),
            (["2001:db8::1"], "2001:db8::1", True),
        ):
            self.assertEqual(covers(names, name), expected, (names, name))

    def test_kinds(self) -> None:
        """Clients that ask for an address look for it among the addresses only (RFC 9525, section 6.1.2)."""
        self.assertIsInstance(general_name("::1"), x509.IPAddress)
        self.assertIsInstance(general_name("localhost"), x509.DNSName)
