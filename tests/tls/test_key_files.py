"""Files that nobody else may read: made so, and refused when they are not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.tls.context import ServerContext
from chatsvc.tls.key_files import BadKeys, open_to_others
from chatsvc.tls.key_folder import KeyFolder
from tests.support.processes import ChatServer, run_chat


def mode(path: Path) -> int:
    """The permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


class FirstStartTests(SynchronousTestCase):
    """What a server makes in an empty folder."""

    def test_modes(self) -> None:
        """Everybody on the machine could read the private key, the secret, the passwords' hashes and the messages."""
        server = ChatServer()
        self.addCleanup(server.remove)
        server.start()
        client = server.text()
        self.addCleanup(client.close)
        client.ask("register somebody secret")
        made = {path.name: mode(path) for path in server.folder.rglob("*") if path.is_file()}
        public = {"server.crt", "output.log"}
        self.assertEqual({made[name] for name in made if name not in public}, {0o600})
        self.assertLessEqual({"server.key", "token.secret", "chat.db", "chat.db-wal"}, set(made))

    def test_open_database(self) -> None:
        """An admin whose database has long been open to everybody would never hear of it."""
        server = ChatServer()
        self.addCleanup(server.remove)
        database = server.folder / "chat.db"
        database.touch(0o644)
        database.chmod(0o644)
        server.start()
        self.assertTrue(server.wait_for("chmod 600 chat.db"))


class KeyTests(SynchronousTestCase):
    """Private keys that others can read."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        keys = KeyFolder(str(self.folder / "keys"))
        keys.ensure([])
        self.key, self.certificate = Path(keys.key_path), Path(keys.certificate_path)

    def assert_warns(self, path: Path, port: str) -> None:
        """A server says that others can read a file, and how to mend it."""
        server = ChatServer(ports=[port])
        self.addCleanup(server.remove)
        server.start()
        self.assertTrue(server.wait_for(f"chmod 600 {path}"))

    def test_in_the_key_folder(self) -> None:
        """A server would go on with a key or a secret that everybody on the machine can have read."""
        folder = self.folder.absolute() / "keys"
        for name in ("server.key", "token.secret"):
            (folder / name).chmod(0o644)
            outcome = run_chat("--keys", str(folder), "--port", "ssl:0")
            (folder / name).chmod(0o600)
            self.assertEqual(outcome.status, 1)
            self.assertIn(f"chmod 600 {folder / name}", outcome.stderr)
            self.assertEqual(len(outcome.stderr.strip().splitlines()), 1)

    def test_named_by_an_endpoint(self) -> None:
        """A key outside the key folder could be read by everybody, and nobody would say so."""
        key = self.key.absolute()
        key.chmod(0o644)
        self.assert_warns(key, f"ssl:0:privateKey={key}:certKey={self.certificate.absolute()}")

    def test_in_a_folder_of_hosts(self) -> None:
        """The keys of a `tls:` endpoint could be read by everybody, and nobody would say so."""
        hosts = self.folder.absolute() / "hosts"
        hosts.mkdir()
        pem = hosts / "localhost.pem"
        pem.write_bytes(self.key.read_bytes() + self.certificate.read_bytes())
        pem.chmod(0o640)
        self.assert_warns(pem, f"tls:{hosts}:port=0")

    def test_opened_later(self) -> None:
        """A reload would take a key that others have read meanwhile."""
        context = ServerContext(str(self.key), str(self.certificate), private=True)
        self.key.chmod(0o604)
        problem = self.assertRaises(BadKeys, context.reload)
        self.assertIn("chmod 600", str(problem))

    def test_group_of_roots_file(self) -> None:
        """A key that root keeps for the group of those who need it, as Debian does, could not be used."""
        self.patch(os, "geteuid", lambda: 12_345)
        self.key.chmod(0o640)
        self.assertEqual(open_to_others(str(self.key)) == "", self.key.stat().st_uid == 0)
        self.key.chmod(0o644)
        self.assertNotEqual(open_to_others(str(self.key)), "")
