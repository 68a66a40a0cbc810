"""How things look at a terminal: messages, the status line, what waits, what is written anew."""

from __future__ import annotations

import re
import time

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.client.i18n.labels import EN, ZH
from chatsvc.client.input.contacts import Contacts
from chatsvc.client.input.graphemes import bar, cut
from chatsvc.client.screen.scrollback import Scrollback, rows_of
from chatsvc.client.screen.status_bar import StatusBar
from chatsvc.client.screen.theme import Theme, wants_colour
from chatsvc.client.screen.unconfirmed import UnconfirmedMessages
from chatsvc.wire.commands import Send
from chatsvc.wire.events import Message, Sent
from chatsvc.wire.phrases import PHRASES

_SGR = re.compile(r"\x1b\[[0-9;]*m")


class Inked(SynchronousTestCase):
    def message(self, text: str = "你好", name: str = "李四", sender: int = 10002) -> Message:
        return Message(1, sender, name, 0, text)

    def test_same_words_in_colour(self) -> None:
        """In colour a message would say something else than without."""
        for message in (self.message(), self.message("a]:b\nc"), self.message("old\nx", "", 0)):
            plain = Theme(False).message(message, PHRASES["zh"])
            self.assertNotIn("\x1b", plain)
            self.assertEqual(_SGR.sub("", Theme(True).message(message, PHRASES["zh"])), plain)

    def test_harmless(self) -> None:
        """A text or a name could drive the terminal, or end the colour it is shown in."""
        for message in (self.message("\x1b[2Jx"), self.message(name="\x1b[31m\x9b2J")):
            shown = _SGR.sub("", Theme(True).message(message, PHRASES["zh"]))
            self.assertNotIn("\x1b", shown)
            self.assertNotIn("\x9b", shown)

    def test_own(self) -> None:
        """Nobody would see whom a message went to, or whether it waits or has been read to somebody."""
        message = self.message()
        here, away = Sent(1, 1, message, True, 0), Sent(1, 1, message, False, 3)
        ink = Theme(False)
        self.assertEqual(
            ink.own(here, "a(7)", EN, PHRASES["en"]),
            "[ 李四|UID:10002 ]:你好  → a(7) ✓ stored, reader online",
        )
        self.assertTrue(ink.own(away, "7", ZH, PHRASES["zh"]).startswith("[离线消息]\n"))
        self.assertIn("3", ink.own(away, "7", ZH, PHRASES["zh"]))

    def test_handed(self) -> None:
        """What one has said at another terminal would look as if one had said it to oneself."""
        ink, head = Theme(False), "[ 李四|UID:10002 ]:你好"
        self.assertEqual(ink.handed(self.message(), "", PHRASES["zh"]), head)
        self.assertEqual(ink.handed(self.message(), "a(7)", PHRASES["zh"]), f"{head}  → a(7)")

    def test_colours(self) -> None:
        """Everybody would have the same colour, or another one at each message."""
        painted = [
            Theme(True).message(self.message(sender=uid), PHRASES["zh"])
            for uid in (1, *range(1, 100))
        ]
        shades = [re.findall(r"38;5;(\d+)m", line) for line in painted]
        self.assertEqual(shades[0], shades[1])
        self.assertGreater(len({shade for (shade,) in shades}), 5)

    def test_no_colour(self) -> None:
        """``NO_COLOR`` would be ignored, or heeded though it is empty (no-color.org)."""
        self.assertFalse(wants_colour({"NO_COLOR": "1"}))
        self.assertTrue(wants_colour({"NO_COLOR": ""}))
        self.assertTrue(wants_colour({}))


class Widths(SynchronousTestCase):
    def test_cut(self) -> None:
        """A line with Chinese in it would be too wide for the terminal, and wrap."""
        self.assertEqual(cut("abc", 3), "abc")
        self.assertEqual(cut("中文字", 6), "中文字")
        self.assertEqual(cut("中文字", 5), "中文…")
        self.assertEqual(cut("中文字", 4), "中…")
        self.assertEqual(bar("中文", 6), "中文  ")
        self.assertEqual(cut("x" * 10**7, 4), "xxx…")  # in no time

    def test_help(self) -> None:
        """The help would be torn at the right edge of an ordinary terminal."""
        for labels in (EN, ZH):
            for line in labels.help.split("\n"):
                self.assertEqual(cut(line, 80), line)

    def test_rows(self) -> None:
        """After a resize too many lines would be written, or the prompt stand in their midst."""
        self.assertEqual(rows_of("", 10), 1)
        self.assertEqual(rows_of("a" * 10, 10), 1)
        self.assertEqual(rows_of("\x1b[38;5;28m" + "中" * 6 + "\x1b[0m", 10), 2)
        self.assertEqual(rows_of("a\n\nb", 10), 3)

    def test_scrollback(self) -> None:
        """After a resize the oldest lines would be shown, or half a message."""
        scrollback = Scrollback()
        for text in ("one", "two\ntwo", "three"):
            scrollback.add(text)
        self.assertEqual(scrollback.last(3, 80), "two\ntwo\nthree\n")
        self.assertEqual(scrollback.last(2, 80), "three\n")


class Standing(SynchronousTestCase):
    def test_line(self) -> None:
        """The status line would tell the wrong state, or hide that something is unread or unconfirmed."""
        status = StatusBar("localhost:10000")
        self.assertEqual(status.line("en"), " ○ connecting │ not logged in │ localhost:10000")
        status.notice(False, 1.0)
        self.assertIn("connecting", status.line("en"))
        status.notice(True, 2.0)
        status.me = "张三(10001)"
        self.assertEqual(status.line("zh"), " ● 已连接 │ 张三(10001) │ localhost:10000")
        status.unread, status.unconfirmed = 2, 1
        self.assertIn(" │ 2 unread │ 1 unconfirmed │ ", status.line("en"))
        self.assertEqual(status.title(), "(2) 张三(10001) @ localhost:10000")
        for now in (3.0, 4.0):  # since it was lost, however often it is not found again
            status.notice(False, now)
            since = time.strftime("%H:%M:%S", time.localtime(3))
            self.assertIn(f"not connected since {since}", status.line("en"))


class OnTheWay(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.redrawn = 0
        self.pending = UnconfirmedMessages(self.clock, Contacts(), self.redraw)
        self.addCleanup(self.pending.stop)

    def redraw(self) -> None:
        self.redrawn += 1

    def add(self, text: str = "x") -> Deferred[bool]:
        result: Deferred[bool] = Deferred()
        self.pending.add(Send(10002, text), result)
        return result

    def test_soon(self) -> None:
        """Every message would flicker above the prompt though it is answered at once."""
        result = self.add()
        self.assertEqual(self.pending.lines(EN), [])
        result.callback(True)
        self.clock.advance(1)
        self.assertEqual(self.pending.lines(EN), [])

    def test_later(self) -> None:
        """Nobody would see that a message is not confirmed, or it would stand there for ever."""
        result = self.add("two\nlines")
        self.clock.advance(1)
        self.assertTrue(self.redrawn)
        (line,) = self.pending.lines(EN)
        self.assertEqual(line, "⋯ not confirmed yet → 10002: two lines")
        result.callback(True)
        self.assertEqual(self.pending.lines(EN), [])

    def test_many(self) -> None:
        """A hundred messages on their way would fill the screen."""
        for _ in range(100):
            self.add("x" * 100)
        self.clock.advance(1)
        lines = self.pending.lines(EN)
        self.assertEqual(len(lines), 6)
        self.assertIn("95", lines[-1])
        self.assertLess(max(map(len, lines)), 80)
