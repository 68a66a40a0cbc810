"""``twistd chatclient`` in a pipe, against a real server."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from contextlib import closing

from tests.client.programs import COMMAND, PASSWORD, Outcome, ProgramCase, Relay
from tests.support.servers import free_port


class Piped(ProgramCase):
    def test_a_talk(self) -> None:
        """A script could not write to somebody and read what waits for it."""
        self.assertEqual(
            self.run_client("register x y z", f"auth {self.uid} {PASSWORD}", "", "logout")[:2],
            (
                1,
                "请登陆!\n提示:注册格式: [ register name pwd ]\n认证成功!\n您已退出登录!\n请登陆!\n",
            ),
        )
        sent = self.run_client(f"auth {self.uid} {PASSWORD}", f"msg {self.other} 你好  吗")
        self.assertEqual(sent.status, 0, sent)
        self.assertRegex(
            sent.output,
            rf"^请登陆!\n认证成功!\n\[离线消息\]\nTIME\n\[ \w+\|UID:{self.uid} \]:你好  吗\n$",
        )
        read = self.run_client(f"auth {self.other} {PASSWORD}")
        self.assertEqual(read.status, 0, read)
        self.assertRegex(read.output, rf"认证成功!\nTIME\n\[ \w+\|UID:{self.uid} \]:你好  吗\n$")
        self.assertEqual(self.waiting(self.other), [])

    def test_everything_that_waits(self) -> None:
        """A script would end before it has read all that waits for it, or read some of it twice."""
        lines = [f"msg {self.other} {i}" for i in range(150)]
        sent = self.run_client(f"auth {self.uid} {PASSWORD}", *lines)
        self.assertEqual((sent.status, sent.output.count("[离线消息]")), (0, 150))
        texts = [f":{i}\n" for i in range(150)]
        read = self.run_client(f"auth {self.other} {PASSWORD}").output
        self.assertEqual([read.count(text) for text in texts], [1] * 150)
        self.assertEqual(sorted(texts, key=read.index), texts)
        self.assertEqual(self.waiting(self.other), [])

    def test_status(self) -> None:
        """A script could not tell that a line was refused."""
        login = f"auth {self.uid} {PASSWORD}"
        for line, words in {
            f"auth {self.uid} wrong": "认证失败!\n请登陆!",
            "msg 999999 x": "系统不存在该userid!",
            "msg 9223372036854775807 x": "系统不存在该userid!",
            "msg 99999999999999999999999 x": "系统不存在该userid!",
            "dance": "输入的命令不支持",
            "rooms": "本客户端暂不支持聊天室",
            "msg ＃dev hi": "本客户端暂不支持聊天室",
        }.items():
            with_login = [line] if line.startswith("auth") else [login, line]
            outcome = self.run_client(*with_login)
            self.assertEqual(outcome.status, 1, line)
            self.assertIn(words, outcome.output)
            self.assertEqual(outcome.errors, "")

    def test_quit(self) -> None:
        """What stands after quit would be carried out."""
        outcome = self.run_client(f"auth {self.uid} {PASSWORD}", "quit", "dance")
        self.assertEqual(outcome[:2], (0, "请登陆!\n认证成功!\n再见!\n"))

    def test_no_line_at_all(self) -> None:
        """An empty input, or one without a last line end, would hang or be cut."""
        self.assertEqual(self.run_client()[:2], (0, "请登陆!\n"))
        process = self.start()
        output, _ = process.communicate(f"auth {self.uid} {PASSWORD}")
        self.assertIn("认证成功!", output)

    def test_input_from_a_file(self) -> None:
        """A file as input, which epoll does not take, would never be read."""
        script = self.folder / "script"
        script.write_text(f"auth {self.uid} {PASSWORD}\r\nquit\r\n")
        with script.open() as lines:
            done = subprocess.run(
                [*COMMAND, *self.options()],
                cwd=self.folder,
                env=self.environment(),
                stdin=lines,
                capture_output=True,
                text=True,
                timeout=30,
            )
        self.assertEqual((done.returncode, done.stdout), (0, "请登陆!\n认证成功!\n再见!\n"))

    def test_leaves_nothing_behind(self) -> None:
        """A client would take its server's pid file, leave a log in the folder, or hide in the background."""
        (self.folder / "twistd.pid").write_text("1")
        process = subprocess.run(
            [COMMAND[0], *COMMAND[2:], *self.options()],
            cwd=self.folder,
            env=self.environment(),
            input=f"auth {self.uid} {PASSWORD}\n",
            capture_output=True,
            text=True,
            timeout=30,
        )
        self.assertEqual((process.returncode, process.stderr), (0, ""))
        self.assertIn("认证成功!", process.stdout)
        self.assertEqual({path.name for path in self.folder.iterdir()}, {"twistd.pid", "state"})

    def test_locale_and_option(self) -> None:
        """A user who reads no Chinese would be spoken to in Chinese, or the other way round."""
        for env, words in {
            "en_US.UTF-8": "Please log in!",
            "de_DE.UTF-8": "Please log in!",
            "zh_TW.UTF-8": "请登陆!",
            "C": "Please log in!",
            "": "请登陆!",
        }.items():
            self.assertEqual(self.run_client(LANG=env).output, f"{words}\n", env)
        chosen = self.run_client("auth 1 1", options=[*self.options(), "--lang", "en"])
        self.assertEqual(chosen.output, "Please log in!\nLog-in failed!\nPlease log in!\n")

    def test_environment(self) -> None:
        """A container could not tell the client where its server is."""
        process = subprocess.run(
            COMMAND,
            cwd=self.folder,
            env=self.environment(
                CHATSVC_CONNECT=f"localhost:{self.server.port}",
                CHATSVC_CA=self.server.ca,
                CHATSVC_STATE=str(self.folder / "there"),
                CHATSVC_LANG="en",
            ),
            input=f"auth {self.uid} {PASSWORD}\n",
            capture_output=True,
            text=True,
            timeout=30,
        )
        self.assertEqual(process.stdout, "Please log in!\nLogged in!\n", process.stderr)
        self.assertTrue((self.folder / "there").is_dir())

    def test_two_at_once(self) -> None:
        """Two clients of one account would fail, or lose messages to each other's numbers."""
        first = self.start()
        assert first.stdin and first.stdout
        first.stdin.write(f"auth {self.uid} {PASSWORD}\nmsg {self.other} one\n")
        first.stdin.flush()
        while ":one" not in first.stdout.readline():
            pass
        second = self.run_client(f"auth {self.uid} {PASSWORD}", f"msg {self.other} two")
        self.assertEqual(second.status, 0, second)
        first.stdout.readline()  # when
        self.assertTrue(first.stdout.readline().endswith(f":two  → {self.other}\n"))
        first.stdin.write(f"msg {self.other} three\ndevices\n")
        first.stdin.flush()
        while ":three" not in first.stdout.readline():
            pass
        here, gone = first.stdout.readline(), first.stdout.readline()
        self.assertTrue(here.endswith("在线  本设备\n") and gone.endswith("离线\n"), (here, gone))
        self.assertEqual(self.waiting(self.other), ["one", "two", "three"])


