"""``chatsvc send``: status 0 when, and only when, the server has confirmed; each message once."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import time
from contextlib import closing

from tests.client.programs import PASSWORD, Outcome
from tests.client.script.script_case import CHATSVC, ScriptCase
from tests.client.waiting import await_idle, await_signal_handlers
from tests.support.processes import ChatServer, shared
from tests.support.servers import free_port


class Sent(ScriptCase):
    def test_silence(self) -> None:
        """A script would be told what it did not ask, or its message not be stored."""
        self.assertEqual(self.done(self.send("hello  你好")), "")
        self.assertEqual(self.waiting(self.other), ["hello  你好"])
        self.assertEqual(self.unconfirmed(), 0)

    def test_output_that_cannot_be_written(self) -> None:
        """A script would not learn that its message was stored, and send it again until the disk has room."""
        for option in ("--json", "--verbose"):
            with open("/dev/full", "wb") as full:
                done = subprocess.run(
                    [CHATSVC, "send", "--to", str(self.other), option, f"by {option}"],
                    env=self.environment(),
                    cwd=self.folder,
                    stdout=full,
                    stderr=subprocess.PIPE,
                    timeout=60,
                )
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"the server has it, do not send it again", done.stderr)
        self.assertEqual(self.waiting(self.other), ["by --json", "by --verbose"])
        self.assertEqual(self.unconfirmed(), 0)

    def test_json(self) -> None:
        """A program could not know where its message stands."""
        before = int(time.time() * 1000)
        for id in (1, 2):
            sent = json.loads(self.done(self.send("--json", "x")))
            self.assertLessEqual(before, sent.pop("at"))
            self.assertEqual(sent, {"to": self.other, "id": id, "state": "offline", "waiting": id})

    def test_verbose(self) -> None:
        """A person who tries it could not see that it worked."""
        self.assertRegex(
            self.done(self.send("--verbose", "x")),
            rf"^\[offline message\]\nTIME\n\[ \w+\|UID:{self.uid} \]:x\n$",
        )

    def test_standard_input(self) -> None:
        """Several lines would become several messages, or come with a line end too many."""
        text = "one\n\n  two\n"
        self.done(self.send("-", stdin=f"{text}\n"))
        self.done(self.send("-", stdin="好" * 2730 + "\r\n"))
        self.assertEqual(self.waiting(self.other), [text, "好" * 2730])

    def test_text_like_an_option(self) -> None:
        """A text that begins with a dash could not be sent."""
        self.done(self.send("--", "--wait"))
        self.assertEqual(self.waiting(self.other), ["--wait"])

    def test_lines(self) -> None:
        """Lines would be lost, doubled or in another order, or wait for one another."""
        server = ChatServer("--rate", "0", "--inbox-limit", "2000", "--inbox-share", "2000")
        self.server = shared(self, server.start, ChatServer.remove)
        self.uid, self.other = self.register(), self.register()
        texts = [f"line {i} 行" for i in range(1000)]
        output = self.done(self.send("--lines", "--json", stdin="\n".join(texts)))
        self.assertEqual(
            [json.loads(line)["id"] for line in output.splitlines()], list(range(1, 1001))
        )
        self.assertEqual(self.waiting(self.other), texts)
        self.assertEqual(self.unconfirmed(), 0)

    def test_lines_as_they_come(self) -> None:
        """The lines of a log that is followed would be sent at its end only, or empty ones refused."""
        process = self.begin("send", "--to", str(self.other), "--lines", "--json", "-")
        assert process.stdin and process.stdout
        for text, id in (("first", 1), ("\r\n\nsecond", 2)):
            process.stdin.write(f"{text}\n")
            process.stdin.flush()
            self.assertEqual(json.loads(process.stdout.readline())["id"], id)
        process.stdin.write("third")
        self.assertIn('"id":3', self.done(self.ended(process)))
        self.assertEqual(self.waiting(self.other), ["first", "second", "third"])

    def test_nothing_to_send(self) -> None:
        """An empty list of lines would be a failure, though everything in it was sent."""
        self.assertEqual(self.done(self.send("--lines", stdin="\n\n")), "")

    def test_takes_nothing_over(self) -> None:
        """A script that sends would log out the person who chats with the same account, or swallow a message."""
        person = self.server.structured()
        self.addCleanup(person.close)
        person.log_in(self.uid, PASSWORD)
        self.done(self.send("from a script"))
        self.write(self.uid, "for a person", uid=self.other)
        self.assertEqual(person.await_type("msg", "kicked")["text"], "for a person")
        self.assertEqual(self.waiting(self.other), ["from a script"])

    def test_leaves_the_cursor_alone(self) -> None:
        """After a script has sent, the client would show once more what it has shown."""
        self.write(self.uid, "once", uid=self.other)
        shown = self.run_to_end("listen", "--count", "1").output
        self.assertIn(":once\n", shown)
        (state,) = (self.folder / "state").glob(f"*/{self.uid}.db")
        before = self.reading(str(state))
        self.done(self.send("x"))
        self.assertEqual(self.reading(str(state)), before)

    def reading(self, path: str) -> list[tuple[object, ...]]:
        """What a state file has of what was read."""
        with closing(sqlite3.connect(path)) as database:
            return database.execute("SELECT * FROM reading").fetchall()

    def test_many_at_once(self) -> None:
        """Scripts that run side by side would use each other's numbers, and lose messages as repeats."""
        processes = [self.begin("send", "--to", str(self.other), f"{i}") for i in range(6)]
        for process in processes:
            self.done(self.ended(process))
        self.assertEqual(sorted(self.waiting(self.other)), sorted(map(str, range(6))))


