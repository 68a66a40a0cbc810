"""The lines that were typed, kept between runs, without passwords."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from prompt_toolkit.history import FileHistory

from chatsvc.client.input.secrecy import may_be_secret

_MOST_BYTES = 256 * 1024
"""Size of the file when a client starts: about the last two thousand lines."""


class DiscreetHistory(FileHistory):
    """Keeps the lines that cannot have a password in them; works without a file where that cannot be used."""

    def __init__(self, path: Path) -> None:
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            _shorten(path)
        super().__init__(str(path))

    def append_string(self, string: str) -> None:
        if not may_be_secret(string):
            super().append_string(string)

    def load_history_strings(self) -> list[str]:  # type: ignore[override]
        try:
            return list(super().load_history_strings())
        except OSError:
            return []

    def store_string(self, string: str) -> None:
        with suppress(OSError):
            super().store_string(string)


def _shorten(path: Path) -> None:
    if path.stat().st_size > _MOST_BYTES:
        kept = path.read_bytes()[-_MOST_BYTES // 2 :]
        path.write_bytes(kept[kept.find(b"\n#") + 1 :])
