"""How a server starts: what it says, what it keeps, where it listens; and how it refuses to, in one line."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from twisted.trial.unittest import SynchronousTestCase

from tests.support.clients import FrameClient, TextClient
from tests.support.processes import (
    PASSWORD,
    ChatServer,
    Outcome,
    ServerStores,
    SQLiteStores,
    new_address,
    run_chat,
)
from tests.support.servers import free_port, mariadb, redis

NONSENSE: dict[str, list[str | tuple[str, str]]] = {
    "metrics": [
        ("nonsense", "nonsense"),
        ("tcp:abc", "tcp:abc"),
        ("tcp:70000", "tcp:70000"),
        ("ssl:0:privateKey=/no/such/file.pem", "/no/such/file.pem"),
        "ssl:0:sslmethod=TLSv1_METHOD",
        ("tls:/no/such/folder:port=0", "/no/such/folder"),
    ],
    "port": [
        "",
        "nonsense",
        "ssl:",
        "ssl:abc",
        "ssl:70000",
        "ssl:0:interface=300.1.1.1",
        "ssl:0:nonsense=1",
        ("ssl:0:privateKey=/no/such/file.pem", "/no/such/file.pem"),
        ("tls:/no/such/folder:port=0", "/no/such/folder"),
        "unix:/no/such/folder/socket",
        "haproxy:",
        "systemd:domain=INET:index=7",
    ],
    "legacy-port": ["nonsense", "unix:/no/such/folder/socket"],
    "keys": ["", "/proc/no/such/keys", f"{__file__}/keys", __file__],
    "accounts": [
        "",
        "chat.db",
        "redis://127.0.0.1/0",
        "sqlite:",
        "sqlite://chat.db",
        ("sqlite:/no/such/folder/chat.db", "/no/such/folder/chat.db"),
        ("sqlite:/proc/chat.db", "/proc/chat.db"),
        ("sqlite:.", ".: "),
        "mysql://127.0.0.1:nonsense/chat",
        "mysql://127.0.0.1:1/chat?nonsense=1",
        "mysql://127.0.0.1:1/chat?read_default_file=/no/such/file",
        "mysql:///chat?unix_socket=/no/such/socket",
    ],
    "inbox": [
        "",
        "chat.db",
        "mysql://127.0.0.1/chat",
        ("sqlite:/no/such/folder/chat.db", "/no/such/folder/chat.db"),
        "redis://127.0.0.1:nonsense/0",
        "redis://127.0.0.1:99999/0",
        "redis://127.0.0.1:1/nonsense",
        "redis+unix:///no/such/socket",
    ],
    "registration": ["maybe", "OPEN"],
    "lang": ["", "fr"],
    "inbox-limit": ["", "0", "1e3", "٣", "99999999999999999999"],
    "inbox-share": ["0", "x"],
    "inbox-days": ["-1", "0.5"],
    "devices": ["0", "65"],
    "device-days": ["0", "x"],
    "device-backlog": ["0", "1e3"],
    "room-members": ["0", "x"],
    "rooms-per-user": ["0", "x"],
    "rooms-owned": ["-1", "x"],
    "room-creation": ["", "maybe"],
    "room-rate": ["-1", "5/0"],
    "room-window": ["0", "1e3"],
    "history-days": ["-1", "1e3", "36501"],
    "archive-backlog": ["0", "1e3"],
    "edit-minutes": ["-1", "1e3"],
    "rate": ["", "-1", "nan", "5/0"],
    "max-connections": ["0"],
    "workers": ["0", "x"],
    "max-per-ip": ["0"],
    "request-rate": ["0/0.5/1", "x"],
    "find-rate": ["-1", "5/0"],
    "registration-rate": ["-1"],
    "max-unanswered": ["0"],
    "max-unanswered-kib": ["many"],
    "frame-timeout": ["0"],
    "login-tries": ["5", "a/b"],
    "token-days": ["0"],
    "argon2-passes": ["1"],
    "argon2-memory": ["18"],
    "argon2-threads": ["0"],
    "argon2-queue": ["0"],
    "batch-messages": ["0"],
    "batch-kib": ["-1"],
    "login-timeout": ["0"],
    "trusted-proxy": ["nonsense", "300.1.1.1"],
    "log-format": ["xml"],
    "log-level": ["", "WARN"],
}
"""Option: values that it cannot have, each of which must be named."""

FROM_ENVIRONMENT = {
    "metrics": "nonsense",
    "port": "nonsense",
    "legacy-port": "nonsense",
    "keys": "/proc/no/such/keys",
    "accounts": "postgres://localhost/chat",
    "inbox": "nonsense",
    "registration": "maybe",
    "lang": "fr",
    "inbox-limit": "0",
    "inbox-share": "x",
    "inbox-days": "-1",
    "devices": "0",
    "device-days": "0",
    "device-backlog": "x",
    "room-members": "0",
    "rooms-per-user": "x",
    "rooms-owned": "0",
    "room-creation": "maybe",
    "room-rate": "x",
    "room-window": "0",
    "history-days": "-1",
    "archive-backlog": "0",
    "edit-minutes": "-1",
    "rate": "x",
    "max-connections": "0",
    "workers": "x",
    "max-per-ip": "x",
    "request-rate": "x",
    "find-rate": "x",
    "registration-rate": "-1",
    "max-unanswered": "0",
    "max-unanswered-kib": "many",
    "frame-timeout": "0",
    "login-tries": "5",
    "token-days": "0",
    "argon2-passes": "1",
    "argon2-memory": "18",
    "argon2-threads": "none",
    "argon2-queue": "-5",
    "batch-messages": "x",
    "batch-kib": "x",
    "login-timeout": "x",
    "trusted-proxy": "nonsense",
    "log-format": "xml",
    "log-level": "loud",
}

ANY_PORT = ("--port", "ssl:0:interface=127.0.0.1")


def variable(option: str) -> str:
    """Give the environment variable of an option."""
    return f"CHATSVC_{option.upper().replace('-', '_')}"


def run_all(starts: Sequence[tuple[Sequence[str], Mapping[str, str]]]) -> list[Outcome]:
    """Run many servers to their ends, some at once; (options, environment) each."""
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(lambda start: run_chat(*start[0], env=start[1]), starts))


class Starting(SynchronousTestCase):
    """What the tests of starts share."""

    def server(
        self,
        *options: str,
        ports: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> ChatServer:
        """Give a running server, gone after the test."""
        server = ChatServer(*options, ports=ports, env=env, folder=folder)
        self.addCleanup(server.remove)
        return server.start()

    def refuses(self, outcome: Outcome, *named: str, about: object = "") -> str:
        """Fail unless a server ended with one clear line that names something; the line."""
        self.assertEqual(outcome.status, 1, (about, outcome))
        self.assertNotIn("Traceback", outcome.stdout + outcome.stderr, about)
        lines = outcome.stderr.splitlines()
        self.assertEqual(len(lines), 1, (about, lines))
        self.assertEqual(lines[0].split(" ")[0], "chat:", lines)
        for word in named:
            self.assertIn(word, lines[0], about)
        return lines[0]

    def temporary(self) -> Path:
        """Give an empty folder."""
        folder = tempfile.TemporaryDirectory(prefix="chatsvc-")
        self.addCleanup(folder.cleanup)
        return Path(folder.name)


class Refusals(Starting):
    def test_nonsense(self) -> None:
        """A wrong option would start a server, or end with a traceback, or not be named."""
        cases = [
            (option, *((value, value) if isinstance(value, str) else value))
            for option, values in NONSENSE.items()
            for value in values
        ]
        starts: list[tuple[tuple[str, ...], dict[str, str]]] = [
            ((*(() if option == "port" else ANY_PORT), f"--{option}", value), {})
            for option, value, _ in cases
        ]
        problems = []
        for (option, value, named), outcome in zip(cases, run_all(starts), strict=True):
            try:
                self.refuses(outcome, named or f"--{option}", about=(option, value))
            except self.failureException as problem:
                problems.append(str(problem))
        self.assertEqual(problems, [])

    def test_nonsense_from_the_environment(self) -> None:
        """A wrong value in the environment would be ignored, or not be named."""
        cases = list(FROM_ENVIRONMENT.items())
        starts = [
            (() if option == "port" else ANY_PORT, {variable(option): value})
            for option, value in cases
        ]
        for (option, value), outcome in zip(cases, run_all(starts), strict=True):
            self.refuses(outcome, value, about=option)

    def test_every_option_is_tried(self) -> None:
        """A new option would not be covered by these tests."""
        help_text = run_chat("--help").stdout
        options = set(re.findall(r"--([a-z0-9-]+)=", help_text))
        self.assertEqual(options, set(NONSENSE))
        self.assertEqual(options, set(FROM_ENVIRONMENT))

    def test_unknown_words(self) -> None:
        """A mistyped option would start a server that does something else."""
        starts = [("--nonsense", "1"), ("nonsense",), ("--lang",)]
        outcomes = [run_chat(*options, forked=False) for options in starts]
        for options, outcome in zip(starts, outcomes, strict=True):
            self.refuses(outcome, options[0].lstrip("-"))

    def test_port_in_use(self) -> None:
        """A second server on a port would say nothing, or seem to run."""
        with closing(socket.create_server(("127.0.0.1", 0))) as other:
            port = f"ssl:{other.getsockname()[1]}:interface=127.0.0.1"
            self.refuses(run_chat("--port", port, forked=False), port, "in use")
            # The one that can be had does not stay open either.
            free = free_port()
            outcome = run_chat("--port", f"ssl:{free}:interface=127.0.0.1", "--port", port)
            self.refuses(outcome, port)

    def test_second_server_on_a_file(self) -> None:
        """Two servers on one SQLite file would hand out messages that the other does not see."""
        stores = SQLiteStores()
        self.server(*stores.options)
        self.refuses(run_chat(*ANY_PORT, *stores.options), stores.path, "in use")
        elsewhere = SQLiteStores()
        self.refuses(
            run_chat(*ANY_PORT, "--accounts", elsewhere.options[1], "--inbox", stores.options[3]),
            stores.path,
        )

    def test_file_that_is_no_database(self) -> None:
        """A file of something else would be overwritten, or end the start in a traceback."""
        path = self.temporary() / "chat.db"
        path.write_text("something else\n" * 1000)
        self.refuses(run_chat(*ANY_PORT, "--accounts", f"sqlite:{path}"), str(path))
        self.assertEqual(path.read_text(), "something else\n" * 1000)

    def test_broken_keys(self) -> None:
        """Keys that cannot be used would be replaced, or end the start in a traceback."""
        folder = self.temporary()
        keys = folder / "keys"
        run_chat(*ANY_PORT, "--keys", str(keys), "--inbox", "redis://127.0.0.1:1/0")
        for name in ("server.key", "server.crt", "token.secret"):
            path = keys / name
            good = path.read_bytes()
            path.write_text("nonsense")
            self.refuses(run_chat(*ANY_PORT, "--keys", str(keys)), str(path))
            self.assertEqual(path.read_text(), "nonsense")
            path.write_bytes(good)
        for name in ("server.key", "token.secret"):
            path = keys / name
            path.chmod(0o644)
            self.refuses(run_chat(*ANY_PORT, "--keys", str(keys)), str(path), "600")
            path.chmod(0o600)
        (keys / "server.key").unlink()
        self.refuses(run_chat(*ANY_PORT, "--keys", str(keys)), "server.key")

    def test_mysql_refuses(self) -> None:
        """A server without its MySQL would seem to run, or show the password that it has."""
        url = mariadb().url("chat")
        secret = url.split("@")[0].rpartition(":")[2]
        place = f"127.0.0.1:{mariadb().port}"
        wrong = url.replace(secret, "gar%2Fnicht-geheim")
        nobody = f"mysql://nobody:gar%2Fnicht-geheim@{place}/chat"
        unknown = mariadb().url("no_such_database")
        away = f"mysql://chat:gar%2Fnicht-geheim@127.0.0.1:{free_port()}/chat"
        no_database = f"mysql://chat:{secret}@{place}/"
        for given, named in [
            (wrong, place),
            (nobody, "nobody"),
            (unknown, "no_such_database"),
            (away, away.rpartition("@")[2]),
            (no_database, place),
        ]:
            for options, env in [
                (("--accounts", given), {}),
                ((), {"CHATSVC_ACCOUNTS": given}),
            ]:
                outcome = run_chat(*ANY_PORT, *options, env=env)
                self.refuses(outcome, named, about=named)
                said = outcome.stdout + outcome.stderr
                for password in (secret, mariadb().password, "nicht-geheim"):
                    self.assertNotIn(password, said, named)

    def test_redis_refuses(self) -> None:
        """A server without its Redis would seem to run, or show the password that it has."""
        place = f"127.0.0.1:{redis().port}"
        away = f"127.0.0.1:{free_port()}"
        for given, named in [
            (f"redis://:gar%2Fnicht-geheim@{away}/0", away),
            (f"redis://:gar%2Fnicht-geheim@{place}/0", place),
            (f"redis://nobody:gar%2Fnicht-geheim@{place}/0", place),
            (f"redis://{place}/9999", f"{place}/9999"),
        ]:
            outcome = run_chat(*ANY_PORT, "--inbox", given)
            self.refuses(outcome, named, about=given)
            self.assertNotIn("nicht-geheim", outcome.stdout + outcome.stderr)

    def test_redis_that_is_something_else(self) -> None:
        """A port of something else than Redis would hang the start or end it in a traceback."""
        url = f"redis://127.0.0.1:{mariadb().port}/0"
        self.refuses(run_chat(*ANY_PORT, "--inbox", url), url)

    def test_frozen_stores(self) -> None:
        """A store that answers nothing would hang the start for ever."""
        with closing(socket.create_server(("127.0.0.1", 0))) as silent:
            place = f"127.0.0.1:{silent.getsockname()[1]}"
            starts: list[tuple[list[str], dict[str, str]]] = [
                ([*ANY_PORT, "--accounts", f"mysql://u:geheim@{place}/chat"], {}),
                ([*ANY_PORT, "--inbox", f"redis://:geheim@{place}/0"], {}),
            ]
            for outcome in run_all(starts):
                self.refuses(outcome, place)
                self.assertNotIn("geheim", outcome.stdout + outcome.stderr)

    def test_bad_url_shows_no_password(self) -> None:
        """A mistyped URL would bring its password to the screen."""
        for option, url in [
            ("--accounts", "mysq://u:geheim@h/chat"),
            ("--accounts", "mysql://u:geheim@h:port/chat"),
            ("--accounts", "mysql://u:geheim@h:99999/chat"),
            ("--accounts", "mysql://u:geh@eim@h:99999/chat"),
            ("--accounts", "mysql://u:geheim/x@h/chat"),
            ("--accounts", "mysql:u:geheim@h/chat"),
            ("--accounts", "u:geheim@h/chat"),
            ("--inbox", "mysql://u:geheim@h/chat"),
            ("--inbox", "redis://:geheim@h:port/0"),
            ("--inbox", "redis://:geheim@127.0.0.1:1/x"),
        ]:
            outcome = run_chat(*ANY_PORT, option, url)
            self.refuses(outcome, about=url)
            self.assertNotIn("eim", (outcome.stdout + outcome.stderr).replace("127.0.0.1", ""), url)


class FirstStart(Starting):
    def test_what_it_says(self) -> None:
        """A new admin would not learn where it listens, whom to trust, or what to do next."""
        server = self.server()
        server.wait_for("Next, in another terminal")
        log = server.log()
        self.assertIn(f"Listening on ssl:{server.port}:interface=127.0.0.1", log)
        certificate = x509.load_pem_x509_certificate(Path(server.ca).read_bytes())
        self.assertIn(certificate.fingerprint(hashes.SHA256()).hex(":").upper(), log)
        self.assertIn("accounts in sqlite:chat.db", log)
        self.assertIn("messages in sqlite:chat.db", log)
        self.assertIn("Registration is open", log)
        self.assertRegex(log, r"twistd -n chatclient --connect localhost:[0-9]+")
        self.assertEqual(server.tracebacks(), [])

    def test_next_step_names_the_port(self) -> None:
        """The command that the log tells to type next would connect to a port where nobody listens."""
        server = self.server()
        self.assertTrue(server.wait_for(f"chatclient --connect localhost:{server.port}"))

    def test_registration_with_mysql_is_closed(self) -> None:
        """Strangers could make accounts in a company's MySQL by default, unsaid."""
        stores = ServerStores()
        server = self.server(*stores.options)
        server.wait_for("Next, in another terminal")
        log = server.log()
        self.assertIn("Registration is closed", log)
        self.assertIn(f"@127.0.0.1:{mariadb().port}/{stores.database}", log)
        self.assertIn(f"redis://127.0.0.1:{redis().port}/{stores.db}", log)
        self.assertNotIn(mariadb().password, log)
        self.assertNotIn(stores.accounts, log)
        self.assertEqual(server.structured().welcome["registration"], "closed")

    def test_files_are_private(self) -> None:
        """Others on the machine could read the key, the token secret or the messages."""
        server = self.server()
        client = server.text()
        self.addCleanup(client.close)
        client.ask("register x y")
        files = [*(server.folder / "keys").iterdir(), *server.folder.glob("chat.db*")]
        self.assertGreaterEqual(
            {file.name for file in files}, {"server.key", "token.secret", "chat.db"}
        )
        for file in files:
            if file.name != "server.crt":
                self.assertEqual(oct(file.stat().st_mode & 0o777), oct(0o600), file)

    def test_second_start_keeps_everything(self) -> None:
        """A second start would make other keys, so that no client trusts it any more."""
        server = self.server()
        server.stop()  # then the watermark is there, too
        server.start()
        files = sorted((server.folder / "keys").iterdir())
        before = [file.read_bytes() for file in files]
        server.stop()
        length = len(server.log())
        server.start()
        self.assertEqual(sorted((server.folder / "keys").iterdir()), files)
        self.assertEqual([file.read_bytes() for file in files], before)
        self.assertNotIn("Made", server.log()[length:])
        self.assertEqual(server.text().greeting, "请登陆!")

    def test_stale_pid_file(self) -> None:
        """A server that was killed would not start again because of a file that it left."""
        folder = self.temporary()
        (folder / "twistd.pid").write_text(str(os.getpid()))
        server = self.server(folder=folder)
        self.assertEqual(server.text().greeting, "请登陆!")
        server.crash()
        self.assertEqual(server.text().greeting, "请登陆!")
        self.assertEqual((folder / "twistd.pid").read_text(), str(os.getpid()))

    def test_environment_and_command_line(self) -> None:
        """The environment would be ignored, or win over the command line."""
        first, second, folder = free_port(), free_port(), self.temporary()
        server = self.server(
            *("--registration", "closed"),
            ports=[f"ssl:{first}:interface=127.0.0.1"],
            env={
                "CHATSVC_PORT": f"ssl:{second}:interface=127.0.0.1",
                "CHATSVC_LANG": "en",
                "CHATSVC_KEYS": str(folder / "secrets"),
                "CHATSVC_ACCOUNTS": f"sqlite:{folder / 'accounts.db'}",
                "CHATSVC_INBOX": f"sqlite:{folder / 'inbox.db'}",
                "CHATSVC_REGISTRATION": "open",
            },
        )
        ca = str(folder / "secrets" / "server.crt")
        client = TextClient(first, ca)
        self.addCleanup(client.close)
        self.assertEqual(client.greeting, "Please log in!")
        self.assertIn("takes no registrations", client.ask("register x y"))
        self.assertEqual(
            {path.name for path in folder.iterdir() if path.suffix == ".db"},
            {"accounts.db", "inbox.db"},
        )
        self.assertFalse((server.folder / "keys").exists())
        with self.assertRaises(ConnectionRefusedError):
            TextClient(second, ca)

    def test_repeatable_options_from_the_environment(self) -> None:
        """Several ports could not be given without a command line."""
        ports = [f"ssl:{free_port()}:interface=127.0.0.1" for _ in range(2)]
        folder = self.temporary()
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("twistd")), "-n", "chat"],
            cwd=folder,
            env={**os.environ, "CHATSVC_PORT": " ".join(ports)},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        said = ""
        while said.count("Listening on") < 2:
            line = process.stdout.readline()
            self.assertTrue(line, said)
            said += line
        for port in ports:
            client = TextClient(int(port.split(":")[1]), str(folder / "keys/server.crt"))
            self.assertEqual(client.greeting, "请登陆!")
            client.close()


