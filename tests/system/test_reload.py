"""SIGHUP: another certificate while people talk."""

from __future__ import annotations

import hashlib
import shutil
import ssl
from pathlib import Path

from twisted.trial.unittest import TestCase

from chatsvc.tls.key_folder import KeyFolder
from tests.support.processes import ChatServer


class ReloadTests(TestCase):
    def setUp(self) -> None:
        self.server = ChatServer().start()
        self.addCleanup(self.server.remove)
        self.keys = Path(self.server.folder) / "keys"

    def shown(self) -> str:
        """The fingerprint of the certificate that a new connection sees."""
        pem = ssl.get_server_certificate(("127.0.0.1", self.server.port))
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()

    def renew(self) -> None:
        """Put another key and certificate where the server's are."""
        fresh = KeyFolder(str(Path(self.server.folder) / "fresh"))
        fresh.ensure(["localhost"])
        for name in ("server.key", "server.crt"):
            shutil.copy(Path(fresh.path) / name, self.keys / name)

    def test_reload(self) -> None:
        """A new certificate would throw everybody out, or not be used."""
        talking = self.server.text()
        before = self.shown()
        self.renew()
        self.server.reload()
        self.assertTrue(self.server.wait_for("Reloaded: certificate"))
        self.assertNotEqual(self.shown(), before)
        self.assertIn("help", talking.ask("help"))
        self.server.text().close()

    def test_reload_under_a_hundred_connections(self) -> None:
        """A busy server's admin would throw people out, or lose what they are saying, to renew a certificate."""
        crowd = [self.server.text() for _ in range(98)]
        before = self.shown()
        writer, reader = self.server.structured(device="ab" * 8), self.server.structured()
        for one in (writer, reader, *crowd):
            self.addCleanup(one.close)
        for client, name in ((writer, "Ann"), (reader, "Bob")):
            uid = client.ask(type="register", n=1, name=name, password="secret")["uid"]
            client.log_in(uid, "secret")
        self.renew()
        messages = [{"type": "msg", "n": n, "to": uid, "text": f"{n}"} for n in range(1, 101)]
        writer.say_many(messages[:50])
        self.server.reload()
        writer.say_many(messages[50:])
        sent = [writer.await_type("sent")["re"] for _ in messages]
        came = [reader.await_type("msg")["text"] for _ in messages]
        self.assertTrue(self.server.wait_for("Reloaded: certificate"))
        self.assertEqual(sent, list(range(1, 101)))
        self.assertEqual(came, [str(n) for n in sent])
        self.assertNotEqual(self.shown(), before)
        for one in crowd:
            self.assertIn("help", one.ask("help"))

    def test_token_secret(self) -> None:
        """An admin whose tokens were stolen could not make them worthless without a restart."""
        client = self.server.structured()
        uid = client.ask(type="register", n=1, name="Ann", password="secret")["uid"]
        token = client.log_in(uid, "secret")["token"]
        (self.keys / "token.secret").write_text("ab" * 32)
        self.server.reload()
        self.assertTrue(self.server.wait_for("Reloaded: token secret"))
        other = self.server.structured()
        answer = other.ask(type="auth", n=2, uid=uid, token=token)
        self.assertEqual(answer["code"], "bad-credentials")
        token = other.log_in(uid, "secret")["token"]
        last = self.server.structured()
        self.assertEqual(last.ask(type="auth", n=3, uid=uid, token=token)["type"], "ok")

    def test_bad_secret(self) -> None:
        """A secret that others can read, or that is none, would be signed with, or would end the server."""
        (self.keys / "token.secret").chmod(0o644)
        self.server.reload()
        self.assertTrue(self.server.wait_for("Not reloaded: "))
        self.assertTrue(self.server.wait_for("chmod 600 keys/token.secret"))
        self.assertEqual(self.server.tracebacks(), [])

    def test_bad_file(self) -> None:
        """A broken certificate would end the server, or be served."""
        talking = self.server.text()
        before = self.shown()
        (self.keys / "server.crt").write_text("nonsense")
        self.server.reload()
        self.assertTrue(self.server.wait_for("Not reloaded: "))
        self.assertEqual(self.shown(), before)
        self.assertIn("help", talking.ask("help"))
        self.assertEqual(self.server.tracebacks(), [])
