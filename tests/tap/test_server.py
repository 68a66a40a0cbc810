"""``twistd chat``: options to a configuration and a service."""

from __future__ import annotations

import os
import signal
import sys
from io import StringIO
from typing import Any

from twisted.application.service import IService, IServiceMaker
from twisted.internet import reactor
from twisted.plugin import getPlugins
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from chatsvc.accounts.passwords import Hashing
from chatsvc.config import Config
from chatsvc.delivery.batch import BatchLimits
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.room_log import RoomLogLimits
from chatsvc.limits.connections import ConnectionLimits
from chatsvc.limits.login_throttle import FreeAttempts
from chatsvc.limits.token_bucket import Rate
from chatsvc.rooms.room import RoomLimits
from chatsvc.tap.server import Options, makeService
from chatsvc.transport.listeners import LOOPBACK


class OptionsTests(SynchronousTestCase):
    """The table of options."""

    def config(self, *words: str, **environment: str) -> Config:
        options = Options(environment)
        options.parseOptions(list(words))
        return options.config

    def refusal(self, *words: str) -> str:
        return str(self.assertRaises(usage.UsageError, self.config, *words))

    def test_defaults(self) -> None:
        """A server that is started without options would not be the one that is documented."""
        # Numbers: tests/documents/test_pages.py compares the README's with the table's.
        config = self.config()
        self.assertEqual((list(config.ports), list(config.legacy_ports)), (["ssl:10000"], []))
        self.assertEqual((str(config.accounts), str(config.inbox)), ("sqlite:chat.db",) * 2)
        self.assertEqual((config.keys, config.registration, config.lang), ("keys", True, "zh"))
        self.assertEqual(config.rate, Rate(20, 100))
        self.assertEqual(config.request_rate, Rate(1000, 5000))
        self.assertEqual(config.registration_rate, Rate(0.03, 20))
        self.assertEqual(config.token_lifetime, 7 * 86_400)
        self.assertEqual(tuple(config.trusted_proxies), LOOPBACK)

    def test_defaults_of_classes(self) -> None:
        """A default would be lost, or end up in another field, on its way from a class to the option and back."""
        config = self.config()
        self.assertEqual(config.inbox_limits, InboxLimits())
        self.assertEqual(config.connection_limits, ConnectionLimits())
        self.assertEqual(config.free_attempts, FreeAttempts())
        self.assertEqual(config.hashing, Hashing())
        self.assertEqual(config.batch, BatchLimits())
        self.assertEqual((config.room_limits, config.room_log), (RoomLimits(), RoomLogLimits()))
        self.assertEqual(config.room_rate, Rate(20, 100))

    def test_options(self) -> None:
        """A documented option would be ignored."""
        config = self.config(
            *("--port", "ssl:1", "--port", "tcp:2", "--legacy-port", "ssl:3", "--keys", "k"),
            *("--accounts", "mysql://u:p@h/d", "--inbox", "redis://h/1", "--lang", "en"),
            *("--inbox-limit", "5", "--inbox-share", "4", "--inbox-days", "3", "--rate", "2/9"),
            *("--devices", "2", "--device-days", "6", "--device-backlog", "7"),
            *("--max-connections", "7", "--max-per-ip", "6", "--login-timeout", "8"),
            *("--frame-timeout", "9", "--max-unanswered", "10", "--max-unanswered-kib", "11"),
            *(
                "--find-rate",
                "5/6",
                "--request-rate",
                "3/4",
                "--registration-rate",
                "1/2",
                "--login-tries",
                "12/13",
            ),
            *("--argon2-passes", "3", "--argon2-memory", "20", "--argon2-threads", "4"),
            *("--argon2-queue", "5", "--token-days", "2", "--batch-messages", "6"),
            *("--batch-kib", "7"),
            *("--room-members", "4", "--rooms-per-user", "3", "--rooms-owned", "2"),
            *("--room-creation", "closed", "--room-rate", "0", "--room-window", "9"),
            *("--trusted-proxy", "192.0.2.1", "--registration", "open"),
        )
        self.assertEqual(list(config.ports), ["ssl:1", "tcp:2"])
        self.assertEqual((list(config.legacy_ports), config.keys), (["ssl:3"], "k"))
        self.assertEqual((config.accounts.host, config.accounts.password), ("h", "p"))
        self.assertEqual((config.inbox.scheme, config.inbox.path), ("redis", "1"))
        self.assertEqual((config.lang, config.inbox_limits), ("en", InboxLimits(5, 4, 3, 2, 6, 7)))
        self.assertEqual(config.connection_limits, ConnectionLimits(7, 6, 8, 9, 10, 11 * 1024))
        self.assertEqual(
            (config.rate, config.request_rate, config.find_rate, config.registration_rate),
            (Rate(2, 9), Rate(3, 4), Rate(5, 6), Rate(1, 2)),
        )
        self.assertEqual(
            (config.free_attempts, config.hashing), (FreeAttempts(12, 13), Hashing(3, 20_480, 4, 5))
        )
        self.assertEqual((config.token_lifetime, config.batch), (172_800, BatchLimits(6, 7168)))
        self.assertEqual(list(config.trusted_proxies), ["192.0.2.1"])
        self.assertTrue(config.registration)
        self.assertEqual(config.room_limits, RoomLimits(4, 3, 2, open=False))
        self.assertEqual((config.room_log.window, config.room_rate.per_second), (9, 0))

    def test_environment(self) -> None:
        """A password would have to stand on a command line."""
        config = self.config(CHATSVC_ACCOUNTS="mysql://u:p@h/d", CHATSVC_PORT="ssl:1 tcp:2")
        self.assertEqual((config.accounts.password, list(config.ports)), ("p", ["ssl:1", "tcp:2"]))

    def test_every_option_has_a_variable(self) -> None:
        """A documented option would be missing, or not come from the environment."""
        variables = {option.variable for option in Options.table}
        for name in (
            *("PORT", "LEGACY_PORT", "KEYS", "ACCOUNTS", "INBOX", "REGISTRATION", "LANG"),
            *("INBOX_LIMIT", "INBOX_SHARE", "INBOX_DAYS", "RATE", "MAX_CONNECTIONS"),
            *("DEVICES", "DEVICE_DAYS", "DEVICE_BACKLOG"),
            *("ROOM_MEMBERS", "ROOMS_PER_USER", "ROOMS_OWNED", "ROOM_CREATION", "ROOM_RATE"),
            "ROOM_WINDOW",
            *("MAX_PER_IP", "LOGIN_TIMEOUT", "TRUSTED_PROXY"),
        ):
            self.assertIn(f"CHATSVC_{name}", variables)

    def test_registration(self) -> None:
        """Registration would be open over a company's MySQL, or closed on a laptop."""
        self.assertTrue(self.config("--accounts", "sqlite:x").registration)
        self.assertFalse(self.config("--accounts", "mysql://h/d").registration)
        self.assertFalse(self.config("--registration", "closed").registration)
        mysql = self.config("--accounts", "mysql://h/d", "--registration", "open")
        self.assertTrue(mysql.registration)

    def test_refusals(self) -> None:
        """A value that cannot be would start a server, or not be named."""
        for option, value in (
            *(("registration", "maybe"), ("lang", "fr"), ("inbox-limit", "0"), ("rate", "x")),
            *(("inbox-share", "-1"), ("inbox-days", "1.5"), ("max-connections", "many")),
            *(("trusted-proxy", "localhost"), ("accounts", "redis://h"), ("inbox", "mysql://h/d")),
            *(
                ("login-timeout", "0"),
                ("max-per-ip", "1e3"),
                ("keys", " "),
                ("accounts", "sqlite:"),
            ),
        ):
            line = self.refusal(f"--{option}", value)
            self.assertIn(f"--{option} {value!r}", line)
            self.assertEqual(len(line.splitlines()), 1)

    def test_passwords_are_hidden(self) -> None:
        """A password would be shown because something else is wrong with its URL."""
        for option in ("accounts", "inbox"):
            for url in ("mysql://u:SECRET@h:x/d", "redis://u:SECRET@h:x/d", "x://u:SECRET@h"):
                self.assertNotIn("SECRET", self.refusal(f"--{option}", url))

    def test_pid_file(self) -> None:
        """A stale pid file, as after SIGKILL in a container, would stop a start."""
        for parent, pidfile in (
            ({"pidfile": "twistd.pid", "nodaemon": True}, ""),
            ({"pidfile": "twistd.pid", "nodaemon": False}, "twistd.pid"),
        ):
            options: Any = Options({})
            options.parent = parent
            options.parseOptions([])
            self.assertEqual(parent["pidfile"], pidfile)
        options = Options({})
        options.parent = {}
        options.parseOptions([])
        self.assertEqual(options.parent, {})


