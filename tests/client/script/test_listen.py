"""``chatsvc listen``: each message written out, then acknowledged; none lost, whoever goes away."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable
from contextlib import closing

from twisted.internet.defer import Deferred

from chatsvc.client.conversation.account import LoginIntent
from chatsvc.client.conversation.receiver import MessageQuota
from chatsvc.wire import commands as c
from tests.client.peer import ME, PeerCase
from tests.client.programs import PASSWORD, Outcome
from tests.client.script.script_case import CHATSVC, ScriptCase, until
from tests.client.waiting import await_full
from tests.support.processes import ChatServer, shared
from tests.support.servers import free_port


class Heard(ScriptCase):
    def listen(self, *words: str, **env: str) -> Outcome:
        """Listen to the end."""
        return self.run_to_end("listen", *words, **env)

    def ids(self, output: str) -> list[int]:
        """The ids of messages printed as JSON."""
        return [json.loads(line)["id"] for line in output.splitlines()]

    def test_text(self) -> None:
        """A person could not read what came."""
        self.write(self.uid, "你好", "a\nb\x1b[2J", uid=self.other)
        output = self.done(self.listen("--count", "2"))
        header = rf"TIME\n\[ \w+\|UID:{self.other} \]:"
        self.assertRegex(output, rf"^{header}你好\n{header}a\n    b␛\[2J\n$")
        self.assertEqual(self.waiting(self.uid), [])

    def test_json(self) -> None:
        """A program could not read what came, or a text could pass for two lines."""
        texts = ["你好", 'a\nb"\\', "c\x85d\u2028e\x9b2Jf\u202eg\x7f"]
        before = int(time.time() * 1000)
        self.write(self.uid, *texts, uid=self.other)
        output = self.done(self.listen("--json", "--count", "3"))
        lines = output.splitlines()
        self.assertEqual(len(lines), 3)
        self.assertFalse(set(output) & set("\x7f\x85\x9b\u2028\u202e"))
        for id, (line, text) in enumerate(zip(lines, texts, strict=True), 1):
            thing = json.loads(line)
            self.assertEqual((thing["id"], thing["from"], thing["text"]), (id, self.other, text))
            self.assertLessEqual(before, thing["at"])
            self.assertEqual(sorted(thing), ["at", "from", "id", "name", "text"])

    def test_count(self) -> None:
        """A program that wants one message would take those behind it along, and lose them."""
        self.write(self.uid, *"abcde", uid=self.other)
        self.assertEqual(self.ids(self.done(self.listen("--json", "--count", "2"))), [1, 2])
        self.assertEqual(self.waiting(self.uid), ["c", "d", "e"])
        self.assertEqual(self.ids(self.done(self.listen("--json", "--count", "1"))), [3])

    def test_timeout(self) -> None:
        """A script could not stop waiting, or not tell whether it had what it wanted."""
        self.write(self.uid, "a", uid=self.other)
        self.assertEqual(self.ids(self.done(self.listen("--json", "--timeout", "3"))), [1])
        self.failed(self.listen("--count", "2", "--timeout", "1"), "2 more messages")
        port = free_port()
        away = self.listen("--timeout", "1", CHATSVC_CONNECT=f"localhost:{port}")
        self.assertEqual(away.status, 1)
        self.assertIn(f"localhost:{port}", away.errors.splitlines()[-1])

    def test_as_they_come(self) -> None:
        """What is printed would lie in a buffer until the end."""
        process = self.begin("listen", "--json")
        assert process.stdout
        for text in ("one", "two"):
            self.write(self.uid, text, uid=self.other)
            self.assertEqual(json.loads(process.stdout.readline())["text"], text)

    def test_terminal(self) -> None:
        """At a terminal nothing would be shown."""
        self.write(self.uid, "好", uid=self.other)
        near, far = pty.openpty()
        with closing(os.fdopen(near, "rb", 0)) as screen:
            subprocess.run(
                [CHATSVC, "listen", "--count", "1"],
                env=self.environment(),
                stdin=far,
                stdout=far,
                timeout=30,
                check=True,
            )
            self.assertIn("]:好", screen.read(1000).decode())
        os.close(far)

    def test_file(self) -> None:
        """A log file, which epoll does not take, would never be written."""
        self.write(self.uid, "a", "b", uid=self.other)
        with tempfile.TemporaryFile() as file:
            words = [CHATSVC, "listen", "--json", "--count", "2"]
            subprocess.run(words, env=self.environment(), stdout=file, timeout=30, check=True)
            file.seek(0)
            self.assertEqual(self.ids(file.read().decode()), [1, 2])

    def test_kicked(self) -> None:
        """Two listeners would throw each other out for ever, or one end as if all were well."""
        first = self.begin("listen", "--json")
        self.write(self.uid, "a", uid=self.other)
        assert first.stdout
        self.assertEqual(json.loads(first.stdout.readline())["text"], "a")
        second = self.begin("listen", "--json", "--count", "1")
        self.failed(self.ended(first), "Your account logged in elsewhere")
        self.write(self.uid, "b", uid=self.other)
        self.assertEqual(self.ids(self.done(self.ended(second))), [2])

    def test_beside_the_client(self) -> None:
        """A listener that ends would take the client's place with it, or forget what was shown for it."""
        self.write(self.uid, "a", uid=self.other)
        self.done(self.listen("--count", "1"))
        self.assertNotIn(":a", self.run_client(f"auth {self.uid} {PASSWORD}").output)

    def test_refused(self) -> None:
        """A listener that cannot log in would wait for ever."""
        self.password.write_text("wrong\n")
        self.failed(self.listen(), "Log-in failed!")
        self.failed(self.listen("--lang", "zh"), "认证失败!")
        self.failed(self.listen(CHATSVC_CA=""), "certificate")

    def test_interrupted(self) -> None:
        """Ctrl-C would end in a traceback, or as if all were well."""
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            self.write(self.uid, "a", uid=self.other)
            process = self.begin("listen")
            assert process.stdout and process.stderr
            until(process.stdout, ":a")
            process.send_signal(number)
            self.assertEqual(process.wait(30), status)
            self.assertEqual(process.stderr.read(), "chatsvc listen: interrupted\n")
        self.assertEqual(self.waiting(self.uid), [])


