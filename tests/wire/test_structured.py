"""The structured dialect: JSON in, JSON out."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem, code_of
from chatsvc.wire.structured.dialect import StructuredDialect
from tests.wire.samples import ANY, AT, EVENTS, PATIENT, message

DEVICE = "0123456789abcdef"

CODES = {
    *("bad-request", "bad-credentials", "not-logged-in", "unknown-user", "inbox-full", "too-long"),
    *("gap", "throttled", "store-unavailable", "registration-closed", "not-utf8"),
    *("too-many-connections", "too-many-devices", "unknown-room", "not-a-member", "forbidden"),
    *("room-full", "too-many-rooms", "banned", "name-taken"),
}


FIELDS = [
    *("type", "n", "uid", "to", "text", "id", "name", "old", "new", "password", "after"),
    *("token", "receive", "device", "lang", "version", "client", "serial", "features"),
]


NUMBERED = [
    '{"type":"hello","n":<n>,"version":<one>}',
    '{"type":"auth","n":<n>,"uid":<one>,"token":"t","after":<two>}',
    '{"type":"msg","n":<n>,"to":<one>,"text":"x"}',
    '{"type":"msg","n":<n>,"to":<one>}',
    '{"type":"ack","n":<n>,"id":<one>}',
    '{"type":"passwd","n":<n>,"to":<one>}',
    '{"type":"nothing","n":<n>,"to":<one>}',
]
"""Every frame with a number besides its own, and two with a recipient that they have no use for."""

NUMBERS = st.one_of(
    st.integers(1, 2**53 - 1),
    st.integers(-(2**66), 2**66),
    st.integers(-(10**40), 10**40),
    st.sampled_from([n + d for n in (2**53, 2**63, 2**64, -(2**63)) for d in (-1, 0, 1)]),
    st.floats(allow_nan=False, allow_infinity=False),
).map(str)


class ParseTests(SynchronousTestCase):
    """Frames to commands."""

    def parse(self, thing: Any) -> c.Command:
        """Parse a frame, given as bytes or as what its JSON stands for."""
        frame = thing if isinstance(thing, bytes) else json.dumps(thing).encode()
        return StructuredDialect("en").parse(frame)

    def test_commands(self) -> None:
        """A documented request would not be understood."""
        table: list[tuple[dict[str, Any], c.Command]] = [
            (
                {"type": "hello", "version": 1, "client": "x/1", "device": DEVICE, "lang": "en"},
                c.Hello(1, "x/1", DEVICE, "en"),
            ),
            (
                {"type": "auth", "n": 1, "uid": 10001, "password": "p"},
                c.Auth(10001, "p", None, None, True, n=1),
            ),
            (
                {"type": "auth", "n": 1, "uid": 1, "token": "t", "after": 5, "receive": False},
                c.Auth(1, None, "t", 5, False, n=1),
            ),
            ({"type": "msg", "n": 7, "to": 10002, "text": "hi"}, c.Send(10002, "hi", n=7)),
            ({"type": "msg", "to": -3, "text": " "}, c.Send(-3, " ")),
            ({"type": "ack", "id": 41}, c.Ack(41)),
            (
                {"type": "msg", "n": 7, "to": 5, "text": "x", "again": True},
                c.Send(5, "x", True, n=7),
            ),
            ({"type": "register", "name": "a", "password": "b"}, c.Register("a", "b")),
            ({"type": "passwd", "old": "a", "new": "b"}, c.Passwd("a", "b")),
            (
                {"type": "passwd", "old": "a", "new": "b", "token": True},
                c.Passwd("a", "b", True),
            ),
            ({"type": "find", "name": "a", "n": 2}, c.Find("a", n=2)),
            ({"type": "logout", "n": 3}, c.Logout(n=3)),
            ({"type": "ping", "n": 4}, c.Ping(n=4)),
            ({"type": "renew", "token": "t", "n": 4}, c.Renew("t", n=4)),
        ]
        for thing, command in table:
            self.assertEqual(self.parse(thing), command)
            more = {**thing, "extra": [1, {"x": None}], "": True}
            self.assertEqual(self.parse(more), command, "unknown fields are ignored")

    def test_hello_alone(self) -> None:
        """A hello that says nothing else would not mean version 1 and no device."""
        self.assertEqual(self.parse({"type": "hello"}), c.Hello(1, "", "", None))

    def test_hello_in_another_language(self) -> None:
        """A client of an unknown language would be refused."""
        for lang in ("fr", 7, None, ["en"], {"a": 1}):
            self.assertEqual(self.parse({"type": "hello", "lang": lang}), c.Hello())

    def test_devices(self) -> None:
        """A device that is not 16 to 32 hex digits would be a key in the store."""
        for device in ("0" * 15, "0" * 33, "g" * 16, "０" * 16, " " * 16, 7, None, "0" * 16 + "\n"):
            self.assertMalformed({"type": "hello", "device": device})
        self.assertEqual(
            self.parse({"type": "hello", "device": "A" * 32}), c.Hello(device="a" * 32)
        )

    def assertMalformed(
        self,
        thing: Any,
        problem: Problem = Problem.BAD_FIELD,
        n: int | None = None,
        to: int | None = None,
    ) -> None:
        """Fail unless a frame is refused for this reason."""
        command = self.parse(thing)
        assert isinstance(command, c.Malformed), thing
        self.assertEqual((command.problem, command.n, command.to), (problem, n, to), thing)

    def test_types_of_fields(self) -> None:
        """A bool, a float or a text would pass for a number, or a number for a text."""
        good: dict[str, dict[str, Any]] = {
            "auth": {"uid": 1, "password": "p"},
            "msg": {"to": 1, "text": "x"},
            "ack": {"id": 1},
            "register": {"name": "a", "password": "b"},
            "passwd": {"old": "a", "new": "b"},
            "renew": {"token": "t"},
            "find": {"name": "a"},
        }
        for kind, fields in good.items():
            for field, value in fields.items():
                strangers: list[Any] = [None, True, False, 1.0, 1.5, [], {}, [1], {"a": 1}]
                strangers.append("1" if type(value) is int else 1)
                for stranger in strangers:
                    thing = {"type": kind, **fields, field: stranger}
                    to = 1 if kind == "msg" and field != "to" else None
                    self.assertMalformed(thing, to=to)
                without = {"type": kind, **fields}
                del without[field]
                to = 1 if kind == "msg" and field != "to" else None
                self.assertMalformed(without, to=to)

    def test_asked_again(self) -> None:
        """A question that names no message, or that is none, would be taken for a message."""
        for more in ({"again": True}, {"n": 1, "again": 1}, {"n": 1, "again": None}):
            self.assertMalformed(
                {"type": "msg", "to": 5, "text": "x", **more}, n=more.get("n"), to=5
            )

    def test_request_numbers(self) -> None:
        """A request's number outside 1 to 2^53 - 1 would be taken."""
        for n in (1, 2**53 - 1):
            self.assertEqual(self.parse({"type": "ping", "n": n}), c.Ping(n=n))
        for bad in (0, -1, 2**53, 2**64, True, 1.0, "1", [1]):
            self.assertMalformed({"type": "ping", "n": bad})
        for bad in (0, 2**53):
            self.assertMalformed({"type": "msg", "n": bad, "to": 5, "text": "x"}, to=5)

    def test_ids(self) -> None:
        """An id or a cursor that no inbox can have would be taken."""
        for bad in (-1, 2**53, 1.0, True, "1"):
            self.assertMalformed({"type": "ack", "id": bad})
            self.assertMalformed({"type": "auth", "uid": 1, "token": "t", "after": bad})

    def test_password_or_token(self) -> None:
        """A log-in with neither password nor token, or with both, would be tried."""
        self.assertMalformed({"type": "auth", "uid": 1})
        self.assertMalformed({"type": "auth", "uid": 1, "password": "p", "token": "t"})
        self.assertMalformed({"type": "auth", "uid": 1, "password": "p", "receive": 1})
        self.assertMalformed({"type": "auth", "uid": 1, "password": "p", "receive": None})

    def test_uids_out_of_range(self) -> None:
        """An answer would name another uid than the request: the parser has lost its digits."""
        for uid in ("18446744073709551616", "1" + "0" * 30, "-9223372036854775809", "1e30", "5.0"):
            self.assertMalformed(b'{"type":"msg","n":7,"to":%s,"text":"x"}' % uid.encode(), n=7)
            self.assertMalformed(b'{"type":"auth","n":7,"uid":%s,"token":"t"}' % uid.encode(), n=7)

    @settings(PATIENT, max_examples=500)
    @given(st.sampled_from(NUMBERED), st.just("7") | NUMBERS, NUMBERS, NUMBERS)
    def test_numbers(self, frame: str, n: str, one: str, two: str) -> None:
        """A number of a request would be taken for another one, and come back as that."""
        for field, number in {"n": n, "one": one, "two": two}.items():
            frame = frame.replace(f"<{field}>", number)
        asked = json.loads(frame, parse_float=Decimal, parse_int=Decimal)
        command = self.parse(frame.encode())
        for field in ("n", "to", "uid", "id", "after", "version"):
            known = getattr(command, field, None)
            if field in asked and (known is not None or not isinstance(command, c.Malformed)):
                self.assertEqual((type(known), Decimal(known or 0)), (int, asked[field]), frame)

    def test_sizes(self) -> None:
        """A text of the largest size would be refused, or a larger one taken."""
        for text in ("x" * 8192, "你" * 2730 + "xx", "😀" * 2048, "\0" * 8192):
            thing = {"type": "msg", "n": 7, "to": 5, "text": text}
            self.assertEqual(self.parse(thing), c.Send(5, text, n=7))
            thing["text"] = text + "x"
            self.assertEqual(self.parse(thing), c.Malformed(Problem.TOO_LONG, c.Send, 5, n=7))
        self.assertMalformed({"type": "msg", "n": 7, "to": 5, "text": ""}, n=7, to=5)

    def test_unknown_type(self) -> None:
        """A request of an unknown type would not be refused under its number."""
        kinds: list[Any] = ["nonsense", "", "Msg", "help", "quit", "lang", None, 7, [], {}, True]
        for kind in kinds:
            self.assertMalformed({"type": kind, "n": 3}, Problem.UNKNOWN_COMMAND, n=3)
        self.assertMalformed({"n": 3}, Problem.UNKNOWN_COMMAND, n=3)
        self.assertEqual(code_of(Problem.UNKNOWN_COMMAND), "bad-request")

    def test_no_json(self) -> None:
        """Something that orjson refuses would end the connection instead of being refused."""
        deep = b'{"type":"ping","x":' + b"[" * 30_000 + b"]" * 30_000 + b"}"
        for frame in (
            *(b"{", b"{}x", b"{'a':1}", b'{"a":NaN}', b'{"a":Infinity}', b'{"a":01}', b'{"a":1,}'),
            *(b'{"a":"\\ud800"}', b'{"text":"\\udc00\\ud800"}', b'{"a":"\n"}', deep, b"{\0"),
        ):
            self.assertMalformed(frame, Problem.NOT_JSON)
        self.assertEqual(code_of(Problem.NOT_JSON), "bad-request")

    def test_no_object(self) -> None:
        """A frame that is JSON, but no object, would be taken for one."""
        for frame in (b"[]", b"1", b'"x"', b"null", b"true"):
            self.assertMalformed(frame, Problem.NOT_JSON)

    def test_not_utf8(self) -> None:
        """A program would not learn that its encoding is wrong."""
        for frame in (b'{"type":"\xff"}', "{你好".encode("gbk"), b'{"a":"\xed\xa0\x80"}'):
            self.assertMalformed(frame, Problem.NOT_UTF8)

    @given(
        st.dictionaries(
            st.sampled_from(FIELDS),
            st.sampled_from(["msg", "auth", "hello", "ack", "find", "register", "passwd", "ping"])
            | st.none()
            | st.booleans()
            | st.integers(-(2**70), 2**70)
            | st.floats()
            | st.text(max_size=5)
            | st.lists(st.integers(), max_size=2),
        )
    )
    @PATIENT
    def test_anything(self, thing: dict[str, Any]) -> None:
        """Some object would raise an exception."""
        self.assertIsInstance(self.parse(thing), c.Command)


