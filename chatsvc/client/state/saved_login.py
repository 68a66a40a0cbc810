"""
The account that a client logs in to by itself: server, uid and token, in one file of the state folder.

Whoever can read the file can log in as that user until the token expires, the password changes or the account is
locked.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from chatsvc.client.state.outbox import StateUnusable
from chatsvc.storage.private_files import write_atomically


@dataclass(frozen=True)
class SavedAccount:
    """An account and the token that logs it in; ``server`` is ``HOST:PORT``."""

    server: str
    uid: int
    token: str


class SavedLogin:
    """The saved account of a state folder. Without ``keeps``, a log-in is saved only for the account that is there."""

    def __init__(self, folder: Path, keeps: bool = False) -> None:
        self._path = folder / "remembered.json"
        self.keeps = keeps

    def account(self) -> SavedAccount | None:
        """The saved account; None: there is none, or the file cannot be read."""
        try:
            thing = orjson.loads(self._path.read_bytes())
            return SavedAccount(str(thing["server"]), int(thing["uid"]), str(thing["token"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def keep(self, account: SavedAccount) -> None:
        """
        Save an account that has logged in, with its newest token.

        :raise StateUnusable: the file cannot be written
        """
        if not self.keeps and not self._is(account.server, account.uid):
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self._path, orjson.dumps(asdict(account)))
        except OSError as problem:
            raise StateUnusable(f"{self._path}: {problem.strerror}") from None

    def forget(self, server: str, uid: int, tokens: Collection[str] | None = None) -> bool:
        """
        Delete an account that has logged out, or whose tokens no longer work.

        :param tokens: those that no longer work: another process may have saved one since that does. None: any
        :return: whether it was there
        """
        known = self.account()
        if known is None or (known.server, known.uid) != (server, uid):
            return False
        if tokens is not None and known.token not in tokens:
            return False
        self._path.unlink(missing_ok=True)
        return True

    def _is(self, server: str, uid: int) -> bool:
        known = self.account()
        return known is not None and (known.server, known.uid) == (server, uid)
