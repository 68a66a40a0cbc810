"""The order in which what was typed is carried out, and whom plain lines go to."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.client.conversation.commands import CommandRunner
from chatsvc.client.conversation.conversation import Conversation
from chatsvc.client.i18n.client_messages import CLIENT_MESSAGES
from chatsvc.client.i18n.labels import EN
from chatsvc.client.input.talk import Talk
from chatsvc.wire import commands as c

LI, WANG = 10002, 10003


class Asked:
    """A conversation that keeps what it is asked, to be answered by the test."""

    lang = "en"
    client_messages = CLIENT_MESSAGES["en"]

    def __init__(self) -> None:
        self.connected = True
        self.uid: int | None = None
        self.greeting: Deferred[None] = Deferred()
        self.commands: list[c.Command] = []
        self.answers: list[Deferred[bool]] = []
        self.names: dict[str, list[int]] = {}

    def ready(self) -> Deferred[None]:
        return self.greeting

    def run(self, command: c.Command) -> Deferred[bool]:
        self.commands.append(command)
        self.answers.append(Deferred())
        return self.answers[-1]

    async def find(self, name: str) -> list[int]:
        return self.names.get(name, [])


class Here:
    """A place that remembers."""

    def __init__(self, asked: Asked) -> None:
        self.conversation = cast(Conversation, asked)
        self.commands = cast(CommandRunner, asked)
        self.said: list[str] = []
        self.sent: list[str] = []
        self.failures: list[str] = []
        self.gone = False

    def say(self, text: str) -> None:
        self.said.append(text)

    def sending(self, message: c.Send, result: Deferred[bool]) -> None:
        self.sent.append(message.text)

    def left(self) -> None:
        self.gone = True

    def failed(self, line: str) -> None:
        self.failures.append(line)


class TalkCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.asked = Asked()
        self.here = Here(self.asked)
        self.talk = Talk(self.here)

    def greet(self) -> None:
        self.asked.greeting.callback(None)

    def type(self, *lines: str) -> None:
        for line in lines:
            taking = Deferred.fromCoroutine(self.talk.take(self.talk.meaning(line)))
            self.successResultOf(taking)


class Order(TalkCase):
    def test_before_the_greeting(self) -> None:
        """What is typed before the connection stands would be lost, or overtaken."""
        self.type("find a", "msg 10002 b")
        self.assertEqual(self.asked.commands, [])
        self.greet()
        self.assertEqual(self.asked.commands, [c.Find("a")])

    def test_commands_wait_for_each_other(self) -> None:
        """A message typed after a log-in would go out before it, and be refused."""
        self.greet()
        self.type("auth 10001 pw", "msg 10002 hi", "find a")
        self.assertEqual(self.asked.commands, [c.Auth(10001, password="pw")])
        self.asked.answers[0].callback(True)
        self.assertEqual(self.asked.commands[1:], [c.Send(LI, "hi"), c.Find("a")])

    def test_nothing_waits_for_messages(self) -> None:
        """While the store is away nobody could look for somebody, write on, or leave."""
        self.greet()
        self.type("msg 10002 a", "msg 10002 b", "find a")
        self.assertEqual(len(self.asked.commands), 3)
        self.assertEqual(self.here.sent, ["a", "b"])

    def test_quit(self) -> None:
        """Quitting would lose what was typed before, or carry out what was typed after."""
        self.greet()
        self.type("find a", "quit", "find b")
        self.assertFalse(self.here.gone)
        for answer in range(2):
            self.asked.answers[answer].callback(True)
        self.assertTrue(self.here.gone)
        self.assertEqual(self.asked.commands, [c.Find("a"), c.Quit()])

    def test_quit_without_a_connection(self) -> None:
        """Who has no server could not leave."""
        self.asked.connected = False
        self.type("find a", "quit")
        self.assertTrue(self.here.gone)

    def test_what_breaks(self) -> None:
        """A client whose state cannot be written would stand there and do nothing."""
        self.greet()
        self.type("msg 10002 a", "find a")
        for answer in self.asked.answers:
            answer.errback(OSError("full"))
        self.assertEqual(self.here.failures, ["full", "full"])


class Whom(TalkCase):
    def setUp(self) -> None:
        super().setUp()
        self.greet()

    def test_names(self) -> None:
        """Plain lines would go to somebody else than was named."""
        self.talk.contacts.seen(LI, "seen")
        self.asked.names = {"found": [WANG], "twins": [9, 8], "seen": [LI, 7]}
        for line, to in {
            "to seen": LI,  # not the other one of that name, of whom nothing is known here
            "/to found": WANG,
            "/to twins": WANG,
            "/to nobody": WANG,
            "/to 10002": LI,
            "/to": None,
        }.items():
            self.type(line)
            self.assertEqual(self.talk.to, to, line)
        self.assertIn(EN.several.format(name="twins", uids="8, 9"), self.here.said)
        self.assertEqual(self.talk.contacts.label(WANG), f"found({WANG})")

    def test_replies(self) -> None:
        """An answer would go to whom one talks with, not to who has written."""
        self.type("/reply hi")
        self.assertEqual((self.talk.to, self.asked.commands), (None, []))
        self.assertEqual(self.here.said, [EN.nobody_wrote])
        self.type("/to 10003")
        self.talk.contacts.last = LI
        self.type("/reply hi", "more")
        self.assertEqual(self.asked.commands, [c.Send(LI, "hi"), c.Send(LI, "more")])
        self.talk.contacts.last = WANG
        self.type("/reply")
        self.assertEqual(self.talk.to, WANG)

    def test_overtaken_reply(self) -> None:
        """A reply would go to somebody else, who has written while it was typed."""
        self.talk.contacts.last = LI
        self.talk.begun()
        self.talk.contacts.last = WANG
        self.type("/reply hi")
        self.assertEqual(self.asked.commands, [])
        self.assertEqual(self.here.said, [EN.wrote_meanwhile.format(whom=WANG)])
        self.talk.begun()
        self.type("/reply hi")
        self.assertEqual(self.asked.commands, [c.Send(WANG, "hi")])

    def test_no_rooms(self) -> None:
        """Nobody would learn that this client has no rooms, or the server would be asked for what it cannot show."""
        self.type("to 10002", "join #dev", "rooms")
        self.assertEqual(self.asked.commands, [])
        self.assertEqual(self.here.said[1:], [CLIENT_MESSAGES["en"].no_rooms] * 2)
        for lang, begin in (
            ("zh", "本客户端暂不支持聊天室"),
            ("en", "This client has no rooms yet"),
        ):
            text = CLIENT_MESSAGES[lang].no_rooms
            self.assertTrue(text.startswith(begin) and "\n" not in text, text)

    def test_harmless(self) -> None:
        """Somebody's name could drive the terminal."""
        self.talk.contacts.seen(LI, "\x1b[2J")
        self.asked.names = {"\x1b[2K": [8, 9]}
        self.type("/to 10002", "/to \x1b[2K")
        self.assertNotIn("\x1b", "".join(self.here.said))


class WhoTalks(TalkCase):
    """Several users at one terminal, one after the other."""

    def done(self, line: str, uid: int | None) -> None:
        """A command is typed and carried out; who is logged in then."""
        self.type(line)
        self.asked.uid = uid
        self.asked.answers[-1].callback(True)

    def test_logged_out(self) -> None:
        """The prompt would go on to name a partner to whom nobody can write."""
        self.greet()
        self.done("auth 10001 pw", 10001)
        self.type(f"to {LI}")
        self.done("logout", None)
        self.assertIsNone(self.talk.to)

    def test_somebody_else(self) -> None:
        """What another user types would go to the partner of the one before, who was logged out elsewhere."""
        self.greet()
        self.done("auth 10001 pw", 10001)
        self.type(f"to {LI}")
        self.done("auth 10001 pw", 10001)
        self.assertEqual(self.talk.to, LI)
        self.done("auth 10009 pw", 10009)
        self.assertIsNone(self.talk.to)

    def test_before_logging_in(self) -> None:
        """Who says whom to talk to and then logs in would have to say it again."""
        self.greet()
        self.type(f"to {LI}")
        self.done("auth 10001 pw", 10001)
        self.assertEqual(self.talk.to, LI)
