"""What admins and users run beside the server says no password or token but where it was asked to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.processes import Outcome, run, run_chat
from tests.support.secrecy import FileStores, GuardedStores, Run
from tests.support.servers import PrivateRedis

PATIENCE = 60
TWISTD = str(Path(sys.executable).with_name("twistd"))


class Programs(Run):
    """What its programs say is searched as well."""

    def begin(self, *words: str, **env: str) -> subprocess.Popen[bytes]:
        """Start a program in the server's folder, on its stores."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CHATSVC_")}
        pipe = subprocess.PIPE
        program = subprocess.Popen(
            words,
            cwd=self.server.folder,
            env={**kept, **self.env, "LANG": "zh_CN.UTF-8", **env},
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
        )
        self.addCleanup(program.kill)
        command_line = Path(f"/proc/{program.pid}/cmdline").read_bytes()
        self.heard(f"the command line of {words[1:]}", command_line, "name")
        return program

    def run_chatsvc(self, *words: str, typed: str = "", **env: str) -> Outcome:
        """Run an admin's command to its end in the server's folder, on its stores."""
        self.heard(f"the command line of {words}", " ".join(words), "name")
        return run(
            "chatsvc",
            *words,
            env={**self.env, "LANG": "zh_CN.UTF-8", **env},
            folder=self.server.folder,
            stdin=typed.encode(errors="surrogateescape"),
        )

    def end(self, program: subprocess.Popen[bytes], typed: str) -> Outcome:
        """Type the rest, wait until the program has ended, and note what it said."""
        said = program.communicate(typed.encode(errors="surrogateescape"), PATIENCE)
        output, errors = (one.decode(errors="replace") for one in said)
        return Outcome(program.returncode, output, errors)


class Admin:
    """``chatsvc``, on both kinds of stores."""

    class Tests(Programs):
        def chatsvc(self, *words: str, typed: str = "", **env: str) -> Outcome:
            """Run the command; its user has typed the names."""
            outcome = self.run_chatsvc(*words, typed=typed, **env)
            self.assertNotIn("Traceback", outcome.stderr)
            self.heard(f"chatsvc {words}", outcome.stderr, "name")
            return outcome

        def test_accounts(self) -> None:
            """A password would show that an admin gave to an account or had made up, or its hash."""
            names = [self.name() for _ in range(3)]
            first, second, old = self.password(), self.password(), self.password()
            add, given = ("account", "add"), "--password-stdin"
            done = [self.chatsvc(*add, names[0], given, typed=f"{first}\n{self.password()}\n")]
            uid = int(done[0].stdout)
            made = self.chatsvc(*add, names[1], "--generate")
            generated = self.secrets.add("password", made.stdout.split()[1])
            done += [self.chatsvc("account", "passwd", str(uid), given, typed=second)]
            self.stores.add_user(names[2], old)
            for command in (
                ("list",),
                ("list", "--json"),
                ("lock", str(uid)),
                ("unlock", str(uid)),
            ):
                done.append(self.chatsvc("account", *command))
            self.assertEqual([outcome.status for outcome in done], [0] * 6)
            for outcome in done:
                self.heard("an admin's screen", outcome.stdout, "name")
            listed = f"name,password\n{self.name()},{self.password()}\n"
            for words in (("import", "-"), ("import", "-", "--dry-run")):
                outcome = self.chatsvc("account", *words, typed=listed)
                self.heard("an import", outcome.stdout, "name")
            self.person(uid, second)
            self.person(int(made.stdout.split()[0]), generated)

        def test_mistakes(self) -> None:
            """A mistyped command, or a refused password, would be quoted."""
            name, password = self.name(), self.password
            given = "--password-stdin"
            refused = [
                self.chatsvc("account", "add", name, given, typed=password() * 100),
                self.chatsvc("account", "add", name, given, typed=password() + "\udcff"),
                self.chatsvc("account", "add", name + "]", given, typed=password()),
                self.chatsvc("account", "passwd", "77", given, typed=password()),
                self.chatsvc("account", "passwd", "x", given, typed=password()),
                self.chatsvc("account", "add", name, typed=password()),
                self.chatsvc("account", "add", name, "--generate", given, typed=password()),
            ]
            self.chatsvc("account", "add", name, "--generate")
            refused += [self.chatsvc("account", "add", name, given, typed=password())]
            self.assertNotIn(0, [outcome.status for outcome in refused])
            for outcome in refused:
                self.assertEqual(outcome.stdout, "")


class SQLiteAdminSecrecyTests(Admin.Tests):
    stores_kind = FileStores


