"""``twistd chatclient`` and servers that are not to be trusted, not there or silent: what it says, and how it ends."""

from __future__ import annotations

import re
import socket
import time
from typing import Any

import pexpect

from tests.client.programs import COMMAND, PASSWORD, PATIENCE, ProgramCase
from tests.client.strangers import Listener, Papers, Stranger, papers
from tests.support.servers import free_port

CTRL_C, CTRL_D = "\x03", "\x04"
_REACTION = 0.6
"""Seconds that somebody takes to read a question and answer it."""
_NAMES = re.compile(r"localhost:\d+|SHA256:[0-9A-F:]+|--\w+|TLS|chatclient:")
"""What is not Chinese in a Chinese line."""


class RefusalCase(ProgramCase):
    def setUp(self) -> None:
        super().setUp()
        self.mine = papers(self.folder, "mine")
        self.known = self.folder / "state" / "known_servers"

    def where(self, port: int, *more: str) -> list[str]:
        """Nothing is trusted beforehand."""
        state = str(self.folder / "state")
        return ["--connect", f"localhost:{port}", "--state", state, *more]

    def know(self, port: int, shown: Papers) -> None:
        """The user has trusted a certificate for good."""
        self.known.parent.mkdir(mode=0o700, exist_ok=True)
        self.known.write_text(f"localhost:{port} {shown.fingerprint}\n")
        self.known.chmod(0o600)

    def stranger(self, shown: Papers) -> Stranger:
        stranger = Stranger(shown)
        self.addCleanup(stranger.close)
        return stranger

    def fingerprint(self) -> str:
        """What the real server says of itself when it starts."""
        found = re.findall(r"Certificate (SHA256:\S+)", self.server.log())
        return str(found[-1])


