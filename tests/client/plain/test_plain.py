"""``twistd chatclient`` at a terminal that can do no more than lines; lines that are too long."""

from __future__ import annotations

import time
from typing import Any

from tests.client.programs import PASSWORD, ProgramCase

CTRL_C = "\x03"


class Plain(ProgramCase):
    def logged_in(self) -> Any:
        child = self.terminal(TERM="dumb")
        child.sendline(f"auth {self.uid} {PASSWORD}")
        child.expect("认证成功!")
        return child

    def test_whom(self) -> None:
        """A line would be said to the one before, while the next one is looked for, or nobody see whom it went to."""
        wang = self.register()
        child = self.logged_in()
        for uid, text in ((self.other, "first"), (wang, "second")):
            child.sendline(f" ＴＯ　{uid}")
            child.expect("对话, ")
            child.sendline(text)
            child.expect(f":{text}  → {uid}\r\n")
        child.sendline(f"mgs {wang} hi")
        child.expect(f"仍发给 {wang}")
        time.sleep(0.5)
        child.sendline("n")
        time.sleep(0.1)
        child.sendline(f"\u3000auth {self.uid} hunter2 x")
        child.expect("可能含有密码, 没有发送!")
        for line in ("join #one", "rooms", "ＣＲＥＡＴＥ　＃zz"):
            child.sendline(line)
            child.expect("本客户端暂不支持聊天室")
        child.sendline("\x1b[Ithe end")
        child.expect(":the end  →")
        child.sendline("quit")
        child.expect("再见!")
        self.assertEqual(self.waiting(wang), ["second", "the end"])
        self.assertEqual(self.waiting(self.other), ["first"])

    def test_pasted(self) -> None:
        """Pasted lines would go out unasked, and one of them answer the question."""
        child = self.logged_in()
        child.sendline(f"to {self.other}")
        child.expect("对话, ")
        child.send("one\ns\ntwo\n")
        child.expect("粘贴了 3 行")
        child.sendline("s")
        time.sleep(0.5)
        child.sendline("n")
        time.sleep(0.1)
        child.sendline("end")
        child.expect(":end  →")
        child.send("three\nfour\n")
        child.expect("粘贴了 2 行")
        time.sleep(0.5)
        child.sendline("s")
        child.expect(":four  →")
        child.send(CTRL_C)
        self.assertNotIn("one", waiting := self.waiting(self.other))
        self.assertEqual(waiting[-3:], ["end", "three", "four"])


class LongLines(ProgramCase):
    def test_in_a_pipe(self) -> None:
        """A line too long for a frame would end the client, or its second half be a command of its own."""
        login = f"auth {self.uid} {PASSWORD}"
        for line in ("find " + '"' * 70_000, f"msg {self.other} " + "x" * (1 << 20) + "logout"):
            outcome = self.run_client(login, line, f"find {self.other}")
            self.assertEqual((outcome.status, outcome.errors), (1, ""), line[:10])
            self.assertEqual(outcome.output.count("消息太长"), 1)
            self.assertIn("没有找到用户", outcome.output)
