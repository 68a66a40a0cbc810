"""Programs in surroundings that are not a developer's: no home, other encodings, byte order marks."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from codecs import BOM_UTF8
from collections.abc import Sequence
from typing import Any

import pexpect
from argon2 import PasswordHasher

from tests.client.programs import COMMAND, PASSWORD, ProgramCase
from tests.client.script.script_case import CHATSVC, ScriptCase

MARK = "\ufeff"

NOBODY = """
import pwd

def getpwuid(uid):
    raise KeyError(uid)

pwd.getpwuid = getpwuid
"""
"""Runs at the start of an interpreter (``site``): the user has no line in passwd(5), as in many containers."""


class Surroundings(ScriptCase):
    def run_bytes(
        self, words: Sequence[str], stdin: bytes = b"", **env: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command in an interpreter of its own."""
        return subprocess.run(
            words,
            cwd=self.folder,
            env=self.environment(**env),
            input=stdin,
            capture_output=True,
            timeout=60,
        )

    def test_no_home(self) -> None:
        """A user without a home would get a traceback."""
        (self.folder / "sitecustomize.py").write_text(NOBODY)
        here = {"HOME": "", "CHATSVC_STATE": "", "PYTHONPATH": str(self.folder)}
        for words in (COMMAND, (CHATSVC, "send", "--to", "1", "x"), (CHATSVC, "listen")):
            done = self.run_bytes(words, b"", **here)
            self.assertEqual((done.returncode, done.stderr.count(b"\n")), (1, 1), done)
            self.assertIn(b"--state", done.stderr)

    def test_no_home_for_an_option_file(self) -> None:
        """A server's admin without a home would get a traceback for the option file of MySQL."""
        (self.folder / "sitecustomize.py").write_text(NOBODY)
        store = "mysql://localhost/x?read_default_file=~/my.cnf"
        words = (CHATSVC, "--accounts", store, "account", "list")
        done = self.run_bytes(words, HOME="", PYTHONPATH=str(self.folder))
        self.assertEqual((done.returncode, done.stderr.count(b"\n")), (1, 1), done)
        self.assertIn(b"~/my.cnf is no file", done.stderr)

    def test_pipe_in_another_encoding(self) -> None:
        """What a pipe writes in the locale's encoding could not be read back by a pipe, or not be found again."""
        here = {"PYTHONIOENCODING": "gbk", "LANG": "zh_CN.GBK"}
        lines = f"auth {self.uid} {PASSWORD}\nmsg {self.other} 你好\n".encode("gbk")
        done = self.run_bytes([*COMMAND, *self.options()], lines, **here)
        self.assertTrue(done.stdout.decode("gbk").endswith("]:你好\n"), done)
        for words, stdin in (
            ("-", "标准输入\n"),
            ("--lines", "第一行\n第二行\n"),
        ):
            to = (CHATSVC, "send", "--to", str(self.other), words)
            done = self.run_bytes(to, stdin.encode("gbk"), **here)
            self.assertEqual((done.returncode, done.stderr), (0, b""), done)
        self.assertEqual(self.waiting(self.other), ["你好", "标准输入", "第一行", "第二行"])

    def test_argument(self) -> None:
        """A text on the command line would be sent in other bytes than UTF-8, or be refused for them."""
        self.done(self.send("你好"))
        self.failed(self.send("\udcc4\udce3"), "UTF-8")
        self.assertEqual(self.waiting(self.other), ["你好"])

    def test_byte_order_marks(self) -> None:
        """A file that was written on Windows would not be understood, for a mark that nobody sees."""
        self.password.write_text(f"{MARK}{PASSWORD}\n")
        self.done(self.send("-", stdin=f"{MARK}one"))
        self.done(self.send("--lines", stdin=f"{MARK}two\nthree\n"))
        lines = f"{MARK}auth {self.uid} {PASSWORD}\nmsg {self.other} four\n".encode()
        done = self.run_bytes([*COMMAND, *self.options()], lines, PYTHONIOENCODING="gbk")
        self.assertIn(b"]:four\n", done.stdout)
        self.assertEqual(self.waiting(self.other), ["one", "two", "three", "four"])

    def test_password_from_a_pipe(self) -> None:
        """An account would have a password that begins with a mark, or that is in another encoding than typed."""
        store = f"sqlite:{self.folder / 'accounts.db'}"
        self.run_bytes((CHATSVC, "--accounts", store, "schema", "create"))
        for name, stdin, encoding in (
            ("marked", BOM_UTF8 + "密码\n".encode(), "utf-8"),
            ("gbk", "密码\n".encode("gbk"), "gbk"),
        ):
            add = (CHATSVC, "--accounts", store, "account", "add", name, "--password-stdin")
            done = self.run_bytes(add, stdin, PYTHONIOENCODING=encoding)
            self.assertEqual(done.returncode, 0, done)
            self.assertEqual(stored_password_is(store, name, "密码"), True, name)

    def test_times(self) -> None:
        """A time that is no number would be an assertion's text, or neither over nor to come."""
        for words in (
            ("send", "--to", "1", "--timeout", "nan", "x"),
            ("send", "--to", "1", "--timeout", "inf", "x"),
            ("send", "--to", "1", "--wait=nan", "x"),
            ("send", "--to", "1", "--timeout", "0", "x"),
            ("listen", "--timeout", "nan"),
        ):
            outcome = self.run_to_end(*words)
            self.assertEqual((outcome.status, outcome.output), (2, ""), words)
            self.assertIn("Error: Invalid value for '--", outcome.errors)


def stored_password_is(store: str, name: str, password: str) -> bool:
    """Whether an account has this password."""
    with sqlite3.connect(store.removeprefix("sqlite:")) as database:
        ((stored,),) = database.execute("SELECT password FROM user WHERE username = ?", (name,))
    return PasswordHasher().verify(stored, password)


SLOW = """
import socket
import time

socket.getaddrinfo = lambda *arguments, **more: time.sleep(60)
"""
"""Runs at the start of an interpreter: no name server answers, and the look-up of a name does not end."""


class SlowNames(ProgramCase):
    """Leaving, while a thread looks a name up."""

    def client(self, *options: str) -> Any:
        (self.folder / "sitecustomize.py").write_text(SLOW)
        child = pexpect.spawn(
            COMMAND[0],
            [*COMMAND[1:], "--connect", "chat.example", "--state", str(self.folder / "state")],
            env=self.environment(TERM="xterm", PYTHONPATH=str(self.folder)),
            encoding="utf-8",
            timeout=10,
        )
        self.addCleanup(child.close, force=True)
        child.expect(">>>")
        return child

    def test_quit(self) -> None:
        """Who leaves would wait until the look-up is over."""
        child = self.client()
        child.sendline("quit")
        child.expect(pexpect.EOF)
        child.close()
        self.assertEqual((child.exitstatus, child.signalstatus), (0, None))

    def test_signal(self) -> None:
        """A client that is told to end would end only when the look-up is over, or as if it had ended by itself."""
        child = self.client()
        child.kill(signal.SIGTERM)
        child.expect(pexpect.EOF)
        child.close()
        self.assertEqual(child.signalstatus, signal.SIGTERM)