class InAPipe(RefusalCase):
    def line(self, port: int, *more: str, lines: int = 1) -> str:
        """What the client says on standard error, and nothing else; it has failed."""
        outcome = self.run_client("auth 10001 secret", options=self.where(port, *more))
        self.assertEqual((outcome.status, outcome.output), (1, ""), outcome)
        self.assertEqual(outcome.errors.count("\n"), lines, outcome.errors)
        return outcome.errors

    def test_unknown(self) -> None:
        """A script would hang on a question, trust anybody, or not say how a server comes to be trusted."""
        for name, more, words in (
            ("own", {}, "证书是自签名的"),
            ("late", {"ends": -0.5}, "证书已过期"),
            ("else", {"hosts": ("example.org",)}, "证书不属于该主机名"),
        ):
            shown = papers(self.folder, name, **more)  # type: ignore[arg-type]
            stranger = self.stranger(shown)
            line = self.line(stranger.port)
            for part in (f"localhost:{stranger.port}", words, shown.fingerprint, "--ca"):
                self.assertIn(part, line)
            self.assertIn("--fingerprint", line)
            self.assertNotRegex(_NAMES.sub("", line), "[A-Za-z]")
            self.assertEqual(stranger.heard, [])
            english = self.line(stranger.port, "--lang", "en")
            self.assertTrue(english.isascii(), english)

    def test_changed(self) -> None:
        """A script would give its password to whoever has come between it and its server."""
        stranger = self.stranger(papers(self.folder, "other"))
        self.know(stranger.port, self.mine)
        said = self.line(stranger.port, lines=6)
        for part in (self.mine.fingerprint, stranger.papers.fingerprint, f"{self.known} 的第 1 行"):
            self.assertIn(part, said)
        self.assertIn("警告", said.splitlines()[0])
        self.assertEqual((stranger.heard, stranger.connections), ([], 1))

    def test_no_connection(self) -> None:
        """A script would hang, or end with a riddle, where something else than its server answers."""
        closing = Listener(lambda connection: None)
        plain = Listener(_talk_plainly)
        for port, words in (
            (free_port(), "连接被拒绝"),
            (closing.port, "TLS 握手完成之前连接就被关闭"),
            (plain.port, "对方不使用 TLS"),
        ):
            line = self.line(port)
            self.assertIn(f"localhost:{port}: {words}", line)
            self.assertNotRegex(_NAMES.sub("", line), "[A-Za-z]")
        for listener in (closing, plain):
            listener.close()

    def test_hangs_in_the_handshake(self) -> None:
        """A script would hang where the server does."""
        mute = Listener(_take_all)
        self.addCleanup(mute.close)
        self.assertIn("服务器没有响应", self.line(mute.port))

    def test_away_for_a_while(self) -> None:
        """A script would be told which keys to press, or not that its server is away."""
        process = self.start()
        assert process.stdout is not None and process.stderr is not None
        self.assertEqual(process.stdout.readline(), "请登陆!\n")
        self.server.kill()
        line = process.stderr.readline()
        self.assertEqual(line, f"无法连接 localhost:{self.server.port}: 连接被拒绝\n")
        self.server.start()
        _, errors = process.communicate(f"auth {self.uid} {PASSWORD}\n", PATIENCE)
        self.assertEqual((process.returncode, errors), (0, ""))

    def test_by_fingerprint(self) -> None:
        """A script could not trust the one server that it means; or would trust another one as well."""
        right = self.fingerprint()
        login = f"auth {self.uid} {PASSWORD}"
        for text in (right, right.lower(), right.removeprefix("SHA256:").replace(":", "")):
            options = self.where(self.server.port, "--fingerprint", text)
            self.assertEqual(self.run_client(login, options=options)[::2], (0, ""), text)
        self.assertFalse(self.known.exists())
        outcome = self.run_client(
            login, options=self.where(self.server.port), CHATSVC_FINGERPRINT=right
        )
        self.assertEqual(outcome[::2], (0, ""))
        said = self.line(self.server.port, "--fingerprint", self.mine.fingerprint)
        self.assertIn(right, said)

    def test_unusable_file(self) -> None:
        """A file that somebody else can write would decide whom to trust, or end in a traceback."""
        self.know(self.server.port, self.mine)
        self.known.chmod(0o666)
        self.assertIn(f"{self.known} 可被其他用户修改", self.line(self.server.port))
        self.known.chmod(0o600)
        self.known.write_text("?\n")
        self.assertIn(f"{self.known} 第 1 行", self.line(self.server.port))


