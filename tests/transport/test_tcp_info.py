"""What a peer's kernel and window say: by themselves, and of clients of a real server that do not read."""

from __future__ import annotations

import array
import contextlib
import fcntl
import socket
import termios
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.transport.tcp_info import MOST_DOUBT, Window, how_far, unacknowledged
from tests.support.clients import TextClient
from tests.support.processes import PASSWORD, ChatServer, SQLiteStores, new_address, shared

TEXT = "x" * 2_000
MANY = 100


class WindowTests(SynchronousTestCase):
    """Which windows show that bytes lie unread."""

    def test_rule(self) -> None:
        """Who reads would be waited for, or who does not would be believed to have read."""
        window = Window()
        for size, unread in (
            *((60_000, False), (40_000, False), (30_001, False), (30_000, True), (0, True)),
            *((30_001, False), (200_000, False), (100_000, True), (150_000, False)),
        ):
            self.assertEqual(window.shows_unread(size, 0), unread, size)

    def test_doubt_ends(self) -> None:
        """A reader that has come to offer less for good would be waited for without end, or anew each time."""
        window = Window()
        window.shows_unread(60_000, 0)
        self.assertTrue(window.shows_unread(5_000, 1))
        self.assertTrue(window.shows_unread(5_000, MOST_DOUBT))
        self.assertFalse(window.shows_unread(5_000, 1 + MOST_DOUBT))
        self.assertFalse(window.shows_unread(4_000, 2 + MOST_DOUBT))
        self.assertTrue(window.shows_unread(2_000, 3 + MOST_DOUBT))

    def test_closed(self) -> None:
        """What lies at a client that hangs would count as received after a while."""
        window = Window()
        window.shows_unread(60_000, 0)
        for now in (1, 2 + MOST_DOUBT, 10 * MOST_DOUBT):
            self.assertTrue(window.shows_unread(0, now))


class HowFarTests(SynchronousTestCase):
    def test_tcp(self) -> None:
        """The kernel's count of what was acknowledged would be read from the wrong place, or the window."""
        with closing(socket.create_server(("127.0.0.1", 0))) as listening:
            peer = socket.create_connection(listening.getsockname())
            self.addCleanup(peer.close)
            own, _ = listening.accept()
            self.addCleanup(own.close)
            own.setblocking(False)
            sent, began = 0, how_far(own)
            assert began is not None
            self.assertEqual(began[0], 0)
            self.assertGreater(began[1], 1_000)
            for _ in range(1_000):
                try:
                    sent += own.send(b"x" * 10_000)
                except BlockingIOError:
                    break
            for _ in range(1_000):
                stuck = how_far(own)
                if stuck == (sent - unacknowledged(own.fileno()), 0):
                    return
                time.sleep(0.005)
            self.fail(f"{stuck}, {sent} sent, {unacknowledged(own.fileno())} on their way")

    def test_elsewhere(self) -> None:
        """A connection over a Unix socket would raise where TCP is asked about."""
        for one in socket.socketpair():
            self.addCleanup(one.close)
            self.assertIsNone(how_far(one))


class Service:
    """One server on SQLite, whose users send as fast as they like."""

    def __init__(self) -> None:
        self.stores = SQLiteStores()
        self.server = ChatServer(
            *(*self.stores.options, "--rate", "0"),
            *("--inbox-limit", "5000", "--inbox-share", "5000"),
        ).start()


def lying_unread(client: TextClient) -> int:
    """How many bytes a client's kernel has that it has not read (FIONREAD, tty_ioctl(4))."""
    count = array.array("i", [0])
    fcntl.ioctl(client.socket, termios.FIONREAD, count)
    return count[0]


def in_server(client: TextClient) -> int:
    """How many bytes the kernel of the server has that the client's has not acknowledged (proc_net(5), ``tcp``)."""
    port, server = client.socket.getsockname()[1], client.socket.getpeername()[1]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        own, peer, _, queues = line.split()[1:5]
        if (own.endswith(f":{server:04X}"), peer.endswith(f":{port:04X}")) == (True, True):
            return int(queues.partition(":")[0], 16)
    raise AssertionError("the connection is gone")


class UnreadTests(SynchronousTestCase):
    """Clients of the text dialect that do not read, as one that is stopped or hangs."""

    def setUp(self) -> None:
        made = shared(type(self), Service, lambda service: service.server.remove())
        self.server, self.stores = made.server, made.stores
        self.uid = self.stores.add_user("reader")

    @contextmanager
    def stalled(self) -> Iterator[TextClient]:
        """A reader who takes nothing of what is sent to him, which is more than its kernel takes."""
        reader = self.server.text(source=new_address())
        self.addCleanup(reader.close)
        reader.log_in(self.uid, PASSWORD)
        sender = self.server.structured(source=new_address())
        self.addCleanup(sender.close)
        sender.log_in(self.stores.add_user("sender"), PASSWORD)
        for n in range(MANY):
            self.assertEqual(
                sender.ask(type="msg", n=2 + n, to=self.uid, text=TEXT)["type"], "sent"
            )
        time.sleep(1.5)  # the server looks each half second; what it must not do has no event
        yield reader

    def test_ends_tls(self) -> None:
        """A reader that ends TLS while bytes wait for it would stay online, and be handed what nobody sends."""
        with self.stalled() as reader:
            sender = self.server.structured(source=new_address())
            self.addCleanup(sender.close)
            sender.log_in(self.stores.add_user("other"), PASSWORD)
            under_way = -1
            for n in range(2_000):
                sent = sender.ask(type="msg", n=2 + n, to=self.uid, text="x" * 8_000)
                self.assertEqual(sent["state"], "online")
                before, under_way = under_way, in_server(reader)
                if before == under_way:
                    break  # the kernels take no more, this one lies above them
            reader.socket.settimeout(1.0)
            with contextlib.suppress(OSError):
                reader.socket.unwrap()  # type: ignore[attr-defined]
            for _ in range(40):
                if sender.ask(type="msg", n=9_999, to=self.uid, text="y")["state"] == "offline":
                    return
                time.sleep(0.05)
            self.fail("still online after two seconds")

    def waiting(self) -> int:
        """How many messages are in the inbox of the reader."""
        program = self.server.structured(source=new_address())
        self.addCleanup(program.close)
        answer = program.log_in(self.uid, PASSWORD, receive=False)
        return int(answer["waiting"])

    def test_killed(self) -> None:
        """What lay unread in the kernel of a client that hung would be lost when it is killed, all of it."""
        with self.stalled() as reader:
            lay = lying_unread(reader) // len(TEXT)
            self.assertGreater(lay, 20)
            reader.close()  # the kernel resets: bytes lie there unread
            self.assertGreater(self.waiting(), MANY - lay * 3 // 4, f"{lay} lay there")

    def test_reads_after_all(self) -> None:
        """A client that reads on after a while would be waited for, and get it all again."""
        with self.stalled() as reader:
            for _ in range(MANY):
                self.assertTrue(reader.read().endswith(TEXT))
            for _ in range(100):
                if not self.waiting():
                    return
                time.sleep(0.1)
            self.fail(f"{self.waiting()} still wait")
