"""``HOST:PORT`` as people write it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.transport.host_port import split_host_port


class HostPortTests(SynchronousTestCase):
    """The port is 7 where none is written."""

    def test_split(self) -> None:
        """A client or a server would connect to another host or port than the one that was written."""
        for text, expected in {
            "chat.example": ("chat.example", 7),
            "chat.example:1": ("chat.example", 1),
            "192.0.2.1:65535": ("192.0.2.1", 65535),
            "[::1]": ("::1", 7),
            "[2001:db8::1]:80": ("2001:db8::1", 80),
        }.items():
            self.assertEqual(split_host_port(text, 7), expected, text)

    def test_refused(self) -> None:
        """A slip would lead somewhere else, or end in a traceback."""
        for text in (
            "",
            ":1",
            "::1",
            "host:",
            "host:x",
            "host:123456",
            "host:٣",
            "[]:1",
            "[::1",
            "a:1:2",
        ):
            self.assertRaises(ValueError, split_host_port, text, 7)
