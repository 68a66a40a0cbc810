"""``chatsvc send`` without a confirmation: what is in doubt is settled by the same command, and sent once."""

from __future__ import annotations

from tests.client.programs import PASSWORD, Relay
from tests.client.script.script_case import ScriptCase
from tests.client.waiting import await_disconnected, await_read
from tests.support.forked import ForkedProgram


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
        await_read(process.stdin)
        self.server.start()
        self.assertEqual(self.done(self.ended(process)).count("\n"), 2)
        self.assertEqual(self.waiting(self.other), ["first", "second", "third"])

    def test_never_sent(self) -> None:
        """What was said not to be sent would be sent at the next log-in all the same."""
        process = self.begin_lines(2)
        self.server.kill()
        assert process.stdin
        await_disconnected(process.pid)
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