class Places(Starting):
    """Where a server can listen."""

    def greets(self, place: int | str, ca: str | None, **more: bytes | str) -> TextClient:
        """Fail unless a client is greeted there."""
        client = TextClient(place, ca, **more)
        self.addCleanup(client.close)
        self.assertEqual(client.greeting, "请登陆!")
        self.assertTrue(client.ask("?").startswith("命令使用说明"))
        return client

    def test_many_places(self) -> None:
        """An endpoint that the design promises could not be listened on, or not beside others."""
        folder = self.temporary()
        donor = self.server()
        pem = folder / "pem"
        pem.mkdir()
        both = (donor.folder / "keys/server.key").read_bytes() + Path(donor.ca).read_bytes()
        (pem / "localhost.pem").write_bytes(both)
        one, two, tcp, tls, files = (free_port() for _ in range(5))
        key = f"privateKey={donor.folder}/keys/server.key:certKey={donor.folder}/keys/server.crt"
        server = self.server(
            ports=[
                f"ssl:{one}:interface=127.0.0.1",
                f"ssl:{two}:interface=127.0.0.1",
                f"tcp:{tcp}:interface=127.0.0.1",
                f"unix:{folder}/socket",
                f"tls:{pem}:port={tls}:interface=127.0.0.1",
                f"ssl:{files}:interface=127.0.0.1:{key}",
            ]
        )
        self.greets(one, server.ca)
        self.greets(two, server.ca)
        self.greets(tcp, None)
        self.greets(f"{folder}/socket", None)
        self.greets(tls, donor.ca)
        self.greets(files, donor.ca)
        uid = int(self.greets(one, server.ca).ask(f"register 甲 {PASSWORD}").split(" ")[-1])
        reader = self.greets(f"{folder}/socket", None)
        reader.log_in(uid, PASSWORD)
        other = int(self.greets(tcp, None).ask(f"register 乙 {PASSWORD}").split(" ")[-1])
        writer = self.greets(files, donor.ca)
        writer.log_in(other, PASSWORD)
        self.assertTrue(writer.ask(f"msg {uid} 你好").endswith(" ]:你好"))
        self.assertTrue(reader.read().endswith(" ]:你好"))
        reader.close()
        self.assertEqual(server.tracebacks(), [])
        # A socket file that a killed server left must not stop a start.
        server.crash()
        self.greets(f"{folder}/socket", None)

    def test_unix_reader_gets_its_messages_once(self) -> None:
        """On a Unix socket, where no kernel tells of receipts, messages would come again."""
        path = self.temporary() / "socket"
        stores = SQLiteStores()
        self.server(*stores.options, ports=[f"unix:{path}"])
        uid = stores.add_user("甲")
        client = self.greets(str(path), None)
        client.log_in(uid, PASSWORD)
        client.ask(f"msg {uid} x")
        again = self.greets(str(path), None)
        again.log_in(uid, PASSWORD)
        self.assertTrue(again.silent())

    def test_legacy_port(self) -> None:
        """The older clients' little-endian lengths would not be understood."""
        port = free_port()
        server = self.server("--legacy-port", f"ssl:{port}:interface=127.0.0.1")
        client = TextClient(port, server.ca, legacy=True)
        self.addCleanup(client.close)
        self.assertEqual(client.greeting, "请登陆!")
        self.assertTrue(client.ask("help").startswith("命令使用说明"))
        self.greets(server.port, server.ca)

    def proxied(self, *options: str) -> ChatServer:
        """Give a running server that expects a PROXY header, gone after the test."""
        server = ChatServer(*options)
        server.ports = (f"haproxy:ssl:{server.port}:interface=127.0.0.1",)
        self.addCleanup(server.remove)
        return server.start()

    def test_behind_a_proxy(self) -> None:
        """Behind HAProxy nobody could connect, or all would count as one address."""
        server = self.proxied("--max-per-ip", "1")
        first = b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 10000\r\n"
        second = b"PROXY TCP4 192.0.2.8 127.0.0.1 40000 10000\r\n"
        self.greets(server.port, server.ca, preface=first)
        refused = TextClient(server.port, server.ca, preface=first)
        self.addCleanup(refused.close)
        self.assertEqual(refused.greeting, "连接过多, 请稍后重试!")
        self.assertTrue(refused.closed())
        self.greets(server.port, server.ca, preface=second)
        self.greets(
            server.port, server.ca, preface=b"PROXY TCP6 2001:db8::1 2001:db8::2 40000 10000\r\n"
        )
        self.assertEqual(server.tracebacks(), [])

    def test_untrusted_proxy(self) -> None:
        """Anybody could claim any address in a PROXY header."""
        server = self.proxied("--trusted-proxy", "192.0.2.1")
        for preface in (b"", b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 10000\r\n"):
            with self.assertRaises(OSError):
                FrameClient(server.port, server.ca, preface=preface, source=new_address())
        self.assertEqual(server.tracebacks(), [])

    def test_no_proxy_header(self) -> None:
        """A client that goes around the proxy would be served, or one that writes rubbish leave a traceback."""
        server = self.proxied()
        for preface in (b"", b"PROXY nonsense\r\n", b"PROXY TCP4 a b c d\r\n", b"x" * 300):
            with self.assertRaises(OSError):
                FrameClient(server.port, server.ca, preface=preface)
        self.assertEqual(server.tracebacks(), [])

    def test_too_many_connections(self) -> None:
        """A person past the limit would not be told, or one who left would still count."""
        server = self.server("--max-connections", "2")
        first = self.greets(server.port, server.ca)
        self.greets(server.port, server.ca)
        refused = TextClient(server.port, server.ca)
        self.addCleanup(refused.close)
        self.assertEqual(refused.greeting, "连接过多, 请稍后重试!")
        self.assertIn("too-many-connections", refused.read())
        self.assertTrue(refused.closed())
        refused.close()
        first.send("quit")
        self.assertTrue(first.closed())
        first.close()
        self.greets(server.port, server.ca)

    def test_far_too_many_connections(self) -> None:
        """A flood of connections would fill the log with tracebacks, or take everything."""
        for door in ("", "haproxy:"):
            server = ChatServer("--max-connections", "1", "--max-per-ip", "500")
            server.ports = (f"{door}ssl:{server.port}:interface=127.0.0.1",)
            self.addCleanup(server.remove)
            server.start()
            flood = []
            for _ in range(110):
                source = None if door else (new_address(), 0)
                with contextlib.suppress(ConnectionResetError):  # hung up on at once
                    flood.append(socket.create_connection(("127.0.0.1", server.port), 5, source))
            for one in flood:
                self.addCleanup(one.close)
            with self.assertRaises(OSError):
                flood[-1].recv(1)
                raise ConnectionResetError  # closed in an orderly way is as good
            self.assertEqual(server.tracebacks(), [])

    def test_login_timeout(self) -> None:
        """Connections that never log in would stay for ever, or those that do be closed."""
        stores = SQLiteStores()
        server = self.server(*stores.options, "--login-timeout", "1")
        uid = stores.add_user("甲")
        stranger, member = (self.greets(server.port, server.ca) for _ in range(2))
        member.log_in(uid, PASSWORD)
        self.assertTrue(stranger.closed(3))
        self.assertEqual(member.ask("lang zh"), "已切换为中文!")
