"""The conversation, against a scripted server."""

from __future__ import annotations

import time
from typing import Any

from twisted.internet.defer import Deferred

from chatsvc.wire.structured_client import Confirmed, NotUnderstood, Rejected
from tests.client.peer import ME, YOU, PeerCase

STAMP = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(0))
MINE = f"{STAMP}\n[ 张三|UID:{ME} ]:"


class Words(PeerCase):
    """Letter for letter what the text dialect says."""

    def test_greeting_and_login(self) -> None:
        """A newcomer would not learn that a log-in is wanted, or whether it worked."""
        self.connect()
        self.log_in()
        self.assertEqual(self.listener.said, ["请登陆!", "认证成功!"])

    def test_failed_login(self) -> None:
        """A wrong password would look like success, or like the end."""
        self.connect()
        typed = self.type(f"auth {ME} no")
        (auth,) = self.take("auth")
        self.say(type="error", re=auth["n"], code="bad-credentials", text="认证失败!")
        self.assertFalse(self.successResultOf(typed))
        self.assertEqual(self.listener.said, ["请登陆!", "认证失败!", "请登陆!"])

    def test_confirmations(self) -> None:
        """A sender would not see what was stored, or not that the reader is away."""
        self.connect()
        self.log_in()
        first, second = self.type(f"msg {YOU} 你好"), self.type(f"msg {YOU} a\nb")
        self.sent(1)
        self.sent(2, state="offline", waiting=4)
        self.assertTrue(self.successResultOf(first) and self.successResultOf(second))
        self.assertEqual(self.listener.said[2:], [f"{MINE}你好", f"[离线消息]\n{MINE}a\n    b"])

    def test_to_oneself(self) -> None:
        """A message to oneself would be shown twice."""
        self.connect()
        self.log_in()
        typed = self.type(f"msg {ME} note")
        self.sent(1, to=ME)
        self.say(type="msg", id=1, **{"from": ME}, name="张三", at=1, text="note")
        self.assertTrue(self.successResultOf(typed))
        self.assertEqual(self.listener.said[2:], [f"{MINE}note"])

    def test_left_by_the_older_server(self) -> None:
        """An older message would be shown as sent in 1970, or could not be shown at all."""
        self.connect()
        self.log_in()
        self.say(type="msg", id=1, **{"from": 7}, name="x", at=0, text="a\n[ y|UID:1 ]:b")
        self.say(type="msg", id=2, **{"from": 0}, name="", at=0, text="as it was")
        shown = ["[ x|UID:7 ]:a\n    [ y|UID:1 ]:b", "as it was"]
        self.assertEqual(self.listener.said[2:], shown)

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
            self.assertEqual(self.listener.said[-1], words)

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
            self.assertEqual(self.listener.said[-1], words)

    def test_wrong_old_password(self) -> None:
        """A typing error in passwd would look like a log-out."""
        self.connect()
        self.log_in()
        typed = self.type("passwd a b")
        (frame,) = self.take("passwd")
        self.say(type="error", re=frame["n"], code="bad-credentials", text="旧密码不正确!")
        self.assertFalse(self.successResultOf(typed))
        self.assertEqual(self.listener.said[-1], "旧密码不正确!")

    def test_logout(self) -> None:
        """After a log-out the client would log in again by itself."""
        self.connect()
        self.log_in()
        typed = self.type("logout")
        (frame,) = self.take("logout")
        self.say(type="ok", re=frame["n"])
        self.assertTrue(self.successResultOf(typed))
        self.assertEqual(self.listener.said[-2:], ["您已退出登录!", "请登陆!"])
        self.conversation.connection_lost()
        self.connect()
        self.assertEqual(self.take("auth"), [])
        self.assertEqual(self.outboxes[0].token, "")

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
        self.conversation._asking.connected(lambda frame: seen.append(self.outboxes[0].count()))
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
        self.assertEqual(self.numbers(), [(2, "b"), (3, "c")])
        self.sent(2, duplicate=True)
        self.sent(3)
        self.assertEqual(self.conversation.unconfirmed, 0)
        self.assertEqual(self.listener.said[-2:], [f"{MINE}b", f"{MINE}c"])

    def test_reconnection(self) -> None:
        """After a lost connection messages would be missing, or in another order."""
        fates = [self.conversation.send(YOU, text) for text in "ab"]
        self.conversation.connection_lost()
        fates.append(self.conversation.send(YOU, "c"))
        self.connect()
        (auth,) = self.take("auth")
        self.assertEqual(auth["token"], "t1")
        self.accept(auth)
        self.assertEqual(self.numbers(), [(1, "a"), (2, "b"), (3, "c")])
        for n in (1, 2, 3):
            self.sent(n)
        self.assertTrue(all(isinstance(self.successResultOf(f), Confirmed) for f in fates))

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
        self.assertNotIn("<gap>", self.listener.said)

    def test_refusal_in_the_middle(self) -> None:
        """One refused message would take those behind it along, or their order."""
        fates = [self.conversation.send(YOU, text) for text in "abc"]
        self.numbers()
        self.sent(1)
        self.refuse(2, "inbox-full", waiting=9)
        self.refuse(3, "gap", expected=2)
        self.assertEqual(self.numbers(), [(2, "c")])
        self.sent(2)
        kinds = [type(self.successResultOf(fate)) for fate in fates]
        self.assertEqual(kinds, [Confirmed, Rejected, Confirmed])
        self.assertEqual(self.listener.said[2:], [f"{MINE}a", "<inbox-full>", f"{MINE}c"])

    def test_every_definite_refusal(self) -> None:
        """A message that can never be delivered would be sent for ever, or in silence."""
        for code in ("inbox-full", "too-long", "unknown-user", "throttled", "bad-request"):
            typed = self.type(f"msg {YOU} x")
            self.assertEqual(self.numbers(), [(1, "x")])
            self.refuse(1, code)
            self.assertFalse(self.successResultOf(typed))
            self.assertEqual(self.listener.said[-1], f"<{code}>")
        self.assertEqual(self.conversation.unconfirmed, 0)

    def test_store_away(self) -> None:
        """A message whose outcome is unknown would be lost, or sent under another number."""
        fate = self.conversation.send(YOU, "a")
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
        self.assertIsInstance(self.successResultOf(fate), Confirmed)
        self.assertEqual(len(self.listener.said), 2 + 1 + 2)

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
        self.listener.slow = True
        self.message(1)
        self.assertEqual((self.outboxes[0].last_shown, self.acks()), (0, []))
        self.message(2)
        self.message(3)
        self.listener.finish()
        self.assertEqual((self.outboxes[0].last_shown, self.acks()), (1, [1]))
        self.clock.advance(0)
        self.listener.finish()
        self.assertEqual((self.outboxes[0].last_shown, self.acks()), (3, [3]))
        self.assertEqual(self.listener.record, [1, 2, 3])

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
        self.assertEqual(self.listener.read, [2])
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
        self.assertEqual(self.listener.read, [5, 1])
        self.assertEqual(self.outboxes[0].last_shown, 1)

    def test_slow_screen_over_a_reconnection(self) -> None:
        """A message that is being shown while the connection is lost would be shown again."""
        self.connect()
        self.log_in()
        self.listener.slow = True
        self.message(1)
        self.conversation.connection_lost()
        self.connect()
        self.assertEqual(self.take("auth"), [])
        self.listener.finish()
        (auth,) = self.take("auth", "ack")
        self.assertEqual(auth["after"], 1)
        self.accept(auth)
        self.message(1)
        self.assertEqual(self.listener.read, [1])
        self.assertEqual(self.acks(), [1])

    def test_state_lost_under_way(self) -> None:
        """A disk that fails would go unnoticed, and messages be acknowledged that are not on record."""
        self.connect()
        self.log_in()
        self.outboxes[0].close()
        self.message(1)
        self.assertEqual(self.acks(), [])
        self.assertEqual(len(self.listener.failures), 1)


