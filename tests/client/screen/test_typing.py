"""The screen while somebody types, completes and pastes."""

from __future__ import annotations

from tests.client.screen.scenes import SceneCase


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


class Searching(SceneCase):
    def test_interrupted(self) -> None:
        """Ctrl-C in the midst of a search would leave a client that takes no more lines, and cannot be left."""
        terminal = self.logged_in()
        terminal.enter("find 李四")
        terminal.await_screen("李四: ")
        terminal.press("C-r")
        terminal.type("李")
        terminal.await_screen("reverse-i-search")
        terminal.press("C-c")
        terminal.await_screen(">>>", gone=["reverse-i-search"])
        terminal.enter("find 张三")
        terminal.await_screen("张三: ")
        terminal.press("C-c")
        self.assertEqual(terminal.status(), 130)


class Completing(SceneCase):
    def test_commands(self) -> None:
        """A person would have to know every command by heart."""
        terminal = self.logged_in()
        terminal.type("/re")
        terminal.press("Tab")
        self.assert_screen("complete-commands", terminal)
        terminal.press("Tab", "Tab")
        terminal.await_screen("/register")
        terminal.press("C-c")
        terminal.type("he")
        terminal.press("Tab")
        terminal.await_screen(">>> help")
        terminal.press("Enter")
        self.assert_screen("help", terminal)

    def test_people(self) -> None:
        """Who has written would have to be answered by typing all digits of their uid."""
        li = self.person(self.other)
        li.say(type="msg", n=1, to=self.uid, text="在吗")
        terminal = self.logged_in()
        terminal.await_screen("在吗")
        terminal.type("/to 李")
        terminal.press("Tab")
        terminal.await_screen(f"/to {self.other}")
        terminal.press("C-u")
        terminal.type(f"msg {str(self.other)[:3]}")
        terminal.press("Tab")
        self.assert_screen("complete-people", terminal)
        terminal.press("C-u")
        terminal.type("find 李")
        terminal.press("Tab")
        terminal.await_screen("find 李四")