class AtATerminal(RefusalCase):
    def open(self, *options: str, **env: str) -> Any:
        """A client at a terminal that has just been started."""
        child = pexpect.spawn(
            COMMAND[0],
            [*COMMAND[1:], *options],
            cwd=str(self.folder),
            env=self.environment(**{"TERM": "xterm", **env}),
            encoding="utf-8",
            timeout=PATIENCE,
            dimensions=(24, 160),
        )
        self.addCleanup(child.close, force=True)
        return child

    def ended(self, child: Any, status: int) -> str:
        """What it still says until it ends."""
        child.expect(pexpect.EOF)
        child.close()
        self.assertEqual((child.exitstatus, child.signalstatus), (status, None), child.before)
        return str(child.before)

    def asked(self, port: int, **env: str) -> Any:
        """A client that has asked whether its server is to be trusted."""
        child = self.open(*self.where(port), **env)
        child.expect("自签名")
        child.expect("SHA256:")
        child.expect("n 不信任")
        return child

    def answer(self, child: Any, letter: str) -> None:
        """Answer as somebody does who has read the question."""
        time.sleep(_REACTION)
        child.sendline(letter)

    def test_typed_before(self) -> None:
        """What was typed before the question stood there would trust a certificate that nobody has looked at."""
        for term in ("xterm", "dumb"):
            child = self.asked(self.server.port, TERM=term)
            child.delaybeforesend = None
            child.send("a\r")
            time.sleep(2 * _REACTION)
            self.assertFalse(self.known.exists(), term)
            child.send(CTRL_C)
            child.expect(pexpect.EOF)

    def test_always(self) -> None:
        """A user could not come to trust a new server; or would be asked each time."""
        child = self.asked(self.server.port)
        self.answer(child, "a")
        child.expect("请登陆!")
        child.send(CTRL_D)
        self.ended(child, 0)
        self.assertEqual(
            self.known.read_text(), f"localhost:{self.server.port} {self.fingerprint()}\n"
        )
        login = f"auth {self.uid} {PASSWORD}"
        self.assertEqual(self.run_client(login, options=self.where(self.server.port)).status, 0)

    def test_in_the_middle_of_a_line(self) -> None:
        """A letter of a line that somebody is typing would trust a certificate for good, or end the client."""
        child = self.asked(self.server.port)
        child.send("hi, a test\r")
        child.expect("n 不信任")
        self.assertFalse(self.known.exists())
        self.answer(child, "o")
        child.expect("请登陆!")
        child.expect("hi, a test")
        child.send(CTRL_C)
        child.send(CTRL_D)
        self.ended(child, 0)
        self.assertFalse(self.known.exists())

    def test_once(self) -> None:
        """What was trusted once would be trusted for good; or not even until the end, when the server restarts."""
        child = self.asked(self.server.port)
        self.answer(child, "o")
        child.expect("请登陆!")
        child.sendline(f"auth {self.uid} {PASSWORD}")
        child.expect("认证成功!")
        self.server.crash()
        child.expect("已重新连接!")
        child.send(CTRL_D)
        self.ended(child, 0)
        self.assertFalse(self.known.exists())

    def test_no(self) -> None:
        """A user who does not trust a server would not get away from it, or would not be told how it ended."""
        for key in ("n\r", CTRL_C, CTRL_D):
            stranger = self.stranger(self.mine)
            child = self.asked(stranger.port)
            time.sleep(_REACTION if key == "n\r" else 0)
            child.send(key)
            self.assertIn(f"未信任 localhost:{stranger.port}", self.ended(child, 1))
            self.assertEqual(stranger.heard, [])

    def test_dumb(self) -> None:
        """At a terminal that can do no more than lines, the question could not be answered."""
        child = self.asked(self.server.port, TERM="dumb")
        self.answer(child, "o")
        child.expect("请登陆!")
        child.send(CTRL_D)
        self.ended(child, 0)

    def test_changed(self) -> None:
        """A user would overlook that somebody may be listening in, or be asked whether that matters."""
        self.know(self.server.port, self.mine)
        said = self.ended(self.open(*self.where(self.server.port)), 1)
        self.assertIn("警告", said)
        self.assertIn(self.mine.fingerprint, said)
        self.assertIn(self.fingerprint(), said)
        self.assertNotIn("不信任:", said)

    def test_strict(self) -> None:
        """A user who has named what is to be trusted would be asked about everything else."""
        options = self.where(self.server.port, "--ca", str(self.mine.path))
        said = self.ended(self.open(*options), 1)
        self.assertIn("无法信任", said)
        self.assertNotIn("不信任:", said)

    def test_goes_on_trying(self) -> None:
        """A user who has mistyped the server would wait, without knowing for what or how to leave."""
        for server, words in (
            (f"localhost:{free_port()}", "连接被拒绝"),
            ("nosuch.invalid:77", "找不到该主机"),
        ):
            child = self.open("--connect", server, "--state", str(self.folder / "state"))
            child.expect(f"无法连接 {server}: {words}; 将继续尝试, quit 或 Ctrl-D 退出")
            child.send(CTRL_D)
            self.ended(child, 0)

    def test_comes_later(self) -> None:
        """A client that was started before its server would have to be started again."""
        self.server.stop()
        child = self.open(*self.options())
        child.expect("将继续尝试")
        self.server.start()
        child.expect("请登陆!")
        child.send(CTRL_D)
        self.ended(child, 0)


def _talk_plainly(connection: socket.socket) -> None:
    connection.sendall("请登陆!".encode())
    _take_all(connection)


def _take_all(connection: socket.socket) -> None:
    while connection.recv(65_536):
        pass
