"""The life of an SQLite file: its epochs and serials, an older file in its place, and what an upgrade changed."""

from __future__ import annotations

from dataclasses import dataclass

from chatsvc.inbox.rollback import DataMark
from chatsvc.storage.sql import Transaction

_EPOCHS = 64
"""Epochs before the present one that are remembered."""

_AHEAD = 60_000
"""Milliseconds by which serials are ahead of the clock where messages were lost: nobody has seen one that far ahead."""

_SET = "UPDATE chat_setting SET value = ? WHERE name = ?"

_AFTER_OLDER_SERVER = """
UPDATE chat_reader SET newest = max(newest, generation), unnamed_behind = coalesce(unnamed_behind, 0), unnamed_used = 0
WHERE newest < generation OR unnamed_behind IS NULL AND registered = 0
    AND (SELECT serial FROM chat_inbox WHERE chat_inbox.uid = chat_reader.uid ORDER BY id LIMIT 1) = 0
"""
"""Unnamed devices that a server of the version before has claimed, or stored for, on tables that were new already."""


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What the upgrade of a file of the version before has changed: ``users`` for whom ``waiting`` messages wait."""

    users: int
    waiting: int


def begin(transaction: Transaction, known: DataMark | None, fresh: str, now: int) -> DataMark:
    """
    Begin a new epoch, with serials above all that was seen, if the file is behind what is known of it.

    ``now`` is in ms.

    :return: how far the file is.
    """
    transaction.execute("INSERT OR IGNORE INTO chat_setting VALUES ('epoch', ?)", (fresh,))
    settings = _settings(transaction)
    epoch, batches = settings["epoch"], int(settings["batches"])
    serial = int(settings["serial"])
    if known is None:
        return DataMark(epoch, "", batches, serial)
    is_behind = known.epoch == epoch and batches < known.batches
    # If the file does not know the epoch, an older copy of it was put back after that epoch began.
    if is_behind or known.epoch not in (epoch, *settings["epochs"].split()):
        epoch, serial = fresh, begin_epoch(transaction, fresh, now, known)
    elif serial < known.serial:
        serial = known.serial
        transaction.execute(_SET, (str(serial), "serial"))
    return DataMark(epoch, "", batches, serial)


def begin_epoch(
    transaction: Transaction, fresh: str, now: int, known: DataMark | None = None
) -> int:
    """
    Begin an epoch, and remember those before it: that of this file, and the one that is ``known`` of it.

    :return: the serial that counts as given out last.
    """
    settings = _settings(transaction)
    seen = known.epoch.split() if known is not None else []
    before = dict.fromkeys([settings["epoch"], *seen, *settings["epochs"].split()])
    serial = max(
        (now + _AHEAD) * 1000, int(settings["serial"]), known.serial if known is not None else 0
    )
    transaction.execute(_SET, (fresh, "epoch"))
    transaction.execute(_SET, (" ".join([*before][:_EPOCHS]), "epochs"))
    transaction.execute(_SET, (str(serial), "serial"))
    return serial


def begin_serving(transaction: Transaction, now: int) -> Upgraded | None:
    """
    Note that nobody is logged in any more, at a time in ms: a server has ended, or was killed.

    :return: what was upgraded, once after it was.
    """
    transaction.execute(_AFTER_OLDER_SERVER)
    for change in (
        "UPDATE chat_reader SET unnamed_used = ? WHERE unnamed_used = 0 AND unnamed_behind IS NOT NULL",
        "UPDATE chat_registered SET online = 0, used = ? WHERE online",
    ):
        transaction.execute(change, (now,))
    row = transaction.one("SELECT value FROM chat_setting WHERE name = 'upgraded'")
    if row is None:
        return None
    transaction.execute("DELETE FROM chat_setting WHERE name = 'upgraded'")
    return Upgraded(*map(int, str(row[0]).split()))


def _settings(transaction: Transaction) -> dict[str, str]:
    return dict(transaction.all("SELECT name, value FROM chat_setting"))
