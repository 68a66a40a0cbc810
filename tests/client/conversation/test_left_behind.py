"""What a terminal that is gone left unconfirmed: the user's other terminals show it, each once."""

from __future__ import annotations

from chatsvc.client.state.outbox import Outbox
from tests.client.devices import DevicesCase, Terminal
from tests.client.peer import ME, SERVER, YOU


class LeftBehindCase(DevicesCase):
    def left(self, text: str, *, stored: bool) -> tuple[Terminal, Terminal]:
        """A terminal on the same machine, and one elsewhere; a third one was killed before a confirmation came."""
        here, gone, elsewhere = self.logged_in(), self.logged_in(), self.logged_in("elsewhere")
        gone.conversation.send(YOU, text)
        if stored:
            gone.step()
            self.assertEqual(self.server.ledger.stored, [text])
        self.kill(gone)
        self.settle()
        self.gone = self.server.registered[1]
        return here, elsewhere

    def seen(self, terminal: Terminal, text: str) -> int:
        """How often a message stands on the screen: said, or as a copy."""
        return sum(line.endswith(f"]:{text}") for line in terminal.view.said)

    def again(self, terminal: Terminal) -> None:
        """The user logs out and in again, which settles what others have left."""
        typed = terminal.type("logout")
        self.settle()
        self.successResultOf(typed)
        self.log_in(terminal)
        self.assertEqual(self.server.ledger.stored, ["x"])
        self.assertEqual(self.left_in(), 0)

    def left_in(self) -> int:
        with_slot = [Outbox(self.folder / "state", SERVER, ME, lambda entry: False)]
        try:
            with_slot += with_slot[0].left()
            return sum(outbox.count() for outbox in with_slot)
        finally:
            for outbox in with_slot:
                outbox.close()


class Stored(LeftBehindCase):
    """The server has it."""

    def test_shown_before(self) -> None:
        """A terminal that has shown the copy would show the message again, when it settles what was left."""
        here, elsewhere = self.left("x", stored=True)
        self.assertEqual((here.texts, elsewhere.texts), (["x"], ["x"]))
        self.again(here)
        self.assertEqual((self.seen(here, "x"), self.seen(elsewhere, "x")), (1, 1))

    def test_shown_in_an_earlier_life(self) -> None:
        """A terminal that is started anew would show the message that it has shown before."""
        here, elsewhere = self.left("x", stored=True)
        self.kill(here)
        here = self.logged_in()
        self.assertEqual((self.seen(here, "x"), self.seen(elsewhere, "x")), (0, 1))

    def test_copy_to_come(self) -> None:
        """A terminal would show what it settles, and once more the copy that waited for it."""
        here, gone = self.logged_in(), self.logged_in()
        self.kill(here)
        gone.conversation.send(YOU, "x")
        gone.step()
        self.kill(gone)
        here = self.logged_in()
        self.assertEqual((self.seen(here, "x"), here.texts), (1, ["x"]))
        self.assertEqual(self.server.ledger.stored, ["x"])

    def test_of_a_forgotten_terminal(self) -> None:
        """A message would come twice, or a device that was forgotten be registered again by another terminal."""
        here, elsewhere = self.left("x", stored=True)
        self.server.forget(self.gone, on_request=True)
        self.again(here)
        self.assertEqual((self.seen(here, "x"), self.seen(elsewhere, "x")), (1, 1))
        self.assertNotIn(self.gone, self.server.registered)

    def test_of_a_script(self) -> None:
        """Nobody would see what became of what a script left: it makes no copies."""
        here = self.logged_in()
        script = self.logged_in(devices=False, receive=False)
        script.conversation.send(YOU, "x")
        script.step()
        self.assertEqual(self.server.ledger.stored, ["x"])
        self.kill(script)
        self.again(here)
        self.assertEqual((self.seen(here, "x"), here.texts), (1, []))


