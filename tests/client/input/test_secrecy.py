"""What is hidden on the screen is never said, nor kept."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.client.input.likeness import resembles
from chatsvc.client.input.parser import Doubtful, Reply, Typed, interpret
from chatsvc.client.input.secrecy import awaits_secret, discreet, may_be_secret
from chatsvc.client.screen.history import DiscreetHistory
from chatsvc.wire import commands as c

LI = 10002

_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}

_BLANKS = st.text(
    st.sampled_from(" \t\v\f\r\x00\u3000\xa0\u2003\u2028\u200b\ufeff\u3164"), max_size=3
)
_SIGNS = st.text(st.sampled_from("/\uff0f、\\>\"'.:-_"), max_size=3)
_WORDS = st.sampled_from(
    (
        "auth",
        "login",
        "register",
        "passwd",
        "auht",
        "lgoin",
        "paswd",
        "msg",
        "to",
        "reply",
        "help",
        "author",
    )
)
_ARGUMENTS = st.sampled_from(
    ("10001", "１０００３", "张三", "hunter2", "x", ":", "\n", "auth", "lang")
)


@st.composite
def _word(draw: st.DrawFn) -> str:
    word = draw(_WORDS | _ARGUMENTS)
    looks = (str, str.upper, str.title, lambda text: text.translate(_FULL_WIDTH))
    return str(draw(st.sampled_from(looks))(word))


_PIECES = st.lists(
    st.one_of(_BLANKS, _SIGNS, _word(), st.just(" "), st.text(max_size=3)), max_size=10
)
_LINES = _PIECES.map("".join)


def is_said(typed: Typed) -> bool:
    """Whether somebody gets a message, or may."""
    return isinstance(typed, c.Send | Doubtful) or (isinstance(typed, Reply) and bool(typed.text))


class Secrets(SynchronousTestCase):
    @given(_LINES)
    @example("\x0bauht\x0b10001 pw")
    @example("msg 10003 x\nauth 10001 pw")
    def test_masked_is_never_said(self, line: str) -> None:
        """What the screen hides would be said to the partner, or kept for everybody who reads the history."""
        if discreet(line) != line:
            self.assertTrue(may_be_secret(line))
        if may_be_secret(line):
            for to in (None, LI):
                self.assertFalse(is_said(interpret(line, to)), line)

    def test_looks(self) -> None:
        """A log-in that the eye takes for one would be said to the partner in clear text."""
        for line in (
            " auth 10001 X",
            "auth\t10001 X",
            "auth\u300010001\u3000X",
            "auth\xa010001 X",
            "AUTH 10001 X",
            "ａｕｔｈ 10001 X",
            "\ufeffau\u200bth 10001 X",
            "/ auth 10001 X",
            "//auth 10001 X",
            "、auth 10001 X",
            ">>> auth 10001 X",
            "auth10001 X",
            "auth: 10001 X",
            "auht 10001 X",
            "logn 10001 X",
            "Passwd old X",
            "paswd old X",
            "regster 张三 X",
            "hello\nauth 10001 X",
            "hello\rauth 10001 X",
            "msg 10003 hello\nauth 10001 X",
        ):
            self.assertTrue(may_be_secret(line), line)
            self.assertFalse(is_said(interpret(line, LI)), line)
            if "\r" not in line:
                self.assertNotIn("X", discreet(line), line)

    def test_not_secret(self) -> None:
        """Ordinary words would be hidden, and could not be said."""
        for line in (
            "author 1 x",
            "logic is hard",
            "logins are slow",
            "login失败了",
            "registers are full of it",
            "the auth 1 x",
            "msg 10003 auth 1 pw",
        ):
            self.assertFalse(may_be_secret(line), line)
            self.assertTrue(is_said(interpret(line, LI)), line)

    def test_behind_a_bare_command(self) -> None:
        """A password on a line of its own, as copied from a note, would be shown and said."""
        self.assertEqual(discreet("login 10001\nX\nY"), "login 10001\n*\n*")
        for line in ("passwd", "auth 10001", "auth", "register 张三 "):
            self.assertTrue(awaits_secret(line), line)
        for line in ("passwd a b", "auth 1 x", "hello"):
            self.assertFalse(awaits_secret(line), line)

    def test_never_kept(self) -> None:
        """A password would stand in the history file."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "history"
            history = DiscreetHistory(path)
            for line in (" ａｕｔｈ\u300010001 X", "auht 10001 X", "hello\nauth 1 X"):
                history.append_string(line)
            self.assertEqual(path.read_text(), "")


class Likeness(SynchronousTestCase):
    def test_slips(self) -> None:
        """A slip of one key would not be seen as one, or another word be taken for one."""
        for word in ("mgs", "ms", "mssg", "mdg", "smg", "sg", "xmsg"):
            self.assertTrue(resembles(word, "msg"), word)
        for word in ("msg", "gsm", "m", "message", "", "man"):
            self.assertFalse(resembles(word, "msg"), word)
