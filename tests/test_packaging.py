"""What an sdist and a wheel hold, and that they work where there is no checkout."""

from __future__ import annotations

import atexit
import configparser
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

import argon2
from twisted.trial.unittest import TestCase

import chatsvc
from tests.support.processes import ChatServer

_CHECKOUT = Path(__file__).parents[1]
_SECRETS = re.compile(r"\.(key|crt|secret|pem|db|db-wal|db-shm)$|/keys/(?!README\.md$)")


@cache
def _built() -> Path:
    """
    The folder of an sdist and of the wheel built from it, once for all tests.

    They are built from what git has: an older build's left-overs would get in. Not in isolation, which would download
    setuptools each time.
    """
    folder = Path(tempfile.mkdtemp(prefix="chatsvc-built-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    source = folder / "source"
    subprocess.run(["git", "clone", "-q", str(_CHECKOUT), str(source)], check=True)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run([*command, str(source)], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"nothing was built:\n{done.stdout}{done.stderr}")
    return folder


@cache
def _wheel() -> Path:
    (wheel,) = _built().glob("*.whl")
    return wheel


class SdistTests(TestCase):
    def members(self) -> dict[str, tarfile.TarInfo]:
        """The sdist's files and links, by their paths below its one folder."""
        (path,) = _built().glob("*.tar.gz")
        with tarfile.open(path) as sdist:
            return {info.name.partition("/")[2]: info for info in sdist if not info.isdir()}

    def test_what_is_in_it(self) -> None:
        """Somebody who builds from source could not test it, read about it, run it as a service or make its tables."""
        for needed in (
            *(".ci/run", ".pre-commit-config.yaml", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"),
            *("README.zh.md", "SECURITY.md", "changelog.d/README.md", "docs/operation.md"),
            *("docs/screen.svg", "keys/README.md", "ruff.toml", "schema/mysql/001_user.sql"),
            *("tap/server.py", "tests/run", "tests/client/screens/help.txt", "benchmarks/relay.py"),
        ):
            self.assertIn(needed, self.members())

    def test_all_of_the_checkout(self) -> None:
        """A folder that is new in the checkout would be forgotten in the sdist."""
        listed = ["git", "-C", str(_CHECKOUT), "ls-tree", "-r", "-z", "--name-only", "HEAD"]
        files = subprocess.run(listed, check=True, capture_output=True, text=True).stdout
        missing = set(filter(None, files.split("\0"))) - self.members().keys()
        self.assertEqual(missing, {".gitignore"})

    def test_links(self) -> None:
        """There would be two copies of tap and schema, one of which can be edited without effect."""
        for name in ("tap", "schema"):
            link = self.members()[f"chatsvc/{name}"]
            self.assertTrue(link.issym())
            self.assertEqual(link.linkname, f"../{name}")

    def test_no_secrets(self) -> None:
        """A key or a database would be published."""
        for name in self.members():
            self.assertNotRegex(f"/{name}", _SECRETS)


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
            self.assertNotRegex(f"/{name}", _SECRETS)
            self.assertNotIn("tests/", name)

    def test_data_files(self) -> None:
        """The installed server would have no tables to make and no script for Redis."""
        for needed in (
            "chatsvc/inbox/redis/lua/batch.lua",
            "chatsvc/schema/sqlite/003_inbox.sql",
            "chatsvc/schema/mysql/001_user.sql",
            "chatsvc/py.typed",
            "chatsvc/tap/server.py",
        ):
            self.assertIn(needed, self.names())

    def test_licence_and_version(self) -> None:
        """The wheel would come without its licence, or under another version than the one that it says."""
        with zipfile.ZipFile(_wheel()) as wheel:
            names = wheel.namelist()
        self.assertIn(f"chatsvc-{chatsvc.__version__}.dist-info/licenses/LICENSE", names)
        self.assertEqual(version("chatsvc"), chatsvc.__version__)
        said = configparser.ConfigParser()
        said.read(_CHECKOUT / "setup.cfg")
        self.assertEqual(said["metadata"]["version"], "attr: chatsvc.__version__")

    def test_change_notes(self) -> None:
        """A release would say nothing of what is new in it."""
        notes = (_CHECKOUT / "CHANGELOG.md").read_text()
        newest = re.findall(r"^## (\S+) \(\d{4}-\d\d-\d\d\)$", notes, re.MULTILINE)[0]
        self.assertEqual(newest, chatsvc.__version__)


class InstalledTests(TestCase):
    """The wheel that was built from the sdist, in an environment and a folder that know no checkout."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chatsvc-"))
        self.addCleanup(shutil.rmtree, self.folder)
        environment = self.folder / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        self.bin = environment / "bin"
        (self.site,) = environment.glob("lib/python3*/site-packages")
        # What the project depends on comes from the environment of these tests, or each run would download it. That
        # folder is only searched for modules: the .pth file in it which leads to the checkout is not read.
        (self.site / "dependencies.pth").write_text(f"{Path(argon2.__file__).parents[1]}\n")
        pip = [sys.executable, "-m", "pip", "--python", str(self.bin / "python")]
        install = ["install", "-q", "--no-index", "--no-deps", "--ignore-installed", str(_wheel())]
        subprocess.run([*pip, *install], check=True, capture_output=True)
        # twistd as pip would have installed it with the dependencies.
        twistd = (Path(sys.executable).parent / "twistd").read_text().partition("\n")[2]
        (self.bin / "twistd").write_text(f"#!{self.bin / 'python'}\n{twistd}")
        (self.bin / "twistd").chmod(0o755)

    def run_installed(self, *words: str, stdin: str = "") -> str:
        """Run an installed command; what it printed."""
        command = [str(self.bin / words[0]), *words[1:]]
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            command, cwd=self.folder, env=kept, input=stdin, capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_a_message(self) -> None:
        """Installed from PyPI, the service would not start, know no account or carry no message."""
        said = self.run_installed("python", "-c", "import chatsvc.tap; print(chatsvc.tap.__file__)")
        self.assertIn(str(self.site), said)
        server = ChatServer(folder=self.folder, twistd=str(self.bin / "twistd")).start()
        self.addCleanup(server.kill)
        for name, uid in (("Ann", "10001"), ("Bob", "10002")):
            words = ("chatsvc", "account", "add", name, "--password-stdin")
            self.assertEqual(self.run_installed(*words, stdin="secret\n"), f"{uid}\n")
        client = server.text()
        self.addCleanup(client.close)
        client.log_in(10001, "secret")
        self.assertIn("]:你好", client.ask("msg 10002 你好"))
        self.assertEqual(client.ask("quit"), "再见!")
        server.stop()
        self.assertEqual(server.tracebacks(), [])
