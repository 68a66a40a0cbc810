"""Messages that the older server left, taken apart."""

from __future__ import annotations

import json
import time

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.wire import events as e
from chatsvc.wire.older_server import parse_old
from chatsvc.wire.structured.dialect import StructuredDialect


class OldMessageTests(SynchronousTestCase):
    """What the asyncio server left."""

    def old(self, text: str) -> e.Message:
        """Parse a text as an old message."""
        return parse_old(e.Message(3, 0, "", 0, text))

    def test_header(self) -> None:
        """A structured reader would not see who wrote an old message, and when."""
        at = int(time.mktime((2019, 1, 2, 3, 4, 5, 0, 0, -1))) * 1000
        self.assertEqual(
            self.old("2019-01-02 03:04:05\n[ 李四|UID:7 ]:你好\n[ x|UID:8 ]:y"),
            e.Message(3, 7, "李四", at, "你好\n[ x|UID:8 ]:y"),
        )

    def test_header_without_time(self) -> None:
        """An old message without a time would lose its sender."""
        self.assertEqual(self.old("[ 李四|UID:7 ]:hi"), e.Message(3, 7, "李四", 0, "hi"))

    def test_header_with_recipient(self) -> None:
        """An old message with its recipient in the header would lose its sender."""
        text = "[ 李四|UID:7 --> 张三|UID:8 ]:hi"
        self.assertEqual(self.old(text), e.Message(3, 7, "李四", 0, "hi"))

    def test_no_header(self) -> None:
        """A text without a header would be taken apart, or lost."""
        for text in ("hi", "", "x [ a|UID:7 ]:b", "[ a|UID: ]:b", "[ a|UID:x ]:b", "[ a|UID:٣ ]:b"):
            self.assertEqual(self.old(text), e.Message(3, 0, "", 0, text))

    def test_impossible_headers(self) -> None:
        """A damaged header would stop its reader for good."""
        for text in (
            "[ a|UID:" + "9" * 30 + " ]:b",
            "[ a|UID:-" + "9" * 30 + " ]:b",
            "[ a|UID:" + "9" * 5000 + " ]:b",
            "9999-99-99 99:99:99\n[ a|UID:7 ]:b",
            "0000-00-00 00:00:00\n[ a|UID:7 ]:b",
            "0001-01-01 00:00:00\n[ a|UID:7 ]:b",
        ):
            (frame,) = StructuredDialect("en").encode(e.Message(3, 0, "", 0, text))
            self.assertEqual(json.loads(frame)["id"], 3)

    def test_header_in_pieces(self) -> None:
        """A header with several uids or ends in it would be taken apart in the wrong place."""
        for text, name, uid, rest in (
            ("[ a|UID:x|UID:7 ]:b", "a|UID:x", 7, "b"),
            ("[ a|UID:7|UID:8 ]:b", "a|UID:7", 8, "b"),
            ("[ a|UID:7 --> b|UID:8 --> c ]:d ]:e", "a", 7, "d ]:e"),
            ("[ ]:[ a\nb|UID:-7 ]:", "]:[ a\nb", -7, ""),
        ):
            self.assertEqual(self.old(text), e.Message(3, uid, name, 0, rest))
        for text in ("[ a|UID:7 --> b", "[ a|UID:7 -->  ]b|UID:8 --> ", "[a|UID:7 ]:b"):
            self.assertEqual(self.old(text), e.Message(3, 0, "", 0, text))

    def test_growth(self) -> None:
        """An old message that is eight times as long would take much more than eight times as long to take apart."""
        for piece in ("|UID:1 --> ", "|UID:1", "[ ", "|UID:" + "1" * 18 + " --> ]", " ]: --> "):
            short, long = (
                min(self.seconds("[ a" + piece * (size // len(piece))) for _ in range(5))
                for size in (8_000, 64_000)
            )
            self.assertLess(long, max(24 * short, 0.002), piece)

    def seconds(self, text: str) -> float:
        """How long this process works to take a message apart."""
        began = time.process_time()
        self.old(text)
        return time.process_time() - began