class Refused(ProgramCase):
    def refuses(self, outcome: Outcome, *words: str) -> None:
        self.assertEqual((outcome.status, outcome.output), (1, ""), outcome)
        self.assertEqual(outcome.errors.count("\n"), 1, outcome.errors)
        for word in words:
            self.assertIn(word, outcome.errors)

    def test_nobody_there(self) -> None:
        """A wrong port would end in a traceback, in silence, or never."""
        port = free_port()
        self.refuses(
            self.run_client("x", options=self.options(port)), f"localhost:{port}", "连接被拒绝"
        )

    def test_no_such_host(self) -> None:
        """A wrong name would end in a traceback."""
        options = ["--connect", "nosuch.invalid:77"]
        self.refuses(self.run_client("x", options=options), "nosuch.invalid:77", "找不到该主机")

    def test_not_trusted(self) -> None:
        """A client would talk to anybody who answers."""
        options = ["--connect", f"localhost:{self.server.port}"]
        words = (f"localhost:{self.server.port}", "自签名", "SHA256:", "--fingerprint", "--ca")
        self.refuses(self.run_client("x", options=options), *words)

    def test_wrong_name(self) -> None:
        """A certificate of another server would do."""
        relay = Relay(self.server, lambda frame: True, "127.0.0.2")
        self.addCleanup(relay.close)
        options = ["--connect", f"127.0.0.2:{relay.port}", "--ca", self.server.ca]
        words = (f"127.0.0.2:{relay.port}", "证书不属于该主机名")
        self.refuses(self.run_client("x", options=options), *words)

    def test_no_tls(self) -> None:
        """A server without TLS would be waited for, for ever."""
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            port = listener.getsockname()[1]
            process = self.start(*self.options(port))
            connection, _ = listener.accept()
            with closing(connection):
                connection.sendall("请登陆!".encode() * 20)
                output, errors = process.communicate("x\n", 30)
        outcome = Outcome(process.returncode, output, errors)
        self.refuses(outcome, f"localhost:{port}", "对方不使用 TLS")

    def test_silent_server(self) -> None:
        """Something that takes the connection and never answers would be waited for, for ever."""
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            port = listener.getsockname()[1]
            process = self.start(*self.options(port))
            connection, _ = listener.accept()
            with closing(connection):
                output, errors = process.communicate("x\n", 30)
        outcome = Outcome(process.returncode, output, errors)
        self.refuses(outcome, f"localhost:{port}", "服务器没有响应")

    def test_quit_before_the_server(self) -> None:
        """Somebody who leaves would wait until a server that is slow in coming is given up."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            done = self.run_client("quit", options=self.options(port))
        self.assertEqual((done.status, done.errors), (0, ""))

    def test_wrong_options(self) -> None:
        """A typing error in an option would end in a traceback, or be ignored."""
        empty = self.folder / "empty.pem"
        empty.touch()
        for name, value in {
            "--connect": "::1:10000",
            "--fingerprint": "SHA256:AB",
            "--ca": str(empty),
            "--lang": "fr",
        }.items():
            self.refuses(self.run_client("x", options=[name, value]), name, value)
        self.refuses(self.run_client("x", options=["--connect", "h:99999"]), "--connect", "h:99999")
        self.refuses(self.run_client("x", options=["--connect", "a b"]), "--connect", "a b")
        self.refuses(self.run_client("x", options=["--ca", "nix.pem"]), "--ca", "nix.pem")

    def test_state_not_writable(self) -> None:
        """Without a place for what is unconfirmed the client would go on, and lose it."""
        file = self.folder / "file"
        file.touch()
        options = [*self.options()[:-1], str(file)]
        outcome = self.run_client(f"auth {self.uid} {PASSWORD}", options=options)
        self.assertEqual(outcome.status, 1)
        self.assertIn(str(file), outcome.errors)
        self.assertEqual(outcome.errors.count("\n"), 1, outcome.errors)

    def test_certificate_beside_the_server(self) -> None:
        """A newcomer's second command would not trust what the first has started."""
        (self.folder / "keys").mkdir()
        shutil.copy(self.server.ca, self.folder / "keys" / "server.crt")
        for host in ("localhost", "127.0.0.1"):
            options = ["--connect", f"{host}:{self.server.port}"]
            self.assertEqual(self.run_client(options=options)[:2], (0, "请登陆!\n"), host)