class SayTests(SynchronousTestCase):
    """Events to frames."""

    def say(self, event: e.Event | e.Message, lang: str = "en") -> Any:
        """Return an event's frame, parsed as JSON."""
        frames = StructuredDialect(lang).encode(event)
        return orjson.loads(frames[0]) if frames else None

    def test_table(self) -> None:
        """A program would read something else than the contract says."""
        table: list[tuple[e.Event | e.Message, dict[str, Any]]] = [
            (
                e.Welcome(True),
                {
                    "type": "welcome",
                    "version": 1,
                    "server": "chatsvc/0.1",
                    "max_text": 8192,
                    "registration": "open",
                },
            ),
            (
                e.LoggedIn(10001, "张三", "tok", "ep", 3, re=1),
                {
                    "type": "ok",
                    "re": 1,
                    "uid": 10001,
                    "name": "张三",
                    "token": "tok",
                    "epoch": "ep",
                    "waiting": 3,
                },
            ),
            (
                e.LoggedIn(10001, "a", "tok", "ep", 0, 86400, re=1),
                {
                    "type": "ok",
                    "re": 1,
                    "uid": 10001,
                    "name": "a",
                    "token": "tok",
                    "token_seconds": 86400,
                    "epoch": "ep",
                    "waiting": 0,
                },
            ),
            (
                e.Sent(10002, 41, message(), True, 1, re=7),
                {"type": "sent", "re": 7, "to": 10002, "id": 41, "at": AT, "state": "online"},
            ),
            (
                e.Sent(10002, 41, message(), False, 4, re=7),
                {
                    "type": "sent",
                    "re": 7,
                    "to": 10002,
                    "id": 41,
                    "at": AT,
                    "state": "offline",
                    "waiting": 4,
                },
            ),
            (
                e.Sent(10002, None, message(), True, 4, True, re=7),
                {
                    "type": "sent",
                    "re": 7,
                    "to": 10002,
                    "at": AT,
                    "state": "online",
                    "duplicate": True,
                },
            ),
            (
                message(),
                {
                    "type": "msg",
                    "id": 41,
                    "from": 10001,
                    "name": "张三",
                    "at": AT,
                    "text": "你好",
                },
            ),
            (e.Registered(10001, re=2), {"type": "ok", "re": 2, "uid": 10001}),
            (e.PasswordChanged(re=2), {"type": "ok", "re": 2}),
            (e.Renewed("t", re=2), {"type": "ok", "re": 2, "token": "t"}),
            (
                e.Found("a", ((1, True), (2, False)), re=2),
                {
                    "type": "ok",
                    "re": 2,
                    "users": [{"uid": 1, "online": True}, {"uid": 2, "online": False}],
                },
            ),
            (e.LoggedOut(re=2), {"type": "ok", "re": 2}),
            (e.Pong(re=2), {"type": "pong", "re": 2}),
            (e.Pong(), {"type": "pong"}),
            (e.Kicked(), {"type": "kicked"}),
            (e.Bye(2.5), {"type": "bye", "retry_after": 2.5}),
            (e.Bye(2.5, forgotten=True), {"type": "bye", "retry_after": 2.5}),
            (
                e.Refused(Problem.UNKNOWN_USER, to=5, re=7),
                {
                    "type": "error",
                    "re": 7,
                    "to": 5,
                    "code": "unknown-user",
                    "text": "There is no such userid!",
                },
            ),
            (
                e.Refused(Problem.GAP, to=5, expected=3, re=7),
                {
                    "type": "error",
                    "re": 7,
                    "to": 5,
                    "code": "gap",
                    "expected": 3,
                    "text": "The numbers of the messages have a gap, 3 is expected!",
                },
            ),
            (
                e.Refused(Problem.THROTTLED, retry_after=2.5, re=7),
                {
                    "type": "error",
                    "re": 7,
                    "code": "throttled",
                    "retry_after": 2.5,
                    "text": "Too many tries, please try again in 3 s!",
                },
            ),
        ]
        for event, said in table:
            self.assertEqual(self.say(event), said)

    def test_welcome_of_a_closed_server(self) -> None:
        """A program would offer a registration that is refused."""
        self.assertEqual(self.say(e.Welcome(False))["registration"], "closed")

    def test_codes(self) -> None:
        """A refusal would carry a code that the contract does not have."""
        self.assertEqual({code_of(problem) for problem in Problem}, CODES)

    def test_every_event_is_sayable(self) -> None:
        """Some event would raise an exception, or be silent that a program needs."""
        silent = (e.Greeting, e.HelpShown, e.HelpOnRoomsShown, e.LangSet, e.Farewell)
        dialect = StructuredDialect("en")
        dialect.bring_rooms()
        for event in EVENTS:
            said = dialect.encode(event)
            self.assertEqual(said == [], isinstance(event, silent), event)

    def test_texts_of_errors_are_in_the_client_s_language(self) -> None:
        """A person would read an error in the language that the program did not ask for."""
        for problem in Problem:
            event = e.Refused(problem, waiting=1, expected=2, retry_after=3.0)
            self.assertTrue(self.say(event, "en")["text"].isascii())
            self.assertFalse(self.say(event, "zh")["text"].isascii())

    @given(ANY)
    @PATIENT
    def test_largest_text_fits(self, text: str) -> None:
        """A text of the largest size would be cut, or would not fit its reader's frame."""
        raw = text.encode() or b"\0"
        largest = (raw * (c.MAX_TEXT // len(raw) + 1))[: c.MAX_TEXT].decode(errors="ignore")
        big = e.Message(2**53, 2**63 - 1, "\0" * 128, AT, largest)
        (frame,) = StructuredDialect("en").encode(big)
        self.assertLessEqual(len(frame), c.MAX_FRAME)
        self.assertEqual(json.loads(frame)["text"], largest)

    def test_oversized_old_message(self) -> None:
        """An old message that is too long for a frame would stop its reader for good."""
        for text in ("x" * 70_000, "\0" * 65_000, "😀" * 20_000):
            (frame,) = StructuredDialect("en").encode(e.Message(1, 0, "", 0, text))
            self.assertLessEqual(len(frame), c.MAX_FRAME)
            shown = json.loads(frame)["text"]
            self.assertTrue(shown.endswith("…"))
            self.assertTrue(text.startswith(shown.rstrip("…")))
            self.assertGreater(len(shown), 1000)

    def test_longest_name(self) -> None:
        """An old message whose name alone is too long for a frame would stop the server for good."""
        text = f"[ {'x' * 70_000}|UID:7 ]:hi"
        (frame,) = StructuredDialect("en").encode(e.Message(1, 0, "", 0, text))
        self.assertLessEqual(len(frame), c.MAX_FRAME)
        said = json.loads(frame)
        self.assertEqual((said["from"], said["text"]), (7, "hi"))
        self.assertTrue(said["name"].endswith("…"))

    def test_old_message(self) -> None:
        """A structured reader would get an old message unparsed."""
        (frame,) = StructuredDialect("en").encode(e.Message(3, 0, "", 0, "[ a|UID:7 ]:b"))
        said = json.loads(frame)
        self.assertEqual((said["from"], said["name"], said["text"]), (7, "a", "b"))
