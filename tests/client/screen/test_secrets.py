"""The screen, and the lines kept for later: where passwords must not be seen."""

from __future__ import annotations

from tests.client.programs import PASSWORD
from tests.client.screen.scenes import SceneCase

NEW = "neues-密码"


class History(SceneCase):
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
        terminal.await_screen("(reverse-i-search)")
        terminal.type("一")
        self.assert_screen("history-search", terminal)
        self.assertNotIn(PASSWORD, (self.folder / "state" / "history").read_text())


class Passwords(SceneCase):
    def test_typed(self) -> None:
        """A password could be read over the shoulder while it is typed in a line."""
        terminal = self.sit_down()
        terminal.type(f"auth {self.uid} 密{PASSWORD}")
        self.assert_screen("auth-typed", terminal)
        terminal.press("Left", "Left", "BSpace", "Enter")
        terminal.await_screen(f"({self.uid})")

    def test_pasted(self) -> None:
        """A password copied with its line break would be another one, and nobody could see why it is wrong."""
        terminal = self.sit_down()
        terminal.enter(f"/login {self.uid}")
        terminal.await_screen("密码", gone=[">>>"])
        terminal.paste(f"{PASSWORD}\n")
        terminal.press("Enter")
        terminal.await_screen(f"({self.uid})")

    def test_asked_for(self) -> None:
        """A password that is asked for would be shown, kept, or not be the one that was typed."""
        terminal = self.sit_down()
        terminal.enter(f"/login {self.uid}")
        terminal.await_screen("密码:")
        terminal.type(PASSWORD)
        self.assert_screen("login", terminal)
        terminal.press("Enter")
        terminal.await_screen(f"({self.uid})")
        terminal.enter("/passwd")
        for question, answer in (("旧密码", PASSWORD), ("新密码", NEW), ("再输一次", NEW)):
            terminal.await_screen(question)
            terminal.enter(answer)
        terminal.await_screen("密码已修改!")
        terminal.enter("register 新人")
        terminal.await_screen("新密码")
        terminal.enter(NEW)
        terminal.await_screen("再输一次")
        terminal.enter("other")
        self.assert_screen("passwords-asked-for", terminal)
        terminal.enter("/login 1")
        terminal.await_screen("密码:")
        terminal.press("C-c")
        terminal.await_screen(">>>", gone=["密码:"])
        terminal.press("Up")
        self.assert_screen("nothing-to-remember", terminal)
        self.assertEqual((self.folder / "state" / "history").read_text(), "")
        self.assertNotIn(NEW, terminal.everything())
