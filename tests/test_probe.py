"""What a monitoring system sees of a running server."""

from __future__ import annotations

import re
from urllib.error import HTTPError
from urllib.request import urlopen

from twisted.trial.unittest import TestCase

from tests.processes import ChatServer
from tests.servers import PrivateRedis, free_port


class ProbeTests(TestCase):
    def setUp(self) -> None:
        self.redis = PrivateRedis()
        self.redis.start()
        self.addCleanup(self.redis.stop)
        self.http = free_port()
        metrics = f"tcp:{self.http}:interface=127.0.0.1"
        options = ("--max-per-ip", "3", "--frame-timeout", "1", "--request-rate", "50/10")
        self.server = ChatServer("--inbox", self.redis.url(), "--metrics", metrics, *options)
        self.server.start()
        self.addCleanup(self.server.remove)

    def get(self, page: str) -> tuple[int, str]:
        """The status and the text of a page."""
        try:
            with urlopen(f"http://127.0.0.1:{self.http}/{page}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as answer:
            return answer.code, answer.read().decode()

    def value(self, name: str) -> float:
        """One metric, by its name and labels."""
        text = self.get("metrics")[1]
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
        assert found is not None, text
        return float(found[1])

    def test_counts(self) -> None:
        """Those who watch over the server would see numbers that have nothing to do with it."""
        client = self.server.structured()
        client.ask(type="register", n=1, name="Ann", password="secret-pw")
        client.ask(type="auth", n=1, uid=10001, password="wrong")
        client.log_in(10001, "secret-pw")
        client.ask(type="msg", n=2, to=10001, text="secret text")
        client.ask(type="msg", n=3, to=404, text="x")
        self.assertEqual(self.value("chatsvc_connections"), 1)
        self.assertEqual(self.value("chatsvc_online_users"), 1)
        self.assertEqual(self.value('chatsvc_logins_total{result="ok"}'), 1)
        self.assertEqual(self.value('chatsvc_logins_total{result="bad-credentials"}'), 1)
        self.assertEqual(self.value('chatsvc_messages_total{state="stored"}'), 1)
        self.assertEqual(self.value('chatsvc_refusals_total{reason="unknown-user"}'), 1)
        self.assertGreater(self.value("chatsvc_certificate_days_left"), 300)
        self.assertNotIn("secret", self.get("metrics")[1])

    def test_limits(self) -> None:
        """An admin under attack could not see which limit holds, or that one is too tight."""
        clients = [self.server.text() for _ in range(4)]
        self.assertTrue(clients[3].closed())
        self.assertEqual(self.value('chatsvc_connections_ended_total{limit="per-address"}'), 1)
        clients[0].send_many(["help"] * 30)
        for _ in range(30):
            clients[0].read()
        self.assertGreater(self.value('chatsvc_reading_held_total{reason="request-rate"}'), 10)
        clients[1].socket.sendall(b"\0\7he")
        self.assertTrue(clients[1].closed())
        self.assertEqual(self.value('chatsvc_connections_ended_total{limit="frame-timeout"}'), 1)
        self.assertEqual(self.value('chatsvc_connections_ended_total{limit="login-timeout"}'), 0)

    def test_health(self) -> None:
        """A server whose store is away would look well, or one that has it back ill."""
        self.assertEqual(self.get("health"), (200, "ok\n"))
        self.redis.kill()
        status, text = self.get("health")
        self.assertEqual(status, 503)
        self.assertIn(f"redis://127.0.0.1:{self.redis.port}/0 is away", text)
        self.redis.start()
        self.assertEqual(self.get("health"), (200, "ok\n"))
