"""The text dialect: what is typed and what is shown, to the letter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.phrases import EN, LANGUAGES, PHRASES, ZH
from chatsvc.wire.problems import Problem
from chatsvc.wire.text.dialect import _PARSERS, TextDialect, show
from chatsvc.wire.uid import parse_uid
from tests.support.time_zone import in_shanghai
from tests.wire.samples import ANY, EVENTS, PATIENT, message

SILENT = (
    *(e.Welcome, e.Renewed, e.DevicesListed, e.DeviceForgotten, e.Missed),
    *(e.RoomShown, e.RoomLeft, e.Synced),
)
"""What a person is not told: nothing that can be typed asks for it, or a room's events say it."""


class ParseTests(SynchronousTestCase):
    """Frames to commands."""

    def parse(self, frame: str | bytes) -> c.Command:
        """Parse a frame."""
        data = frame.encode() if isinstance(frame, str) else frame
        return TextDialect("zh").parse(data)

    def assertMalformed(
        self, frame: str | bytes, problem: Problem, kind: type[c.Command] | None = None
    ) -> None:
        """Fail unless a frame is refused for this reason."""
        self.assertEqual(self.parse(frame), c.Malformed(problem, kind), frame)

    def test_commands(self) -> None:
        """A documented command would not be understood."""
        for frame, command in {
            "auth 10001 secret": c.Auth(10001, password="secret"),
            "msg 10002 hello": c.Send(10002, "hello"),
            "logout": c.Logout(),
            "help": c.Help(),
            "?": c.Help(),
            "register 张三 pw": c.Register("张三", "pw"),
            "passwd old new": c.Passwd("old", "new"),
            "find 张三": c.Find("张三"),
            "find two words": c.Find("two words"),
            "lang zh": c.SetLang("zh"),
            "lang en": c.SetLang("en"),
            "quit": c.Quit(),
        }.items():
            self.assertEqual(self.parse(frame), command)

    def test_text_is_untouched(self) -> None:
        """Spaces or line breaks of a message would be lost on the way."""
        for text in (" two  spaces ", " ", "a\tb", "a\nb\n", "\r\n", "a\0b", "{}", "\u3000x"):
            self.assertEqual(self.parse(f"msg 10002 {text}"), c.Send(10002, text))

    def test_only_single_spaces_separate(self) -> None:
        """A tab, a wide space or a doubled space would separate words."""
        self.assertMalformed("msg\t10002 x", Problem.UNKNOWN_COMMAND)
        self.assertMalformed("msg\u300010002 x", Problem.UNKNOWN_COMMAND)
        self.assertMalformed("msg  10002 x", Problem.UID_NOT_INTEGER, c.Send)
        self.assertMalformed("msg 10002\tx", Problem.SEND_USAGE, c.Send)
        self.assertMalformed(" msg 10002 x", Problem.UNKNOWN_COMMAND)
        self.assertMalformed("MSG 10002 x", Problem.UNKNOWN_COMMAND)
        self.assertMalformed("", Problem.UNKNOWN_COMMAND)

    def test_auth_usage(self) -> None:
        """A log-in with other than two arguments would not be told its form."""
        for frame in ("auth", "auth 10001", "auth 10001 a b", "auth 10001  b", "auth x"):
            self.assertMalformed(frame, Problem.AUTH_USAGE, c.Auth)

    def test_msg_usage(self) -> None:
        """A message without recipient or text would not be told its form."""
        for frame in ("msg", "msg ", "msg 10002", "msg 10002 ", "msg x", "msg  "):
            self.assertMalformed(frame, Problem.SEND_USAGE, c.Send)

    def test_other_usages(self) -> None:
        """A new command in a wrong form would be taken, or answered with another's form."""
        for frame in ("register", "register a", "register a b c", "register  b", "register a "):
            self.assertMalformed(frame, Problem.REGISTER_USAGE, c.Register)
        for frame in ("passwd", "passwd a", "passwd a b c", "passwd  b", "passwd a "):
            self.assertMalformed(frame, Problem.PASSWD_USAGE, c.Passwd)
        for frame in ("find", "find ", "find   "):
            self.assertMalformed(frame, Problem.FIND_USAGE, c.Find)
        for frame in ("lang", "lang ", "lang fr", "lang ZH", "lang zh en"):
            self.assertMalformed(frame, Problem.LANG_USAGE, c.SetLang)

    def test_uid_is_ascii_digits(self) -> None:
        """A text that Python takes for a number would be a uid, though its digits are not ASCII."""
        for word in ("٣", "1_000", "+1", "1.0", "1e3", "0x1", "--1", "-", "１", "1\n", "²", "1\0"):
            self.assertIsNone(parse_uid(word), word)
            self.assertMalformed(f"msg {word} x", Problem.UID_NOT_INTEGER, c.Send)
            self.assertMalformed(f"auth {word} x", Problem.UID_NOT_INTEGER, c.Auth)

    def test_uids(self) -> None:
        """A uid that can exist would be read as another one."""
        for word, uid in {
            "0": 0,
            "-7": -7,
            "10001": 10001,
            "007": 7,
            str(2**63 - 1): 2**63 - 1,
            str(-(2**63)): -(2**63),
            "0" * 30 + "10001": 10001,
            "-" + "0" * 5000 + "7": -7,
            "0" * 5000: 0,
        }.items():
            self.assertEqual(parse_uid(word), uid)

    def test_uids_out_of_range(self) -> None:
        """A number too large for any database would be an error instead of a uid that is nobody's."""
        for word in (str(2**63), "9" * 19, "-" + "9" * 19, "9" * 20, "9" * 5000, "-" + "9" * 5000):
            uid = parse_uid(word)
            assert uid is not None
            self.assertFalse(-(2**63) <= uid < 2**63, word)

    def test_sizes(self) -> None:
        """A text of the largest size would be refused, or a larger one taken."""
        for text in ("x" * 8192, "你" * 2730 + "xx", "😀" * 2048):
            self.assertEqual(self.parse(f"msg 1 {text}"), c.Send(1, text))
            self.assertMalformed(f"msg 1 {text}x", Problem.TOO_LONG, c.Send)
        self.assertMalformed("msg 1 " + "x" * 65_529, Problem.TOO_LONG, c.Send)

    def test_not_utf8(self) -> None:
        """Bytes of another encoding would be stored as something that nobody wrote."""
        for frame in (
            b"msg 1 \xff",
            "msg 1 你好".encode("gbk"),
            b"\xed\xa0\x80",
            b"msg 1 \xc0\x80",
        ):
            self.assertMalformed(frame, Problem.NOT_UTF8)

    @given(st.binary(max_size=60) | ANY.map(str.encode))
    @PATIENT
    def test_anything(self, frame: bytes) -> None:
        """Some frame would raise an exception."""
        self.assertIsInstance(self.parse(frame), c.Command)
        for word in (b"auth ", b"msg ", b"msg 1 ", b"register ", b"find ", b"lang ", b"passwd "):
            self.assertIsInstance(self.parse(word + frame), c.Command)


