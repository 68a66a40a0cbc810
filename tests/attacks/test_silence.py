"""Connections that are opened and say nothing, or stay after a log-out: they take up places and memory."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Iterator

from tests.attacks.bystanders import AttackCase
from tests.support.clients import FrameClient
from tests.support.processes import PASSWORD, ChatServer, Stores, new_address

CROWD = 10_000
AT_ONE_ADDRESS = 20
SILENCE = 2.0
"""Seconds after which somebody silent makes room, here: the server's own 5 would be waited for five times."""

TOO_MANY = "连接过多, 请稍后重试!"


def silent(port: int, number: int, network: str) -> Iterator[socket.socket]:
    """Open plain connections one after another, `AT_ONE_ADDRESS` of them from each of 127.NETWORK.x.y."""
    for i in range(number):
        address = i // AT_ONE_ADDRESS
        source = f"127.{network}.{address // 250}.{address % 250 + 1}"
        yield socket.create_connection(("127.0.0.1", port), 30, (source, 0))


def still_open(crowd: list[socket.socket]) -> list[socket.socket]:
    """Those that the server has neither closed nor sent anything."""
    poll = select.poll()
    for one in crowd:
        poll.register(one, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(0)}
    return [one for one in crowd if one.fileno() not in ready]


class SilenceCase(AttackCase):
    def make_server(self, stores: Stores) -> ChatServer:
        constants = {"chatsvc.factory._SILENCE": SILENCE}
        return self.kind(*stores.options, *self.options, constants=constants)

    kind = ChatServer

    def wait_out_silence(self) -> None:
        """Let those who are there now be silent for so long that they make room."""
        time.sleep(SILENCE + 0.5)

    def crowd(self, number: int, network: str = "252") -> list[socket.socket]:
        """Give so many connections that say nothing."""
        crowd = list(silent(self.server.port, number, network))
        for one in crowd:
            self.addCleanup(one.close)
        return crowd

    def refused(self, source: str) -> bool:
        """Whether a newcomer is told that there are too many."""
        client = FrameClient(self.server.port, self.server.ca, source=source)
        self.addCleanup(client.close)
        return client.read() == TOO_MANY and client.closed()


class TenThousandTests(SilenceCase):
    options = ("--login-timeout", "12")

    def test_ten_thousand(self) -> None:
        """
        Thousands who connect and say nothing would keep people out, hold up those who are in, stay for ever, or each
        leave something behind.
        """
        uid = self.user()
        with self.talk():
            before = self.server.resident()
            crowd = self.crowd(CROWD)
            self.text(uid)
            self.assertEqual(len(still_open(crowd)), CROWD)
            with_crowd = self.server.resident()
            # Measured: 48 KiB each, most of it OpenSSL's for a handshake.
            self.assertLess(with_crowd - before, CROWD * 64 / 1024)
            deadline = time.monotonic() + 45
            while still_open(crowd) and time.monotonic() < deadline:
                time.sleep(0.2)
            self.assertEqual(len(still_open(crowd)), 0)
            # What the allocator keeps serves the next ones: were the first still in use, these would need 140 MiB more.
            self.crowd(3_000, "251")
            self.text(uid)
            self.assertLess(self.server.resident() - with_crowd, 70)


class PlacesTests(SilenceCase):
    options = ("--max-connections", "60", "--max-per-ip", "25")

    def test_silent_ones_make_room(self) -> None:
        """Silent connections that fill all places would keep everybody out until the log-in timeout."""
        uid = self.user()
        with self.talk():
            self.crowd(57)
            self.text(uid).close()
            crowd = self.crowd(50)
            self.assertTrue(self.refused(new_address()))
            self.wait_out_silence()
            self.text(uid)
            self.text(uid)
            self.assertGreater(len(still_open(crowd)), 45)

    def test_silent_ones_make_room_at_their_address(self) -> None:
        """Silent connections would keep everybody else behind the same address out for a minute."""
        uid, here = self.user(), new_address()
        with self.talk():
            inside = self.text(uid, source=here)
            for _ in range(24):
                one = socket.create_connection(("127.0.0.1", self.server.port), 10, (here, 0))
                self.addCleanup(one.close)
            self.assertTrue(self.refused(here))
            self.wait_out_silence()
            self.text(self.user(), source=here)
            self.assertTrue(inside.ask(f"msg {uid} 还在").endswith("还在"))

    def test_logged_out_ones_make_room(self) -> None:
        """Somebody who logs in and out on many connections would keep everybody out for good with one account."""
        uid, other = self.user(), self.user()
        with self.talk():
            client = self.structured()
            token = client.log_in(uid, PASSWORD)["token"]
            for _ in range(57):
                client = self.structured()
                client.ask(type="auth", n=1, uid=uid, token=token)
                client.say(type="logout", n=2)
            self.assertEqual(client.await_type("ok")["re"], 2)
            self.assertTrue(self.refused(new_address()))
            self.wait_out_silence()
            self.text(other)

    def test_one_address(self) -> None:
        """Somebody who opens more connections than one address may have would get them, or keep others out."""
        here = new_address()
        uid = self.user()
        with self.talk():
            for _ in range(25):
                self.text(source=here)
            self.assertTrue(self.refused(here))
            for _ in range(100):
                with contextlib.suppress(ConnectionError):
                    one = socket.create_connection(("127.0.0.1", self.server.port), 10, (here, 0))
                    self.addCleanup(one.close)
            self.text(uid)
            self.assertRaises(OSError, self.text, source=here)


FILES = 400
"""What a server may have open; 136 connections and what else it needs."""


class _FewFiles(ChatServer):
    def command(self) -> list[str]:
        return ["prlimit", f"--nofile={FILES}", *super().command()]


class FewFilesTests(SilenceCase):
    kind = _FewFiles

    def test_silent_ones_make_room(self) -> None:
        """
        Who opens more connections than the server may have files, and says nothing, would keep everybody out, or keep
        the server from its stores; an admin would not learn that fewer connections fit than were allowed.
        """
        (line,) = [line for line in self.server.log().splitlines() if " files may be open" in line]
        self.assertRegex(line, f" warn +At most {FILES} files .* {FILES - 264} connections, not ")
        uid = self.user()
        with self.talk():
            self.crowd(FILES + 100)
            self.wait_out_silence()
            self.text(uid)
            # All at once, while those before them go.
            self.crowd(FILES + 100, "251")
            self.wait_out_silence()
            self.text(uid)
        self.assertNotIn("EMFILE", self.server.log())
