"""Messages out and in, each once, over gaps, crashes and stores that are away: against a scripted server."""

from __future__ import annotations

from chatsvc.wire.client_codec import Confirmed, Rejected
from tests.client.peer import ME, MINE, YOU, PeerCase


class ExactlyOnceOut(PeerCase):
    def setUp(self) -> None:
        super().setUp()
        self.connect()
        self.log_in()

    def post(self, *texts: str) -> None:
        for text in texts:
            self.conversation.send(YOU, text)

    def test_device_before_login(self) -> None:
        """The server could not tell repeats: it would not know the device."""
        self.conversation.connection_lost()
        self.frames.clear()
        self.conversation.connection_made(lambda frame: self.frames.append({"raw": frame}))
        self.assertIn(self.outboxes[0].device.encode(), self.frames[0]["raw"])

    def test_recorded_before_sent(self) -> None:
        """A client that is killed while it sends would lose the message."""
        seen: list[int] = []
        self.conversation._requests.connected(lambda frame: seen.append(self.outboxes[0].count()))
        self.post("a")
        self.assertEqual(seen, [1])

    def test_after_a_crash(self) -> None:
        """What was on its way when the client was killed would be lost, or sent as something new."""
        self.post("a", "b", "c")
        self.sent(1)
        self.kill()
        self.begin()
        self.connect()
        typed = self.type(f"auth {ME} pw")
        (auth,) = self.take("auth")
        self.accept(auth)
        self.successResultOf(typed)
        self.assertEqual(self.numbers(), [(2, "b")])
        self.sent(2, duplicate=True)
        self.assertEqual(self.numbers(), [(3, "c")])
        self.sent(3)
        self.assertEqual(self.conversation.unconfirmed, 0)
        self.assertEqual(self.view.said[-2:], [f"{MINE}b", f"{MINE}c"])

    def test_reconnection(self) -> None:
        """After a lost connection messages would be missing, or in another order."""
        results = [self.conversation.send(YOU, text) for text in "ab"]
        self.conversation.connection_lost()
        results.append(self.conversation.send(YOU, "c"))
        self.connect()
        (auth,) = self.take("auth")
        self.assertEqual(auth["token"], "t1")
        self.accept(auth)
        self.assertEqual(self.numbers(), [(1, "a"), (2, "b"), (3, "c")])
        for n in (1, 2, 3):
            self.sent(n)
        self.assertTrue(all(isinstance(self.successResultOf(f), Confirmed) for f in results))

    def test_gap(self) -> None:
        """A server that forgot this device would never take a message from it again."""
        self.post("a")
        self.sent(1)
        self.numbers()
        self.post("b", "c")
        self.assertEqual(self.numbers(), [(2, "b"), (3, "c")])
        self.refuse(2, "gap", expected=1)
        self.assertEqual(self.numbers(), [])
        self.refuse(3, "gap", expected=1)
        self.assertEqual(self.numbers(), [(1, "b"), (2, "c")])
        self.assertNotIn("<gap>", self.view.said)

    def test_refusal_in_the_middle(self) -> None:
        """One refused message would take those behind it along, or their order."""
        results = [self.conversation.send(YOU, text) for text in "abc"]
        self.numbers()
        self.sent(1)
        self.refuse(2, "inbox-full", waiting=9)
        self.refuse(3, "gap", expected=2)
        self.assertEqual(self.numbers(), [(2, "c")])
        self.sent(2)
        kinds = [type(self.successResultOf(result)) for result in results]
        self.assertEqual(kinds, [Confirmed, Rejected, Confirmed])
        self.assertEqual(self.view.said[2:], [f"{MINE}a", "<inbox-full>", f"{MINE}c"])

    def test_every_definite_refusal(self) -> None:
        """A message that can never be delivered would be sent for ever, or in silence."""
        for code in ("inbox-full", "too-long", "unknown-user", "throttled", "bad-request"):
            typed = self.type(f"msg {YOU} x")
            self.assertEqual(self.numbers(), [(1, "x")])
            self.refuse(1, code)
            self.assertFalse(self.successResultOf(typed))
            self.assertEqual(self.view.said[-1], f"<{code}>")
        self.assertEqual(self.conversation.unconfirmed, 0)

    def test_store_away(self) -> None:
        """A message whose outcome is unknown would be lost, or sent under another number."""
        result = self.conversation.send(YOU, "a")
        self.post("b")
        self.numbers()
        delays = []
        for _ in range(4):
            self.refuse(1, "store-unavailable")
            self.refuse(2, "gap", expected=1)
            self.assertEqual(self.numbers(), [])
            (call,) = self.clock.getDelayedCalls()
            delays.append(call.getTime() - self.clock.seconds())
            self.clock.advance(delays[-1])
            self.assertEqual(self.numbers(), [(1, "a"), (2, "b")])
        self.assertGreater(delays[-1], delays[0])
        self.sent(1, duplicate=True)
        self.sent(2)
        self.assertIsInstance(self.successResultOf(result), Confirmed)
        self.assertEqual(len(self.view.said), 2 + 1 + 2)

    def test_stored_after_all(self) -> None:
        """A message that was given up and stored all the same would be stored twice after a gap."""
        self.post("a", "b", "c")
        self.numbers()
        self.refuse(1, "store-unavailable")
        self.refuse(2, "store-unavailable")
        self.refuse(3, "gap", expected=2)
        self.clock.advance(20)
        self.assertEqual(self.numbers(), [(1, "a"), (2, "b"), (3, "c")])

    def test_other_recipients_go_on(self) -> None:
        """One recipient's trouble would hold up all others."""
        self.post("a")
        self.refuse(1, "store-unavailable")
        self.numbers()
        self.conversation.send(77, "x")
        self.post("b")
        self.assertEqual(self.numbers(), [(1, "x")])

    def test_gaps_in_a_circle(self) -> None:
        """A server that never is content would be asked as fast as the network goes."""
        self.post("a")
        self.refuse(1, "gap", expected=1)
        self.numbers()
        self.refuse(1, "store-unavailable")
        self.clock.advance(20)
        self.numbers()
        self.refuse(1, "gap", expected=1)
        self.assertEqual(self.numbers(), [])

    def test_unknown_answers(self) -> None:
        """An answer to what was never asked would be taken for another message's."""
        self.post("a")
        self.sent(9)
        self.sent(1, to=77)
        self.assertEqual(self.conversation.unconfirmed, 1)

    def test_impossible_recipients_and_texts(self) -> None:
        """What no server takes would stay in the outbox for ever, or crash it."""
        for to, text in ((2**63, "x"), (-(2**63), "x"), (YOU, ""), (YOU, "好" * 3000)):
            self.assertIsInstance(
                self.successResultOf(self.conversation.send(to, text)), Rejected, (to, text[:1])
            )
        self.assertEqual((self.conversation.unconfirmed, self.numbers()), (0, []))