class Refused(ScriptCase):
    def test_by_the_server(self) -> None:
        """A script would take a message for sent that was refused."""
        self.failed(self.run_to_end("send", "--to", "999999", "x"), "There is no such userid!")
        self.failed(self.run_to_end("send", "--to", "99999999999999999999", "x"), "no such userid")
        self.failed(self.send("好" * 2731), "too long")
        self.failed(self.send("-", stdin="好" * 100_000), "too long")
        self.password.write_text("wrong\n")
        self.failed(self.send("x"), "Log-in failed!")
        self.assertEqual((self.waiting(self.other), self.unconfirmed()), ([], 0))

    def test_in_the_language_of_the_user(self) -> None:
        """A user would be told why in a language that they do not read."""
        self.failed(self.send("好" * 2731, LANG="zh_CN.UTF-8"), "消息太长")
        self.failed(
            self.send("x", "--lang", "zh", "--timeout", "0.5", CHATSVC_CONNECT="localhost:1"),
            "未发送: 无法连接",
        )

    def test_lines_after_a_refusal(self) -> None:
        """A script could not know from which line on it has to send again."""
        self.server = shared(
            self, lambda: ChatServer("--inbox-share", "3").start(), ChatServer.remove
        )
        self.uid, self.other = self.register(), self.register()
        lines = "".join(f"{i}\n" for i in range(1, 100))
        self.failed(self.send("--lines", stdin=lines), "line 4: ", "too many of your messages")
        self.assertEqual((self.waiting(self.other), self.unconfirmed()), (["1", "2", "3"], 0))
        later = self.register()
        self.done(self.run_to_end("send", "--to", str(later), "--lines", stdin="a\nb\n"))
        self.assertEqual(self.waiting(later), ["a", "b"])

    def test_bad_line(self) -> None:
        """What stands before a line that cannot be sent would be lost, or the line's number be wrong."""
        process = subprocess.Popen(
            [CHATSVC, "send", "--to", str(self.other), "--lines"],
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        _, errors = process.communicate(b"one\n\ntwo\n\xff\nafter\n", 30)
        self.assertEqual(process.returncode, 1)
        self.assertIn("line 4: This is not UTF-8", errors.decode())
        self.assertEqual(self.waiting(self.other), ["one", "two"])
        self.failed(
            self.send("--lines", stdin="three\n" + "x" * 8193 + "\nfour\n"), "line 2: ", "too long"
        )
        self.failed(self.send("--lines", stdin="x" * 3_000_000), "line 1: ", "too long")
        self.assertEqual(self.waiting(self.other), ["one", "two", "three"])

    def test_nothing(self) -> None:
        """An empty message, or a standard input that is closed, would look like success or end in a traceback."""
        self.failed(self.send(""), "nothing to send")
        self.failed(self.send("-", stdin="\n"), "nothing to send")
        for words in ("-", "--lines"):
            shell = f'"$0" send --to {self.other} {words} <&-'
            done = subprocess.run(
                ["/bin/sh", "-c", shell, CHATSVC],
                env=self.environment(),
                capture_output=True,
                text=True,
                timeout=30,
            )
            self.failed(Outcome(done.returncode, done.stdout, done.stderr), "stdin is closed")

    def test_output_gone(self) -> None:
        """Whoever asked for a receipt would not learn that they did not get it."""
        shell = f'"$0" send --to {self.other} --json x >&-'
        done = subprocess.run(
            ["/bin/sh", "-c", shell, CHATSVC],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=30,
        )
        self.failed(Outcome(done.returncode, done.stdout, done.stderr), "stdout is closed")
        with open("/dev/full", "w") as full:
            process = subprocess.run(
                [CHATSVC, "send", "--to", str(self.other), "--json", "x"],
                env=self.environment(),
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=30,
            )
        self.failed(Outcome(process.returncode, "", process.stderr), "No space left")

    def test_credentials(self) -> None:
        """A password that others can read would be used, or a missing one end in a traceback."""
        self.password.chmod(0o640)
        self.failed(self.send("x"), "--password-file", f"chmod 600 {self.password}")
        self.password.chmod(0o600)
        self.password.write_bytes(b"\xff\n")
        self.failed(self.send("x"), "UTF-8")
        self.password.write_text("")
        self.failed(self.send("x"), "empty")
        self.password.unlink()
        self.failed(self.send("x"), str(self.password), "No such file")
        none = {"CHATSVC_PASSWORD_FILE": ""}
        self.failed(self.send("x", **none), "CHATSVC_PASSWORD", str(self.uid))
        self.failed(self.send("x", CHATSVC_UID="", **none), "--uid")
        self.failed(self.send("x", "--uid", "zhang", **none), "--uid", "zhang")
        self.failed(self.send("x", CHATSVC_PASSWORD="wrong", **none), "Log-in failed")
        self.done(self.send("x", CHATSVC_PASSWORD=PASSWORD, **none))

    def test_options(self) -> None:
        """A typing error in an option would end in a traceback, or be ignored."""
        self.failed(self.send("x", "--connect", "::1:1"), "--connect", "::1:1")
        self.failed(self.send("x", "--ca", "nix.pem"), "--ca", "nix.pem")
        self.failed(self.send("x", "--lang", "fr"), "--lang", "fr")
        for words in (
            (),
            ("x", "--wait=soon"),
            ("x", "--lines"),
            ("x", "--timeout", "0"),
            ("x", "y"),
        ):
            self.assertEqual(self.send(*words).status, 2, words)

    def test_state_not_writable(self) -> None:
        """Without a place for what is unconfirmed it would go on, and lose it."""
        self.failed(self.send("x", CHATSVC_STATE=str(self.password)), str(self.password))

    def test_nobody_there(self) -> None:
        """A script would hang, or not learn which server is away."""
        port = free_port()
        begun = time.monotonic()
        outcome = self.send("x", "--timeout", "1", CHATSVC_CONNECT=f"localhost:{port}")
        self.failed(outcome, "not sent", f"localhost:{port}", "refused")
        self.assertGreater(time.monotonic() - begun, 1)
        outcome = self.send("x", "--timeout", "1", CHATSVC_CONNECT="nosuch.invalid:77")
        self.failed(outcome, "not sent", "nosuch.invalid:77")

    def test_silent_server(self) -> None:
        """Something that takes the connection and never answers would be waited for, for ever."""
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            here = {"CHATSVC_CONNECT": f"localhost:{listener.getsockname()[1]}"}
            self.failed(self.send("x", "--timeout", "2", **here), "not sent: no answer within 2 s")

    def test_not_trusted(self) -> None:
        """A script would give its password to anybody who answers."""
        self.failed(self.send("x", CHATSVC_CA=""), "not sent", "certificate")

    def test_interrupted(self) -> None:
        """Ctrl-C would end in a traceback, or with the status of a success."""
        away = {"CHATSVC_CONNECT": f"localhost:{free_port()}"}
        for words, env in ((("x",), away), (("-",), {}), (("--lines",), {}), (("--wait", "x"), {})):
            for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
                process = self.begin("send", "--to", str(self.other), *words, **env)
                await_signal_handlers(process.pid)
                await_idle(process.pid)
                process.send_signal(number)
                process.wait(30)
                self.failed(self.ended(process), "interrupted", status=status)
