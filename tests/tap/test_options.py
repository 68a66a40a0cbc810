"""Options from the command line, the environment, or a default."""

from __future__ import annotations

import sys
from io import StringIO
from typing import Any

from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.tap.options import Option, TableOptions, anything, choice, fail, whole, yes_or_no


def secret(text: str) -> str:
    if text == "SECRET":
        raise ValueError("it is wrong")
    return text


class Sample(TableOptions):
    tapname = "sample"
    table = (
        Option("size", "3", whole(1, 10), "How much."),
        Option("two-words", "a", choice("a", "b"), "Which."),
        Option("place", "here there", anything, "Where.", True),
        Option("nowhere", "", anything, "Where else.", True),
        Option("secret", "x", secret, "What.", shown=lambda text: "***"),
        Option("bright", "", yes_or_no, "Whether.", flag=True),
    )


class OptionsTests(SynchronousTestCase):
    def parse(self, *words: str, parent: Any = None, **environment: str) -> dict[str, Any]:
        options = Sample(environment)
        if parent is not None:
            options.parent = parent
        options.parseOptions(list(words))
        return options.values_by_name

    def refusal(self, *words: str, **environment: str) -> str:
        try:
            self.parse(*words, **environment)
        except usage.UsageError as problem:
            return str(problem)
        raise AssertionError("it was taken")

    def test_defaults(self) -> None:
        """A default would not be what the help says."""
        self.assertEqual(
            self.parse(),
            {
                "size": 3,
                "two-words": "a",
                "place": ("here", "there"),
                "nowhere": (),
                "secret": "x",
                "bright": False,
            },
        )

    def test_flags(self) -> None:
        """A flag would want a value, or could not be set, or unset, by the environment."""
        self.assertTrue(self.parse("--bright", "--size", "4")["bright"])
        for text, value in {"1": True, "Yes": True, "0": False, "off": False, "": False}.items():
            self.assertIs(self.parse(CHATSVC_BRIGHT=text)["bright"], value, text)
        self.assertTrue(self.parse("--bright", CHATSVC_BRIGHT="0")["bright"])
        self.assertIn("CHATSVC_BRIGHT", Sample.opt_bright.__doc__ or "")  # type: ignore[attr-defined]
        self.assertIn("--bright 'perhaps'", self.refusal(CHATSVC_BRIGHT="perhaps"))

    def test_command_line(self) -> None:
        """An option on the command line would be ignored."""
        values = self.parse("--size", "4", "--two-words=b", "--place", "a b", "--place", "c")
        self.assertEqual((values["size"], values["two-words"]), (4, "b"))
        self.assertEqual(values["place"], ("a b", "c"))

    def test_last_one_wins(self) -> None:
        """Of an option that is given twice the first would count."""
        self.assertEqual(self.parse("--size", "4", "--size", "5")["size"], 5)

    def test_environment(self) -> None:
        """An option could not come from the environment."""
        values = self.parse(CHATSVC_SIZE="4", CHATSVC_TWO_WORDS="b", CHATSVC_PLACE=" a  b ")
        self.assertEqual(
            (values["size"], values["two-words"], values["place"]), (4, "b", ("a", "b"))
        )

    def test_command_line_wins(self) -> None:
        """The environment would overrule the command line."""
        values = self.parse("--size", "5", "--place", "c", CHATSVC_SIZE="x", CHATSVC_PLACE="a b")
        self.assertEqual((values["size"], values["place"]), (5, ("c",)))

    def test_refusals(self) -> None:
        """What is wrong would not be named, with its value."""
        for words, option, value in (
            (("--size", "11"), "--size", "11"),
            (("--two-words", "c"), "--two-words", "c"),
            (("--place", " "), "--place", "' '"),
        ):
            line = self.refusal(*words)
            self.assertIn(option, line)
            self.assertIn(value, line)
            self.assertEqual(len(line.splitlines()), 1)
        self.assertIn("--size 'x'", self.refusal(CHATSVC_SIZE="x"))
        self.assertIn("--two-words ''", self.refusal("--two-words", ""))

    def test_empty_environment(self) -> None:
        """A variable that an env file leaves empty would take the default away, or the ports."""
        self.assertEqual(self.parse(CHATSVC_TWO_WORDS="", CHATSVC_PLACE=""), self.parse())

    def test_secrets(self) -> None:
        """A password in an option would be shown because something else is wrong with it."""
        self.assertNotIn("SECRET", self.refusal("--secret", "SECRET"))

    def test_unknown(self) -> None:
        """A mistyped option, or a word too much, would be ignored."""
        self.assertIn("nonsense", self.refusal("--nonsense", "1"))
        self.assertIn("'word'", self.refusal("word"))

    def test_under_twistd(self) -> None:
        """Under twistd a wrong option would end in a traceback, or with status 0."""
        stderr = StringIO()
        self.patch(sys, "__stderr__", stderr)
        ended = self.assertRaises(SystemExit, self.parse, "--size", "0", parent={})
        self.assertEqual(ended.code, 1)
        line = stderr.getvalue()
        self.assertTrue(line.startswith("sample: --size '0': "))
        self.assertEqual(line.count("\n"), 1)

    def test_help(self) -> None:
        """The help would not name an option, its default or its variable."""
        text = " ".join(str(Sample({})).split())
        for words in (
            *("--size=", "How much. (default: 3) [CHATSVC_SIZE]", "--two-words="),
            "Where. (may be repeated) (default: here there) [CHATSVC_PLACE]",
        ):
            self.assertIn(words, text)

    def test_two_parses(self) -> None:
        """What one start was given would count for the next."""
        self.assertEqual(self.parse("--place", "a")["place"], ("a",))
        self.assertEqual(self.parse()["place"], ("here", "there"))


class ParserTests(SynchronousTestCase):
    def test_whole(self) -> None:
        """A number would be taken that is none, or that is out of range."""
        parse = whole(0, 20)
        for text, number in {"0": 0, "20": 20, "007": 7}.items():
            self.assertEqual(parse(text), number)
        for text in ("", "-1", "21", "1.0", "1_0", "٣", "²", " 1", "1 ", "+1", "9" * 5000, "0x1"):
            self.assertRaises(ValueError, parse, text)

    def test_fail(self) -> None:
        """The line that says what is wrong would go into a log instead of the terminal."""
        stderr = StringIO()
        self.patch(sys, "__stderr__", stderr)
        self.assertEqual(self.assertRaises(SystemExit, fail, "what is wrong").code, 1)
        self.assertEqual(stderr.getvalue(), "what is wrong\n")
