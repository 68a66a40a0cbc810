"""A terminal whose device was forgotten on request, against a server in memory."""

from __future__ import annotations

from chatsvc.client.conversation.credentials import Credentials
from chatsvc.client.state.saved_login import SavedAccount, SavedLogin
from chatsvc.wire.client_codec import Rejected
from tests.client.devices import DevicesCase, Terminal
from tests.client.peer import ME, SERVER, YOU


class ForgottenOnRequest(DevicesCase):
    """A terminal whose device its user, or the admin, had forgotten: it stays out until a person logs in."""

    OUT = ("此设备已被移除, 请重新登录!", "请登陆!")

    def forget(self, terminal: Terminal) -> None:
        self.server.forget(terminal.outbox.device, on_request=True)
        self.settle()
        terminal.clock.advance(60)
        self.settle()

    def saved(self, state: str = "state") -> str:
        account = SavedLogin(self.folder / state).account()
        return account.token if account else ""

    def test_stays_out(self) -> None:
        """A terminal that was thrown out would come back by the password that was typed, and be registered again."""
        one, other = self.logged_in("one"), self.logged_in("two")
        self.server.store("a")
        self.settle()
        auths, said = len(self.server.auths), len(other.view.said)
        typed = one.type("devices")
        self.settle()
        self.assertTrue(self.successResultOf(typed))
        typed = one.type(f"forget {1 + self.server.registered.index(other.outbox.device)}")
        self.settle()
        other.clock.advance(60)
        self.settle()
        self.assertTrue(self.successResultOf(typed))
        self.assertEqual(tuple(other.view.said[said:]), self.OUT)
        self.assertEqual((other.conversation.logged_in, len(self.server.auths)), (False, auths))
        self.assertEqual(self.server.registered, [one.outbox.device])
        self.server.store("b")
        self.log_in(other)
        self.assertEqual((one.texts, other.texts), (["a", "b"], ["a", "b"]))

    def test_in_english(self) -> None:
        """A user would be told in a language that is not theirs why they are out."""
        terminal = self.logged_in(lang="en")
        self.forget(terminal)
        self.assertEqual(terminal.view.said[-2], "This device was forgotten, please log in again!")

    def test_nothing_is_kept(self) -> None:
        """Whoever finds the terminal would find the password in the memory of its process."""
        terminal = self.logged_in()
        account = terminal.conversation._login.account
        assert account is not None
        self.forget(terminal)
        self.assertEqual(vars(account.credentials), vars(Credentials(ME)))

    def test_token_of_another_terminal(self) -> None:
        """A forgotten terminal would come back by what another one has saved, or take that one's log-in away."""
        one = self.logged_in(remember=True)
        other = self.logged_in(remember=True)
        self.assertEqual(self.saved(), "t2")
        one.cut()
        self.settle()
        self.assertEqual(self.saved(), "t3", "the token that was saved last is another's")
        self.forget(other)
        self.assertEqual((other.conversation.logged_in, self.saved()), (False, "t3"))
        self.assertEqual(self.server.registered, [one.outbox.device])

    def test_its_own_token(self) -> None:
        """A token that no longer works would be kept, and the next start be refused."""
        terminal = self.logged_in(remember=True)
        self.assertEqual(self.saved(), "t1")
        self.forget(terminal)
        self.assertEqual(self.saved(), "")
        self.assertEqual(tuple(terminal.view.said[-2:]), self.OUT)

    def test_by_a_terminal_that_shares_the_file(self) -> None:
        """Who forgets another terminal's device would lose the own remembered log-in with it."""
        one = self.logged_in(remember=True)
        other = self.logged_in(remember=True)
        typed = one.type(f"forget {other.outbox.device}")
        self.settle()
        self.assertTrue(self.successResultOf(typed))
        self.assertFalse(other.conversation.logged_in)
        self.assertEqual(self.saved(), "t1")

    def test_itself(self) -> None:
        """A terminal that has itself forgotten would come back, or keep its log-in, or take another's from the file."""
        one = self.logged_in()
        other = self.logged_in(remember=True)
        typed = one.type(f"forget {one.outbox.device}")
        self.settle()
        self.successResultOf(typed)
        self.assertFalse(one.conversation.logged_in)
        self.assertEqual((self.server.registered, self.saved()), ([other.outbox.device], "t2"))

    def test_unsent(self) -> None:
        """What was on its way would be lost, or its sender wait for ever."""
        terminal = self.logged_in()
        device, result = terminal.outbox.device, terminal.conversation.send(YOU, "x")
        self.server.forget(device, on_request=True)
        self.settle()
        answer = self.successResultOf(result)
        assert isinstance(answer, Rejected)
        self.assertEqual((answer.code, self.server.ledger.stored), ("not-logged-in", []))
        self.log_in(terminal)
        self.assertEqual(self.server.ledger.stored, ["x"])

    def test_who_came_by_the_remembered_log_in(self) -> None:
        """Who was let in by what is remembered would not hear that this no longer works, without the option."""
        SavedLogin(self.folder / "state", keeps=True).keep(SavedAccount(SERVER, ME, "t0"))
        terminal = self.terminal()
        terminal.conversation.use_saved_login(SavedAccount(SERVER, ME, "t0"))
        self.settle()
        self.assertTrue(terminal.conversation.logged_in)
        terminal.cut()
        self.server.void = {f"t{number}" for number in range(self.server.tokens + 1)}
        self.settle()
        self.assertIn(f"已保存的登录 (UID: {ME}) 不再有效, 请重新登录!", terminal.view.said)

    def test_away(self) -> None:
        """Who never asked to be remembered would hear of a remembered log-in that no longer works."""
        gone = "已保存的登录"
        for remember in (False, True):
            terminal = self.logged_in(f"state{remember}", remember=remember)
            if not remember:
                account = SavedAccount(SERVER, ME, "t1")
                SavedLogin(self.folder / "stateFalse", keeps=True).keep(account)
            terminal.cut()
            self.server.void = {f"t{number}" for number in range(self.server.tokens + 1)}
            self.server.password = "newer"
            self.settle()
            self.assertFalse(terminal.conversation.logged_in)
            self.assertEqual(any(gone in line for line in terminal.view.said), remember)
            self.assertEqual(self.saved(f"state{remember}"), "")
            self.server.password = "pw"
