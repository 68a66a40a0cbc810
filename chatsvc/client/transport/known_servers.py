"""
The servers whose certificates a user trusts for good: a file with a line for each, ``HOST:PORT SHA256:AB:CD:…``.

All of the user's processes share it: a writer holds a lock on its folder, and puts a whole new file in its place.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from chatsvc.storage.private_files import locked_folder, write_atomically

_FINGERPRINT = re.compile(r"(?:SHA-?256:)?((?:[0-9A-F]{2}:?){31}[0-9A-F]{2})", re.IGNORECASE)
_LINE = re.compile(r"(\S+) +(SHA256:(?:[0-9A-F]{2}:){31}[0-9A-F]{2})")
_NOTHING = re.compile(r"\s*(?:#.*)?")


class KnownServersProblem(Enum):
    """What can be wrong with the file."""

    OPEN_TO_OTHERS = auto()
    OF_SOMEBODY_ELSE = auto()
    NO_FILE = auto()
    MALFORMED = auto()
    SYSTEM = auto()


class KnownServersUnusable(Exception):
    """
    The file cannot be used.

    ``line`` is the number of the malformed line, ``number`` the system's error (``errno``).
    """

    def __init__(
        self, trouble: KnownServersProblem, path: Path, line: int = 0, number: int = 0
    ) -> None:
        super().__init__(f"{path}: {trouble.name}")
        self.trouble = trouble
        self.path = path
        self.line = line
        self.number = number


@dataclass(frozen=True)
class KnownServer:
    """One line of the file; ``line`` is its number."""

    server: str
    fingerprint: str
    line: int


def parse_fingerprint(text: str) -> str:
    """
    Bring a SHA-256 fingerprint into the form in which the server logs it; other programs write it in other ways.

    :raise ValueError: it is none
    """
    found = _FINGERPRINT.fullmatch(text.strip())
    if found is None:
        raise ValueError("SHA256: and 32 bytes in hex are expected")
    return f"SHA256:{bytes.fromhex(found[1].replace(':', '')).hex(':').upper()}"


class KnownServers:
    """
    The file ``path``, made with mode 0600 when there is something to write.

    :raise KnownServersUnusable: of all methods.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, server: str) -> KnownServer | None:
        """The line of ``HOST:PORT``; None: it has none."""
        wanted = server.lower()
        return next((known for known in self._parsed() if known.server == wanted), None)

    def add(self, server: str, fingerprint: str) -> None:
        """Trust a server's certificate from now on; a server that is known stays as it is."""
        folder = self.path.parent
        with self._errors():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked_folder(folder) as descriptor:
                if self.find(server) is not None:
                    return
                text = self._read()
                end = "\n" if text and not text.endswith("\n") else ""
                line = f"{server.lower()} {fingerprint}\n"
                write_atomically(self.path, f"{text}{end}{line}".encode())
                os.fsync(descriptor)  # or a crash may forget the name

    def _parsed(self) -> list[KnownServer]:
        """All lines; a malformed one is an error even if another one is wanted."""
        known = []
        for number, line in enumerate(self._read().split("\n"), 1):
            found = _LINE.fullmatch(line.rstrip())
            if found is not None:
                known.append(KnownServer(found[1].lower(), found[2], number))
            elif not _NOTHING.fullmatch(line):
                raise KnownServersUnusable(KnownServersProblem.MALFORMED, self.path, line=number)
        return known

    def _read(self) -> str:
        with self._errors():
            try:
                # A pipe in its place is not waited for.
                descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except FileNotFoundError:
                return ""
            try:
                self._check(os.fstat(descriptor))
                with open(descriptor, "rb", closefd=False) as file:
                    return file.read().decode(errors="replace")
            finally:
                os.close(descriptor)

    def _check(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise KnownServersUnusable(KnownServersProblem.NO_FILE, self.path)
        if status.st_uid not in (os.geteuid(), 0):
            raise KnownServersUnusable(KnownServersProblem.OF_SOMEBODY_ELSE, self.path)
        if status.st_mode & 0o022:
            raise KnownServersUnusable(KnownServersProblem.OPEN_TO_OTHERS, self.path)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            number = problem.errno or 0
            raise KnownServersUnusable(
                KnownServersProblem.SYSTEM, self.path, number=number
            ) from None
