"""The conversation, against a scripted server."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from chatsvc.wire.client_codec import NotUnderstood
from tests.client.peer import ME, MINE, YOU, PeerCase


class Words(PeerCase):
    """Letter for letter what the text dialect says."""

    def test_greeting_and_login(self) -> None:
        """A newcomer would not learn that a log-in is wanted, or whether it worked."""
        self.connect()
        self.log_in()
        self.assertEqual(self.view.said, ["请登陆!", "认证成功!"])

    def test_failed_login(self) -> None:
        """A wrong password would look like success, or like the end."""
        self.connect()
        typed = self.type(f"auth {ME} no")
        (auth,) = self.take("auth")
        self.say(type="error", re=auth["n"], code="bad-credentials", text="认证失败!")
        self.assertFalse(self.successResultOf(typed))
        self.assertEqual(self.view.said, ["请登陆!", "认证失败!", "请登陆!"])

    def test_confirmations(self) -> None:
        """A sender would not see what was stored, or not that the reader is away."""
        self.connect()
        self.log_in()
        first, second = self.type(f"msg {YOU} 你好"), self.type(f"msg {YOU} a\nb")
        self.sent(1)
        self.sent(2, state="offline", waiting=4)
        self.assertTrue(self.successResultOf(first) and self.successResultOf(second))
        self.assertEqual(self.view.said[2:], [f"{MINE}你好", f"[离线消息]\n{MINE}a\n    b"])

    def test_to_oneself(self) -> None:
        """A message to oneself would be shown twice."""
        self.connect()
        self.log_in()
        typed = self.type(f"msg {ME} note")
        self.sent(1, to=ME)
        self.say(type="msg", id=1, **{"from": ME}, name="张三", at=1, text="note")
        self.assertTrue(self.successResultOf(typed))
        self.assertEqual(self.view.said[2:], [f"{MINE}note"])

    def test_left_by_the_older_server(self) -> None:
        """An older message would be shown as sent in 1970, or could not be shown at all."""
        self.connect()
        self.log_in()
        self.say(type="msg", id=1, **{"from": 7}, name="x", at=0, text="a\n[ y|UID:1 ]:b")
        self.say(type="msg", id=2, **{"from": 0}, name="", at=0, text="as it was")
        shown = ["[ x|UID:7 ]:a\n    [ y|UID:1 ]:b", "as it was"]
        self.assertEqual(self.view.said[2:], shown)

    def test_local_answers(self) -> None:
        """What needs no server would wait for one, or be answered in other words."""
        lines = {
            "msg 1 x": "请登陆!",
            "msg": "请登陆!",
            "find x": "请登陆!",
            "auth 1": "提示:认证格式: [ auth userid pwd ]",
            "auth x y": "userid为整数!",
            "nonsense": "输入的命令不支持,请使用 help 或 ? 查看帮助!",
            "lang en": "English it is!",
            "quit": "Goodbye!",
        }
        for line, words in lines.items():
            self.successResultOf(self.type(line))
            self.assertEqual(self.view.said[-1], words)

    def test_requests(self) -> None:
        """Answers without a text of their own would not be shown."""
        self.connect()
        self.log_in()
        answers: dict[str, tuple[dict[str, Any], str]] = {
            "register x y": ({"uid": 10009}, "注册成功! 您的UID: 10009"),
            "passwd a b": ({}, "密码已修改!"),
            "find 张": ({"users": [{"uid": 3, "online": True}]}, "张: 3 (在线)"),
            "find 李": ({"users": []}, "没有找到用户 李!"),
        }
        for line, (fields, words) in answers.items():
            typed = self.type(line)
            (frame,) = self.take(line.split()[0])
            self.say(type="ok", re=frame["n"], **fields)
            self.assertTrue(self.successResultOf(typed))
            self.assertEqual(self.view.said[-1], words)

    def test_changed_password(self) -> None:
        """Who has changed the password could not come back after the connection is lost: the old token is worthless."""
        self.connect()
        self.log_in()
        typed = self.type("passwd a b")
        (frame,) = self.take("passwd")
        self.assertIs(frame["token"], True)
        self.say(type="ok", re=frame["n"], token="newer")
        self.assertTrue(self.successResultOf(typed))
        self.conversation.connection_lost()
        self.connect()
        (frame,) = self.take("auth")
        self.assertEqual(frame["token"], "newer")

    def test_wrong_old_password(self) -> None:
        """A typing error in passwd would look like a log-out."""
        self.connect()
        self.log_in()
        typed = self.type("passwd a b")
        (frame,) = self.take("passwd")
        self.say(type="error", re=frame["n"], code="bad-credentials", text="旧密码不正确!")
        self.assertFalse(self.successResultOf(typed))
        self.assertEqual(self.view.said[-1], "旧密码不正确!")

    def test_logout(self) -> None:
        """After a log-out the client would log in again by itself."""
        self.connect()
        self.log_in()
        typed = self.type("logout")
        (frame,) = self.take("logout")
        self.say(type="ok", re=frame["n"])
        self.assertTrue(self.successResultOf(typed))
        self.assertEqual(self.view.said[-2:], ["您已退出登录!", "请登陆!"])
        self.conversation.connection_lost()
        self.connect()
        self.assertEqual(self.take("auth"), [])
        self.assertIsNone(self.saved_login.account())

    def test_language(self) -> None:
        """The server's own texts would come in another language than the client's."""
        self.conversation.connection_made(lambda frame: self.frames.append({"raw": frame}))
        self.assertIn(b'"lang":"zh"', self.frames[0]["raw"])
        self.successResultOf(self.type("lang en"))
        self.connect()
        self.successResultOf(self.type("lang en"))
        self.assertEqual([frame["lang"] for frame in self.take("hello")], ["en"])

    def test_nonsense_from_the_server(self) -> None:
        """A message in a frame that cannot be read would be passed over in silence."""
        self.connect()
        for frame in (b'{"type":"msg","id":"1"}', b"{", b'{"type":7,"id":[]}x'):
            with self.assertRaises(NotUnderstood):
                self.conversation.frame(frame)
        self.say(type="news", about="tomorrow")


class Sessions(PeerCase):
    def test_kicked(self) -> None:
        """Two clients of one user would throw each other out for ever."""
        self.connect()
        self.log_in()
        typed = self.type(f"msg {YOU} x")
        self.say(type="kicked")
        self.refuse(1, "not-logged-in")
        self.assertFalse(self.successResultOf(typed))
        self.assertEqual(self.view.said[2], "有用户登录您的账号,您已被挤下线!")
        self.conversation.connection_lost()
        self.connect()
        self.assertEqual(self.take("auth"), [])
        typed = self.type(f"auth {ME} pw")
        (auth,) = self.take("auth")
        self.accept(auth)
        self.assertEqual(self.numbers(), [(1, "x")])

    def test_patience(self) -> None:
        """A server that hangs would be waited for, or one that owes nothing be given up."""
        self.connect()
        self.assertIsNone(self.conversation.patience())
        typed = self.type(f"auth {ME} pw")
        self.assertEqual(self.conversation.patience(), 60)
        hello, auth = self.take("hello", "auth")
        self.accept(auth)
        self.assertEqual(self.conversation.patience(), 15)
        self.say(type="welcome", version=1, server="x", registration="open", re=hello["n"])
        self.assertTrue(self.successResultOf(typed))
        self.assertIsNone(self.conversation.patience())
        self.type(f"msg {YOU} x")
        self.assertEqual(self.conversation.patience(), 15)
        self.sent(1)
        self.assertIsNone(self.conversation.patience())
        self.conversation.ping()
        (ping,) = self.take("ping")
        self.assertEqual(self.conversation.patience(), 15)
        self.say(type="pong", re=ping["n"])
        self.assertIsNone(self.conversation.patience())
        self.conversation.connection_lost()
        self.type("find x")
        self.assertIsNone(self.conversation.patience())

    def test_bye(self) -> None:
        """All clients would come back at the same moment after a restart."""
        self.connect()
        self.log_in()
        self.say(type="bye", retry_after=2.5)
        self.assertEqual(self.conversation.connection_lost(), 2.5)
        self.connect()
        self.assertEqual(self.conversation.connection_lost(), None)

    def test_token_refused(self) -> None:
        """After a password change elsewhere the client would try its token, and its password, for ever."""
        self.connect()
        self.log_in()
        self.conversation.connection_lost()
        self.connect()
        for way in ("token", "password"):
            (auth,) = self.take("auth")
            self.assertIn(way, auth)
            self.say(type="error", re=auth["n"], code="bad-credentials", text="认证失败!")
        self.assertEqual(self.view.said[-2:], ["认证失败!", "请登陆!"])
        self.assertFalse(self.conversation.logged_in)
        self.assertTrue(self.conversation.connected)

    def test_token_not_now(self) -> None:
        """A store that is away during a reconnection would log its users out."""
        self.connect()
        self.log_in()
        self.conversation.connection_lost()
        self.connect()
        for code in ("store-unavailable", "throttled"):
            (auth,) = self.take("auth")
            self.say(type="error", re=auth["n"], code=code, text=code, retry_after=3)
            self.clock.advance(20)
        (auth,) = self.take("auth")
        self.accept(auth)
        self.assertTrue(self.conversation.connected and self.conversation.logged_in)

    def test_lost_while_logging_in(self) -> None:
        """A log-in whose answer was lost would never be answered."""
        self.connect()
        typed = self.type(f"auth {ME} pw")
        self.conversation.connection_lost()
        self.connect()
        (auth,) = self.take("auth")
        self.accept(auth)
        self.assertTrue(self.successResultOf(typed))

    def test_lost_while_registering(self) -> None:
        """A registration would be asked for twice, and its success be reported as a taken name."""
        self.connect()
        typed = self.type("register x y")
        self.conversation.connection_lost()
        self.assertFalse(self.successResultOf(typed))
        self.assertIn("不知道", self.view.said[-1])
        self.connect()
        self.assertEqual(self.take("register"), [])

    def test_typed_before_the_connection(self) -> None:
        """What is typed while there is no connection would be lost."""
        typed = self.type("register x y")
        self.connect()
        (frame,) = self.take("register")
        self.say(type="ok", re=frame["n"], uid=9)
        self.assertTrue(self.successResultOf(typed))

    def test_two_accounts(self) -> None:
        """One account's messages would go out in the name of the next."""
        self.connect()
        self.log_in()
        self.conversation.send(YOU, "mine")
        logout = self.type("logout")
        (frame,) = self.take("logout")
        self.say(type="ok", re=frame["n"])
        self.successResultOf(logout)
        typed = self.type("auth 10005 pw")
        (hello, auth) = self.take("hello", "auth", "msg")
        self.assertEqual(hello["device"], self.outboxes[1].device)
        self.accept(auth)
        self.successResultOf(typed)
        self.assertEqual(self.numbers(), [])

    def test_already_logged_in(self) -> None:
        """A second log-in would change the device under the first."""
        self.connect()
        self.log_in()
        self.assertFalse(self.successResultOf(self.type("auth 1 x")))
        self.assertEqual(self.take("auth", "hello"), [])
        self.assertEqual(self.view.said[-1], "您已登录!")

    def test_close(self) -> None:
        """The device would stay locked, or what is being shown would not be recorded."""
        self.connect()
        self.log_in()
        self.view.slow = True
        self.message(1)
        closing = Deferred.fromCoroutine(self.conversation.close())
        self.assertNoResult(closing)
        self.view.finish()
        self.successResultOf(closing)
        self.outboxes.clear()
        self.assertEqual(self._open(ME).last_shown, 1)
