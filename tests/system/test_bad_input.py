"""Input that no proper client sends has one clear answer, and nobody else notices."""

from __future__ import annotations

import json
from typing import Any

from tests.support.clients import FrameClient, StructuredClient, TextClient
from tests.support.on_server import OnServer
from tests.support.processes import ChatServer, SQLiteStores, new_address, shared

LARGEST = 65_535
UNKNOWN_COMMAND = "输入的命令不支持,请使用 help 或 ? 查看帮助!"
NOT_UTF8 = "内容不是UTF-8编码, 请检查客户端的编码设置!"
SEND_USAGE = "提示:消息格式: [ msg userid content ]"
UID_NOT_INTEGER = "userid为整数!"
UNKNOWN_USER = "系统不存在该userid!"
TOO_LONG = "消息太长, 最多8192字节, 未发送!"

NOT_TEXT = (b"\xff\xfe", b"msg 1 \xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf")
"""Not UTF-8: bytes that never occur, a cut character, a surrogate, five bytes, an overlong form."""

NOT_JSON = (
    b"{",
    b"{}}",
    b'{"type":"ping","n":1',
    b"{'type':'ping'}",
    b'{"type":"ping","n":NaN}',
    b'{"type":"ping","n":Infinity}',
    b'{"type":"find","name":"\\ud800"}',
    b'{"type":"find","name":"\\udc00\\ud800"}',
    b'{"type":"find","name":"\x00"}',
    b'{"type":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    b"{" * LARGEST,
)
"""Begin with a brace and are no JSON object that can be used."""


class Bystanders:
    """Two users whose messages must flow whatever a third one sends."""

    def __init__(self, case: BadInput) -> None:
        self._case = case
        self._uid = case.user()
        self._reader = case.text(self._uid)
        self._writer = case.text(case.user())

    def talk(self, about: str) -> None:
        """Fail unless a message arrives."""
        self._case.assertTrue(self._writer.ask(f"msg {self._uid} x").endswith(" ]:x"), about)
        self._case.assertTrue(self._reader.read().endswith(" ]:x"), about)


