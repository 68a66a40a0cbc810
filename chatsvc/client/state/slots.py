"""
The places of processes that use one account's file at once: each holds a slot, by a lock on a file of its own.

A slot has a device, with its numbers and its unconfirmed messages. A terminal comes back to the slot of a terminal, so
that devices do not pile up and what its device has shown is continued; a program that only sends, or that listens
without a registered device, keeps away from those.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from itertools import chain, count
from pathlib import Path


class SlotTaken(Exception):
    """Another process holds the slot."""


class SlotLock:
    """
    The slot that this process holds, of the account whose file is ``path``.

    :raise OSError: lock files cannot be made there. :raise SlotTaken: none of the ``wanted`` slots is free
    """

    def __init__(self, path: Path, wanted: Iterable[int]) -> None:
        self._path = path
        self._descriptor = -1
        for slot in wanted:
            if self._try(slot):
                self.slot = slot
                return
        raise SlotTaken

    def release(self) -> None:
        """Let another process have the slot."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _try(self, slot: int) -> bool:
        path = self._path.with_suffix(f".{slot}.lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True


def slots_to_send(
    suitable: Iterable[int], left: Iterable[int], terminals: Iterable[int]
) -> Iterable[int]:
    """
    The slots for a program that only sends or listens, the best first.

    :param suitable: those whose unconfirmed messages it goes on with
    :param left: all with unconfirmed messages
    :param terminals: those of terminals
    """
    avoided = {*left, *terminals}
    return chain(suitable, (slot for slot in count(1) if slot not in avoided))


def slots_to_read(terminals: Iterable[int], left: Iterable[int]) -> Iterable[int]:
    """The slots for a terminal, the best first: a terminal's, or one without another program's messages."""
    known = list(terminals)
    avoided = {*left, *known}
    return chain(known, (slot for slot in count(1) if slot not in avoided))