class ExactlyOnceIn(PeerCase):
    def acks(self) -> list[int]:
        return [frame["id"] for frame in self.take("ack")]

    def test_shown_recorded_acknowledged(self) -> None:
        """A message could be acknowledged before it is shown and on record: a crash would lose it."""
        self.connect()
        self.log_in()
        self.view.slow = True
        self.message(1)
        self.assertEqual((self.outboxes[0].last_shown, self.acks()), (0, []))
        self.message(2)
        self.message(3)
        self.view.finish()
        self.assertEqual((self.outboxes[0].last_shown, self.acks()), (1, [1]))
        self.clock.advance(0)
        self.view.finish()
        self.assertEqual((self.outboxes[0].last_shown, self.acks()), (3, [3]))
        self.assertEqual(self.view.record, [1, 2, 3])

    def test_shown_once_over_a_crash(self) -> None:
        """A message whose acknowledgement was lost would be shown again after a restart."""
        self.connect()
        self.log_in()
        self.message(1)
        self.kill()
        self.begin()
        self.connect()
        self.assertEqual(self.log_in(waiting=2)["after"], 1)
        self.message(1)
        self.message(2)
        self.assertEqual(self.view.read, [2])
        self.assertEqual(self.acks(), [1, 2])

    def test_new_epoch(self) -> None:
        """After the server was restored, its messages would be dropped as seen."""
        self.connect()
        self.log_in()
        self.message(5)
        self.conversation.connection_lost()
        self.connect()
        (auth,) = self.take("auth")
        self.assertEqual(auth["after"], 5)
        self.accept(auth, epoch="e2")
        self.message(1)
        self.assertEqual(self.view.read, [5, 1])
        self.assertEqual(self.outboxes[0].last_shown, 1)

    def test_slow_screen_over_a_reconnection(self) -> None:
        """A message that is being shown while the connection is lost would be shown again."""
        self.connect()
        self.log_in()
        self.view.slow = True
        self.message(1)
        self.conversation.connection_lost()
        self.connect()
        self.assertEqual(self.take("auth"), [])
        self.view.finish()
        (auth,) = self.take("auth", "ack")
        self.assertEqual(auth["after"], 1)
        self.accept(auth)
        self.message(1)
        self.assertEqual(self.view.read, [1])
        self.assertEqual(self.acks(), [1])

    def test_state_lost_under_way(self) -> None:
        """A disk that fails would go unnoticed, and messages be acknowledged that are not on record."""
        self.connect()
        self.log_in()
        self.outboxes[0].close()
        self.message(1)
        self.assertEqual(self.acks(), [])
        self.assertEqual(len(self.view.failures), 1)
