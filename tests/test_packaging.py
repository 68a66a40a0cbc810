"""What a wheel holds, and that it works where there is no checkout."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from twisted.trial.unittest import TestCase

_CHECKOUT = Path(__file__).parents[1]


@cache
def _wheel() -> Path:
    """One wheel for all tests, built from what git has: an older build's left-overs would get in."""
    folder = Path(tempfile.mkdtemp(prefix="chatsvc-wheel-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    source = folder / "source"
    subprocess.run(["git", "clone", "-q", str(_CHECKOUT), str(source)], check=True)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder)]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


class WheelTests(TestCase):
    def names(self) -> list[str]:
        """The files in the wheel, without its metadata."""
        with zipfile.ZipFile(_wheel()) as wheel:
            return [name for name in wheel.namelist() if ".dist-info/" not in name]

    def test_top_level(self) -> None:
        """Installing would put modules at top level that are not this project's to name."""
        top = {name.split("/")[0] for name in self.names()}
        self.assertEqual(top, {"chatsvc", "twisted"})
        twisted = [name for name in self.names() if name.startswith("twisted/")]
        self.assertEqual(twisted, ["twisted/plugins/chatsvc_plugins.py"])

    def test_no_secrets(self) -> None:
        """A key, a database or a test would be published."""
        for name in self.names():
            self.assertNotRegex(name, r"\.(key|crt|secret|pem|db)$|keys/|tests/")

    def test_data_files(self) -> None:
        """The installed server would have no tables to make and no script for Redis."""
        for needed in (
            "chatsvc/inbox/inbox.lua",
            "chatsvc/schema/sqlite/003_inbox.sql",
            "chatsvc/schema/mysql/001_user.sql",
            "chatsvc/py.typed",
            "chatsvc/tap/server.py",
        ):
            self.assertIn(needed, self.names())

    def test_commands(self) -> None:
        """Installed without a checkout, twistd would not know the commands."""
        site = _wheel().parent / "site"
        with zipfile.ZipFile(_wheel()) as wheel:
            wheel.extractall(site)
        program = (
            "import sys; sys.path.insert(0, sys.argv[1]);"
            "import twisted.plugins; twisted.plugins.__path__.insert(0, sys.argv[1] + '/twisted/plugins');"
            "from twisted.plugin import getPlugins;"
            "from twisted.application.service import IServiceMaker;"
            "makers = {m.tapname: m for m in getPlugins(IServiceMaker)};"
            "print(makers['chat'].options().getUsage(), makers['chatclient'].options().getUsage());"
            "import chatsvc; print(chatsvc.__file__)"
        )
        command = [sys.executable, "-c", program, str(site)]
        done = subprocess.run(command, cwd=site.parent, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("--inbox-limit", done.stdout)
        self.assertIn("--connect", done.stdout)
        self.assertIn(str(site), done.stdout)