class Faults(ScriptCase):
    def shell(self, line: str) -> Outcome:
        """Run a line of the shell in which ``$0`` is the command; the status is the command's."""
        done = subprocess.run(
            ["/bin/bash", "-o", "pipefail", "-c", line, CHATSVC],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def test_head(self) -> None:
        """A listener whose reader has had enough would go on, and acknowledge what nobody sees."""
        self.write(self.uid, "a", uid=self.other)
        outcome = self.shell('"$0" listen --json | head -1')
        self.assertEqual((outcome.status, json.loads(outcome.output)["text"]), (1, "a"))
        self.assertRegex(outcome.errors, "^chatsvc listen: standard output: .*\n$")
        self.write(self.uid, "b", uid=self.other)
        self.assertEqual(self.waiting(self.uid), ["b"])

    def test_nobody_reads(self) -> None:
        """What cannot be printed would be acknowledged."""
        self.write(self.uid, "a", uid=self.other)
        self.failed(self.shell('"$0" listen >&-'), "stdout is closed")
        outcome = self.shell('"$0" listen >/dev/full')
        self.failed(outcome, "No space left")
        outcome = self.shell('"$0" listen --lang zh --json | true')
        self.failed(outcome, "无法写入标准输出: 已没有读者")
        self.assertEqual(self.waiting(self.uid), ["a"])

    def test_killed_after_printing(self) -> None:
        """A listener that is killed after it has printed a message would print it again, or lose the next."""
        for text in ("a", "b"):
            self.write(self.uid, text, uid=self.other)
            process = self.begin("listen", "--json")
            assert process.stdout
            self.assertEqual(json.loads(process.stdout.readline())["text"], text)
            time.sleep(0.3)
            process.kill()
            process.wait()
        self.write(self.uid, "c", uid=self.other)
        output = self.done(self.run_to_end("listen", "--json", "--count", "1"))
        self.assertEqual(json.loads(output)["text"], "c")

    def fill(self) -> int:
        """Let more wait than a pipe holds; how many messages."""
        self.server = shared(self, lambda: ChatServer("--rate", "0").start(), ChatServer.remove)
        self.uid, self.other = self.register(), self.register()
        self.write(self.uid, *(f"{i} {'x' * 4000}" for i in range(100)), uid=self.other)
        return 100

    def test_slow_reader(self) -> None:
        """A reader that is slower than the messages would lose some, or never get them."""
        count = self.fill()
        process = self.begin("listen", "--json", "--count", str(count))
        assert process.stdout
        await_full(process.stdout)
        self.assertEqual(numbers(process.stdout), list(range(count)))
        self.assertEqual(process.wait(30), 0)
        self.assertEqual(self.waiting(self.uid), [])

    def test_reader_stands_still(self) -> None:
        """A reader that does not read would hold up the end, the take-over, or cost it messages."""
        count = self.fill()
        stuck = self.begin("listen", "--json")
        assert stuck.stdout and stuck.stderr
        await_full(stuck.stdout)
        stuck.send_signal(signal.SIGINT)
        self.assertEqual(stuck.wait(15), 130)
        self.assertEqual(stuck.stderr.read(), "chatsvc listen: interrupted\n")
        *whole, _ = stuck.stdout.read().split("\n")  # the last line is cut, as a rule
        self.assertTrue(whole)
        rest = str(count - len(whole))
        output = self.done(self.run_to_end("listen", "--json", "--count", rest))
        self.assertEqual(numbers(whole + output.splitlines()), list(range(count)))
        self.assertEqual(self.waiting(self.uid), [])

    def test_reader_stands_still_and_is_kicked(self) -> None:
        """A listener that is held up by its reader would not hear that another has taken over."""
        count = self.fill()
        stuck = self.begin("listen", "--json")
        assert stuck.stdout and stuck.stderr
        await_full(stuck.stdout)
        other = self.begin("listen", "--json", "--timeout", "5")
        self.assertIn("logged in elsewhere", stuck.stderr.readline())
        self.assertEqual(stuck.wait(15), 1)
        first = numbers(stuck.stdout.read().split("\n")[:-1])
        then = numbers(self.ended(other).output.splitlines())
        self.assertEqual(first, list(range(len(first))))
        # Some may have come to both, in whatever turn: the second was there before the first knew.
        self.assertEqual(then, sorted(set(then)))
        self.assertEqual({*first, *then}, set(range(count)))

    def test_server_killed(self) -> None:
        """A crash of the server would end a listener, or show it a message twice."""
        process = self.begin("listen", "--json")
        assert process.stdout and process.stderr
        self.write(self.uid, "a", uid=self.other)
        self.assertEqual(json.loads(process.stdout.readline())["text"], "a")
        self.server.kill()
        self.assertIn("was lost", process.stderr.readline())
        self.server.start()
        self.assertIn("Connected again", process.stderr.readline())
        self.write(self.uid, "b", uid=self.other)
        self.assertEqual(json.loads(process.stdout.readline())["text"], "b")

    def test_closed_standard_input(self) -> None:
        """A listener in the background, without standard input, would end."""
        self.write(self.uid, "a", uid=self.other)
        outcome = self.shell('"$0" listen --json --count 1 <&-')
        self.assertEqual(json.loads(self.done(outcome))["text"], "a")


def numbers(lines: Iterable[str]) -> list[int]:
    """What the texts of messages begin with."""
    return [int(json.loads(line)["text"].split()[0]) for line in lines]


class Quotas(PeerCase):
    """How much is read, against a scripted server."""

    def setUp(self) -> None:
        self.intent = LoginIntent(quota=MessageQuota(2))
        super().setUp()

    def acks(self) -> list[int]:
        return [frame["id"] for frame in self.take("ack")]

    def enter(self) -> None:
        self.connect()
        self.log_in()

    def test_no_more(self) -> None:
        """A message that nobody asked for would be acknowledged unseen."""
        self.enter()
        self.view.slow = True
        self.message(1)
        self.message(2)
        self.message(3)
        self.view.finish()
        self.clock.advance(0)
        self.view.finish()
        self.message(4)
        self.assertEqual((self.view.read, self.acks()), ([1, 2], [1, 2, 2]))
        self.assertEqual(self.outboxes[0].last_shown, 2)

    def test_over_two_connections(self) -> None:
        """After a reconnection as many again would be read."""
        self.enter()
        self.message(1)
        self.conversation.connection_lost()
        self.connect()
        (auth,) = self.take("auth")
        self.accept(auth)
        self.message(2)
        self.message(3)
        self.assertEqual((self.view.read, self.acks()), ([1, 2], [2, 2]))

    def test_nothing_at_all(self) -> None:
        """Who has read enough would take another message at the next log-in."""
        self.enter()
        self.message(1)
        self.message(2)
        self.kill()
        self.begin()
        self.connect()
        entering = Deferred.fromCoroutine(self.conversation.log_in(c.Auth(ME, "pw")))
        (auth,) = self.take("auth")
        self.accept(auth)
        self.successResultOf(entering)
        self.message(3)
        self.assertEqual((self.view.read, self.acks()), ([], [2]))
