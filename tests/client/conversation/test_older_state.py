"""A sender whose record is older than what the server knows, or used by two: against a scripted server."""

from __future__ import annotations

import json
import shutil
from typing import Any

from twisted.internet.defer import Deferred

from chatsvc.client.conversation.account import DeliveryResult, LoginIntent
from chatsvc.client.state.outbox import Outbox
from chatsvc.wire import commands as c
from chatsvc.wire.client_codec import Confirmed
from tests.client.ledger import Ledger, LedgerCase
from tests.client.peer import ME, SERVER, YOU


class Killed(BaseException):
    """The process is gone."""


class _Mortal(Outbox):
    """An outbox whose process is killed when it is about to write, or has written, for the so-and-so-many-th time."""

    lives = 10**9

    def _live(self) -> None:
        type(self).lives -= 1
        if type(self).lives < 0:
            raise Killed

    def _transaction(self) -> Any:
        self._live()
        return super()._transaction()

    def confirm(self, key: int) -> None:
        self._live()
        super().confirm(key)
        self._live()

    def add(self, to: int, text: str) -> Any:
        entry = super().add(to, text)
        self._live()
        return entry

    def refuse(self, key: int) -> None:
        super().refuse(key)
        self._live()

    def change_device(self, keys: Any) -> None:
        super().change_device(keys)
        self._live()

    def move(self, key: int) -> None:
        super().move(key)
        self._live()


class StateCase(LedgerCase):
    """Processes of one client, whose state can be put back."""

    intent: LoginIntent | None = LoginIntent(receive=False, resumes=True)

    def _open(self, uid: int) -> Outbox:
        self.outboxes.append(_Mortal(self.folder / "state", SERVER, uid))
        return self.outboxes[-1]

    def enter(self) -> None:
        """A process starts, connects and logs in."""
        self.kill()
        self.begin()
        self.resume()
        entering = Deferred.fromCoroutine(self.conversation.log_in(c.Auth(ME, "pw")))
        self.serve()
        self.successResultOf(entering)

    def resume(self) -> None:
        """A connection is made; whoever was logged in logs in again."""
        self.conversation.connection_made(self._write)
        self.serve()

    def _write(self, frame: bytes) -> None:
        self.frames.append(json.loads(frame))

    def post(self, *texts: str, to: int = YOU) -> list[Deferred[DeliveryResult]]:
        return [self.conversation.send(to, text) for text in texts]

    def send(self, *texts: str, to: int = YOU) -> None:
        """Send messages, and see them confirmed."""
        results = self.post(*texts, to=to)
        self.serve()
        for result in results:
            self.assertIsInstance(self.successResultOf(result), Confirmed)

    def back_up(self, name: str = "copy") -> None:
        self.kill()
        shutil.copytree(self.folder / "state", self.folder / name)

    def restore(self, name: str = "copy") -> None:
        self.kill()
        shutil.rmtree(self.folder / "state")
        shutil.copytree(self.folder / name, self.folder / "state")