class SayTests(SynchronousTestCase):
    """Events to frames, as docs/protocol.md promises."""

    def setUp(self) -> None:
        in_shanghai(self)

    def say(self, event: e.Event | e.Message, lang: str = "zh") -> list[str]:
        """Return an event's frames as text."""
        return [frame.decode() for frame in TextDialect(lang).encode(event)]

    def test_table(self) -> None:
        """An older client or its user would read something else than the contract says."""
        refused = e.Refused
        table: list[tuple[e.Event, list[str]]] = [
            (e.Greeting(), ["请登陆!"]),
            (refused(Problem.NOT_LOGGED_IN), ["请登陆!"]),
            (e.LoggedIn(10001, "张三", "t", "e", 3), ["认证成功!"]),
            (refused(Problem.BAD_CREDENTIALS), ["认证失败!", "请登陆!"]),
            (refused(Problem.AUTH_USAGE), ["提示:认证格式: [ auth userid pwd ]"]),
            (refused(Problem.SEND_USAGE), ["提示:消息格式: [ msg userid content ]"]),
            (refused(Problem.UID_NOT_INTEGER), ["userid为整数!"]),
            (
                refused(Problem.UNKNOWN_COMMAND),
                ["输入的命令不支持,请使用 help 或 ? 查看帮助!"],
            ),
            (refused(Problem.ALREADY_LOGGED_IN), ["您已登录!"]),
            (e.LoggedOut(), ["您已退出登录!", "请登陆!"]),
            (e.Kicked(), ["有用户登录您的账号,您已被挤下线!"]),
            (refused(Problem.UNKNOWN_USER, to=7), ["系统不存在该userid!"]),
            (e.Registered(10001), ["注册成功! 您的UID: 10001"]),
            (e.PasswordChanged(), ["密码已修改!"]),
            (e.Farewell(), ["再见!"]),
        ]
        for event, said in table:
            self.assertEqual(self.say(event), said)

    def test_message(self) -> None:
        """A message would not look as the older clients know it."""
        self.assertEqual(self.say(message()), ["2025-11-23 17:00:24\n[ 张三|UID:10001 ]:你好"])

    def test_confirmations(self) -> None:
        """A sender would not see the message again, or not see that it waits."""
        shown = "2025-11-23 17:00:24\n[ 张三|UID:10001 ]:你好"
        self.assertEqual(self.say(e.Sent(10002, 41, message(), True, 1)), [shown])
        self.assertEqual(self.say(e.Sent(10002, 41, message(), False, 1)), [f"[离线消息]\n{shown}"])

    def test_message_to_oneself_is_said_once(self) -> None:
        """Who writes to oneself would read everything twice."""
        self.assertEqual(self.say(e.Sent(10001, 41, message(), True, 1)), [])

    def test_only_two_answers_are_followed_by_the_request_to_log_in(self) -> None:
        """A usage error, an unknown command or the help would be followed by `请登陆!`."""
        for problem in Problem:
            said = self.say(e.Refused(problem, waiting=1, expected=1, retry_after=1.0))
            self.assertEqual(len(said), 2 if problem is Problem.BAD_CREDENTIALS else 1, problem)
        self.assertEqual(len(self.say(e.HelpShown())), 1)

    def test_help_names_every_command(self) -> None:
        """Somebody who asks for help would not learn of a command."""
        for lang in LANGUAGES:
            (text,) = self.say(e.HelpShown(), lang)
            words = {word for line in text.splitlines()[1:] for word in line.split()}
            self.assertLessEqual({*_PARSERS}, words)

    def test_found(self) -> None:
        """Who looks for a name would not see its uids and who of them is online."""
        self.assertEqual(
            self.say(e.Found("张三", ((10001, True), (10002, False)))),
            ["张三: 10001 (在线), 10002 (离线)"],
        )
        self.assertEqual(self.say(e.Found("a\nb", ()), "en"), ["Nobody is called a\n    b!"])

    def test_one_short_line(self) -> None:
        """A refusal that docs/protocol.md does not list would be more than a line."""
        for lang in LANGUAGES:
            for problem in Problem:
                said = self.say(
                    e.Refused(problem, to=1, waiting=1000, expected=7, retry_after=59.9), lang
                )
                self.assertNotIn("\n", said[0])
                self.assertLess(len(said[0]), 100)
                self.assertNotIn("None", said[0])
                self.assertNotIn("{", said[0])

    def test_every_problem_has_words(self) -> None:
        """Some refusal would raise KeyError instead of telling."""
        for words in (ZH, EN):
            self.assertEqual(set(words.problems), set(Problem))
        self.assertEqual(set(PHRASES), set(LANGUAGES))

    def test_every_event_is_sayable(self) -> None:
        """Some event would raise KeyError in somebody's connection."""
        for event in EVENTS:
            for lang in LANGUAGES:
                said = self.say(event, lang)
                self.assertEqual(said == [], type(event) in SILENT, event)

    def test_numbers_of_requests_do_not_show(self) -> None:
        """A request's number would change what people read."""
        self.assertEqual(self.say(e.Pong(re=7)), self.say(e.Pong()))

    def test_languages(self) -> None:
        """`lang en` would leave some answer in Chinese."""
        for event in EVENTS:
            if isinstance(event, e.Event) and type(event) not in (e.Sent, e.Found):
                for line in self.say(event, "en"):
                    self.assertTrue(line.isascii(), line)

    def test_what_the_older_server_left(self) -> None:
        """An old message would be changed, but for what drives a terminal or fakes another header."""
        old = "2019-01-01 00:00:00\n[ 李四|UID:7 ]:"
        for text, shown in {
            old + "hi": old + "hi",
            old + "a\x1b[2Jb": old + "a␛[2Jb",
            old + "a\nb\n c": old + "a\nb\n c",
            "[离线消息]\n" + old + "x": "[离线消息]\n" + old + "x",
            f"{old}a\n{old}b": f"{old}a\n    2019-01-01 00:00:00\n    [ 李四|UID:7 ]:b",
            "[ 李四|UID:7 ]:a\u2028[ x|UID:8 ]:b": "[ 李四|UID:7 ]:a\n    [ x|UID:8 ]:b",
            "[ 李\r\n四|UID:7 ]:a": "[ 李\n四|UID:7 ]:a",
            "a\nb": "a\nb",
        }.items():
            self.assertEqual(self.say(e.Message(1, 0, "", 0, text)), [shown])

    def test_header(self) -> None:
        """A name from elsewhere would drive a terminal, and a message without a time would seem to be of 1970."""
        self.assertEqual(
            show(message("x", name="a\x1b\nb"), ZH).split("\n", 1)[1], "[ a␛\n    b|UID:10001 ]:x"
        )
        self.assertEqual(show(e.Message(1, 7, "李四", 0, "x"), ZH), "[ 李四|UID:7 ]:x")

    def test_forged_header(self) -> None:
        """A text with a header in it would look like a second message."""
        forged = "hi\n2026-01-01 00:00:00\n[ 老板|UID:1 ]:打钱"
        lines = show(message(forged), ZH).split("\n")
        self.assertEqual([line for line in lines[2:] if not line.startswith("    ")], [])
        self.assertEqual(lines[1], "[ 张三|UID:10001 ]:hi")
        self.assertEqual(len(lines), 4)

    def test_old_message_past_a_frame(self) -> None:
        """An old message that grows past a frame would stop its reader for good."""
        for text in ("\x01" * 30_000, "你" * 30_000, "x" * 70_000, "😀\x02" * 16_000):
            for frame in TextDialect("zh").encode(e.Message(1, 0, "", 0, text)):
                self.assertLessEqual(len(frame), c.MAX_FRAME)
                frame.decode()

    def test_found_past_a_frame(self) -> None:
        """Looking for a very long name would fail inside the server."""
        for name in ("x" * 65_530, "\n" * 60_000 + "x", "你" * 21_843):
            for lang in LANGUAGES:
                for frame in TextDialect(lang).encode(e.Found(name, ())):
                    self.assertLessEqual(len(frame), c.MAX_FRAME)

    @given(ANY, st.sampled_from(LANGUAGES))
    @PATIENT
    def test_largest_text_fits(self, text: str, lang: str) -> None:
        """A text of the largest size would not fit its reader's frame."""
        raw = text.encode() or b"\n"
        largest = (raw * (c.MAX_TEXT // len(raw) + 1))[: c.MAX_TEXT].decode(errors="ignore")
        big = message(largest, name="😀" * 32, sender=2**63 - 1)
        for event in (big, e.Sent(2, 2**53, big, False, 1000)):
            for frame in TextDialect(lang).encode(event):
                self.assertLessEqual(len(frame), c.MAX_FRAME)


class CompletenessTests(SynchronousTestCase):
    """What these tests cover."""

    def test_events(self) -> None:
        """An event was added and these tests would not say it."""
        # A dataclass with slots leaves the class it was made from behind; a client's events are its own.
        declared = [kind for kind in e.Event.__subclasses__() if kind.__module__ == e.__name__]
        names = {kind.__name__ for kind in [*declared, e.Message]}
        self.assertEqual({type(event).__name__ for event in EVENTS}, names)