class NotStored(LeftBehindCase):
    """The server does not have it: it is stored when it is settled."""

    def test_all_terminals(self) -> None:
        """What one terminal settles would be missing at the others, or stand there twice."""
        here, elsewhere = self.left("x", stored=False)
        self.again(here)
        self.assertEqual((self.seen(here, "x"), self.seen(elsewhere, "x")), (1, 1))
        self.assertEqual(len(self.server.registered), 3)

    def test_nothing_is_acknowledged(self) -> None:
        """What waits for the device of the terminal that is gone would be lost, because another has spoken as it."""
        here, _ = self.left("x", stored=False)
        self.server.store("for all")
        self.settle()
        before = self.server.positions[self.gone]
        self.again(here)
        self.assertEqual(self.server.positions[self.gone], before)
        other = self.logged_in()
        self.assertEqual((other.outbox.device, other.texts), (self.gone, ["for all"]))

    def test_killed_at_any_time(self) -> None:
        """A terminal that is killed while it settles what was left would have it stored twice, or not at all."""
        here, elsewhere = self.left("x", stored=False)
        self.kill(here)
        for steps in range(40):
            terminal = self.terminal()
            terminal.type(f"login {ME} pw")
            for _ in range(steps):
                terminal.step()
            self.kill(terminal)
            self.settle()
        here = self.logged_in()
        self.assertEqual(self.server.ledger.stored, ["x"])
        self.assertEqual((self.left_in(), elsewhere.texts), (0, ["x"]))

    def test_of_a_forgotten_terminal(self) -> None:
        """A device that was forgotten would be registered again, or what it left never be shown to its user."""
        here, _ = self.left("x", stored=False)
        self.server.forget(self.gone, on_request=True)
        self.again(here)
        self.assertEqual(self.seen(here, "x"), 1)
        self.assertNotIn(self.gone, self.server.registered)

    def test_before_this_one_is_registered(self) -> None:
        """A terminal would show nothing of what it has settled, as no copy is made for a device that is not there."""
        here, elsewhere = self.left("x", stored=False)
        self.kill(here)
        self.server.forget(here_device := self.server.registered[0])
        here = self.logged_in()
        self.assertEqual(here.outbox.device, here_device)
        self.assertEqual((self.seen(here, "x"), self.server.ledger.stored), (1, ["x"]))
        self.assertEqual(elsewhere.texts, [])

    def test_of_a_script(self) -> None:
        """A device would be registered for each script, or its user not see what became of what it left."""
        here = self.logged_in()
        script = self.logged_in(devices=False, receive=False)
        script.conversation.send(YOU, "x")
        self.kill(script)
        self.again(here)
        self.assertEqual(self.seen(here, "x"), 1)
        self.assertEqual(self.server.registered, [here.outbox.device])

    def test_at_a_server_that_knows_no_devices(self) -> None:
        """What was left would never be sent, or be sent in a session that throws another one out."""
        here, elsewhere = self.left("x", stored=False)
        self.kill(elsewhere)
        self.server.features = None
        here.cut()
        self.settle()
        self.again(here)
        self.assertEqual(self.seen(here, "x"), 1)

    def test_while_no_device_is_granted(self) -> None:
        """What was left would be sent in a session that reads, and throws out what reads without a device."""
        here, elsewhere = self.left("x", stored=False)
        self.kill(elsewhere)
        self.server.features = ()
        listener = self.logged_in(devices=False)
        typed = here.type("logout")
        self.settle()
        self.successResultOf(typed)
        auths = len(self.server.auths)
        here.cut()
        self.settle()
        here.type(f"login {ME} pw")
        self.settle()
        receiving = [auth for auth in self.server.auths[auths:] if auth.get("receive", True)]
        self.assertEqual((len(receiving), self.server.ledger.stored), (1, ["x"]))
        self.assertEqual(self.seen(here, "x"), 1)
        self.assertFalse(listener.conversation.logged_in, "the log-in that was asked for")