class PluginTests(SynchronousTestCase):
    def test_found(self) -> None:
        """`twistd chat` would be an unknown command."""
        makers = {maker.tapname: maker for maker in getPlugins(IServiceMaker)}
        maker: Any = makers["chat"]
        self.assertIsInstance(maker.options(), Options)
        self.assertIs(maker.makeService, makeService)


class MakeServiceTests(TestCase):
    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        os.mkdir(self.folder)
        self.stderr = StringIO()
        self.patch(sys, "__stderr__", self.stderr)
        self.patch(reactor, "seconds", reactor.seconds)  # type: ignore[attr-defined]
        self.patch(signal, "signal", lambda number, handler: None)

    def options(self, **more: str) -> Options:
        given = {
            "keys": f"{self.folder}/keys",
            "accounts": f"sqlite:{self.folder}/chat.db",
            "inbox": f"sqlite:{self.folder}/chat.db",
            "port": "ssl:0:interface=127.0.0.1",
            **more,
        }
        options = Options({})
        options.parseOptions([f"--{name.replace('_', '-')}={text}" for name, text in given.items()])
        return options

    def make(self, **more: str) -> Any:
        service = makeService(self.options(**more))
        self.addCleanup(service.stopService)
        return service

    def refusal(self, **more: str) -> str:
        options = self.options(**more)
        ended = self.assertRaises(SystemExit, makeService, options)
        self.assertEqual(ended.code, 1)
        line = self.stderr.getvalue()
        self.stderr.seek(0)
        self.stderr.truncate()
        self.assertTrue(line.startswith("chat: "))
        self.assertEqual(line.count("\n"), 1)
        return line

    def test_service(self) -> None:
        """The options would make no service, or open ports before it is started."""
        service = self.make()
        verifyObject(IService, service)
        self.assertFalse(service.running)
        self.assertIn("server.key", os.listdir(f"{self.folder}/keys"))

    def test_refusals(self) -> None:
        """What is wrong would only show after the start, or as a traceback."""
        os.mkdir(f"{self.folder}/a.db")
        for more, named in (
            ({"port": "nonsense:1"}, "nonsense:1"),
            ({"port": "ssl:0:privateKey=/no/such.pem"}, "/no/such.pem"),
            ({"keys": "/proc/none"}, "/proc/none"),
            ({"inbox": f"sqlite:{self.folder}/a.db"}, f"{self.folder}/a.db"),
            ({"inbox": f"sqlite:{self.folder}/no/folder/x.db"}, f"{self.folder}/no/folder/x.db"),
        ):
            self.assertIn(named, self.refusal(**more), more)

    def test_second_server(self) -> None:
        """A second server would open the same SQLite file."""
        self.make()
        self.assertIn("in use by another server", self.refusal())
