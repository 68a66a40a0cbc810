"""What a line that somebody types means, what is completed, and what is not shown."""

from __future__ import annotations

from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.client.input.contacts import Contacts
from chatsvc.client.input.parser import (
    Ask,
    Doubtful,
    Reply,
    TalkTo,
    Typed,
    auth_as,
    device_command,
    interpret,
)
from chatsvc.client.input.secrecy import discreet
from chatsvc.client.screen.completion import InputCompleter
from chatsvc.wire import commands as c
from chatsvc.wire.problems import Problem

LI = 10002


class Meaning(SynchronousTestCase):
    def assert_meanings(self, to: int | None, meanings: dict[str, Typed]) -> None:
        for line, meaning in meanings.items():
            self.assertEqual(interpret(line, to), meaning, line)

    def test_log_in_by_a_name(self) -> None:
        """Who knows only the own name could not log in, or ``auth`` would mean what a server does not understand."""
        by_name = c.Auth(c.NO_UID, password="pw", name="张三")
        self.assert_meanings(
            None,
            {
                "login 张三": Ask(c.Auth, "张三"),
                "login 张三 pw ": by_name,
                "LOGIN 张三 pw": by_name,
                "login 张三 a b": c.Malformed(Problem.AUTH_USAGE, c.Auth),
                "auth 张三": c.Malformed(Problem.UID_NOT_INTEGER, c.Auth),
                "auth 张三 pw": c.Malformed(Problem.UID_NOT_INTEGER, c.Auth),
            },
        )
        self.assertEqual(auth_as("张三", "pw"), by_name)
        self.assertEqual(auth_as("10001", "pw"), c.Auth(10001, password="pw"))

    def test_devices(self) -> None:
        """A device could not be forgotten, or would be by what was meant for somebody."""
        self.assert_meanings(
            LI,
            {
                "devices": c.Devices(),
                "/devices": c.Devices(),
                "devices are toys": c.Send(LI, "devices are toys"),
                "forget 2": c.Forget("2"),
                "／ｆｏｒｇｅｔ ２": c.Forget("2"),
                "forget 0123456789ABCDEF": c.Forget("0123456789abcdef"),
                "forget dad": c.Send(LI, "forget dad"),
                "forget 2 of them": c.Send(LI, "forget 2 of them"),
                "forget 2026": c.Send(LI, "forget 2026"),
            },
        )
        self.assert_meanings(None, {"forget": c.Malformed(Problem.UNKNOWN_COMMAND, c.Forget)})
        self.assertEqual(device_command("forget 2"), c.Forget("2"))
        self.assertIsNone(device_command("find 2"))

    def test_commands(self) -> None:
        """What README tells people to type would do nothing, or something else."""
        commands: dict[str, Typed] = {
            "msg 10002 你好": c.Send(LI, "你好"),
            "auth 10001 pw": c.Auth(10001, password="pw"),
            "login 10001": Ask(c.Auth, "10001"),
            "register 张三": Ask(c.Register, "张三"),
            "register 张三 pw": c.Register("张三", "pw"),
            "passwd": Ask(c.Passwd),
            "passwd old new": c.Passwd("old", "new"),
            "to 10002": TalkTo("10002"),
            "to 李 四": TalkTo("李 四"),
            "to": TalkTo(""),
            "reply": Reply(""),
            "reply 好": Reply("好"),
            "lang en": c.SetLang("en"),
            "logout": c.Logout(),
            "quit": c.Quit(),
        }
        self.assert_meanings(None, commands)
        self.assert_meanings(LI, {f"/{line}": meaning for line, meaning in commands.items()})

    def test_talking(self) -> None:
        """What is said to somebody would be taken for a command, or a command be said to them."""
        said = ("你好", "quit it", "help me please", "message 10003 x", "lange Zeit", " ", " 你好 ")
        self.assert_meanings(LI, {line: c.Send(LI, line) for line in said})
        self.assert_meanings(
            LI,
            {
                "//etc/hosts": c.Send(LI, "/etc/hosts"),
                "quit": c.Quit(),
                "msg 10003 x": c.Send(10003, "x"),
                "/nonsense": c.Malformed(Problem.UNKNOWN_COMMAND),
            },
        )

    def test_as_it_looks(self) -> None:
        """What is meant for one person would be said to another, as an input method wrote it in other characters."""
        for line in (
            "msg\u300010003 x",
            "msg  10003 x",
            " msg 10003 x",
            "\tmsg\xa010003\u3000x",
            "MSG 10003 x",
            "Ｍｓｇ １０００３ x",
            "／msg 10003 x",
            "/ msg 10003 x",
            "\ufeffm\u200bsg 10003 x",
        ):
            for to in (None, LI):
                self.assertEqual(interpret(line, to), c.Send(10003, "x"), line)
        self.assert_meanings(
            LI,
            {
                "msg 10003  ｘ  Y ": c.Send(10003, " ｘ  Y "),
                "to　１０００３": TalkTo("10003"),
                "Ｔｏ　李　四": TalkTo("李　四"),
                "REPLY　Hi": Reply("Hi"),
                "ＱＵＩＴ": c.Quit(),
                "quit ": c.Quit(),
                "？": c.Help(),
                " AUTH　１０００１  pＷ": c.Auth(10001, password="pＷ"),
                "register　张三　pw": c.Register("张三", "pw"),
                "passwd\told\xa0new": c.Passwd("old", "new"),
                "lang　EN": c.SetLang("en"),
                "find　李四 ": c.Find("李四"),
            },
        )

    def test_doubtful(self) -> None:
        """A command with a slip in it would be said to the partner without a word."""
        for line in (
            "msg",
            "msg you later",
            "msg10003 x",
            "msg:10003 x",
            "、msg 10003 x",
            "> msg 10003 x",
            "mgs 10003 x",
            "m5g １０００３ x",
            "to10003",
            "、to 10003",
            "ot 10003",
            "lang is hard",
            "find",
            "、quit",
        ):
            self.assertEqual(interpret(line, LI), Doubtful(c.Send(LI, line)), line)
        for line in ("go 10 times", "so 5 of us", "mug of tea", "…to be continued"):
            self.assertEqual(interpret(line, LI), c.Send(LI, line), line)

    def test_passwords_are_never_said(self) -> None:
        """A mistyped log-in, with its password, would go to whom one is talking with."""
        for line in ("auth 10001  pw", "auth pw", "login x pw", "passwd a b c", "register a b c"):
            self.assertNotIsInstance(interpret(line, LI), c.Send)

    def test_other_encodings(self) -> None:
        """Bytes from a terminal that does not speak UTF-8 would end the client."""
        for line in ("to caf\udce9", "reply \udce9", "register \udce9", "\udce9", "msg 1 \udce9"):
            for to in (None, LI):
                self.assertEqual(interpret(line, to), c.Malformed(Problem.NOT_UTF8), line)

    def test_nobody_to_talk_with(self) -> None:
        """A line that is no command would be sent to nobody without a word."""
        self.assert_meanings(None, {"你好": c.Malformed(Problem.UNKNOWN_COMMAND)})


