"""Sitting at the screen: what is typed, what arrives, and whom one talks with."""

from __future__ import annotations

from tests.client.programs import PASSWORD
from tests.client.scenes import SceneCase


class Typing(SceneCase):
    def test_chinese_while_messages_arrive(self) -> None:
        """Messages that arrive would tear the line that is being typed, or put the cursor elsewhere."""
        li = self.person(self.other)
        terminal = self.logged_in()
        terminal.enter(f"/to {self.other}")
        terminal.await_screen(">>>", f"{self.other} >>>")
        terminal.type("这一行中文还没有写完")
        terminal.await_screen("写完")
        li.say_many(
            {"type": "msg", "n": n, "to": self.uid, "text": f"第 {n} 条"} for n in range(1, 51)
        )
        terminal.await_screen("第 50 条")
        self.assert_screen("chinese-and-messages", terminal)
        terminal.press("Left", "Left", "Left", "BSpace", "BSpace")
        terminal.type("没 abc")
        terminal.press("Left", "BSpace", "C-e")
        terminal.type("呢")
        self.assert_screen("chinese-edited", terminal)
        terminal.press("Enter")
        self.assertEqual(li.await_type("msg")["text"], "这一行中文没 ac有写完呢")

    def test_emoji(self) -> None:
        """Emoji would leave the cursor in the wrong place, and half characters behind."""
        li = self.person(self.other)
        terminal = self.logged_in()
        terminal.enter(f"/to {self.other}")
        terminal.type("好🎉🎉🚀 ok")
        terminal.press("Left", "Left", "Left", "Left", "BSpace")
        terminal.type("👍")
        self.assert_screen("emoji", terminal)
        terminal.press("Enter")
        self.assertEqual(li.await_type("msg")["text"], "好🎉👍🚀 ok")

    def test_history(self) -> None:
        """Lines typed yesterday could not be found again, or passwords could."""
        terminal = self.logged_in()
        terminal.enter(f"msg {self.other} 第一句")
        terminal.await_screen("✉")
        terminal.enter("help me please")
        terminal.press("C-d")
        self.assertEqual(terminal.status(), 0)
        terminal = self.sit_down()
        terminal.press("Up", "Up")
        terminal.await_screen("第一句")
        terminal.press("Up", "Up")
        self.assert_screen("history", terminal)
        terminal.press("C-c", "C-r")
        terminal.type("一")
        self.assert_screen("history-search", terminal)
        self.assertNotIn(PASSWORD, (self.folder / "state" / "history").read_text())
