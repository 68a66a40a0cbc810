"""Log-ins that last longer than their tokens, and what is left when a token is refused."""

from __future__ import annotations

from typing import Any

from chatsvc.client.state.saved_login import SavedAccount, SavedLogin
from tests.client.peer import ME, SERVER, PeerCase

WEEK = 7 * 86400
FORGOTTEN = f"已保存的登录 (UID: {ME}) 不再有效, 请重新登录!"
BACK = "已重新连接!"


class CredentialsCase(PeerCase):
    def start(self, token: str = "t1", seconds: int = WEEK) -> None:
        """Somebody logs in by password, and is remembered."""
        self.connect()
        self.type(f"auth {ME} pw")
        self.grant(token, seconds)
        self.view.said.clear()

    def grant(self, token: str = "t1", seconds: int = WEEK) -> dict[str, Any]:
        """The server accepts a log-in; which one."""
        (auth,) = self.take("auth")
        answer = {"uid": ME, "name": "张三", "token": token, "epoch": "e1", "waiting": 0}
        self.say(type="ok", re=auth["n"], token_seconds=seconds, **answer)
        return auth

    def deny(self, code: str = "bad-credentials", **more: Any) -> dict[str, Any]:
        """The server refuses a log-in; which one."""
        (auth,) = self.take("auth")
        self.say(type="error", re=auth["n"], code=code, text=f"<{code}>", **more)
        return auth

    def reconnect(self) -> None:
        self.conversation.connection_lost()
        self.connect()

    def saved(self) -> str:
        """The token that is saved."""
        account = self.saved_login.account()
        return account.token if account else ""


class Renewals(CredentialsCase):
    """Tokens that are made new while the connection stands."""

    def test_in_time(self) -> None:
        """Who has been logged in for longer than a token lives would be refused at the next reconnect."""
        self.start(seconds=3600)
        self.clock.advance(1799)
        self.assertEqual(self.take("renew"), [])
        for token, newer in (("t1", "t2"), ("t2", "t3")):
            self.clock.advance(1)
            (renew,) = self.take("renew")
            self.assertEqual(renew["token"], token)
            self.say(type="ok", re=renew["n"], token=newer)
            self.assertEqual(self.saved(), newer)
            self.clock.advance(1799)
        self.reconnect()
        self.assertEqual(self.grant()["token"], "t3")
        self.assertEqual(self.view.said, [BACK])

    def test_machine_that_sleeps(self) -> None:
        """A token would grow old while timers stand still, on a laptop that is closed for most of each day."""
        self.start(seconds=300 * 86400)
        self.clock.advance(86400)
        self.assertEqual(len(self.take("renew")), 1)

    def test_older_server(self) -> None:
        """A server that knows no renewal would be asked for one, and answer that it knows no such thing."""
        self.start(seconds=0)
        self.clock.advance(WEEK)
        self.assertEqual(self.take("renew"), [])

    def test_refused(self) -> None:
        """A refused renewal would end the log-in, or be asked for again and again."""
        self.start()
        self.clock.advance(86400)
        (renew,) = self.take("renew")
        self.say(type="error", re=renew["n"], code="bad-credentials", text="<refused>")
        self.clock.advance(2 * WEEK)
        self.assertEqual((self.take("renew"), self.view.said, self.saved()), ([], [], "t1"))
        self.assertTrue(self.conversation.logged_in)

    def test_over(self) -> None:
        """A connection that is lost, or a user who has left, would still be spoken for."""
        self.start()
        self.conversation.connection_lost()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.connect()
        self.grant()
        self.type("logout")
        (logout,) = self.take("logout")
        self.say(type="ok", re=logout["n"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_disk_full(self) -> None:
        """A full disk would end a chat that goes on well, because a token that works is not the newest."""
        self.start()
        folder = self.folder / "remembered.json"
        folder.unlink()
        folder.mkdir()  # which cannot be written as a file
        self.clock.advance(86400)
        (renew,) = self.take("renew")
        self.say(type="ok", re=renew["n"], token="t2")
        self.assertEqual((self.view.failures, self.view.said), ([], []))


class Refusals(CredentialsCase):
    """A token that no longer works."""

    def test_known_password(self) -> None:
        """Somebody whose password is known would be logged out, because a token's secret was replaced."""
        self.start()
        self.reconnect()
        self.assertEqual(self.deny()["token"], "t1")
        self.assertEqual(self.grant("t2")["password"], "pw")
        self.assertEqual((self.view.said, self.saved()), ([BACK], "t2"))

    def test_password_later(self) -> None:
        """A throttled log-in by password would be given up, or the dead token be tried once more."""
        self.start()
        self.reconnect()
        self.deny()
        self.deny("throttled", retry_after=2.0)
        self.clock.advance(15)
        self.assertEqual(self.grant("t2")["password"], "pw")
        self.assertEqual(self.view.said, [BACK])

    def test_nothing_left(self) -> None:
        """The remembered log-in would be forgotten without a word, or a wrong password be tried for ever."""
        self.start()
        self.reconnect()
        self.deny()
        self.assertEqual(self.deny()["password"], "pw")
        self.assertEqual(self.take("auth"), [])
        self.assertEqual(self.view.said, [FORGOTTEN, "<bad-credentials>", "请登陆!"])
        self.assertEqual((self.saved(), self.conversation.logged_in), ("", False))

    def test_not_remembered(self) -> None:
        """A log-in that was never remembered would be said to be forgotten."""
        self.start()
        self.saved_login.forget(SERVER, ME)
        self.reconnect()
        self.deny()
        self.deny()
        self.assertEqual(self.view.said, ["<bad-credentials>", "请登陆!"])

    def test_renewed_by_another_process(self) -> None:
        """A client would log out, and forget a token that works, which another one has saved meanwhile."""
        self.start()
        SavedLogin(self.folder).keep(SavedAccount(SERVER, ME, "theirs"))
        self.reconnect()
        self.deny()
        self.assertEqual(self.grant("t2")["token"], "theirs")
        self.assertEqual((self.view.said, self.saved()), ([BACK], "t2"))

    def test_saved_meanwhile(self) -> None:
        """A token would be forgotten that another process has saved since, and that nobody has tried."""
        self.start()
        self.reconnect()
        SavedLogin(self.folder).keep(SavedAccount(SERVER, ME, "theirs"))
        SavedLogin(self.folder).forget(SERVER, ME, {"t1"})
        self.assertEqual(self.saved(), "theirs")

    def test_password_changed(self) -> None:
        """The password of before would be tried, and count as a wrong one."""
        self.start()
        self.type("passwd pw new")
        (passwd,) = self.take("passwd")
        self.say(type="ok", re=passwd["n"], token="t2")
        self.reconnect()
        self.assertEqual(self.deny()["token"], "t2")
        self.assertEqual(self.grant()["password"], "new")

    def test_change_unknown(self) -> None:
        """A connection that is lost during a change of the password would leave a client with the wrong one."""
        for carried_out, password in ((True, "new"), (False, "pw")):
            self.kill()
            self.begin()
            self.start()
            self.type("passwd pw new")
            self.reconnect()
            self.deny()
            if not carried_out:
                self.assertEqual(self.deny()["password"], "new")
            self.assertEqual(self.grant()["password"], password)
