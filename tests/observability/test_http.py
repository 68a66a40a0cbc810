"""The pages that a monitoring system asks for."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.clients import TextClient
from tests.support.processes import ChatServer, new_address, shared
from tests.support.servers import free_port
from tests.support.watching import Watch

LEGACY_PORT = free_port()


class MonitoringSiteTests(SynchronousTestCase):
    """Pages as a monitoring system reads them."""

    def setUp(self) -> None:
        def make() -> tuple[Watch, ChatServer]:
            watch = Watch()
            options = (
                "--max-connections",
                "500",
                "--max-per-ip",
                "3",
                "--frame-timeout",
                "1",
                "--request-rate",
                "50/10",
            )
            legacy = ("--legacy-port", f"ssl:{LEGACY_PORT}:interface=127.0.0.1")
            return watch, ChatServer(*watch.options, *options, *legacy).start()

        self.watch, self.server = shared(MonitoringSiteTests, make, lambda both: both[1].remove())

    def rise(self, *names: str) -> list[float]:
        """By how much some metrics have risen since this was asked last."""
        now = [self.watch.value(name) for name in names]
        before, self.before = getattr(self, "before", now), now
        return [b - a for a, b in zip(before, now, strict=True)]

    def test_history(self) -> None:
        """Nobody would see how much the history is asked, or which of its commands are slow."""
        asked: dict[str, dict[str, Any]] = {
            "history": {"with": 10001},
            "search": {"text": "word"},
            "conversations": {},
            "read": {"with": 10001, "serial": 5},
            "settings": {},
            "edit": {"serial": 5, "text": "x"},
            "retract": {"serial": 5},
        }
        names = [f'chatsvc_history_seconds_count{{command="{word}"}}' for word in asked]
        self.rise(*names)
        client = self.server.structured(source=new_address())
        self.addCleanup(client.close)
        uid = client.ask(type="register", n=1, name="Reader", password="secret-pw")["uid"]
        client.log_in(uid, "secret-pw")
        for n, (word, more) in enumerate(asked.items(), 3):
            client.ask(type=word, n=n, **more)
        self.assertEqual(self.rise(*names), [1.0] * len(asked))

    def test_counts(self) -> None:
        """Those who watch over the server would see numbers that have nothing to do with it."""
        names = (
            *('chatsvc_logins_total{result="ok"}', 'chatsvc_logins_total{result="throttled"}'),
            'chatsvc_logins_total{result="bad-credentials"}',
            *('chatsvc_messages_total{state="stored"}', "chatsvc_messages_handed_total"),
            *("chatsvc_message_seconds_count", 'chatsvc_message_seconds_bucket{le="30.0"}'),
            *('chatsvc_refusals_total{reason="unknown-user"}', "chatsvc_password_seconds_count"),
            *("chatsvc_online_users", "chatsvc_connections"),
            'chatsvc_connections_accepted_total{port="ordinary"}',
            'chatsvc_connections_accepted_total{port="legacy"}',
        )
        self.rise(*names)
        client = self.server.structured(source=new_address())
        self.addCleanup(client.close)
        uid = client.ask(type="register", n=1, name="Ann", password="secret-pw")["uid"]
        client.ask(type="auth", n=1, uid=uid, password="wrong")
        client.log_in(uid, "secret-pw")
        for n in (2, 3):
            client.ask(type="msg", n=n, to=uid, text="secret text")
        client.ask(type="msg", n=4, to=404, text="x")
        self.assertEqual(self.rise(*names), [1, 0, 1, 2, 2, 2, 2, 1, 3, 1, 1, 1, 0])
        self.assertEqual(self.watch.value('chatsvc_build_info{version="0.1.0"}'), 1)
        self.assertEqual(self.watch.value("chatsvc_connections_limit"), 500)
        self.assertNotIn("secret", self.watch.get("metrics")[1])

    def test_legacy(self) -> None:
        """An admin could not see whether the older clients still come."""
        names = [
            f'chatsvc_connections_accepted_total{{port="{p}"}}' for p in ("ordinary", "legacy")
        ]
        self.rise(*names)
        client = TextClient(LEGACY_PORT, self.server.ca, legacy=True, source=new_address())
        client.close()
        self.assertEqual(self.rise(*names), [0, 1])

    def test_limits(self) -> None:
        """An admin under attack could not see which limit holds, or that one is too tight."""
        limits = ("per-address", "frame-timeout", "login-timeout")
        names = [f'chatsvc_connections_ended_total{{limit="{limit}"}}' for limit in limits]
        self.rise(*names)
        address = new_address()
        clients = [self.server.text(source=address) for _ in range(4)]
        self.assertTrue(clients[3].closed())
        clients[0].send_many(["help"] * 30)
        for _ in range(30):
            clients[0].read()
        held = self.watch.value('chatsvc_reading_held_total{reason="request-rate"}')
        self.assertGreater(held, 10)
        clients[1].socket.sendall(b"\0\7he")
        self.assertTrue(clients[1].closed())
        self.assertEqual(self.rise(*names), [1, 1, 0])
        for client in clients:
            client.close()

    def test_pages(self) -> None:
        """Somebody who looks at the port with a browser would not learn what is there, or a probe by HEAD fail."""
        status, text = self.watch.get("")
        self.assertEqual(status, 200)
        self.assertIn("/metrics", text)
        self.assertIn("/health", text)
        self.assertEqual(self.watch.get("health"), (200, "ok\n"))
        self.assertEqual(self.watch.get("health?verbose=1"), (200, "ok\n"))
        for page in ("", "health", "metrics"):
            self.assertEqual(self.watch.get(page, "HEAD"), (200, ""))
        for page in ("metrics/x", "healthy", "favicon.ico"):
            self.assertEqual(self.watch.get(page), (404, "there are /metrics and /health\n"))
        self.assertEqual(self.watch.get("health", "POST")[0], 405)
