"""The client's half of the structured dialect, against the server's half."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.wire import client_codec as client
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem
from chatsvc.wire.structured.dialect import StructuredDialect

MESSAGE = e.Message(41, 10001, "张三", 1763888424123, "你\n好\u2028")
DEVICE = e.Device("ab" * 16, "x/1", 1, 2, True)


class ClientCodecTests(SynchronousTestCase):
    """The client's half against the server's."""

    def setUp(self) -> None:
        self.server = StructuredDialect("zh")

    def heard(self, event: e.Event | e.Message) -> client.Heard | None:
        """Return what the client makes of the server's frame for an event."""
        (frame,) = self.server.encode(event)
        return client.parse(frame)

    def test_commands(self) -> None:
        """The server would not understand what the client asks."""
        for command in (
            c.Hello(1, "x/1", "ab" * 16, "en", n=1),
            c.Hello(),
            c.Hello(device="ab" * 16, features=("devices",)),
            c.Hello(features=()),
            c.Auth(10001, password="密 码", after=7, n=2),
            c.Auth(10001, token="t", receive=False),
            c.Auth(c.NO_UID, password="pw", name="张三", receive=False),
            c.Auth(10001, token="t", after=7, serial=1763888424123010),
            c.Send(-5, "\x00\ud7ff€\n", n=c.MAX_N),
            c.Ack(3),
            c.Register("张三", "pw", n=4),
            c.Passwd("a", "b", n=5),
            c.Renew("t", n=9),
            c.Find("x", n=6),
            c.Devices(n=10),
            c.Forget("ab" * 16, n=11),
            c.Logout(n=7),
            c.Ping(n=8),
        ):
            self.assertEqual(self.server.parse(client.encode(command)), command)

    def test_rooms(self) -> None:
        """What is said of a room would be taken for a message in the inbox, and acknowledged there."""
        self.server.bring_devices()
        self.server.bring_rooms()
        message = e.RoomMessage(7, 121, 10, 10001, "a", 5, "x")
        entry = self.server.encode_entry(message, "dev")
        assert entry is not None
        self.assertIsNone(client.parse(entry))
        for event in (
            *(e.RoomSent(7, "dev", 121, message), e.RoomMissed(7, 1, 2), e.RoomLeft(7, "dev", "x")),
            e.RoomShown(7, "dev", "public", "", "all", "member", 12, 120, 118),
        ):
            self.assertIsNone(self.heard(event), event)

    def test_messages_and_signals(self) -> None:
        """The client would not understand what the server says of its own accord."""
        for event in (
            *(MESSAGE, e.Kicked(), e.Bye(2.5), e.Pong(re=3), e.Welcome(True, re=1)),
            *(e.Welcome(True, (), re=1), e.Welcome(False, ("devices",), re=1)),
            *(e.Missed(12, 40, 5), e.Missed(12, 40)),
        ):
            self.assertEqual(self.heard(event), event)

    def test_messages_for_a_registered_device(self) -> None:
        """A terminal would not know a message that comes again, or take its user's own for somebody else's."""
        self.server.bring_devices()
        for message in (
            e.Message(41, 10001, "张三", 1, "x", 1763888424123010),
            e.Message(42, 10001, "张三", 1, "x", 1763888424123020, 10002, "ab" * 16),
        ):
            heard = self.heard(message)
            assert isinstance(heard, e.Message)
            self.assertEqual((heard.serial, heard.to), (message.serial, message.to))
            self.assertEqual(heard, replace(message, device=""))

    def test_forgotten_device(self) -> None:
        """A terminal whose device was forgotten on request would come back by itself."""
        self.assertEqual(self.heard(e.Bye(2.5, forgotten=True)), e.Bye(2.5), "it knows no devices")
        self.server.bring_devices()
        for bye in (e.Bye(2.5, forgotten=True), e.Bye(2.5)):
            self.assertEqual(self.heard(bye), bye)

    def test_sent(self) -> None:
        """A confirmation would be taken for another message's, or the reader's absence be missed."""
        for event in (
            e.Sent(10002, 41, MESSAGE, True, 0, re=7),
            e.Sent(10002, None, MESSAGE, False, 4, True, re=7),
        ):
            heard = self.heard(event)
            assert isinstance(heard, client.Confirmed)
            self.assertEqual(
                (heard.re, heard.to, heard.id, heard.at, heard.online, heard.waiting),
                (7, 10002, event.id, MESSAGE.at, event.online, event.waiting),
            )
            self.assertEqual(heard.duplicate, event.duplicate)

    def test_refusals(self) -> None:
        """The client would not know what to do about a refusal, or what to show."""
        gap = self.heard(e.Refused(Problem.GAP, to=2, expected=5, re=9))
        self.assertEqual(
            gap, client.Rejected("gap", "消息编号不连续, 应为 5!", to=2, expected=5, re=9)
        )
        throttled = self.heard(e.Refused(Problem.THROTTLED, retry_after=1.5))
        assert isinstance(throttled, client.Rejected)
        self.assertEqual((throttled.code, throttled.retry_after), ("throttled", 1.5))

    def test_answers(self) -> None:
        """An answer would not be understood as the one to its question."""
        for command, event in (
            (c.Auth(1, token="t"), e.LoggedIn(1, "张三", "t2", "e.0", 3)),
            (c.Auth(1, token="t"), e.LoggedIn(1, "张三", "t2", "e.0", 3, 604800)),
            (c.Renew("t"), e.Renewed("t2")),
            (c.Register("x", "y"), e.Registered(10009)),
            (c.Passwd("x", "y"), e.PasswordChanged()),
            (c.Find("x"), e.Found("x", ((1, True), (2, False)))),
            (c.Devices(), e.DevicesListed((DEVICE, replace(DEVICE, device="cd" * 16)), "cd" * 16)),
            (c.Devices(), e.DevicesListed((DEVICE,))),
            (c.Forget("ab" * 16), e.DeviceForgotten()),
            (c.Logout(), e.LoggedOut()),
        ):
            heard = self.heard(event)
            assert isinstance(heard, client.Accepted)
            self.assertEqual(client.understand(command, heard), event)

    def test_what_breaks_the_dialect(self) -> None:
        """A frame that cannot be read would end in a traceback."""
        for frame in (
            b"{",
            b"{}",
            b'{"type":"msg","id":1.5,"from":1,"name":"","at":0,"text":""}',
            b'{"type":"error","code":"x","text":7}',
            b'{"type":"sent"}',
            b'{"type":["a"]}',
            b'{"type":"bye","retry_after":"soon"}',
        ):
            with self.assertRaises(client.NotUnderstood):
                client.parse(frame)
        with self.assertRaises(client.NotUnderstood):
            client.understand(c.Register("x", "y"), client.Accepted({"type": "ok"}))

    def test_what_is_passed_over(self) -> None:
        """The greeting, or a server newer than the client, would end the conversation."""
        for frame in ("请登陆!".encode(), b"\xff", b'{"type":"news"}'):
            self.assertIsNone(client.parse(frame))
