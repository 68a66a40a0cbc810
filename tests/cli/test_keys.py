"""``chatsvc keys``, in this process: it needs no reactor."""

from __future__ import annotations

import os
import shutil
import socket
import stat

import orjson
from click.testing import CliRunner
from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.cli.main import main
from chatsvc.tls import key_folder
from chatsvc.tls.certificates import fingerprint
from chatsvc.tls.key_folder import KeyFolder


def private(path: str, flags: int) -> int:
    """Open a new file that nobody else reads."""
    return os.open(path, flags, 0o600)


class KeysTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()
        self.keys = KeyFolder(self.path)
        self.env = {"CHATSVC_KEYS": self.path}
        self.addCleanup(os.umask, os.umask(0o022))

    def run_keys(self, *words: str, status: int = 0) -> str:
        """What it prints, or its one line of complaint."""
        done = CliRunner().invoke(main, ["keys", *words], env=self.env)
        self.assertEqual(done.exit_code, status, done.output)
        if status:
            self.assertEqual(done.stdout, "")
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            return done.stderr
        self.errors = done.stderr
        return done.stdout

    def test_make(self) -> None:
        """An admin could not make what the server needs, for the names that clients use, or not see what was made."""
        made = self.run_keys("make", "--name", "chat.example", "--name", "10.1.2.3")
        for words in ("folder", "private key", "localhost, chat.example, 10.1.2.3", "secret"):
            self.assertIn(words, made)
        modes = {
            name: stat.S_IMODE(os.stat(os.path.join(self.path, name)).st_mode)
            for name in os.listdir(self.path)
        }
        self.assertEqual(modes, {"server.key": 0o600, "server.crt": 0o644, "token.secret": 0o600})
        self.assertEqual(self.run_keys("make"), "nothing is missing\n")
        self.assertEqual(self.run_keys("make", "--name", "CHAT.example"), "nothing is missing\n")

    def test_make_for_another_name(self) -> None:
        """An admin would believe that the certificate is for a name that it is not for."""
        self.run_keys("make")
        self.assertIn(
            "is not for chat.example", self.run_keys("make", "--name", "chat.example", status=1)
        )

    def test_names_are_judged_first(self) -> None:
        """Keys would be made without a name that was asked for, and a wrong one be said to be the only one."""
        names = ("--name", "a b", "--name", "聊天.example", "--name", "300.1.1.1", "--name", "☃")
        for command in ("make", "request"):
            done = CliRunner().invoke(main, ["keys", command, *names], env=self.env)
            self.assertEqual((done.exit_code, done.stdout), (1, ""))
            lines = done.stderr.splitlines()
            self.assertEqual(
                [line.split(" is no name")[0] for line in lines],
                ["Error: 'a b'", "Error: '300.1.1.1'", "Error: '☃'"],
            )
            self.assertFalse(os.path.exists(self.path))

    def test_international_name(self) -> None:
        """A server with a Chinese name would have a certificate for localhost only."""
        made = self.run_keys("make", "--name", "聊天.Example", "--name", "2001:DB8:0::1")
        self.assertIn("for localhost, xn--rss932g.example, 2001:db8::1, 127.0.0.1", made)
        for name in ("聊天.example", "xn--rss932g.example.", "2001:db8::0:1"):
            self.assertEqual(self.run_keys("make", "--name", name), "nothing is missing\n")
        asked = x509.load_pem_x509_csr(self.run_keys("request", "--name", "聊天.example").encode())
        self.assertEqual(asked.subject.rfc4514_string(), "CN=xn--rss932g.example")

    def test_wildcard(self) -> None:
        """A certificate of an authority would be said not to be for a name that it is for."""
        patched = self.patch(key_folder, "subject_names", lambda _: [x509.DNSName("*.example")])
        self.run_keys("make")
        patched.restore()
        self.assertEqual(self.run_keys("make", "--name", "chat.example"), "nothing is missing\n")
        self.run_keys("make", "--name", "other", status=1)

    def test_nothing_made_for_another_name(self) -> None:
        """A token secret would be made, and nobody hear of it."""
        self.run_keys("make")
        os.unlink(self.keys.secret_path)
        self.run_keys("make", "--name", "chat.example", status=1)
        self.assertFalse(os.path.exists(self.keys.secret_path))

    def test_request_that_cannot_be_written(self) -> None:
        """A key would be made beside a request that is nowhere, or half a request stand in the way of the next."""
        missing = os.path.join(self.path + "x", "chat.csr")
        self.assertIn("No such file", self.run_keys("request", "--out", missing, status=1))
        self.assertFalse(os.path.exists(self.path))
        inside = os.path.join(self.path, "chat.csr")
        os.mkdir(self.path)
        with open(self.keys.secret_path, "w", opener=private) as file:
            file.write("nothing")
        self.run_keys("request", "--out", inside, status=1)
        self.assertEqual(os.listdir(self.path), ["token.secret"])
        os.unlink(self.keys.secret_path)
        os.rmdir(self.path)
        self.run_keys("request", "--out", inside)
        self.assertIn("chat.csr", os.listdir(self.path))

    def test_show(self) -> None:
        """An admin could not compare the fingerprint that clients see, or see the end come."""
        self.run_keys("make", "--name", "chat.example")
        (pem,) = self.keys.context().certificates
        shown = self.run_keys("show")
        for line in (f"fingerprint: {fingerprint(pem)}", "days left: 36", "subject: CN=localhost"):
            self.assertIn(line, shown)
        self.assertNotIn("problem", shown)
        found = orjson.loads(self.run_keys("show", "--json"))
        (row,) = found["certificates"]
        self.assertEqual((row["fingerprint"], row["names"][1]), (fingerprint(pem), "chat.example"))
        self.assertGreater(row["days_left"], 3600)
        self.assertEqual(found["problems"], [])

    def test_problems(self) -> None:
        """What keeps the server from starting would be said elsewhere only, or each thing twice."""
        self.run_keys("make")
        for path in (self.keys.key_path, self.keys.secret_path):
            os.chmod(path, 0o644)
        self.assertEqual(self.run_keys("show").count("problem: "), 2)
        KeyFolder(self.path + "2").ensure([])
        shutil.copy(KeyFolder(self.path + "2").key_path, self.keys.key_path)
        os.chmod(self.keys.key_path, 0o600)
        os.unlink(self.keys.secret_path)
        problems = orjson.loads(self.run_keys("show", "--json"))["problems"]
        self.assertEqual(len(problems), 2)
        self.assertIn("is not the key of", problems[0])

    def test_nothing_there(self) -> None:
        """A mistyped folder would end in a traceback, or be made."""
        self.assertIn("server.crt cannot be read", self.run_keys("show", status=1))
        self.assertFalse(os.path.exists(self.path))
        os.mkdir(self.path)
        with open(self.keys.certificate_path, "w") as file:
            file.write("nothing")
        self.assertIn("holds no certificate", self.run_keys("show", status=1))

    def test_request(self) -> None:
        """An authority could not be asked, or would certify another key than the one in use."""
        self.run_keys("make")
        made = x509.load_pem_x509_csr(self.run_keys("request").encode())
        key = self.keys.private_key().public_key()
        self.assertEqual(made.public_key(), key)
        self.assertEqual(made.subject.rfc4514_string(), f"CN={socket.gethostname()}")
        self.assertIn("'a b' is no name", self.run_keys("request", "--name", "a b", status=1))

    def test_request_with_a_new_key(self) -> None:
        """Who has no key yet would not hear where it is, or have no server until the authority answers."""
        out = self.mktemp()
        self.assertEqual(self.run_keys("request", "--name", "chat.example", "--out", out), "")
        self.assertIn(f"made the private key {self.keys.key_path}", self.errors)
        with open(out, "rb") as file:
            made = x509.load_pem_x509_csr(file.read())
        self.assertEqual(made.public_key(), self.keys.private_key().public_key())
        self.keys.context()

    def test_request_over_a_file(self) -> None:
        """A slip could overwrite the private key."""
        self.run_keys("make")
        line = self.run_keys("request", "--out", self.keys.key_path, status=1)
        self.assertIn("File exists", line)
        self.keys.private_key()
