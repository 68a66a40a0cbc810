"""Commands about rooms and the history, which the client does not have: they are known, and said to nobody."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.client.input.parser import Doubtful, NoRooms, Withheld, interpret
from chatsvc.client.input.room_commands import is_room_command
from chatsvc.rooms.event import RoomChange, log_event
from chatsvc.wire import commands as c

LI = 10002

COMMANDS = (
    "rooms",
    "rooms dev",
    "rooms #dev",
    "rooms #",
    "help rooms",
    "help room",
    "create #dev",
    "create #dev private",
    "join #dev",
    "join ＃开发",
    "leave #dev",
    "members #dev",
    "invite #dev 10002",
    "remove #dev 10002",
    "topic #dev all about it",
    "msg #dev hi",
    "msg #dev",
    "join #",
    "history 10002",
    "history 10002 50",
    "history #dev",
    "search 预算 会议",
    "help history",
)
"""As docs/protocol.md has them, whole and not."""

LOOKS = (
    "ＪＯＩＮ　＃ｄｅｖ",
    "Join #dev",
    "\u3000rooms\u3000",
    "jo\u200bin \u200b#dev",
    "／join #dev",
    "/ rooms",
    "HELP\u00a0ROOMS",
    "/msg\t#dev hi",
)
"""As input methods and copied pages bring them along."""


class Meaning(SynchronousTestCase):
    def test_no_commands(self) -> None:
        """What only begins like a command would not be said to the person one talks to."""
        for line in ("history repeats itself", "a search", "a history"):
            self.assertEqual(interpret(line, LI), c.Send(LI, line))

    def test_commands(self) -> None:
        """What was meant for the server, or for a room, would be said to the person one talks to."""
        for line in (*COMMANDS, *(f"/{command}" for command in COMMANDS), *LOOKS):
            for to in (LI, None):
                self.assertEqual(interpret(line, to), NoRooms(), (line, to))

    def test_slips(self) -> None:
        """A slip of the fingers would say to a person what was meant for a room."""
        for line in (
            "jion #dev",
            "、join #dev",
            "join#dev",
            "meg ＃dev hi",
            "> rooms",
            "tpoic #d x",
            "history",
            "search",
            "history 李四",
        ):
            self.assertEqual(interpret(line, LI), Doubtful(c.Send(LI, line)), line)

    def test_messages(self) -> None:
        """What somebody says of rooms, or of anything else, would be kept from whom it is for."""
        for line in (
            "rooms are dear here",
            "join us",
            "topic of the day",
            "help rooms grow",
            "members",
            "the topic #1",
            "#dev",
            "say #1",
        ):
            self.assertEqual(interpret(line, LI), c.Send(LI, line), line)
        self.assertEqual(interpret("//rooms", LI), c.Send(LI, "/rooms"))
        self.assertEqual(interpret(f"msg {LI} rooms", None), c.Send(LI, "rooms"))
        self.assertEqual(interpret(f"msg {LI} join #dev", LI), c.Send(LI, "join #dev"))
        self.assertFalse(is_room_command(f"msg {LI} rooms"))

    def test_with_a_password(self) -> None:
        """A password behind a pasted command would be shown and kept as if it were none."""
        self.assertEqual(interpret("join #dev\nauth 10001 pw", LI), Withheld())

    def test_an_invitation(self) -> None:
        """Somebody who types what an invitation tells them to would say it to a person, or be told to see help."""
        details = {"inviter": "Li", "room_name": "dev"}
        invited = log_event(7, RoomChange(2, 0, "invited", 1, 2, "", details)).invited
        assert invited is not None
        _, _, told = invited.text.rpartition(": ")
        self.assertEqual(told, "join #dev")
        for to in (LI, None):
            self.assertEqual(interpret(told, to), NoRooms())
