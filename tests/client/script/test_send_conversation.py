"""What a sending program's conversation does, against a scripted server."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from chatsvc.client.conversation.account import LoginIntent
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.client_codec import Confirmed, Rejected
from tests.client.peer import ME, YOU, PeerCase


class Taking(PeerCase):
    """What a sending program's conversation does, against a scripted server."""

    intent = LoginIntent(receive=False, resumes=True)

    def enter(self) -> None:
        self.connect()
        entering = Deferred.fromCoroutine(self.conversation.log_in(c.Auth(ME, "pw")))
        (auth,) = self.take("auth")
        self.assertEqual((auth["receive"], "after" in auth), (False, False))
        self.accept(auth, epoch="")
        self.assertIsInstance(self.successResultOf(entering), e.LoggedIn)

    def send(self, *texts: str) -> list[Deferred[Confirmed | Rejected]]:
        return [self.conversation.send(YOU, text) for text in texts]

    def left(self) -> list[str]:
        return [entry.text for entry in self.outboxes[0].unconfirmed(YOU)]

    def test_not_sent(self) -> None:
        """What never left would be said to be in doubt, and be sent later."""
        self.enter()
        self.conversation.connection_lost()
        self.send("a", "b")
        self.assertEqual((self.conversation.withdraw(), self.left()), (0, []))
        self.assertEqual(self.outboxes[0].add(YOU, "c").n, 1)

    def test_sent(self) -> None:
        """What is on its way would be forgotten, though the server may have it."""
        self.enter()
        results = self.send("a", "b")
        self.sent(1)
        self.conversation.connection_lost()
        self.send("c")
        self.successResultOf(results[0])
        self.assertEqual((self.conversation.withdraw(), self.left()), (1, ["b"]))

    def test_after_a_refusal(self) -> None:
        """What follows a refused message would be said to be in doubt, though the server cannot have taken it."""
        self.enter()
        self.send("a", "b", "c")
        self.sent(1)
        self.refuse(2, "inbox-full")
        self.assertEqual((self.conversation.withdraw(), self.left()), (0, []))

    def test_after_a_gap(self) -> None:
        """What the server has refused for its number would be said to be in doubt."""
        self.enter()
        self.send("a", "b")
        self.refuse(1, "store-unavailable")
        self.refuse(2, "gap", expected=1)
        self.assertEqual((self.conversation.withdraw(), self.left()), (1, ["a"]))

    def test_gap_above(self) -> None:
        """What the server has refused because its number is another text's would be said to be in doubt."""
        self.enter()
        self.send("a", "b")
        self.refuse(1, "gap", expected=2)
        self.assertEqual((self.conversation.withdraw(), self.left()), (1, ["b"]))

    def test_logged_out(self) -> None:
        """What is in doubt when one is no longer let in would be said not to be sent."""
        self.enter()
        (result,) = self.send("a")
        self.conversation.connection_lost()
        self.connect()
        for _ in ("by token", "by password"):
            (auth,) = self.take("auth")
            self.say(type="error", re=auth["n"], code="bad-credentials", text="no")
        self.assertIsInstance(self.successResultOf(result), Rejected)
        self.assertEqual((self.conversation.withdraw(), self.left()), (1, ["a"]))

    def leave(self, *texts: str) -> None:
        """An earlier process leaves messages."""
        self.enter()
        self.send(*texts)
        self.kill()
        self.begin()

    def test_taken_up(self) -> None:
        """What an earlier process left would be sent again as something new."""
        self.leave("a", "b", "c")
        self.enter()
        self.assertEqual(self.numbers(), [(1, "a")])
        results = self.send("a")
        self.sent(1, duplicate=True)
        self.sent(2)
        self.numbers()
        results += self.send("b", "x", "c")
        self.assertEqual(self.numbers(), [(4, "x"), (5, "c")])
        for n in (3, 4, 5):
            self.sent(n)
        found = [self.successResultOf(result) for result in results]
        self.assertEqual([result.re for result in found], [1, 2, 4, 5])

    def test_left_by_others(self) -> None:
        """What another left would be taken back by who gives up something else."""
        self.leave("a", "b")
        self.enter()
        self.conversation.connection_lost()
        self.send("x")
        self.assertEqual((self.conversation.withdraw(), self.left()), (0, ["a", "b"]))

    def test_more_left(self) -> None:
        """What another left, too, would be counted as in doubt with what is sent now, or be taken back with it."""
        self.leave("a", "b")
        self.enter()
        self.send("a")
        self.sent(1)
        self.refuse(2, "gap", expected=2)
        self.assertEqual((self.conversation.withdraw(), self.left()), (0, ["b"]))

    def test_repeated(self) -> None:
        """Asking for the reader again would disturb what is on its way, or wait for a connection for ever."""
        self.enter()
        self.send("a")
        self.sent(1)
        self.numbers()
        asked = self.conversation.repeat(YOU, 1, "a")
        self.assertEqual(self.numbers(), [(1, "a")])
        self.sent(1, duplicate=True)
        answer = self.successResultOf(asked)
        self.assertTrue(isinstance(answer, Confirmed) and answer.duplicate)
        lost = self.conversation.repeat(YOU, 1, "a")
        self.conversation.connection_lost()
        self.assertIsNone(self.successResultOf(lost))
        self.assertIsNone(self.successResultOf(self.conversation.repeat(YOU, 1, "a")))
        self.assertEqual(self.conversation.unconfirmed, 0)
