"""``twistd chatclient``: options and environment."""

from __future__ import annotations

from typing import Any

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.tap.client import Options
from chatsvc.tap.client_location import Server, language, parse_server


class Where(SynchronousTestCase):
    def test_servers(self) -> None:
        """A server given by an address, or without its port, could not be reached."""
        for text, server in {
            "localhost:10000": Server("localhost", 10000),
            "chat.example": Server("chat.example", 10000),
            "[::1]:77": Server("::1", 77),
            "[::1]": Server("::1", 10000),
            "127.0.0.1:1": Server("127.0.0.1", 1),
        }.items():
            self.assertEqual(parse_server(text), server)
            self.assertEqual(parse_server(str(server)), server)

    def test_no_servers(self) -> None:
        """A typing error would connect to somewhere else."""
        for text in ("", "::1", "::1:10000", "h:", "h:0", "h:65536", "h:x", "[::1", "a:1:2"):
            with self.assertRaises(ValueError, msg=text):
                parse_server(text)


class Language(SynchronousTestCase):
    def test_locale(self) -> None:
        """A user would be spoken to in the wrong language."""
        for environment, lang in (
            ({}, "zh"),
            ({"LANG": ""}, "zh"),
            ({"LANG": "C.UTF-8"}, "en"),
            ({"LANG": "POSIX"}, "en"),
            ({"LANG": "zh_CN.GBK"}, "zh"),
            ({"LANG": "en_US.UTF-8"}, "en"),
            ({"LANG": "de_DE@euro"}, "en"),
            ({"LC_ALL": "en_US", "LANG": "zh_CN"}, "en"),
            ({"LC_MESSAGES": "zh_CN", "LANG": "en_US"}, "zh"),
        ):
            self.assertEqual(language(environment), lang, environment)

    def test_option_wins(self) -> None:
        """--lang would be ignored where the locale says something else."""
        options = Options({"LANG": "en_US.UTF-8"})
        options.parseOptions(["--lang", "zh"])
        self.assertEqual(options.location.lang, "zh")


class Parent(SynchronousTestCase):
    def parse(self, parent: Any) -> None:
        options = Options({})
        options.parent = parent
        options.parseOptions([])

    def test_twistd(self) -> None:
        """The client would take a server's pid file, log to the screen, or become a daemon."""
        parent: dict[str, Any] = {
            "pidfile": "twistd.pid",
            "nodaemon": False,
            "logger": None,
            "no_save": False,
        }
        self.parse(parent)
        self.assertEqual((parent["pidfile"], parent["nodaemon"]), ("", True))
        self.assertIn("no_log", parent["logger"])

    def test_other_parents(self) -> None:
        """The options could not be parsed under twist, or by a test."""
        parent: dict[str, Any] = {}
        self.parse(parent)
        self.parse(None)
        self.assertEqual(parent, {})

    def test_wrong(self) -> None:
        """A program that parses the options itself would be ended by a wrong one."""
        with self.assertRaises(UsageError):
            Options({}).parseOptions(["--connect", "::1:1"])
