"""The screen while the connection comes and goes, and when somebody else logs in with the account."""

from __future__ import annotations

import sqlite3
from contextlib import closing

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
    def test_beside_others(self) -> None:
        """A phone, a program that listens or an older client would throw out whoever sits at a terminal."""
        terminal = self.logged_in()
        other = self.person(self.uid, device="cd")
        older = self.server.text()
        self.addCleanup(older.close)
        older.log_in(self.uid, PASSWORD)
        other.await_type("kicked")
        li = self.person(self.other)
        li.say(type="msg", n=1, to=self.uid, text="在吗")
        terminal.await_screen("在吗")
        terminal.enter(f"msg {self.other} 在")
        terminal.await_screen("✓ 已送存, 对方在线")
        self.assertNotIn("挤下线", terminal.screen())

    def test_take_over(self) -> None:
        """Two copies of one state would throw each other out for ever, or its user would not know why."""
        terminal = self.logged_in()
        terminal.enter(f"/to {self.other}")
        terminal.type("没写完")
        elsewhere = self.server.structured(device=self.device())
        self.addCleanup(elsewhere.close)
        elsewhere.log_in(self.uid, PASSWORD)
        self.assert_screen("taken-over", terminal)
        terminal.press("Enter")
        terminal.await_screen("另一台设备\n请登陆!")
        terminal.enter(f"auth {self.uid} {PASSWORD}")
        terminal.await_screen("认证成功!\n", f"({self.uid})")
        self.assertEqual(elsewhere.ask(type="ping", n=9)["type"], "pong")
        self.assertEqual([one["type"] for one in elsewhere.unread], [])

    def device(self) -> str:
        """The terminal's."""
        (path,) = (self.folder / "state").glob(f"*/{self.uid}.db")
        with closing(sqlite3.connect(path)) as database:
            (device,) = database.execute("SELECT id FROM device").fetchone()
        return str(device)
