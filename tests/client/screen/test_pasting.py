"""The screen while somebody pastes, with brackets around it and without."""

from __future__ import annotations

import time

from tests.client.programs import PASSWORD
from tests.client.screen.scenes import SceneCase

LINES = "第一行\n  second line\n第三行\n第四行"


class Pasting(SceneCase):
    def test_several_lines(self) -> None:
        """A pasted page would go out as many messages before anybody could say no."""
        li = self.person(self.other)
        terminal = self.logged_in()
        terminal.enter(f"/to {self.other}")
        terminal.await_screen(f"{self.other} >>>")
        terminal.type("half")
        terminal.paste(LINES)
        terminal.await_screen("[s]")
        self.assert_screen("pasted", terminal)
        terminal.answer("n")
        terminal.await_screen(">>> half", gone=["[s]"])
        terminal.paste(LINES)
        terminal.await_screen("[o]")
        terminal.answer("o")
        self.assertEqual(li.await_type("msg")["text"], LINES)
        terminal.await_screen(">>> half", "✓ 已送存", gone=["[o]"])
        terminal.paste(LINES)
        terminal.await_screen("[s]")
        terminal.answer("x", "Enter", "s")
        self.assertEqual([li.await_type("msg")["text"] for _ in range(4)], LINES.split("\n"))
        terminal.await_screen(">>> half", "✓ 已送存")
        self.assert_screen("pasted-and-sent", terminal)

    def test_one_line(self) -> None:
        """Pasting a word into a line would ask, or send it."""
        terminal = self.logged_in()
        terminal.type("msg 1  ok")
        terminal.press("Left", "Left", "Left")
        terminal.paste("一句话\n")
        self.assert_screen("pasted-one-line", terminal)

    def test_secret_in_it(self) -> None:
        """A log-in in what was pasted would be shown, or be said to the partner with the rest."""
        li = self.person(self.other)
        terminal = self.logged_in()
        terminal.enter(f"/to {self.other}")
        terminal.await_screen(f"{self.other} >>>")
        terminal.paste(f"so:\n \u3000auth {self.uid} hunter2\nlogin {self.uid}\nhunter2\n")
        screen = terminal.await_screen("[s]", gone=["[o]"])
        self.assertNotIn("hunter2", screen)
        terminal.answer("s")
        terminal.await_screen("您已登录!", "密码:")
        terminal.press("C-c")
        terminal.enter("end")
        self.assertEqual([li.await_type("msg")["text"] for _ in range(2)], ["so:", "end"])
        self.assertNotIn("hunter2", terminal.everything())


class WithoutBrackets(SceneCase):
    def test_many_lines(self) -> None:
        """Where the terminal knows no brackets, 49 lines would go out unasked."""
        li = self.person(self.other)
        terminal = self.logged_in()
        terminal.enter(f"/to {self.other}")
        terminal.await_screen(f"{self.other} >>>")
        terminal.paste_bare("".join(f"line {i}\n" for i in range(49)))
        terminal.await_screen("粘贴了 49 行")
        terminal.answer("n")
        terminal.await_screen(">>>", gone=["[s]"])
        terminal.enter("end")
        self.assertEqual(li.await_type("msg")["text"], "end")

    def test_typed_before_the_question(self) -> None:
        """A key that was typed before the question stood there would answer it."""
        li = self.person(self.other)
        terminal = self.logged_in()
        terminal.enter(f"/to {self.other}")
        terminal.await_screen(f"{self.other} >>>")
        terminal.paste(LINES)
        terminal.press("s")
        terminal.await_screen("[s]")
        time.sleep(1)
        terminal.await_screen("[s]")
        terminal.answer("n")
        terminal.await_screen(">>> s", gone=["[s]"])
        terminal.press("Enter")
        self.assertEqual(li.await_type("msg")["text"], "s")

    def test_end_never_comes(self) -> None:
        """A paste whose end is lost would swallow Ctrl-C, and everything else."""
        for key, status in (("C-c", 130), ("C-d", 0)):
            terminal = self.logged_in()
            terminal.press("Escape", "[", "2", "0", "0", "~", "a", "Enter", "b")
            terminal.press(key, key)
            self.assertEqual(terminal.status(), status)
        terminal = self.logged_in()
        terminal.type("\x1b[200~find 李四")
        terminal.await_screen("find 李四")
        terminal.press("Enter")
        terminal.await_screen("李四: ")

    def test_a_megabyte(self) -> None:
        """A line of a megabyte would keep the terminal busy for seconds, and stand there to be sent in part."""
        terminal = self.logged_in()
        begin = time.monotonic()
        for paste in (terminal.paste, terminal.paste_bare):
            paste("x" * 1_000_000)
            terminal.await_screen("粘贴的内容太长 (1000000 个字符), 未采用!", ">>>")
            terminal.enter("find 李四")
            terminal.await_screen("李四: ")
            terminal.press("C-l")
            terminal.await_screen(">>>", gone=["李四: "])
        self.assertLess(time.monotonic() - begin, 10)
        terminal.paste("y" * 3_000_000)
        terminal.await_screen("未采用")
        self.assertNotIn("yy", terminal.screen())


