"""The screen while the connection comes and goes, and when somebody else logs in with the account."""

from __future__ import annotations

from tests.client.programs import PASSWORD
from tests.client.screen.scenes import SceneCase


class Reconnecting(SceneCase):
    def test_crash_of_the_server(self) -> None:
        """What is typed while the server is away would be lost, sent twice or in another order, or not be told of."""
        terminal = self.logged_in()
        terminal.enter(f"/to {self.other}")
        terminal.enter("零")
        terminal.await_screen("✉ 共 1 条等待对方")
        self.server.kill()
        terminal.await_screen("○ 自")
        terminal.enter("一")
        terminal.enter("二")
        terminal.await_screen("⋯ 等待确认 → 10", ": 二")
        terminal.type("还没写完")
        self.assert_screen("away", terminal)
        self.server.start()
        terminal.await_screen("已重新连接!", "共 3 条")
        self.assert_screen("back", terminal)
        li = self.person(self.other)
        said = [li.await_type("msg")["text"] for _ in range(3)]
        self.assertEqual(said, ["零", "一", "二"])
        terminal.press("Enter")
        self.assertEqual(li.await_type("msg")["text"], "还没写完")
        terminal.await_screen("✓ 已送存, 对方在线")

    def test_leaving_while_away(self) -> None:
        """Who leaves while the server is away would wait for it, or not learn what was not sent."""
        terminal = self.logged_in()
        self.server.kill()
        terminal.await_screen("○ 自")
        terminal.enter(f"msg {self.other} 晚安")
        terminal.await_screen("⋯ 等待确认")
        terminal.press("C-d")
        self.assertEqual(terminal.status(), 0)
        self.assert_screen("left-while-away", terminal)


class TakeOver(SceneCase):
    def test_take_over(self) -> None:
        """Two clients of one account would throw each other out for ever, or its user would not know why."""
        terminal = self.logged_in()
        terminal.enter(f"/to {self.other}")
        terminal.type("没写完")
        elsewhere = self.person(self.uid, device="cd")
        self.assert_screen("taken-over", terminal)
        terminal.press("Enter")
        terminal.await_screen("挤下线!\n请登陆!")
        self.assertEqual(elsewhere.ask(type="ping", n=9)["type"], "pong")
        self.assertEqual(elsewhere.unread, [])
        terminal.enter(f"auth {self.uid} {PASSWORD}")
        elsewhere.await_type("kicked")
        older = self.server.text()
        self.addCleanup(older.close)
        older.log_in(self.uid, PASSWORD)
        self.assert_screen("taken-over-again", terminal)