class PutBack(StateCase):
    def older(self, *lost: str) -> None:
        """A state from before the last messages."""
        self.enter()
        self.send("a", "b")
        self.back_up()
        self.enter()
        self.send(*lost)
        self.restore()

    def test_numbers_used_already(self) -> None:
        """Every message would be a duplicate of another one, and none be stored ever again."""
        for digests in (True, False):
            self.ledger = Ledger(digests=digests)
            shutil.rmtree(self.folder / "state", ignore_errors=True)
            shutil.rmtree(self.folder / "copy", ignore_errors=True)
            self.older("c", "d")
            self.enter()
            before = self.device
            self.send("e", "f", "g", "h")
            self.assertNotEqual(self.device, before)
            self.send("i")
            self.enter()
            self.send("j")
            self.assertEqual(self.ledger.stored, list("abcdefghij"), digests)

    def test_same_text(self) -> None:
        """A script that says the same each day would not be heard any more."""
        self.older("x", "x")
        self.enter()
        self.send("x", "x", "x")
        self.assertEqual(self.ledger.stored, [*"ab", *"xxxxx"])

    def test_several_recipients(self) -> None:
        """Another recipient's messages would go on under numbers that belong to no device, or come in another order."""
        self.older("c")
        self.enter()
        results = self.post("1", "2", to=77) + self.post("d", "e") + self.post("3", to=77)
        self.serve()
        for result in results:
            self.assertIsInstance(self.successResultOf(result), Confirmed)
        self.assertEqual([text for text in self.ledger.stored if text in "123"], list("123"))
        self.assertEqual([text for text in self.ledger.stored if text not in "123"], list("abcde"))

    def test_confirmed_before_the_copy_was_put_back(self) -> None:
        """A message that was unconfirmed in a back-up, and stored since, would be stored twice."""
        self.enter()
        self.send("a")
        self.frames.clear()
        self.post("b")
        self.frames.clear()
        self.back_up()
        self.enter()
        self.assertEqual(self.ledger.stored, ["a", "b"])
        self.send("c")  # is not the one that was left: b
        self.restore()
        self.enter()
        self.assertEqual((self.conversation.unconfirmed, self.ledger.stored), (0, list("abc")))
        self.send("d")
        self.assertEqual(self.ledger.stored, list("abcd"))

    def test_unknown_under_the_old_device(self) -> None:
        """What may have been stored under the old device would be stored again under the new one."""
        self.enter()
        self.send("a")
        self.back_up()
        self.enter()
        self.send("b")
        self.restore()
        self.enter()
        old = self.device
        self.post("c", to=77)
        self.ledger.answer(old, self.frames.pop())  # stored, but the answer is lost
        self.conversation.connection_lost()
        self.post("d")
        self.post("e", to=77)
        self.frames.clear()
        self.resume()
        self.assertEqual(
            self.ledger.stored, ["a", "b", "c", "e", "d"]
        )  # c and e are for another one
        self.assertEqual(self.conversation.unconfirmed, 0)

    def test_only_asked_about(self) -> None:
        """What is left under a device that others use could be stored after what came later, or twice."""
        self.enter()
        self.send("a")
        self.outboxes[0].add(YOU, "left 1")
        self.outboxes[0].add(YOU, "left 2")
        self.outboxes[0].add(YOU, "left 3")
        self.ledger.answer(self.device, {"to": YOU, "n": 2, "text": "by a clone"})
        self.said.clear()
        self.enter()
        self.assertEqual(self.ledger.stored, ["a", "by a clone", "left 1", "left 2", "left 3"])
        messages = [what for kind, what in self.said if kind == "msg"]
        self.assertEqual(
            messages,
            [
                *((2, "left 1", False), (3, "left 2", True), (4, "left 3", True)),
                *((1, "left 1", False), (2, "left 2", False), (3, "left 3", False)),
            ],
        )

    def test_no_sign(self) -> None:
        """A message whose answer was lost would be taken for a sign, and be stored twice."""
        self.enter()
        device = self.device
        self.post("a", "b")
        self.ledger.answer(device, self.frames.pop())
        self.conversation.connection_lost()
        self.resume()
        self.post("c")
        self.ledger.answer(device, self.frames.pop())
        self.enter()
        self.send("d")
        self.assertEqual((self.ledger.stored, self.device), (list("abcd"), device))

    def test_interactive(self) -> None:
        """Who chats with an older state would be shown messages as sent that nobody gets."""
        self.intent = None
        self.older("c", "d")
        self.enter()
        self.send("e", "f")
        self.assertEqual(self.ledger.stored, list("abcdef"))

    def test_hello_refused(self) -> None:
        """While the store is away, messages would go out under the old device's numbers."""
        self.older("c")
        self.enter()
        results = self.post("d")
        self.say(**self.ledger.answer(self.device, self.frames.pop()))
        for _ in range(3):
            (hello,) = self.take("hello", "msg")
            self.say(type="error", re=hello["n"], code="store-unavailable", text="away")
            self.assertEqual(self.take("hello", "msg"), [])
            self.clock.advance(15)
        self.serve()
        self.assertIsInstance(self.successResultOf(results[0]), Confirmed)
        self.assertEqual(self.ledger.stored, list("abcd"))

    def test_reader_asked_for(self) -> None:
        """After a change of device, ``--wait`` would ask about a number that the new device has not."""
        self.older("c")
        self.enter()
        old = self.device
        self.post("d", "e")
        self.say(**self.ledger.answer(old, self.frames.pop()))  # its number is another one's
        self.enter()
        self.successResultOf(self.conversation.send(YOU, "d"))
        self.send("f")
        for n, text in ((1, "d"), (3, "f")):
            asked = self.conversation.repeat(YOU, n, text)
            self.serve()
            answer = self.successResultOf(asked)
            self.assertTrue(isinstance(answer, Confirmed) and answer.duplicate, text)
        self.assertEqual(self.ledger.stored, list("abcdef"))

    def test_reader_asked_for_under_the_old_device(self) -> None:
        """``--wait`` would lose track of a message that was settled under the device that was given up."""
        self.enter()
        old = self.device
        self.post("a")
        self.ledger.answer(old, self.frames.pop())
        self.outboxes[0].change_device([])
        self.enter()
        result = self.successResultOf(self.conversation.send(YOU, "a"))
        asked = self.conversation.repeat(YOU, result.re or 0, "a")
        self.serve()
        answer = self.successResultOf(asked)
        self.assertTrue(isinstance(answer, Confirmed) and answer.duplicate)
        self.assertEqual(self.device, old)
        self.send("b")
        self.assertNotEqual(self.device, old)
        self.assertEqual(self.ledger.stored, ["a", "b"])