class Doubts(SceneCase):
    def test_as_it_looks(self) -> None:
        """What is meant for somebody else would be said to the partner, as an input method wrote it."""
        wang = self.register()
        li, third = self.person(self.other), self.person(wang, "cd")
        terminal = self.logged_in()
        terminal.enter(f"ｔｏ　{self.other}")
        terminal.await_screen(f"{self.other} >>>")
        terminal.enter(f" ＭＳＧ　{wang}　你好")
        terminal.await_screen(f"→ {wang} ✓")
        self.assertEqual(third.await_type("msg")["text"], "你好")
        for blank in (" ", "\u3000", "\xa0"):
            terminal.enter(f"{blank}Auth{blank}{self.uid} {PASSWORD}")
            terminal.await_screen("您已登录!")
            terminal.press("C-l")
        terminal.enter(f"auht {self.uid} {PASSWORD}")
        terminal.await_screen("可能含有密码, 没有发送!")
        terminal.enter(f"mgs {wang} 你好")
        terminal.await_screen(f"仍发给 {self.other}")
        terminal.answer("n")
        terminal.await_screen(f">>> mgs {wang} 你好")
        terminal.press("Enter")
        terminal.await_screen("[s]")
        terminal.answer("s")
        self.assertEqual(li.await_type("msg")["text"], f"mgs {wang} 你好")


class Reports(SceneCase):
    def test_never_typed(self) -> None:
        """What the terminal says of itself would stand in the line, and answer questions."""
        terminal = self.logged_in()
        for report in (
            "\x1b[I",
            "\x1b[O",
            "\x1b[?62;22c",
            "\x1b]11;rgb:1e1e/1e1e/1e1e\x07",
            "\x1bP1+r5\x1b\\",
        ):
            terminal.type(f"a{report}b")
        terminal.await_screen(">>> ababababab")
        terminal.press("C-c")
        terminal.paste(LINES)
        terminal.await_screen("[s]")
        time.sleep(0.6)
        terminal.type("\x1b[I")
        time.sleep(0.6)
        terminal.await_screen("[s]")


class Emoji(SceneCase):
    def test_one_character_each(self) -> None:
        """Emoji, flags and Hindi would break the prompt when the cursor moves or a message comes."""
        li = self.person(self.other)
        terminal = self.logged_in()
        terminal.enter(f"/to {self.other}")
        terminal.await_screen(f"{self.other} >>>")
        terminal.type("a👩‍👩‍👧🇨🇳क्षि❤️👍🏽z")
        terminal.press("Left", "BSpace", "Left", "BSpace", "Left")
        for n in range(3):
            li.say(type="msg", n=n + 1, to=self.uid, text=f"第 {n} 条 👩‍👩‍👧")
            terminal.await_screen(f"第 {n} 条")
        screen = terminal.screen().rstrip("\n").split("\n")
        self.assertEqual(sum(f"({self.other}) >>>" in line for line in screen), 1, screen)
        self.assertEqual(sum("● 已连接" in line for line in screen), 1, screen)
        terminal.press("Enter")
        self.assertEqual(li.await_type("msg")["text"], "a👩‍👩‍👧🇨🇳❤️z")
