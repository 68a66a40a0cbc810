"""The server's log as its admins read it: one line an event, as text or as JSON, wherever twistd puts it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from contextlib import closing
from urllib.request import urlopen

from twisted.trial.unittest import SynchronousTestCase

from tests.support.processes import ChatServer
from tests.support.servers import free_port

_LEVELS = {"debug", "info", "warn", "error"}


class JSONLogTests(SynchronousTestCase):
    """The log of a running server as JSON."""

    def server(self, *options: str) -> ChatServer:
        """A running server that logs JSON."""
        server = ChatServer("--log-format", "json", *options).start()
        self.addCleanup(server.remove)
        return server

    def test_a_day(self) -> None:
        """A line would be no object, or not say what happened, to whom, on which connection, and for how long."""
        server = self.server("--log-level", "debug")
        alice, bob = server.structured(), server.text()
        uid = alice.ask(type="register", n=1, name="Ann", password="secret")["uid"]
        bob.ask(f"auth {uid} wrong")
        self.assertEqual(bob.read(), "请登陆!")
        alice.log_in(uid, "secret")
        bob.log_in(uid, "secret")
        alice.await_type("kicked")
        bob.ask("msg 10001 hello")
        bob.ask("quit")
        for client in (alice, bob):
            client.close()
        server.stop()
        events = server.events()
        for event in events:
            self.assertRegex(event["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertIn(event["level"], _LEVELS)
            self.assertTrue(event["event"] and event["message"], event)
            self.assertTrue((event["event"] == "other") == ("logger" in event), event)
        told = [
            (event["event"], event["connection"], event["uid"], event.get("reason"))
            for event in events
            if "uid" in event
        ]
        expected = [
            ("registered", 1, uid, None),
            ("login-refused", 2, uid, "bad-credentials"),
            ("login", 1, uid, None),
            ("logout", 1, uid, "logged-in-elsewhere"),
            ("login", 2, uid, None),
        ]
        self.assertEqual(sorted(told[:5], key=str), sorted(expected, key=str))
        self.assertEqual(told[5:], [("logout", 2, uid, "quit")])
        self.assertEqual([e["address"] for e in events if e["event"] == "login"], ["127.0.0.1"] * 2)
        names = [event["event"] for event in events]
        for name in ("listening", "certificate", "started", "registration", "connected"):
            self.assertIn(name, names)
        self.assertEqual(
            [n for n in names if n in ("stopping", "stopped")], ["stopping", "stopped"]
        )

    def test_reconnecting_guesser(self) -> None:
        """A guesser who connects again and again would write hundreds of lines a second."""
        server = self.server("--metrics", f"tcp:{(port := free_port())}:interface=127.0.0.1")
        client = server.structured()
        uid = client.ask(type="register", n=1, name="Ann", password="secret")["uid"]
        client.log_in(uid, "secret")
        tries = 60
        for _ in range(tries):
            guesser = server.structured(source="127.0.0.9")
            guesser.ask(type="auth", n=1, uid=uid, password="guess")
            guesser.close()
        stranger = server.structured(source="127.0.0.8")
        stranger.ask(type="auth", n=1, uid=uid, password="guess")
        self.assertTrue(server.wait_for("127.0.0.8"))
        said = [
            (event["address"], event["reason"], event["level"])
            for event in server.events()
            if event["event"] == "login-refused"
        ]
        first, guessing = "bad-credentials", "throttled"
        expected = [("127.0.0.9", first, "info"), ("127.0.0.9", guessing, "warn")]
        self.assertEqual(said, [*expected, ("127.0.0.8", guessing, "warn")])
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            counted = re.findall(
                r'chatsvc_logins_total\{result="(?:bad-credentials|throttled)"\} (\d+)',
                page.read().decode(),
            )
        self.assertEqual(sum(map(int, counted)), tries + 1)

    def test_member_who_comes_and_goes(self) -> None:
        """One who logs in and out again and again would write two lines each time."""
        server = self.server()
        client = server.structured()
        uid = client.ask(type="register", n=1, name="Ann", password="secret")["uid"]
        token = client.log_in(uid, "secret")["token"]
        for n in range(2, 82, 2):
            client.ask(type="logout", n=n)
            client.ask(type="auth", n=n + 1, uid=uid, token=token)
        names = [event["event"] for event in server.events()]
        self.assertEqual((names.count("login"), names.count("logout")), (30, 30))

    def test_messages(self) -> None:
        """A busy server's log would have a line for each message."""
        server = self.server("--rate", "0")
        client = server.structured(device="ab" * 8)
        uid = client.ask(type="register", n=1, name="Ann", password="secret")["uid"]
        client.log_in(uid, "secret")
        before = len(server.events())
        client.say_many({"type": "msg", "n": n, "to": uid, "text": "x"} for n in range(1, 101))
        for _ in range(100):
            client.await_type("sent")
        self.assertEqual(len(server.events()), before)

    def test_failure(self) -> None:
        """An error's traceback would be spread over lines that are no objects."""
        server = self.server()
        client = server.text()
        self.addCleanup(client.close)
        with closing(sqlite3.connect(server.folder / "chat.db")) as database:
            database.execute("ALTER TABLE user RENAME TO gone")
        client.ask("auth 10001 secret")
        (broken,) = (event for event in server.events() if event["level"] == "error")
        self.assertEqual((broken["event"], broken["connection"]), ("command-failed", 1))
        self.assertTrue(broken["failure"].startswith("Traceback"))


class _Filing(ChatServer):
    """A server whose log is a file of twistd's."""

    file = "own.log"
    twistd: Sequence[str] = ("-n", "--logfile", file)

    def log(self) -> str:
        path = self.folder / self.file
        return path.read_text() if path.exists() else ""


class _Daemon(_Filing):
    """A server in the background."""

    file = "twistd.log"
    twistd = ()

    @property
    def pid(self) -> int:
        """Of the process; it must run."""
        return int((self.folder / "twistd.pid").read_text())

    def begin(self) -> int:
        """Start it; the exit status of the command that does so."""
        done = subprocess.run(
            self.command(), cwd=self.folder, stdin=subprocess.DEVNULL, timeout=30, check=False
        )
        return done.returncode

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
        super().remove()


class FileLogTests(SynchronousTestCase):
    """The log in a file."""

    def test_rotation(self) -> None:
        """A log that logrotate has put away would grow on there, and the new one stay empty."""
        server = _Filing().start()
        self.addCleanup(server.remove)
        self.assertTrue(server.wait_for("Next, "))
        said = server.log()
        away = (server.folder / "own.log").rename(server.folder / "own.log.1")
        server.reload()
        self.assertTrue(server.wait_for("Reloaded: certificate"))
        self.assertEqual(away.read_text(), said)
        self.assertEqual((server.folder / "output.log").read_text(), "")

    def test_daemon(self) -> None:
        """In the background the server would log in another form, not rotate its log, or not come up and stop."""
        server = _Daemon("--log-format", "json")
        self.addCleanup(server.remove)
        self.assertEqual(server.begin(), 0)
        self.assertTrue(server.wait_for('"next"'))
        client = server.text()
        self.addCleanup(client.close)
        os.kill(server.pid, signal.SIGUSR1)
        deadline = time.monotonic() + 20
        while not (server.folder / "twistd.log.1").exists():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        os.kill(server.pid, signal.SIGTERM)
        self.assertTrue(client.closed())
        self.assertTrue(server.wait_for('"stopped"'))
        names = [event["event"] for event in server.events()]
        self.assertEqual([names[0], names[-1]], ["stopping", "stopped"])
