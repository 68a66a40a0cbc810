"""PHC strings, the stored form of password hashes, and the mark of a locked account before one."""

from __future__ import annotations

import re

from chatsvc.accounts.hash_cost import parameters

# A damaged hash must count as a hash: as a plain password it would let in whoever has read it.
_PHC = re.compile(r"!?\$argon2(?:id|i|d)\$")


def is_hashed(stored: str) -> bool:
    """Whether it is an argon2 hash (PHC string), locked or not, rather than an old plain text."""
    return _PHC.match(stored) is not None


def is_locked(stored: str) -> bool:
    """Whether the account is locked: a `!` directly before a hash. Plain texts never are."""
    return stored.startswith("!") and is_hashed(stored)


def lock(phc: str) -> str:
    """
    The hash with the mark of a locked account; a locked one stays as it is.

    :raise ValueError: it is no hash: with the mark it would be another plain password.
    """
    if not is_hashed(phc):
        raise ValueError("only an account with a hashed password can be locked")
    return "!" + unlock(phc)


def unlock(phc: str) -> str:
    """The hash without the mark of a locked account."""
    return phc[1:] if is_locked(phc) else phc


def is_sound(phc: str) -> bool:
    """Whether a hash says how it was made; a damaged one lets nobody in."""
    return parameters(unlock(phc)) is not None
