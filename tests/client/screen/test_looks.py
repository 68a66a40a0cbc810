"""The screen at other sizes, in colours and without."""

from __future__ import annotations

import re

from tests.client.screen.scenes import NAMES, SceneCase

_LONG = "这一行中文很长很长, 在四十列的终端里一行写不下, 要写两行"


class Sizes(SceneCase):
    def test_resized(self) -> None:
        """Half a line would be torn or gone when the window is made narrow, or wide again."""
        li = self.person(self.other)
        for n, text in ((1, "短"), (2, _LONG)):
            li.say(type="msg", n=n, to=self.uid, text=text)
        terminal = self.logged_in()
        terminal.await_screen(_LONG)
        terminal.enter(f"/to {self.other}")
        terminal.await_screen("(10", ") >>>")
        terminal.type(_LONG)
        terminal.press("Left", "Left")
        self.assert_screen("wide", terminal)
        terminal.resize(40, 24)
        self.assert_screen("narrow", terminal)
        terminal.type("成")
        terminal.resize(80, 24)
        self.assert_screen("wide-again", terminal)
        terminal.press("Enter")
        self.assertEqual(li.await_type("msg")["text"], _LONG[:-2] + "成" + _LONG[-2:])

    def test_narrow(self) -> None:
        """In a narrow terminal lines would be torn, or one could not see what is typed."""
        terminal = self.logged_in(columns=40, rows=12)
        terminal.enter(f"/to {self.other}")
        terminal.enter(_LONG)
        terminal.await_screen("✉")
        terminal.type(_LONG + _LONG)
        terminal.press("BSpace")
        self.assert_screen("narrow-from-the-start", terminal)


_COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9\d|10\d)[;m]")


class Colours(SceneCase):
    def test_one_for_each(self) -> None:
        """All senders would look the same, or one of them different each time."""
        terminal = self.logged_in()
        uids = [self.uid, self.other, *(self.register() for _ in NAMES[2:])]
        for uid in uids[1:]:
            person = self.person(uid)
            person.say_many({"type": "msg", "n": n, "to": self.uid, "text": f"{n}"} for n in (1, 2))
            terminal.await_screen(f"|UID:{uid} ]:2")
        terminal.enter(f"msg {self.other} hi")
        terminal.await_screen("]:hi")
        painted = re.findall(r"\x1b\[38;5;(\d+)m\S*\[ \w+\|UID:(\d+) \]", terminal.colours())
        self.assertEqual(len(painted), 2 * len(uids) - 1)
        colours = {uid: colour for colour, uid in painted}
        self.assertEqual({(colours[uid], uid) for uid in colours}, set(painted))
        self.assertGreater(len(set(colours.values())), 1)

    def test_none(self) -> None:
        """Who cannot see or bear colours would have them all the same."""
        li = self.person(self.other)
        terminal = self.logged_in(NO_COLOR="1")
        li.say(type="msg", n=1, to=self.uid, text="喂")
        terminal.await_screen("喂")
        terminal.enter(f"msg {self.other} hi")
        terminal.await_screen("✓")
        self.assertNotRegex(terminal.colours(), _COLOUR)
