"""``twistd chatclient`` at a terminal, against a real server."""

from __future__ import annotations

import re
import termios
from contextlib import closing
from typing import Any

import pexpect

from tests.client.programs import COMMAND, PASSWORD, ProgramCase

CTRL_C, CTRL_D = "\x03", "\x04"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal(ProgramCase):
    def logged_in(self, **env: str) -> Any:
        child = self.terminal(**env)
        child.sendline(f"auth {self.uid} {PASSWORD}")
        child.expect("认证成功!")
        return child

    def ended(self, child: Any) -> str:
        """What the client still says until it ends well."""
        child.expect(pexpect.EOF)
        child.close()
        self.assertEqual((child.exitstatus, child.signalstatus), (0, None))
        return _CONTROL.sub("", child.before)

    def test_a_talk(self) -> None:
        """A person could not log in, write, or see that it was stored."""
        child = self.logged_in()
        child.sendline(f"msg {self.other} 你好吗")
        child.expect(
            r"\[离线消息\]\r\n[-0-9: ]+(\x1b\[[0-9;]*m|\r\n)+\[ \w+\|UID:\d+ \]\x1b\[0m:你好吗"
        )
        child.sendline("quit")
        child.expect("再见!")
        self.ended(child)
        self.assertEqual(self.waiting(self.other), ["你好吗"])

    def test_typing_survives_messages(self) -> None:
        """A message that arrives would spoil the line that is being typed."""
        child = self.logged_in()
        child.send(f"msg {self.other} 一半")
        child.expect("一半")
        self.run_client(
            f"auth {self.other} {PASSWORD}",
            f"msg {self.uid} 打扰",
            options=[*self.options()[:-1], str(self.folder / "other")],
        )
        child.expect(":打扰")
        child.expect("一半")
        child.send("完\r")
        child.expect(":一半完")
        child.send(CTRL_D)
        self.ended(child)
        self.assertEqual(self.waiting(self.other), ["一半完"])

    def test_ends(self) -> None:
        """Ctrl-D or quit would not end it, or leave a terminal without echo."""
        for ending in (CTRL_D, "quit\r"):
            child = self.terminal()
            child.expect(">>>")
            child.send("half" + CTRL_C)
            child.expect(">>>")
            child.send(ending)
            self.ended(child)

    def test_terminal_stays_usable(self) -> None:
        """After the client, the shell would not echo, or read half-lines."""
        child = pexpect.spawn(
            "/bin/sh", env=self.environment(TERM="xterm", PS1="$ "), encoding="utf-8", timeout=30
        )
        self.addCleanup(child.close, force=True)
        before = termios.tcgetattr(child.child_fd)
        command = " ".join([*COMMAND, *self.options()])
        child.sendline(f"{command}; echo status $?")
        child.expect("请登陆!")
        child.expect(">>>")
        child.send(CTRL_D)
        child.expect("status 0")
        self.assertEqual(termios.tcgetattr(child.child_fd)[:4], before[:4])

    def test_dumb(self) -> None:
        """A terminal that can do nothing, as an editor's, would be filled with escape sequences."""
        child = self.logged_in(TERM="dumb")
        child.sendline(f"msg {self.uid} note")
        child.expect(r"UID:\d+ \]:note")
        child.sendline("quit")
        child.expect("再见!")
        self.assertNotIn("\x1b", child.before + self.ended(child))

    def test_server_restarts(self) -> None:
        """A person would have to start again after every restart of the server, or never learn of it."""
        child = self.logged_in()
        self.server.stop()
        child.expect("服务器即将停止")
        child.expect("已断开")
        child.sendline(f"msg {self.other} meanwhile")
        self.server.start()
        child.expect("已重新连接!")
        child.expect(":meanwhile")
        child.send(CTRL_D)
        self.ended(child)

    def test_kicked(self) -> None:
        """A person would not learn that a copy of the state has taken over, or could not log in again."""
        child = self.logged_in()
        with closing(self.server.structured()) as other:
            other.log_in(self.uid, PASSWORD, receive=False)
            (terminal,) = other.ask(type="devices", n=9)["devices"]
        more = {"device": terminal["device"], "features": ["devices"]}
        with closing(self.server.structured(**more)) as copy:
            copy.log_in(self.uid, PASSWORD)
            child.expect("您已被挤下线! 再次登录后将是另一台设备")
        child.sendline(f"auth {self.uid} {PASSWORD}")
        child.expect("认证成功!")
        child.sendline("logout")
        child.expect("您已退出登录!")
        child.expect("请登陆!")
        child.send(CTRL_D)
        self.ended(child)

    def test_server_away(self) -> None:
        """Without its server the client would hang, and not even end."""
        self.server.stop()
        child = pexpect.spawn(
            COMMAND[0],
            [*COMMAND[1:], *self.options()],
            cwd=str(self.folder),
            env=self.environment(TERM="xterm"),
            encoding="utf-8",
            timeout=30,
        )
        self.addCleanup(child.close, force=True)
        child.expect("无法连接 localhost")
        child.sendline("quit")
        self.ended(child)
