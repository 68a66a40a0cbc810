"""What stands in ``contrib/``: systemd takes the units, and the server can work under what they forbid."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.tap.server import Options
from tests.support.processes import ChatServer
from tests.support.watching import Watch

_ROOT = Path(__file__).parents[2]
_CONTRIB = _ROOT / "contrib"
_MONITORING = _ROOT / "docs" / "monitoring.md"
_UNITS = ("chatsvc.service", "chatsvc.socket", "chatsvc@.service")
_OF_AN_INSTANCE = re.compile(r"^(#|Description=|ExecStart=|SyslogIdentifier=|EnvironmentFile=)")

_MOST_EXPOSED = 1.6
"""What ``systemd-analyze security`` may say at most, of 10."""

_NO_NEW_CODE = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN (Linux 6.3): what MemoryDenyWriteExecute= does, before it starts a program."""


class _Confined(ChatServer):
    """A server that may not make code at run time."""

    def command(self) -> list[str]:
        return [sys.executable, "-c", _NO_NEW_CODE, *super().command()]


_OWN_PROC = 'mount -t proc -o "$0" proc /proc && exec "$@"'

_PROC_OPTIONS = {
    "ProtectProc=invisible": "hidepid=invisible",
    "ProcSubset=pid": "subset=pid",
}
"""What lines of a unit make of ``/proc`` (systemd.exec(5), proc(5)). systemd does not run where tests do."""


class _WithItsProc(ChatServer):
    """A server whose ``/proc`` is mounted as a unit says, with options of mount(8)."""

    proc = ""

    def command(self) -> list[str]:
        alone = ["unshare", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"]
        return [*alone, "sh", "-c", _OWN_PROC, self.proc, *super().command()]


class UnitTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="chatsvc-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name in _UNITS:
            text = (_CONTRIB / "systemd" / name).read_text()
            self.assertTrue(".service" not in name or "/opt/chatsvc/bin/twistd" in text, name)
            text = text.replace("/opt/chatsvc/bin/twistd", "/bin/true")
            (self.folder / name.replace("@", "@10001")).write_text(text)

    def analyze(self, *words: str) -> str:
        """What ``systemd-analyze`` says."""
        done = subprocess.run(
            ["systemd-analyze", *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done)
        return done.stdout + done.stderr

    def test_verify(self) -> None:
        """systemd would refuse a unit, or ignore a line of it."""
        for name in _UNITS:
            self.assertEqual(self.analyze("verify", f"./{name.replace('@', '@10001')}"), "", name)

    def test_exposure(self) -> None:
        """A line that confines the server would be lost, unseen."""
        for name in ("chatsvc.service", "chatsvc@10001.service"):
            said = self.analyze("security", "--offline=true", "--no-pager", f"./{name}")
            level = re.search(r"exposure level for \S+: ([0-9.]+)", said)
            assert level is not None, said
            self.assertLessEqual(float(level[1]), _MOST_EXPOSED, name)

    def test_alike(self) -> None:
        """The template would be confined in another way than the service."""
        one, many = (
            [line for line in text.splitlines() if not _OF_AN_INSTANCE.match(line)]
            for text in (
                (_CONTRIB / "systemd" / name).read_text()
                for name in ("chatsvc.service", "chatsvc@.service")
            )
        )
        self.assertEqual(one, many)

    def test_options(self) -> None:
        """A variable that the files set would be no option of the server."""
        known = {option.variable for option in Options.table}
        for path in _CONTRIB.rglob("*"):
            if path.is_file():
                named = set(re.findall(r"\bCHATSVC_[A-Z_]+", path.read_text()))
                self.assertLessEqual(named, known, path)

    def test_metrics(self) -> None:
        """Under the unit, metrics would be missing that the page, the dashboard and the alerts rely on."""
        listed = set(re.findall(r"^\| `(process_\w+)`", _MONITORING.read_text(), re.M))
        self.assertGreater(len(listed), 5)
        for name in ("chatsvc.service", "chatsvc@.service"):
            lines = (_CONTRIB / "systemd" / name).read_text().splitlines()
            watch = Watch()
            server = _WithItsProc(*watch.options)
            server.proc = ",".join(how for line, how in _PROC_OPTIONS.items() if line in lines)
            self.addCleanup(server.remove)
            server.start()
            _, page = watch.get("metrics")
            self.assertEqual(listed - set(re.findall(r"^(process_\w+)", page, re.M)), set(), name)

    def test_no_new_code(self) -> None:
        """Under the unit, the server would not start, or not take a password."""
        server = _Confined()
        self.addCleanup(server.remove)
        client = server.start().structured()
        self.addCleanup(client.close)
        uid = client.ask(type="register", n=1, name="Ann", password="secret")["uid"]
        client.log_in(uid, "secret")
        self.assertEqual(server.tracebacks(), [])
