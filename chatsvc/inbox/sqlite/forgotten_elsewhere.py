"""Registered devices that another process forgets: an administrator's command works on the file while a server runs."""

from __future__ import annotations

import json

from twisted.internet.interfaces import IReactorTime

from chatsvc.inbox.interface import StoreWatcher
from chatsvc.observability.periodic import PeriodicTask
from chatsvc.storage.database import Database
from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import StoreUnavailable

_EVERY = 0.5
"""Seconds between looks whether another process has changed the file: a forgotten device is out within a second."""

_REGISTERED = """
SELECT json_group_array(json_array(uid, device)) FROM chat_registered WHERE uid IN (SELECT value FROM json_each(?))
"""


class ForgottenElsewhere:
    """
    Tells ``watcher`` of registered devices that are logged in here, and that somebody has had forgotten.

    Of what a batch forgets by itself it hears by :meth:`logged_out`; another process only does as it is asked.

    While there are any, it looks whether the file was changed by another connection
    (https://www.sqlite.org/pragma.html#pragma_data_version). ``clock`` None: it never looks.
    """

    def __init__(
        self, database: Database, watcher: StoreWatcher, clock: IReactorTime | None
    ) -> None:
        self._database = database
        self._watcher = watcher
        self._version: int | None = None
        self._online: set[tuple[int, str]] = set()
        self._looking: PeriodicTask | None = None
        if clock is not None:
            self._looking = PeriodicTask(clock, "looking for forgotten devices", self._look)

    def logged_in(self, uid: int, device: str) -> None:
        """Look after a device from now on."""
        self._online.add((uid, device))
        if self._looking is not None and not self._looking.running:
            self._looking.start(_EVERY, now=False)

    def logged_out(self, uid: int, device: str) -> None:
        """Look after a device no more."""
        self._online.discard((uid, device))
        if not self._online:
            self.close()

    def forgotten(self, uid: int, device: str) -> None:
        """End the session of a device that was forgotten on request, if it is logged in here."""
        if (uid, device) in self._online:
            self.logged_out(uid, device)
            self._watcher.forgotten(uid, device, True)

    def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.stop()

    async def _look(self) -> None:
        before, online = self._version, set(self._online)
        try:
            # A connection of its own changes, too, when it is made anew: then there is no harm in looking.
            self._version = await self._database.run(_data_version, write=False)
            if self._version == before:
                return
            registered = await self._database.run(lambda t: _registered(t, online), write=False)
        except StoreUnavailable:
            self._version = before
            return
        for uid, device in online - registered:
            self.forgotten(uid, device)


def _data_version(transaction: Transaction) -> int:
    (version,) = transaction.one("PRAGMA data_version") or (0,)
    return int(version)


def _registered(transaction: Transaction, online: set[tuple[int, str]]) -> set[tuple[int, str]]:
    uids = json.dumps(list({uid for uid, _ in online}))
    (rows,) = transaction.one(_REGISTERED, (uids,)) or ("[]",)
    return {(uid, device) for uid, device in json.loads(rows)}
