"""Commands whose output cannot be written: a full disk, a closed descriptor, a pipe that nobody reads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import IO

import click
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.cli.main import main
from tests.cli.shell import chatsvc
from tests.support.forked import ForkedProgram
from tests.support.processes import PATIENCE, Outcome

FULL = "/dev/full"

PRINTING = {
    "account add": ("Bob", "--generate"),
    "account devices": ("10001", "--json"),
    "account import": ("people.csv",),
    "account list": (),
    "account passwd": ("10001", "--generate"),
    "check": (),
    "completion": ("bash",),
    "inbox count": ("10001",),
    "inbox purge": ("10001", "--yes"),
    "inbox restored": ("--yes",),
    "inbox show": ("10001", "--json"),
    "keys make": (),
    "keys request": (),
    "keys show": (),
    "room add": ("dev", "--owner", "10001"),
    "room list": (),
    "room members": ("#1", "--json"),
    "room show": ("#1", "--json"),
    "room close": ("#1", "--yes"),
    "schema create": (),
    "schema status": (),
    "schema upgrade": (),
}
"""The commands that print something, and their arguments. They are run one after the other."""

SILENT = {"account lock": ("10001",), "account unlock": ("10001",)}
"""Commands that print nothing."""

ELSEWHERE = frozenset({"client", "send", "listen"})
"""Commands that talk to a server: `tests.client.script` has them."""


def all_commands(group: click.Group, before: str = "") -> Iterator[str]:
    """The words of each command that does something."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{before}{name} ")
        else:
            yield before + name


class LostOutputTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.env = {"CHATSVC_ACCOUNTS": "sqlite:chat.db", "CHATSVC_INBOX": "sqlite:chat.db"}
        (self.folder / "people.csv").write_text("name,password\nAnn,\n")

    def succeed(self, *words: str) -> str:
        """Run a command whose output is read."""
        done = chatsvc(*words, env=self.env, folder=self.folder)
        self.assertEqual(done.status, 0, done)
        return done.stdout

    def run_into(self, stdout: IO[bytes], *words: str) -> Outcome:
        """Run a command with this standard output."""
        with open(os.devnull, "rb") as nothing, tempfile.TemporaryFile() as errors:
            program = ForkedProgram(
                "chatsvc",
                *words,
                environment={**os.environ, **self.env},
                folder=self.folder,
                streams=(nothing, stdout, errors),
            )
            status = program.wait(PATIENCE)
            errors.seek(0)
            return Outcome(status, "", errors.read().decode())

    def run_full(self, *words: str) -> Outcome:
        """Run a command that prints onto a full disk."""
        with open(FULL, "wb") as full:
            return self.run_into(full, *words)

    def run_unread(self, *words: str) -> Outcome:
        """Run a command that prints into a pipe whose reader is gone."""
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "wb") as pipe:
            return self.run_into(pipe, *words)

    def run_closed(self, *words: str, closed: str = ">&-") -> Outcome:
        """Run a command with a standard stream that is closed, which no fork can have been."""
        shell = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "chatsvc.cli"]
        done = subprocess.run(
            [*shell, *words],
            cwd=self.folder,
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def assert_one_line(self, done: Outcome, words: str) -> None:
        """Fail unless a command has ended with status 1, and one line that says this."""
        self.assertEqual((done.status, done.stderr.count("\n")), (1, 1), done)
        self.assertRegex(done.stderr, f"^Error: .*{words}")

    def uids(self) -> list[str]:
        """The accounts that there are."""
        return re.findall(r"^\d+", self.succeed("account", "list"), re.MULTILINE)

    def test_all_commands(self) -> None:
        """A new command would be left out here, and end in a traceback where its output cannot be written."""
        self.assertEqual(set(all_commands(main)), {*PRINTING, *SILENT, *ELSEWHERE})

    def test_full_disk(self) -> None:
        """A script would go on as if it had the output, or an admin have to read a traceback."""
        for name, more in PRINTING.items():
            if name == "schema create":
                os.unlink(self.folder / "chat.db")
            words = (*name.split(), *more)
            self.assert_one_line(self.run_full(*words), "No space left on device")
        for words in (
            ("--version",),
            ("--help",),
            ("account", "add", "--help"),
            ("send", "--help"),
        ):
            self.assert_one_line(self.run_full(*words), "No space left on device")
        for name, more in SILENT.items():
            self.succeed("account", "add", name, "--generate")
            self.assertEqual(self.run_full(*name.split(), *more), Outcome(0, "", ""))

    def test_completion_by_variable(self) -> None:
        """A shell that completes into a full disk would show a traceback at each press of Tab."""
        self.env["_CHATSVC_COMPLETE"] = "bash_source"
        self.assert_one_line(self.run_full(), "No space left on device")

    def test_closed(self) -> None:
        """A job without standard output would have the status of a success, though nobody has what it printed."""
        self.succeed("schema")
        self.succeed("keys", "make")
        for words in (("keys", "show"), ("--version",), ("schema", "status"), ("check", "--json")):
            self.assert_one_line(self.run_closed(*words), "standard output is closed")
        self.assertEqual(self.run_closed("nonsense", closed=">&- 2>&-").status, 2)

    def test_nothing_made(self) -> None:
        """An account would be made whose password nobody has, though that could be seen before."""
        self.succeed("schema")
        for name in ("account add", "account import", "keys make", "keys request"):
            words = (*name.split(), *PRINTING[name])
            self.assert_one_line(self.run_unread(*words), "nobody reads.*; nothing was done")
        for words in (("account", "add", "Bob", "--generate"), ("keys", "make")):
            self.assert_one_line(self.run_closed(*words), "is closed; nothing was done")
        self.assertEqual(self.uids(), [])
        self.assertFalse((self.folder / "keys").exists())

    def test_lost_password(self) -> None:
        """An admin would not hear that an account was made, or how to come by a password for it."""
        another = "`chatsvc account passwd 10001 --generate`"
        self.assert_one_line(self.run_full("account", "add", "Bob", "--generate"), another)
        self.assertEqual(self.uids(), ["10001"])
        done = self.run_full("account", "passwd", "10001", "--generate")
        self.assert_one_line(done, f"was changed, and is lost: {another}")
        self.assertEqual(len(self.succeed(*another.strip("`").split()[1:])), 17)
        self.assert_one_line(
            self.run_full("account", "import", "people.csv"), "1 accounts were made"
        )
        self.assertEqual(self.uids(), ["10001", "10002"])

    def test_reader_leaves(self) -> None:
        """The rest of a list would be lost without a word, or with a traceback."""
        self.succeed("schema")
        self.assert_one_line(self.run_unread("schema", "status"), "Broken pipe")

    def test_slow_reader(self) -> None:
        """A list would end in its middle where another program has made the terminal or the pipe non-blocking."""
        whole = self.succeed("completion", "bash")
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        size = os.write(writer, b"x" * (1 << 20))  # as much as it holds
        with open(reader, "rb") as end, ThreadPoolExecutor(1) as pool:
            with open(writer, "wb") as pipe:
                running = pool.submit(self.run_into, pipe, "completion", "bash")
                self.assertFalse(wait([running], timeout=1).done, "it has nobody who reads")
                end.read(size)
                self.assertEqual(running.result(), Outcome(0, "", ""))
            self.assertEqual(end.read().decode(), whole)

    def test_errors_into_a_full_disk(self) -> None:
        """A full disk would change the status of a command that fails, or undo what it does."""
        with open(FULL, "wb") as full, open(os.devnull, "r+b") as nothing:
            for words, status in (
                (("nonsense",), 2),
                (("account", "lock", "1"), 1),
                (("keys", "request"), 0),
            ):
                program = ForkedProgram(
                    "chatsvc",
                    *words,
                    environment={**os.environ, **self.env},
                    folder=self.folder,
                    streams=(nothing, nothing, full),
                )
                self.assertEqual(program.wait(PATIENCE), status, words)

    def test_closed_input(self) -> None:
        """A job without standard input would end in a traceback."""
        for words in (("account", "add", "x", "--password-stdin"), ("account", "import", "-")):
            done = self.run_closed(*words, closed="<&-")
            self.assert_one_line(done, "standard input is closed")
        self.assert_one_line(self.run_closed("account", "add", "x", closed="<&-"), "no terminal")

    def test_names_in_another_encoding(self) -> None:
        """A list of accounts would end in a traceback where the terminal has no letter for one name."""
        self.succeed("account", "add", "\U0001f600三", "--generate")
        self.env["PYTHONIOENCODING"] = "gbk"
        done = self.run_closed("account", "list", closed="| iconv -f gbk -t utf-8")
        self.assertEqual(done.stdout, "10001\t\\U0001f600三\tactive\n")
