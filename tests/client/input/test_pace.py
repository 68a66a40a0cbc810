"""What is typed, what was pasted, and what terminals say of themselves."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.client.input.pace import BEGIN, END, LOST, MOST, QUIET, Pace, Pasted, Piece, Typed
from chatsvc.client.input.reports import ReportFilter, without_reports


def pieces(*data: str) -> list[Piece]:
    """What comes of reads without a pause, and then one."""
    pace = Pace()
    return [*(piece for read in data for piece in pace.feed(read)), *pace.settle()]


class WithoutBrackets(SynchronousTestCase):
    def test_typed(self) -> None:
        """Somebody who types fast, or whose keys come together over a slow line, would be taken for a paste."""
        for read in ("a", "\r", "ab", "\x1b[A\x1b[A", "a\r", "\x7f\x7f\r", "你好"):
            pace = Pace()
            self.assertEqual((pace.feed(read), pace.wait), ([Typed(read)], None), read)
        self.assertEqual(pieces("hello\r"), [Pasted("hello"), Typed("\r")])
        self.assertEqual(pieces("\rhello"), [Typed("\rhello")])

    def test_pasted(self) -> None:
        """49 lines would go out before anybody is asked."""
        text = "".join(f"line {i}\r" for i in range(49))
        self.assertEqual(pieces(text), [Pasted(text)])
        self.assertEqual(pieces(text[:200], text[200:205], text[205:]), [Pasted(text)])
        self.assertEqual(pieces(f"\r{text}"), [Typed("\r"), Pasted(text)])
        self.assertEqual(pieces("x" * 1000, "y\r\nz"), [Pasted("x" * 1000 + "y\r\nz")])

    def test_waits(self) -> None:
        """A paste would be cut into several, or a line stay unsent."""
        pace = Pace()
        self.assertEqual((pace.feed("a\rb"), pace.wait), ([], QUIET))
        self.assertEqual(pace.settle(), [Pasted("a\rb")])
        self.assertIsNone(pace.wait)

    def test_ending(self) -> None:
        """Ctrl-C would be a part of what it is to break off."""
        for key in "\x03\x04":
            self.assertEqual(pieces("a\rb\r", key, "c"), [Typed(key), Typed("c")])
            self.assertEqual(pieces(f"a\rb{key}"), [Typed(key)])
            self.assertEqual(pieces(f"a{key}"), [Typed(f"a{key}")])


class InBrackets(SynchronousTestCase):
    @given(st.text(st.sampled_from("ab\r\n\t 你"), max_size=20), st.data())
    def test_cut_anywhere(self, text: str, data: st.DataObject) -> None:
        """A paste that comes in pieces would lose its end, and swallow all that is typed."""
        whole = f"x{BEGIN}{text}{END}y"
        cuts = sorted(data.draw(st.lists(st.integers(4, len(whole) - 4), max_size=4)))
        reads = [whole[i:j] for i, j in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
        self.assertEqual(
            pieces(*filter(None, reads)), [Typed("x"), Pasted(text), Typed("y")], reads
        )

    def test_no_end(self) -> None:
        """A paste whose end never comes would swallow Ctrl-C and everything else."""
        for key in "\x03\x04":
            self.assertEqual(pieces(f"{BEGIN}a\rb", key, "c"), [Typed(key), Typed("c")])
        pace = Pace()
        self.assertEqual((pace.feed(f"{BEGIN}a\x1b[20"), pace.wait), ([], LOST))
        self.assertEqual(pace.settle(), [Pasted("a")])
        self.assertEqual(pieces(f"{BEGIN}a\rb\x03c"), [Typed("\x03c")])
        self.assertEqual(pace.feed("b"), [Typed("b")])

    def test_much(self) -> None:
        """A pasted book would fill the memory, or take longer for each page than for the one before."""
        pace, page = Pace(), "x" * 4096
        pace.feed(BEGIN)
        begin = time.process_time()
        for _ in range(20_000):
            self.assertEqual(pace.feed(page), [])
        self.assertLess(
            time.process_time() - begin, 5
        )  # 80 MB; if each read copied the rest, hours
        (pasted,) = pace.feed(END)
        assert isinstance(pasted, Pasted)
        self.assertEqual(len(pasted.text), MOST + 1)


class Reports(SynchronousTestCase):
    reports = (
        "\x1b[I",
        "\x1b[O",
        "\x1b[?62;22c",
        "\x1b[>41;354;0c",
        "\x1b[0n",
        "\x1b[12;40R",
        "\x1b[?2026;2$y",
        "\x1b[8;24;80t",
        "\x1b[?0u",
        "\x1b[97;5u",
        "\x1b[<0;10;20M",
        "\x1b[M !!",
        "\x1b]11;rgb:1e1e/1e1e/1e1e\x07",
        "\x1b]4;1;rgb:ffff/0/0\x1b\\",
        "\x1bP>|XTerm(379)\x1b\\",
        "\x1bP1+r544e=787465726d\x1b\\",
        "\x1b[201~",
    )

    def filter(self) -> ReportFilter:
        return ReportFilter({"\x1b[A", "\x1b[[A", "\x1b[3~", "\x1bOP"}.__contains__)

    def test_dropped(self) -> None:
        """An answer of the terminal would stand in the line as if it had been typed, and be sent."""
        for report in self.reports:
            self.assertEqual(self.filter().feed(f"a{report}b"), "ab", report)
            self.assertEqual(without_reports(f"a{report}b"), "ab", report)
            for cut in range(1, len(report)):
                reports = self.filter()
                typed = [reports.feed(f"a{report[:cut]}"), reports.feed(f"{report[cut:]}b")]
                self.assertEqual(typed, ["a", "b"], (report, cut))

    def test_keys(self) -> None:
        """Arrows, function keys and Escape would do nothing."""
        for key in ("\x1b[A", "\x1b[[A", "\x1b[3~", "\x1bOP", "\x1bb", "\x1b\x1b[A"):
            self.assertEqual(self.filter().feed(f"a{key}c"), f"a{key}c", key)
        reports = self.filter()
        self.assertEqual((reports.feed("\x1b"), reports.flush()), ("", "\x1b"))

    def test_broken_off(self) -> None:
        """After half an answer Ctrl-C, or everything, would be swallowed."""
        for half in ("\x1b[", "\x1b[2", "\x1bO", "\x1b]11;rgb", "\x1bP"):
            reports = self.filter()
            self.assertEqual(reports.feed(half), "", half)
            self.assertEqual(reports.feed("\x03"), "\x03", half)
        reports = self.filter()
        self.assertEqual((reports.feed("\x1b]11;r"), reports.flush()), ("", ""))
        self.assertEqual(reports.feed("hello"), "hello")