class MySQLAdminSecrecyTests(Admin.Tests):
    stores_kind = GuardedStores

    def test_mistyped_urls(self) -> None:
        """The password of a database would show when its URL is wrong, or does not let anybody in."""
        account, place = self.stores.accounts.split("@")
        right, number = self.stores.inbox.split("@")
        deaf = PrivateRedis("--rename-command", "AUTH", "")
        deaf.start()
        self.addCleanup(deaf.remove)
        bad = self.secrets.new("password", head="")
        accounts = [
            *(f"{account}@{place}{rest}" for rest in ("?x=1", "x", "/x?charset")),
            *(f"{account}@127.0.0.1:{port}/chat" for port in ("1", "x", "99999")),
            f"mysql://guard_1:{bad}@{place}",
            *(f"mysql://guard_1:{bad}{sign}{bad}@{place}" for sign in "/#?@: "),
            *(f"mysql{start}guard_1:{bad}@{place}" for start in (":", ":/", "//", "s://")),
        ]
        inboxes = [
            *(f"{right}@{number}{rest}" for rest in ("x", "/7", "99")),
            *(f"{right}@127.0.0.1:{port}/0" for port in ("1", "x", "99999")),
            *(f"redis://{user}:{bad}@{number}" for user in ("", "somebody")),
            f"redis://:{bad}@127.0.0.1:{deaf.port}/0",
            *(f"redis{start}:{bad}@{number}" for start in (":", ":/", "//", "s://")),
            f"redis+unix://:{bad}@/nowhere?db=0",
        ]
        for url in accounts:
            self.refused("account", "list", CHATSVC_ACCOUNTS=url)
        checked = {"CHATSVC_ACCOUNTS": accounts[-5], "CHATSVC_INBOX": inboxes[-5]}
        for env in (checked, {"CHATSVC_ACCOUNTS": accounts[3]}):
            outcome = self.run_chatsvc("check", **env)
            self.assertEqual(outcome.status, 1)
            self.heard("a check", outcome.stdout + outcome.stderr)
        for url in inboxes:
            self.refused("inbox", "restored", "--yes", CHATSVC_INBOX=url)

    def refused(self, *words: str, **env: str) -> None:
        """Have a server not start, and a command not be carried out."""
        server = run_chat("--port", "ssl:0:interface=127.0.0.1", env=env)
        for outcome in (server, self.run_chatsvc(*words, **env)):
            self.assertEqual(outcome.status, 1, (env, outcome))
            self.heard(f"what {env} led to", outcome.stdout + outcome.stderr)


class ClientSecrecyTests(Programs):
    """``twistd chatclient`` in a pipe; what it prints is its user's, who sees texts and names there."""

    stores_kind = FileStores

    def client(self) -> subprocess.Popen[bytes]:
        """Start one that is told to log to a file."""
        options = ("--connect", f"localhost:{self.server.port}", "--ca", "keys/server.crt")
        log = ("--logfile", "client.log")
        return self.begin(TWISTD, "-n", *log, "chatclient", *options, "--state", "state")

    def over(self) -> None:
        """Search the client's files before."""
        for path in Path(self.server.folder).glob("client.log*"):
            self.heard(path.name, path.read_bytes())
        for path in Path(self.server.folder, "state").rglob("*"):
            if path.is_file():  # the state is for unconfirmed texts and the token
                self.heard(path.name, path.read_bytes(), "text", "token")
        super().over()

    def printed(self, outcome: Outcome) -> None:
        """Search what a client has printed."""
        self.heard("a user's screen", outcome.stdout, "text", "name")
        self.heard("a user's errors", outcome.stderr)

    def test_lines(self) -> None:
        """A password or a token would be printed, logged or kept, or a text be logged."""
        (uid, password), (other, _) = self.account(), self.account()
        new, words = self.password(), self.words
        lines = [
            *(f"auth {uid} {self.password()}", f"auth {uid} {password} x", f"auth {password}"),
            *(f"msg {other} {words()}", f"auth {uid} {password}", f"msg {other} {words()}"),
            *(f"passwd {self.password()} {new}", f"passwd {password} {new}", f"passwd {new}"),
            *(f"msg 77 {words()}", f"msg {words()}", f"msg {other} {words() * 600}", words()),
            *(f"register {self.name()} {self.password()}", f"register {self.name()}"),
            *(f"find {self.name()}", f"lang {self.password()}", f"{self.password()} {uid}"),
        ]
        outcome = self.end(self.client(), "\n".join(lines))
        self.printed(outcome)
        for phrase in ("认证成功!", "密码已修改!", "注册成功!", "[离线消息]"):
            self.assertIn(phrase, outcome.stdout)

    def test_lost_connection(self) -> None:
        """A token or a text would be printed or logged when the server crashes, or is not there."""
        (uid, password), (other, _) = self.account(), self.account()
        client = self.client()
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(f"auth {uid} {password}\nmsg {other} {self.words()}\n".encode())
        client.stdin.flush()
        said = ""
        while "[离线消息]" not in said:
            said += client.stdout.readline().decode()
        self.server.kill()
        client.stdin.write(f"msg {other} {self.words()}\n".encode())
        client.stdin.flush()
        self.server.start()
        outcome = self.end(client, f"msg {other} {self.words()}\n")
        self.assertEqual(outcome.status, 0, outcome)
        self.assertIn("已重新连接!", outcome.stdout)
        self.printed(outcome)
        self.server.stop()
        absent = self.end(self.client(), f"auth {uid} {password}\nmsg {other} {self.words()}\n")
        self.assertEqual(absent.status, 1)
        self.printed(absent)
