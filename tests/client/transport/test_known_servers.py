"""The file of servers whose certificates are trusted for good."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from chatsvc.client.transport.known_servers import (
    KnownServer,
    KnownServers,
    KnownServersProblem,
    KnownServersUnusable,
    parse_fingerprint,
)

ONE = "SHA256:" + ":".join(["AB"] * 32)
TWO = "SHA256:" + ":".join(["0C"] * 32)

_ADDER = """
import sys
from pathlib import Path
from chatsvc.client.transport.known_servers import KnownServers
known = KnownServers(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    known.add(f"{sys.argv[2]}:{number}", sys.argv[3])
    assert known.find("first:1") is not None
"""


class KnownServersCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chatsvc-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.path = self.folder / "state" / "known_servers"
        self.known = KnownServers(self.path)

    def write(self, text: str | bytes, mode: int = 0o600) -> None:
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.path.chmod(mode)

    def trouble(self) -> KnownServersUnusable:
        with self.assertRaises(KnownServersUnusable) as caught:
            self.known.find("localhost:1")
        trouble: KnownServersUnusable = caught.exception
        return trouble


class Fingerprints(SynchronousTestCase):
    def test_forms(self) -> None:
        """A fingerprint that another program shows, or that is copied in small letters, would be refused."""
        for text in (ONE, ONE.lower(), ONE[7:], f"  {ONE}\n", "ab" * 32, "SHA256:" + "AB" * 32):
            self.assertEqual(parse_fingerprint(text), ONE)

    def test_no_fingerprints(self) -> None:
        """A fingerprint that lost its end when it was copied would be taken for one that nobody has."""
        for text in ("", ONE[:-3], ONE + ":AB", ONE + "A", "MD5:" + "AB:" * 15 + "AB", "SHA256:"):
            with self.assertRaises(ValueError, msg=text):
                parse_fingerprint(text)


class Reading(KnownServersCase):
    def test_nothing_yet(self) -> None:
        """The first start would fail for want of a file, or leave one behind that nobody asked for."""
        self.assertIsNone(self.known.find("localhost:1"))
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_lines(self) -> None:
        """A server would be taken for another one, or the user sent to the wrong line."""
        self.write(f"# mine\n\nlocalhost:1 {ONE}\r\n[::1]:1  {TWO}  \nLocalhost:10 {TWO}")
        self.assertEqual(self.known.find("localhost:1"), KnownServer("localhost:1", ONE, 3))
        self.assertEqual(self.known.find("[::1]:1"), KnownServer("[::1]:1", TWO, 4))
        self.assertEqual(self.known.find("LOCALHOST:10"), KnownServer("localhost:10", TWO, 5))
        for server in ("localhost", "localhost:100", "ocalhost:1", "#", ""):
            self.assertIsNone(self.known.find(server), server)

    def test_malformed(self) -> None:
        """A damaged file would be taken for one without the server: a changed certificate would pass for a new one."""
        for line in (
            "nonsense",
            f"localhost:1{ONE}",
            f"localhost:1 {ONE[:-3]}",
            f"localhost:1 {ONE} {TWO}",
            f"localhost :1 {ONE}",
            b"localhost:1 SHA256:\xff",
            b"\0" * 100,
        ):
            raw = line if isinstance(line, bytes) else line.encode()
            self.write(f"localhost:1 {ONE}\n".encode() + raw + b"\n")
            trouble = self.trouble()
            self.assertEqual(
                (trouble.trouble, trouble.line), (KnownServersProblem.MALFORMED, 2), line
            )
            self.assertEqual(trouble.path, self.path)

    def test_open_to_others(self) -> None:
        """Who can write the file could have the client trust any certificate."""
        for mode in (0o620, 0o602, 0o666):
            self.write(f"localhost:1 {ONE}\n", mode)
            self.assertEqual(self.trouble().trouble, KnownServersProblem.OPEN_TO_OTHERS, oct(mode))
        self.write(f"localhost:1 {ONE}\n", 0o644)
        self.assertIsNotNone(self.known.find("localhost:1"))

    def test_of_somebody_else(self) -> None:
        """Somebody else's file would say whom to trust."""
        if os.geteuid() != 0:
            raise SkipTest("only root can give a file away")
        self.write(f"localhost:1 {ONE}\n")
        os.chown(self.path, 12345, -1)
        self.assertEqual(self.trouble().trouble, KnownServersProblem.OF_SOMEBODY_ELSE)

    def test_no_file(self) -> None:
        """A pipe in the file's place would be waited for, for ever."""
        self.path.parent.mkdir()
        os.mkfifo(self.path)
        self.assertEqual(self.trouble().trouble, KnownServersProblem.NO_FILE)
        self.path.unlink()
        self.path.mkdir()
        self.assertEqual(self.trouble().trouble, KnownServersProblem.NO_FILE)

    def test_unreadable(self) -> None:
        """A file that is there and cannot be read would be taken for none."""
        self.path.parent.mkdir()
        self.path.symlink_to(self.path)
        trouble = self.trouble()
        self.assertEqual(trouble.trouble, KnownServersProblem.SYSTEM)
        self.assertTrue(trouble.number)


class Writing(KnownServersCase):
    def test_private(self) -> None:
        """Others could write the file, whatever the user's umask."""
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        self.known.add("Localhost:1", ONE)
        self.assertEqual(self.path.read_text(), f"localhost:1 {ONE}\n")
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.path.parent.stat().st_mode & 0o777, 0o700)

    def test_what_stands_there_stays(self) -> None:
        """A note of the user's, or another server, would be lost; or a line written into the one before it."""
        self.write(f"# note\nother:1 {ONE}")
        self.known.add("localhost:1", TWO)
        self.assertEqual(self.path.read_text(), f"# note\nother:1 {ONE}\nlocalhost:1 {TWO}\n")

    def test_known_already(self) -> None:
        """A server that is known would be given another certificate without a word."""
        self.known.add("localhost:1", ONE)
        self.known.add("LOCALHOST:1", TWO)
        self.assertEqual(self.path.read_text(), f"localhost:1 {ONE}\n")

    def test_after_a_crash(self) -> None:
        """What a crash left half written would be in the way for ever."""
        self.path.parent.mkdir()
        half = self.path.with_name(".known_servers.new")
        half.write_text("localhost")
        self.known.add("localhost:1", ONE)
        self.assertEqual(self.path.read_text(), f"localhost:1 {ONE}\n")

    def test_malformed(self) -> None:
        """A file that cannot be understood would be written on."""
        self.write("nonsense\n")
        self.assertRaises(KnownServersUnusable, self.known.add, "localhost:1", ONE)
        self.assertEqual(self.path.read_text(), "nonsense\n")

    def test_no_place(self) -> None:
        """A folder that cannot be made would end in a traceback."""
        self.path.parent.write_text("")
        trouble = self.assertRaises(KnownServersUnusable, self.known.add, "localhost:1", ONE)
        self.assertEqual((trouble.trouble, trouble.path), (KnownServersProblem.SYSTEM, self.path))

    def test_many_processes(self) -> None:
        """Of two clients that write at once, one would undo what the other wrote, or read half of it."""
        self.known.add("first:1", TWO)
        adders = [
            subprocess.Popen(
                [sys.executable, "-c", _ADDER, str(self.path), f"host{number}", ONE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for number in range(4)
        ]
        for adder in adders:
            assert adder.stdout is not None
            adder.stdout.readline()
        for adder in adders:
            assert adder.stdin is not None
            adder.stdin.write(b"go\n")
            adder.stdin.flush()
        for adder in adders:
            adder.communicate(timeout=60)
        self.assertEqual([adder.returncode for adder in adders], [0] * 4)
        lines = self.path.read_text().splitlines()
        self.assertEqual((len(lines), len(set(lines))), (161, 161))