class KilledAtAnyTime(StateCase):
    """The process that notices that its state is an older one is killed at each of its writes, one after the other."""

    intent = None

    def test_each_write(self) -> None:
        """A crash while the device is changed would lose messages, double them or change their order."""
        died = 0
        for lives in range(200):
            self.ledger = Ledger()
            self.one_life(lives)
            others = [text for text in self.ledger.stored if text.startswith("other")]
            mine = [text for text in self.ledger.stored if not text.startswith("other")]
            self.assertEqual(mine[:6], list("abcdef"), lives)
            self.assertEqual(mine[6:], self.posted[YOU], lives)
            self.assertEqual(others, self.posted[77], lives)
            self.assertEqual(self.conversation.unconfirmed, 0)
            if not self.died:
                break
            died += 1
        self.assertGreater(died, 20)

    def one_life(self, lives: int) -> None:
        """An older state is put back; the process that uses it dies, and another one goes on."""
        for name in ("state", "copy"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self.enter()
        self.send(*"abc")
        self.conversation.send(YOU, "d")
        self.frames.clear()
        self.back_up()
        self.enter()
        self.send(*"ef")
        self.restore()
        self.posted: dict[int, list[str]] = {YOU: [], 77: []}
        self.died = self.die_of(lives)
        self.enter()
        self.serve()

    def die_of(self, lives: int) -> bool:
        """Use the state until the so-and-so-many-th write; whether that came."""
        self.enter()
        _Mortal.lives = lives
        try:
            for number in range(4):
                self._post(YOU, f"g{number}")
                self._post(77, f"other{number}")
                if number != 1:
                    self.serve()
            return False
        except Killed:
            return True
        finally:
            _Mortal.lives = 10**9
            self.frames.clear()

    def _post(self, to: int, text: str) -> None:
        """What is on record is to arrive; an addition that was not finished need not."""
        before = self.outboxes[-1].count()
        try:
            self.conversation.send(to, text)
        except Killed:
            if self.outboxes[-1].count() > before:
                self.posted[to].append(text)
            raise
        self.posted[to].append(text)


class LoggedInElsewhere(StateCase):
    """Another process has logged in as the same device."""

    def taken_over(self) -> None:
        self.say(type="kicked")

    def test_another_device(self) -> None:
        """Of two copies of a container, one would fail for the other."""
        self.enter()
        self.send("a")
        old = self.device
        results = self.post("b", "c")
        (frame, later) = self.take("msg")
        for n in (frame["n"], later["n"]):
            self.refuse(n, "not-logged-in")
        self.taken_over()
        self.serve()
        self.assertNotEqual(self.device, old)
        self.assertTrue(all(isinstance(self.successResultOf(f), Confirmed) for f in results))
        self.assertEqual(self.ledger.stored, list("abc"))
        self.assertNotIn("有用户登录您的账号,您已被挤下线!", self.view.said)

    def test_answers_after_the_kick(self) -> None:
        """What is answered after ``kicked`` would count as undecided, and take the device from the other one again."""
        self.enter()
        self.send("a")
        old = self.device
        self.said.clear()
        results = self.post("b", "c")
        self.take("msg")
        self.refuse(2, "not-logged-in")
        self.taken_over()
        self.refuse(3, "not-logged-in")
        self.serve()
        self.assertTrue(all(isinstance(self.successResultOf(f), Confirmed) for f in results))
        self.assertNotIn(("hello", old), self.said)
        self.assertEqual(self.ledger.stored, list("abc"))

    def test_stored_before_the_kick(self) -> None:
        """What the other one's log-in came too late for would be stored again under the new device."""
        self.enter()
        self.send("a")
        old = self.device
        self.post("b", "c")
        first, _ = self.take("msg")
        self.ledger.answer(old, first)
        self.taken_over()
        self.conversation.connection_lost()  # before any answer
        self.resume()
        self.clock.advance(1)
        self.serve()
        self.assertEqual((self.ledger.stored, self.conversation.unconfirmed), (list("abc"), 0))
        self.assertNotEqual(self.device, old)

    def test_while_the_reader_is_waited_for(self) -> None:
        """``--wait`` would ask as the new device, under a number that it has not, and lose track of its message."""
        self.enter()
        old = self.device
        self.send("a")
        self.taken_over()
        self.serve()
        self.assertNotEqual(self.device, old)
        asked = self.conversation.repeat(YOU, 1, "a")
        self.serve()
        answer = self.successResultOf(asked)
        self.assertTrue(isinstance(answer, Confirmed) and answer.duplicate)
        self.send("b")
        self.assertEqual((self.ledger.stored, self.device == old), (["a", "b"], False))

    def test_again_and_again(self) -> None:
        """Two that take one device from each other would do so for ever."""
        self.enter()
        for _ in range(20):
            self.taken_over()
            self.clock.advance(20)
            self.serve()
        self.assertEqual(self.view.said[-1], "有用户登录您的账号,您已被挤下线!")
        self.assertFalse(self.conversation.logged_in)

    def test_one_that_reads(self) -> None:
        """Two people at one account would log each other out for ever."""
        self.intent = None
        self.enter()
        device = self.outboxes[0].present_device
        self.taken_over()
        self.assertFalse(self.conversation.logged_in)
        self.assertEqual(self.outboxes[0].present_device, device)