class Shown(SynchronousTestCase):
    def test_asterisks(self) -> None:
        """A password that is being typed would stand on the screen, or whom it is for would not."""
        for line, shown in {
            "auth 10001 pw": "auth 10001 **",
            "/auth 10001 p w": "/auth 10001 ***",
            "  login 10001  pw": "  login 10001 ***",
            "register 张三 密码": "register 张三 **",
            "passwd old new": "passwd *******",
            "auth 10001": "auth 10001",
            "msg 10001 auth 1 pw": "msg 10001 auth 1 pw",
            "authentic 1 pw": "authentic 1 pw",
        }.items():
            self.assertEqual(discreet(line), shown)


class Completed(SynchronousTestCase):
    def setUp(self) -> None:
        self.people = Contacts()
        for uid, name in ((10001, "张三"), (LI, "李四"), (20003, "李雷"), (10001, "张三")):
            self.people.seen(uid, name)

    def completions(self, line: str) -> list[str]:
        document, event = Document(line), CompleteEvent()
        return [
            line[: len(line) + found.start_position] + found.text
            for found in InputCompleter(self.people).get_completions(document, event)
        ]

    def test_completions(self) -> None:
        """Tab would complete what cannot be typed there, or miss who was seen."""
        for line, completed in {
            "r": ["reply ", "register "],
            "/lo": ["/login ", "/logout "],
            "msg 李": [f"msg {uid} " for uid in (20003, LI)],
            "/to 1": ["/to 10001 ", "/to 10002 "],
            "find 李": ["find 李雷", "find 李四"],
            "lang ": ["lang zh", "lang en"],
            "msg 10001 李": [],
            "nonsense 李": [],
        }.items():
            self.assertEqual(self.completions(line), completed, line)

    def test_people(self) -> None:
        """Somebody would be called by a uid or a name that is not theirs."""
        self.people.seen(LI, "李雷")
        self.assertEqual(self.people.called("李雷"), [20003, LI])
        self.assertEqual(self.people.called("李四"), [])
        self.assertEqual(self.people.label(LI), "李雷(10002)")
        self.assertEqual(self.people.label(7), "7")
