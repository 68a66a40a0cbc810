"""What the feature ``devices`` brings to the structured dialect, and what it leaves as it was."""

from __future__ import annotations

import json
from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem
from chatsvc.wire.structured.dialect import StructuredDialect
from tests.wire.samples import AT, EVENTS

DEVICE = "0123456789abcdef"
_NO_FEATURES: list[Any] = ["devices", None, [1], {}, 7]
MESSAGE = e.Message(41, 10001, "张三", AT, "你好", 10 * AT)
COPY = e.Message(42, 10001, "张三", AT, "你好", 10 * AT, 10002, DEVICE)


class DevicesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.dialect = StructuredDialect("en")

    def parse(self, **thing: Any) -> c.Command:
        return self.dialect.parse(json.dumps(thing).encode())

    def say(self, event: e.Event | e.Message) -> Any:
        (frame,) = self.dialect.encode(event)
        return orjson.loads(frame)

    def test_commands(self) -> None:
        """A documented request would not be understood."""
        hello = self.parse(type="hello", device=DEVICE, features=["devices", "x"])
        self.assertEqual(hello, c.Hello(device=DEVICE, features=("devices", "x")))
        self.assertEqual(self.parse(type="hello", features=[]), c.Hello(features=()))
        auth = self.parse(type="auth", uid=1, token="t", after=5, serial=0, n=1)
        self.assertEqual(auth, c.Auth(1, None, "t", 5, serial=0, n=1))
        auth = self.parse(type="auth", name="张三", password="p")
        self.assertEqual(auth, c.Auth(c.NO_UID, "p", name="张三"))
        self.assertEqual(self.parse(type="devices", n=2), c.Devices(n=2))
        forget = self.parse(type="forget", device=DEVICE.upper(), n=3)
        self.assertEqual(forget, c.Forget(DEVICE, n=3))

    def test_refused(self) -> None:
        """A field of the wrong kind would be taken for something, or a log-in name two accounts."""
        good: dict[str, Any] = {"type": "auth", "password": "p"}
        for thing in (
            *({"type": "hello", "features": bad} for bad in _NO_FEATURES),
            *({**good, "uid": 1, "after": 1, "serial": bad} for bad in (-1, 2**53, "1", 1.0, True)),
            *({**good, "name": bad} for bad in (7, ["a"], True)),
            *({**good, "name": "a", "uid": uid} for uid in (1, None)),
            good,
            *({"type": "forget", "device": bad} for bad in ("", "x" * 16, 7, "0" * 15)),
            {"type": "forget"},
        ):
            self.assertEqual(self.parse(**thing), c.Malformed(Problem.BAD_FIELD), thing)

    def test_without_the_feature(self) -> None:
        """A program of before would read something that it does not know, in another order, or at all."""
        sent = e.Sent(10002, 41, MESSAGE, True, 1, re=7)
        for message in (MESSAGE, COPY):
            (frame,) = self.dialect.encode(message)
            head = b'{"type":"msg","id":%d,"from":10001,"name":"' % message.id
            tail = '张三","at":1763888424123,"text":"你好"}'.encode()
            self.assertEqual(frame, head + tail)
        (frame,) = self.dialect.encode(sent)
        said = b'{"type":"sent","to":10002,"at":1763888424123,"id":41,"state":"online","re":7}'
        self.assertEqual(frame, said)
        (frame,) = self.dialect.encode(e.Welcome(True))
        self.assertNotIn(b"features", frame)

    def test_with_the_feature(self) -> None:
        """A device could not tell two messages with one id apart, or take a copy for a message to its user."""
        self.dialect.bring_devices()
        shown = {"type": "msg", "id": 41, "from": 10001, "name": "张三", "at": AT, "text": "你好"}
        self.assertEqual(self.say(MESSAGE), {**shown, "serial": 10 * AT})
        copy = {**shown, "id": 42, "serial": 10 * AT, "to": 10002}
        self.assertEqual(self.say(COPY), copy)
        self.assertEqual(
            self.say(e.Message(41, 10001, "张三", AT, "你好")), shown, "older than serials"
        )
        sent = {"type": "sent", "to": 10002, "id": 41, "at": AT, "state": "online", "re": 7}
        event = e.Sent(10002, 41, MESSAGE, True, 1, re=7)
        self.assertEqual(self.say(event), {**sent, "serial": 10 * AT})
        event = e.Sent(10002, 41, e.Message(0, 1, "a", AT, "x"), True, 1, re=7)
        self.assertEqual(self.say(event), sent)

    def test_other_events(self) -> None:
        """What has nothing to do with devices would change by the feature."""
        plain = StructuredDialect("en")
        self.dialect.bring_devices()
        for event in EVENTS:
            self.assertEqual(self.dialect.encode(event), plain.encode(event), event)

    def test_answers(self) -> None:
        """A program would not learn what is granted, what it lacks, or which devices there are."""
        granted = self.say(e.Welcome(True, ("devices",), re=1))
        self.assertEqual((granted["features"], granted["re"]), (["devices"], 1))
        self.assertEqual(self.say(e.Welcome(True, ()))["features"], [])
        missed = {"type": "missed", "after": 12, "until": 40}
        self.assertEqual(self.say(e.Missed(12, 40, 5)), {**missed, "serial": 5})
        self.assertEqual(self.say(e.Missed(12, 40)), missed)
        one, other = e.Device(DEVICE, "x/1", 1, 2, True), e.Device("f" * 16, "", 3, 4, False)
        listed = self.say(e.DevicesListed((one, other), DEVICE, re=9))
        self.assertEqual(
            listed,
            {
                "type": "ok",
                "re": 9,
                "devices": [
                    {
                        "device": DEVICE,
                        "client": "x/1",
                        "first": 1,
                        "last": 2,
                        "online": True,
                        "this": True,
                    },
                    {
                        "device": "f" * 16,
                        "client": "",
                        "first": 3,
                        "last": 4,
                        "online": False,
                        "this": False,
                    },
                ],
            },
        )
        self.assertEqual(self.say(e.DeviceForgotten(re=2)), {"type": "ok", "re": 2})
