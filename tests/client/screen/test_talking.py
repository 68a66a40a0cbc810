"""The screen while somebody talks: whom plain lines go to."""

from __future__ import annotations

from tests.client.screen.scenes import SceneCase


class Talking(SceneCase):
    def test_to_a_uid(self) -> None:
        """One would have to write the uid before each line, or could not stop, or not begin a text with a slash."""
        li = self.person(self.other)
        terminal = self.logged_in()
        terminal.enter(f"/to {self.other}")
        terminal.enter("你好")
        terminal.enter("//etc/hosts 在哪")
        terminal.enter("help me")
        said = [li.await_type("msg")["text"] for _ in range(3)]
        self.assertEqual(said, ["你好", "/etc/hosts 在哪", "help me"])
        terminal.enter("/find 李")
        terminal.await_screen("没有找到用户 李!")
        terminal.enter("/to")
        terminal.enter("你好")
        terminal.await_screen("命令不支持")
        self.assert_screen("to-a-uid", terminal)
        terminal.enter("/quit")
        self.assertEqual(terminal.status(), 0)
        self.assert_screen("quit", terminal)

    def test_to_a_name(self) -> None:
        """Somebody who has written could not be called by name, nor answered, or not be seen to be the one."""
        li = self.person(self.other)
        terminal = self.logged_in()
        terminal.enter("/reply 谁?")
        terminal.await_screen("还没有人")
        li.say(type="msg", n=1, to=self.uid, text="在吗")
        terminal.await_screen("在吗")
        terminal.enter("/to 李四")
        terminal.await_screen("李四(", ">>>")
        terminal.enter("在")
        self.assertEqual(li.await_type("msg")["text"], "在")
        terminal.enter("to")
        terminal.await_screen("已结束对话")
        terminal.enter("/reply 什么事")
        self.assertEqual(li.await_type("msg")["text"], "什么事")
        terminal.await_screen("✓ 已送存")
        self.assert_screen("to-a-name", terminal)

    def test_rooms(self) -> None:
        """What was meant for the server, or for a room, would be said to the person one talks to."""
        li = self.person(self.other)
        terminal = self.logged_in()
        for number, line in enumerate(
            (f"/to {self.other}", "join #dev", "msg ＃dev 大家好", "rooms")
        ):
            terminal.enter(line)
            terminal.await_screen(*["本客户端暂不支持聊天室"] * (number > 0), ">>>")
        terminal.enter("你好")
        self.assertEqual(li.await_type("msg")["text"], "你好")

    def test_names_of_several(self) -> None:
        """A line would go to whoever of several namesakes comes first, or nobody would learn of them."""
        self._names = iter(("同名", "同名", "独名"))
        twins = sorted((self.register(), self.register()))
        alone = self.register()
        terminal = self.logged_in()
        terminal.enter("/to 同名")
        terminal.await_screen("有多个用户叫 同名", ", ".join(map(str, twins)))
        terminal.enter("/to 没有")
        terminal.await_screen("没有找到用户 没有!")
        terminal.enter("/to 独名")
        terminal.await_screen(f"独名({alone}) >>>")

    def test_english(self) -> None:
        """Who reads no Chinese could not use it."""
        li = self.person(self.other)
        terminal = self.logged_in("--lang", "en")
        terminal.enter("/help")
        terminal.enter(f"/to {self.other}")
        terminal.enter("hello")
        li.await_type("msg")
        terminal.await_screen("stored")
        self.assert_screen("english", terminal)