class BadInput(OnServer):
    def setUp(self) -> None:
        def make() -> tuple[SQLiteStores, ChatServer]:
            stores = SQLiteStores()
            return stores, ChatServer(*stores.options, "--rate", "0").start()

        self.stores, self.server = shared(type(self), make, lambda both: both[1].remove())
        self.addCleanup(self.no_traceback)

    def test_text_dialect(self) -> None:
        """A person's strange input would have no answer, two, or a wrong one, or end something."""
        uid, other = self.user(), self.user()
        client, bystanders = self.text(uid), Bystanders(self)
        to_other = f"msg {other} ".encode()
        cases: list[tuple[bytes, str]] = [
            *((frame, NOT_UTF8) for frame in NOT_TEXT),
            *((frame, UNKNOWN_COMMAND) for frame in NOT_JSON),
            (b'{"type":"ping","n":1}', UNKNOWN_COMMAND),
            (b"x" * LARGEST, UNKNOWN_COMMAND),
            (b"\0", UNKNOWN_COMMAND),
            (b"msg\n1 x", UNKNOWN_COMMAND),
            (b" msg 1 x", UNKNOWN_COMMAND),
            (to_other.ljust(LARGEST, b"x"), TOO_LONG),
            (to_other + "汉".encode() * 2731, TOO_LONG),
            (to_other, SEND_USAGE),
            (b"msg  x", UID_NOT_INTEGER),
            (b"msg " + b"9" * 30 + b" x", UNKNOWN_USER),
            (b"msg " + b"9" * 60_000 + b" x", UNKNOWN_USER),
            (b"msg -" + b"9" * 30 + b" x", UNKNOWN_USER),
            (b"msg -1 x", UNKNOWN_USER),
            (b"msg 0 x", UNKNOWN_USER),
            (b"msg 1_000 x", UID_NOT_INTEGER),
            ("msg ٣ x".encode(), UID_NOT_INTEGER),
            ("msg １ x".encode(), UID_NOT_INTEGER),
            (b"msg 1e3 x", UID_NOT_INTEGER),
            (b"msg 0x10 x", UID_NOT_INTEGER),
            (b"msg 9223372036854775807 x", UNKNOWN_USER),
            (b"msg 9223372036854775808 x", UNKNOWN_USER),
            (b"msg -9223372036854775809 x", UNKNOWN_USER),
        ]
        for frame, answer in cases:
            about = repr(frame[:60])
            client.send(frame)
            self.assertEqual(client.read(), answer, about)
            self.goes_on(client, about)
            bystanders.talk(about)
        self.assertTrue(self.text(other).silent(0.1))

    def test_text_dialect_before_login(self) -> None:
        """A stranger's strange input would have no answer, or a wrong one."""
        client, bystanders = self.text(), Bystanders(self)
        for frame, *answers in [
            *((frame, NOT_UTF8) for frame in NOT_TEXT),
            (b"x" * LARGEST, UNKNOWN_COMMAND),
            (b"auth " + b"9" * 30 + b" x", "认证失败!", "请登陆!"),
            (b"auth -1 x", "认证失败!", "请登陆!"),
            (b"auth 1_000 x", UID_NOT_INTEGER),
            ("auth ٣ x".encode(), UID_NOT_INTEGER),
            (b"auth 1 ".ljust(LARGEST, b"x"), "认证失败!", "请登陆!"),
            (b"auth 1 \0", "认证失败!", "请登陆!"),
            (b"auth 1 ", "认证失败!", "请登陆!"),
            (b"register " + b"n" * 60_000 + b" x",),
            (b"register name " + b"x" * 1_025,),
            (b"register \xe2\x80\xae x",),
        ]:
            about = repr(frame[:60])
            client.send(frame)
            said = [client.read() for _ in answers or [""]]
            if answers:
                self.assertEqual(said, answers, about)
            else:
                self.assertNotIn("成功", said[0])
            self.goes_on(client, about)
            bystanders.talk(about)

    def goes_on(self, client: TextClient, about: str) -> None:
        """Fail unless the next answer is the one to this question; an empty frame has none."""
        client.send_many([b"", "?"])
        self.assertTrue(client.read().startswith("命令使用说明"), about)

    def test_structured_dialect(self) -> None:
        """A program's broken request would have no error, two, or one without its number."""
        uid, other = self.user(), self.user()
        client, bystanders = self.structured(uid), Bystanders(self)
        for frame in NOT_TEXT:
            self.refused(client, frame, "not-utf8", {}, bystanders)
        self.refused(client, b'{"type":"ping","x":"\xff"}', "not-utf8", {}, bystanders)
        for frame in (*NOT_JSON, b"[1]", b"1", b'"x"', b"null", b"help", b"\0", b"x" * LARGEST):
            self.refused(client, frame, "bad-request", {}, bystanders)
        named = {"re": 7, "to": other}
        message = {"type": "msg", "n": 7, "to": other, "text": "x"}
        requests: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
            ({"type": "nonsense", "n": 7}, "bad-request", {"re": 7}),
            ({"type": ["msg"], "n": 7}, "bad-request", {"re": 7}),
            ({"type": None, "n": 7}, "bad-request", {"re": 7}),
            ({"n": 7}, "bad-request", {"re": 7}),
            ({"type": "hello", "n": 7, "device": "xyz"}, "bad-request", {"re": 7}),
            ({"type": "hello", "n": 7, "version": "1"}, "bad-request", {"re": 7}),
            ({"type": "auth", "n": 7, "uid": uid}, "bad-request", {"re": 7}),
            ({"type": "ack", "n": 7, "id": -1}, "bad-request", {"re": 7}),
            ({"type": "ack", "n": 7, "id": "1"}, "bad-request", {"re": 7}),
            ({"type": "ack", "n": 7}, "bad-request", {"re": 7}),
            ({"type": "find", "n": 7}, "bad-request", {"re": 7}),
            ({**message, "text": ""}, "bad-request", named),
            ({**message, "text": None}, "bad-request", named),
            ({**message, "text": 5}, "bad-request", named),
            ({**message, "text": "x" * 8193}, "too-long", named),
            ({**message, "text": "x" * 65_000}, "too-long", named),
            ({**message, "text": "汉" * 2731}, "too-long", named),
            ({**message, "to": -1}, "unknown-user", {"re": 7, "to": -1}),
            ({**message, "to": 2**63 - 1}, "unknown-user", {"re": 7, "to": 2**63 - 1}),
            ({**message, "to": -(2**63)}, "unknown-user", {"re": 7, "to": -(2**63)}),
            ({**message, "to": 10**29}, "bad-request", {"re": 7}),
            ({**message, "to": 2**64 - 1}, "unknown-user", {"re": 7, "to": 2**64 - 1}),
            ({"type": "auth", "n": 7, "uid": 10**29, "token": "t"}, "bad-request", {"re": 7}),
            ({**message, "to": "1_000"}, "bad-request", {"re": 7}),
            ({**message, "to": "٣"}, "bad-request", {"re": 7}),
            ({**message, "to": str(other)}, "bad-request", {"re": 7}),
            ({**message, "to": other + 0.5}, "bad-request", {"re": 7}),
            ({**message, "to": True}, "bad-request", {"re": 7}),
            ({**message, "to": None}, "bad-request", {"re": 7}),
            *(
                ({**message, "n": n}, "bad-request", {"to": other})
                for n in (0, -1, 2**53, 1.5, "1", 10**29)
            ),
        ]
        for request, code, answer in requests:
            self.refused(client, json.dumps(request).encode(), code, answer, bystanders)
        self.assertTrue(self.text(other).silent(0.1))

    def refused(
        self,
        client: StructuredClient,
        frame: bytes,
        code: str,
        answer: dict[str, Any],
        bystanders: Bystanders,
    ) -> None:
        """Fail unless a frame has one error for its answer and all goes on."""
        about = repr(frame[:100])
        client.send(frame)
        error = client.next()
        self.assertEqual((error["type"], error.get("code")), ("error", code), about)
        self.assertEqual({name: error.get(name) for name in answer}, answer, about)
        self.assertTrue(error["text"], about)
        self.assertNotIn("\n", error["text"], about)
        client.send(b"")
        self.assertEqual(client.ask(type="ping", n=99), {"type": "pong", "re": 99}, about)
        self.assertEqual(client.unread, [], about)
        bystanders.talk(about)

    def test_structured_dialect_before_login(self) -> None:
        """A program whose first frame is broken would be answered as a person, or not at all."""
        bystanders = Bystanders(self)
        for frame in NOT_JSON:
            client = FrameClient(self.server.port, self.server.ca, source=new_address())
            self.addCleanup(client.close)
            self.assertEqual(client.read(), "请登陆!")
            client.send(frame)
            error = json.loads(client.read())
            self.assertEqual((error["type"], error["code"]), ("error", "bad-request"), frame[:60])
            client.send(b'{"type":"ping","n":3}')
            self.assertEqual(json.loads(client.read()), {"type": "pong", "re": 3})
            bystanders.talk(repr(frame[:60]))

    def test_largest_frame(self) -> None:
        """A frame as long as two bytes of length can say would not be read."""
        client = self.structured(self.user())
        frame = b'{"type":"ping","n":3,"x":"'
        client.send(frame + b"x" * (LARGEST - len(frame) - 2) + b'"}')
        self.assertEqual(client.next(), {"type": "pong", "re": 3})

    def test_frames_byte_by_byte(self) -> None:
        """A client whose frames come in small pieces would not be understood."""
        client = self.text()
        for byte in b"\0\x04help\0\0\0\x01?":
            client.socket.sendall(bytes([byte]))
        self.assertEqual(client.read(), client.read())

    def test_half_a_frame_and_gone(self) -> None:
        """A client that vanishes in the middle of a frame would leave an error behind."""
        bystanders = Bystanders(self)
        for rubbish in (b"\xff\xff" + b"x" * 100, b"\0", b""):
            client = self.text(self.user())
            client.socket.sendall(rubbish)
            client.close()
            bystanders.talk(repr(rubbish[:10]))

    def test_no_tls(self) -> None:
        """A client that speaks no TLS would disturb the others or hang on for ever."""
        bystanders = Bystanders(self)
        for rubbish in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"\0\x04help",
            b"\x16\x03\x01\xff\xff" + b"x" * 99,
        ):
            client = FrameClient(self.server.port, None, source=new_address())
            self.addCleanup(client.close)
            client.socket.sendall(rubbish + b"\0" * 70_000)
            self.assertTrue(client.closed(), rubbish[:10])
            bystanders.talk(repr(rubbish[:10]))
