"""The life of an SQLite file: its epochs, and what tells an older file that was put in its place."""

from __future__ import annotations

from chatsvc.inbox.rollback import DataMark
from chatsvc.storage.sql import Transaction

_EPOCHS = 64
"""Epochs before the present one that are remembered."""


def begin(transaction: Transaction, known: DataMark | None, fresh: str) -> tuple[str, int]:
    """
    Begin a new epoch if the file is behind what is known of it.

    :return: the file's epoch, and how many batches it has taken.
    """
    transaction.execute("INSERT OR IGNORE INTO chat_setting VALUES ('epoch', ?)", (fresh,))
    settings: dict[str, str] = dict(transaction.all("SELECT name, value FROM chat_setting"))
    epoch, batches = settings["epoch"], int(settings["batches"])
    if known is None:
        return epoch, batches
    is_behind = known.epoch == epoch and batches < known.batches
    # If the file does not know the epoch, an older copy of it was put back after that epoch began.
    if is_behind or known.epoch not in (epoch, *settings["epochs"].split()):
        begin_epoch(transaction, fresh, known.epoch)
        epoch = fresh
    return epoch, batches


def begin_epoch(transaction: Transaction, fresh: str, known: str = "") -> None:
    """Begin an epoch, and remember those before it: that of this file, and the one that is known of it."""
    settings: dict[str, str] = dict(transaction.all("SELECT name, value FROM chat_setting"))
    before = dict.fromkeys([settings["epoch"], *known.split(), *settings["epochs"].split()])
    change = "UPDATE chat_setting SET value = ? WHERE name = ?"
    transaction.execute(change, (fresh, "epoch"))
    transaction.execute(change, (" ".join([*before][:_EPOCHS]), "epochs"))