class Sessions(PeerCase):
    def test_kicked(self) -> None:
        """Two clients of one user would throw each other out for ever."""
        self.connect()
        self.log_in()
        typed = self.type(f"msg {YOU} x")
        self.say(type="kicked")
        self.refuse(1, "not-logged-in")
        self.assertFalse(self.successResultOf(typed))
        self.assertEqual(self.listener.said[2], "有用户登录您的账号,您已被挤下线!")
        self.conversation.connection_lost()
        self.connect()
        self.assertEqual(self.take("auth"), [])
        typed = self.type(f"auth {ME} pw")
        (auth,) = self.take("auth")
        self.accept(auth)
        self.assertEqual(self.numbers(), [(1, "x")])

    def test_bye(self) -> None:
        """All clients would come back at the same moment after a restart."""
        self.connect()
        self.log_in()
        self.say(type="bye", retry_after=2.5)
        self.assertEqual(self.conversation.connection_lost(), 2.5)
        self.connect()
        self.assertEqual(self.conversation.connection_lost(), None)

    def test_token_refused(self) -> None:
        """After a password change elsewhere the client would try its token for ever."""
        self.connect()
        self.log_in()
        self.conversation.connection_lost()
        self.connect()
        (auth,) = self.take("auth")
        self.say(type="error", re=auth["n"], code="bad-credentials", text="认证失败!")
        self.assertEqual(self.listener.said[-2:], ["认证失败!", "请登陆!"])
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
        self.assertIn("不知道", self.listener.said[-1])
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
        self.assertEqual(self.listener.said[-1], "您已登录!")

    def test_login_by_token(self) -> None:
        """A program could not come back after a restart without the password."""
        self.connect()
        self.log_in()
        self.kill()
        self.begin()
        self.connect()
        coming = self.conversation.log_in(ME)
        (auth,) = self.take("auth")
        self.assertEqual(auth["token"], "t1")
        self.accept(auth)
        self.assertTrue(self.successResultOf(coming))

    def test_close(self) -> None:
        """The device would stay locked, or what is being shown would not be recorded."""
        self.connect()
        self.log_in()
        self.listener.slow = True
        self.message(1)
        closing = Deferred.fromCoroutine(self.conversation.close())
        self.assertNoResult(closing)
        self.listener.finish()
        self.successResultOf(closing)
        self.outboxes.clear()
        self.assertEqual(self._open(ME).last_shown, 1)