class Faults(ProgramCase):
    def test_killed_before_the_confirmation(self) -> None:
        """A client that is killed between sending and confirmation would lose the message, or send it twice."""
        relay = Relay(self.server, lambda frame: b'"sent"' not in frame)
        self.addCleanup(relay.close)
        process = self.start(*self.options(relay.port))
        assert process.stdin is not None
        process.stdin.write(f"auth {self.uid} {PASSWORD}\nmsg {self.other} once\n")
        process.stdin.flush()
        self.assertTrue(relay.dropped.wait(30))
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.rename_state(relay.port)
        again = self.run_client(f"auth {self.uid} {PASSWORD}", f"msg {self.other} next")
        self.assertEqual(again.status, 0, again)
        self.assertRegex(again.output, r"(?s):once\n.*:next\n")
        self.assertEqual(self.waiting(self.other), ["once", "next"])

    def test_killed_after_showing(self) -> None:
        """A reader that is killed after it has shown a message would show it again."""
        writer = self.server.structured()
        self.addCleanup(writer.close)
        writer.log_in(self.uid, PASSWORD)
        writer.ask(type="msg", n=1, to=self.other, text="once")
        process = self.start()
        assert process.stdin and process.stdout
        process.stdin.write(f"auth {self.other} {PASSWORD}\n")
        process.stdin.flush()
        while ":once" not in process.stdout.readline():
            pass
        time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.assertNotIn(":once", self.run_client(f"auth {self.other} {PASSWORD}").output)

    def rename_state(self, port: int) -> None:
        """What was kept for the relay is for the server."""
        (state,) = (self.folder / "state").iterdir()
        state.rename(state.with_name(state.name.replace(str(port), str(self.server.port))))

    def test_server_restarts(self) -> None:
        """A restart of the server would end a script, or lose a line of it."""
        process = self.start()
        assert process.stdin and process.stdout
        process.stdin.write(f"auth {self.uid} {PASSWORD}\n")
        process.stdin.flush()
        while "认证成功" not in process.stdout.readline():
            pass
        self.server.kill()
        process.stdin.write(f"msg {self.other} through\n")
        process.stdin.flush()
        self.server.start()
        output, errors = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, (output, errors))
        self.assertIn(":through", output)
        self.assertEqual(errors.count("\n"), 1, errors)
        self.assertEqual(self.waiting(self.other), ["through"])

    def test_reader_of_the_output_leaves(self) -> None:
        """What cannot be printed would be acknowledged all the same."""
        self.run_client(f"auth {self.uid} {PASSWORD}", f"msg {self.other} unseen")
        process = self.start()
        assert process.stdin and process.stdout
        self.assertEqual(process.stdout.readline(), "请登陆!\n")
        process.stdout.close()
        process.stdin.write(f"auth {self.other} {PASSWORD}\n")
        process.stdin.close()
        self.assertEqual(process.wait(30), 1)
        self.assertEqual(self.waiting(self.other), ["unseen"])
