"""``chatsvc send``: status 0 when, and only when, the server has confirmed; each message once."""

from __future__ import annotations

import json
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path

from twisted.internet.defer import Deferred

from chatsvc.client.conversation.account import LoginIntent
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.client_codec import Confirmed, Rejected
from tests.client.peer import ME, YOU, PeerCase
from tests.client.programs import COMMAND, PASSWORD, Outcome, Relay
from tests.client.script.script_case import CHATSVC, ScriptCase, until
from tests.support.forked import ForkedProgram
from tests.support.processes import ChatServer, shared
from tests.support.servers import free_port


class Sent(ScriptCase):
    def test_silence(self) -> None:
        """A script would be told what it did not ask, or its message not be stored."""
        self.assertEqual(self.done(self.send("hello  你好")), "")
        self.assertEqual(self.waiting(self.other), ["hello  你好"])
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
        process = self.begin(
            "send", "--to", str(self.other), "--lines", "--json", "-", "--timeout", "3"
        )
        assert process.stdin and process.stdout
        for text, id in (("first", 1), ("\r\n\nsecond", 2)):
            process.stdin.write(f"{text}\n")
            process.stdin.flush()
            self.assertEqual(json.loads(process.stdout.readline())["id"], id)
        time.sleep(3.5)  # nothing to send is no failure
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
                self.await_handlers(process)
                time.sleep(1)
                process.send_signal(number)
                process.wait(30)
                self.failed(self.ended(process), "interrupted", status=status)

    def await_handlers(self, process: ForkedProgram) -> None:
        """Wait until a process has begun its work: before, Python itself takes Ctrl-C."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            status = Path(f"/proc/{process.pid}/status").read_text()
            caught = int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16)  # type: ignore[index]
            if caught & 1 << signal.SIGTERM - 1:
                return
            time.sleep(0.05)


class Unsure(ScriptCase):
    """What is not confirmed when the time is over."""

    def relay(self) -> Relay:
        relay = Relay(self.server, lambda frame: b'"sent"' not in frame)
        self.addCleanup(relay.close)
        return relay

    def lose_the_confirmation(self, *words: str, stdin: str = "") -> str:
        """Send something whose confirmation does not come; what is said of it."""
        relay = self.relay()
        env = {"CHATSVC_CONNECT": f"localhost:{relay.port}"}
        outcome = self.send(*words, "--timeout", "2", stdin=stdin, **env)
        self.failed(outcome)
        self.rename_state(relay.port)
        return outcome.errors

    def test_same_command_again(self) -> None:
        """A script that tries until it succeeds would send its message twice."""
        self.assertIn("not known whether", self.lose_the_confirmation("once"))
        self.assertEqual(self.unconfirmed(), 1)
        self.done(self.send("once"))
        self.assertEqual((self.waiting(self.other), self.unconfirmed()), (["once"], 0))
        self.done(self.send("once"))
        self.assertEqual(self.waiting(self.other), ["once", "once"])

    def test_another_command_between(self) -> None:
        """Another script's message would settle the first one's, whose repetition then comes as a new one."""
        self.lose_the_confirmation("once")
        self.done(self.send("other"))
        self.assertEqual(self.unconfirmed(), 1)
        self.done(self.send("once"))
        self.assertEqual((self.waiting(self.other), self.unconfirmed()), (["once", "other"], 0))

    def test_client_afterwards(self) -> None:
        """A message that nobody tries again would never be decided, though a client logs in."""
        self.lose_the_confirmation("once")
        self.assertEqual(self.run_client(f"auth {self.uid} {PASSWORD}").status, 0)
        self.assertEqual((self.waiting(self.other), self.unconfirmed()), (["once"], 0))

    def test_lines_again(self) -> None:
        """Lines whose confirmation was lost would come twice when they are sent again."""
        said = self.lose_the_confirmation("--lines", stdin="a\nb\nc\n")
        self.assertIn("lines 1 to 3: it is not known", said)
        self.done(self.send("--lines", stdin="a\nb\nc\nd\n"))
        self.assertEqual((self.waiting(self.other), self.unconfirmed()), (["a", "b", "c", "d"], 0))

    def test_killed(self) -> None:
        """A message would be lost or sent twice when its process dies before the confirmation."""
        relay = self.relay()
        env = {"CHATSVC_CONNECT": f"localhost:{relay.port}"}
        process = self.begin("send", "--to", str(self.other), "once", **env)
        self.assertTrue(relay.dropped.wait(30))
        process.kill()
        process.wait()
        self.rename_state(relay.port)
        self.done(self.send("once"))
        self.assertEqual((self.waiting(self.other), self.unconfirmed()), (["once"], 0))

    def begin_lines(self, timeout: int) -> ForkedProgram:
        """Begin to send lines, of which the first is confirmed."""
        process = self.begin(
            "send", "--to", str(self.other), "--lines", "--json", "--timeout", str(timeout)
        )
        assert process.stdin and process.stdout
        process.stdin.write("first\n")
        process.stdin.flush()
        self.assertIn('"id":1', process.stdout.readline())
        return process

    def test_server_killed(self) -> None:
        """A crash of the server would end a script, or cost it a line."""
        process = self.begin_lines(30)
        self.server.kill()
        assert process.stdin
        process.stdin.write("second\nthird\n")
        process.stdin.flush()
        time.sleep(0.5)
        self.server.start()
        self.assertEqual(self.done(self.ended(process)).count("\n"), 2)
        self.assertEqual(self.waiting(self.other), ["first", "second", "third"])

    def test_never_sent(self) -> None:
        """What was said not to be sent would be sent at the next log-in all the same."""
        process = self.begin_lines(2)
        self.server.kill()
        assert process.stdin
        time.sleep(0.5)
        process.stdin.write("second\nthird\n")
        process.stdin.flush()
        self.failed(self.ended(process), "line 2: not sent: ", "localhost")
        self.server.start()
        self.assertEqual(self.unconfirmed(), 0)
        self.assertEqual(self.run_client(f"auth {self.uid} {PASSWORD}").status, 0)
        self.assertEqual(self.waiting(self.other), ["first"])

    def test_password_changed(self) -> None:
        """A script whose password was changed under way would wait for ever."""
        process = self.begin_lines(100)
        client = self.server.structured()
        self.addCleanup(client.close)
        client.log_in(self.uid, PASSWORD, receive=False)
        self.assertEqual(client.ask(type="passwd", n=2, old=PASSWORD, new="new")["type"], "ok")
        self.server.kill()
        assert process.stdin
        process.stdin.write("second\n")
        process.stdin.flush()
        self.server.start()
        process.wait(30)
        self.failed(self.ended(process), "line 2: ", "Log-in failed!")


class Waited(ScriptCase):
    def test_reader_comes_later(self) -> None:
        """A script could not wait until its message was taken."""
        reader = threading.Timer(2, self.read)
        reader.start()
        begun = time.monotonic()
        sent = json.loads(self.done(self.send("--wait", "--json", "x")))
        reader.join()
        self.assertGreater(time.monotonic() - begun, 2)
        self.assertEqual((sent["id"], sent["state"], sent["waiting"]), (1, "online", 0))
        self.assertEqual(self.waiting(self.other), [])

    def read(self) -> None:
        """The reader comes, and stays for a while."""
        env = {**self.environment(), "CHATSVC_UID": str(self.other), "CHATSVC_STATE": "reader"}
        words = [CHATSVC, "listen", "--timeout", "5"]
        subprocess.run(words, env=env, cwd=self.folder, capture_output=True, timeout=30)

    def test_reader_is_there(self) -> None:
        """A script would wait for a reader who is there."""
        reader = self.server.structured()
        self.addCleanup(reader.close)
        reader.log_in(self.other, PASSWORD)
        self.assertEqual(self.done(self.send("--wait=20", "x")), "")
        self.assertEqual(reader.await_type("msg")["text"], "x")

    def test_reader_does_not_come(self) -> None:
        """A script would wait for ever, not know that its message is safe, or have sent it several times."""
        outcome = self.send("--wait=3", "--json", "x")
        self.assertEqual((outcome.status, json.loads(outcome.output)["state"]), (1, "offline"))
        self.assertRegex(
            outcome.errors, rf"^chatsvc send: sent, but {self.other} was not seen.*3 s\n$"
        )
        self.assertEqual((self.waiting(self.other), self.unconfirmed()), (["x"], 0))

    def test_reader_was_there_between(self) -> None:
        """A reader who has taken it and left again would be waited for."""
        process = self.begin("send", "--to", str(self.other), "--wait=20", "--json", "x")
        deadline = time.monotonic() + 20
        while not self.waiting_of_other() and time.monotonic() < deadline:
            time.sleep(0.05)
        reader = self.server.structured()
        reader.log_in(self.other, PASSWORD)
        reader.say(type="ack", id=reader.await_type("msg")["id"])
        reader.ask(type="ping", n=2)
        reader.close()
        self.assertEqual(json.loads(self.done(self.ended(process)))["waiting"], 0)

    def waiting_of_other(self) -> int:
        client = self.server.structured()
        waiting: int = client.log_in(self.other, PASSWORD, receive=False)["waiting"]
        client.close()
        return waiting

    def test_forgotten_device(self) -> None:
        """A message that is waited for would be stored again once the server has forgotten who sent it."""
        process = self.begin(
            "send", "--to", str(self.other), "--wait=20", "--verbose", "waited for"
        )
        assert process.stdout
        until(process.stdout, ":waited for")
        with (
            closing(sqlite3.connect(self.server.folder / "chat.db", timeout=30)) as database,
            database,
        ):
            database.execute("DELETE FROM chat_sending WHERE uid = ?", (self.other,))
        self.failed(self.ended(process), "sent, but", "no longer knows the number")
        self.assertEqual(self.waiting(self.other), ["waited for"])

    def test_server_restarts(self) -> None:
        """A restart of the server would end the waiting, or store the message again."""
        process = self.begin("send", "--to", str(self.other), "--wait=20", "x", "--verbose")
        assert process.stdout
        until(process.stdout, ":x")
        self.server.crash()
        self.read()
        self.done(self.ended(process))
        self.assertEqual(self.waiting(self.other), [])


class Short(ScriptCase):
    def test_client(self) -> None:
        """chatsvc client would not be what twistd -n chatclient is."""
        lines = f"auth {self.uid} {PASSWORD}\nmsg {self.other} x\ndance\n"
        options = self.options()
        short = self.run_to_end("client", *options, stdin=lines)
        long = subprocess.run(
            [*COMMAND, *options],
            cwd=self.folder,
            env=self.environment(),
            input=lines,
            capture_output=True,
            text=True,
            timeout=30,
        )
        self.assertEqual(short.status, 1)
        self.assertIn("Unknown command", short.output)
        self.assertEqual((short.status, short.errors), (long.returncode, long.stderr))
        self.assertEqual(self.run_to_end("client", "--connect", "::1:1").status, 1)
        self.assertIn("--connect", self.run_to_end("client", "--help").output)

    def test_working_directory(self) -> None:
        """A file that lies about would be taken for a module of ours."""
        for name in ("twisted.py", "chatsvc.py", "click.py"):
            (self.folder / name).write_text("raise SystemExit('taken')")
        outcome = self.run_to_end("client", stdin="")
        self.assertEqual((outcome.status, outcome.output), (0, "Please log in!\n"), outcome)


class Taking(PeerCase):
    """What a sending program's conversation does, against a scripted server."""

    intent = LoginIntent(receive=False, resumes=True)

    def enter(self) -> None:
        self.connect()
        entering = Deferred.fromCoroutine(self.conversation.log_in(c.Auth(ME, "pw")))
        (auth,) = self.take("auth")
        self.assertEqual((auth["receive"], "after" in auth), (False, False))
        self.accept(auth, epoch="")
        self.assertIsInstance(self.successResultOf(entering), e.LoggedIn)

    def send(self, *texts: str) -> list[Deferred[Confirmed | Rejected]]:
        return [self.conversation.send(YOU, text) for text in texts]

    def left(self) -> list[str]:
        return [entry.text for entry in self.outboxes[0].unconfirmed(YOU)]

    def test_not_sent(self) -> None:
        """What never left would be said to be in doubt, and be sent later."""
        self.enter()
        self.conversation.connection_lost()
        self.send("a", "b")
        self.assertEqual((self.conversation.withdraw(), self.left()), (0, []))
        self.assertEqual(self.outboxes[0].add(YOU, "c").n, 1)

    def test_sent(self) -> None:
        """What is on its way would be forgotten, though the server may have it."""
        self.enter()
        results = self.send("a", "b")
        self.sent(1)
        self.conversation.connection_lost()
        self.send("c")
        self.successResultOf(results[0])
        self.assertEqual((self.conversation.withdraw(), self.left()), (1, ["b"]))

    def test_after_a_refusal(self) -> None:
        """What follows a refused message would be said to be in doubt, though the server cannot have taken it."""
        self.enter()
        self.send("a", "b", "c")
        self.sent(1)
        self.refuse(2, "inbox-full")
        self.assertEqual((self.conversation.withdraw(), self.left()), (0, []))

    def test_after_a_gap(self) -> None:
        """What the server has refused for its number would be said to be in doubt."""
        self.enter()
        self.send("a", "b")
        self.refuse(1, "store-unavailable")
        self.refuse(2, "gap", expected=1)
        self.assertEqual((self.conversation.withdraw(), self.left()), (1, ["a"]))

    def test_gap_above(self) -> None:
        """What the server has refused because its number is another text's would be said to be in doubt."""
        self.enter()
        self.send("a", "b")
        self.refuse(1, "gap", expected=2)
        self.assertEqual((self.conversation.withdraw(), self.left()), (1, ["b"]))

    def test_logged_out(self) -> None:
        """What is in doubt when one is no longer let in would be said not to be sent."""
        self.enter()
        (result,) = self.send("a")
        self.conversation.connection_lost()
        self.connect()
        (auth,) = self.take("auth")
        self.say(type="error", re=auth["n"], code="bad-credentials", text="no")
        self.assertIsInstance(self.successResultOf(result), Rejected)
        self.assertEqual((self.conversation.withdraw(), self.left()), (1, ["a"]))

    def leave(self, *texts: str) -> None:
        """An earlier process leaves messages."""
        self.enter()
        self.send(*texts)
        self.kill()
        self.begin()

    def test_taken_up(self) -> None:
        """What an earlier process left would be sent again as something new."""
        self.leave("a", "b", "c")
        self.enter()
        self.assertEqual(self.numbers(), [(1, "a")])
        results = self.send("a")
        self.sent(1, duplicate=True)
        self.sent(2)
        self.numbers()
        results += self.send("b", "x", "c")
        self.assertEqual(self.numbers(), [(4, "x"), (5, "c")])
        for n in (3, 4, 5):
            self.sent(n)
        found = [self.successResultOf(result) for result in results]
        self.assertEqual([result.re for result in found], [1, 2, 4, 5])

    def test_left_by_others(self) -> None:
        """What another left would be taken back by who gives up something else."""
        self.leave("a", "b")
        self.enter()
        self.conversation.connection_lost()
        self.send("x")
        self.assertEqual((self.conversation.withdraw(), self.left()), (0, ["a", "b"]))

    def test_more_left(self) -> None:
        """What another left, too, would be counted as in doubt with what is sent now, or be taken back with it."""
        self.leave("a", "b")
        self.enter()
        self.send("a")
        self.sent(1)
        self.refuse(2, "gap", expected=2)
        self.assertEqual((self.conversation.withdraw(), self.left()), (0, ["b"]))

    def test_repeated(self) -> None:
        """Asking for the reader again would disturb what is on its way, or wait for a connection for ever."""
        self.enter()
        self.send("a")
        self.sent(1)
        self.numbers()
        asked = self.conversation.repeat(YOU, 1, "a")
        self.assertEqual(self.numbers(), [(1, "a")])
        self.sent(1, duplicate=True)
        answer = self.successResultOf(asked)
        self.assertTrue(isinstance(answer, Confirmed) and answer.duplicate)
        lost = self.conversation.repeat(YOU, 1, "a")
        self.conversation.connection_lost()
        self.assertIsNone(self.successResultOf(lost))
        self.assertIsNone(self.successResultOf(self.conversation.repeat(YOU, 1, "a")))
        self.assertEqual(self.conversation.unconfirmed, 0)
