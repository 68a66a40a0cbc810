"""
PHC strings: the stored form of password hashes, and the mark that locks an account.

``$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`` is a hash (https://github.com/P-H-C/phc-string-format). A ``!`` before it
locks the account. Any other stored text is a plain password that an older server left.
"""

from __future__ import annotations

import re

from chatsvc.accounts.hash_cost import parameters

# A damaged hash must count as a hash: as a plain password it would log in anybody who has read it.
_PHC = re.compile(r"!?\$argon2(?:id|i|d)\$")


def is_hashed(stored: str) -> bool:
    """Return whether a stored value is an argon2 hash, locked or not, rather than an old plain password."""
    return _PHC.match(stored) is not None


def is_locked(stored: str) -> bool:
    """Return whether the account is locked: a ``!`` stands directly before a hash. Plain passwords never are."""
    return stored.startswith("!") and is_hashed(stored)


def lock(phc: str) -> str:
    """
    Return the hash with the mark of a locked account; a locked one stays as it is.

    :raise ValueError: when it is no hash, for with the mark it would be another plain password.
    """
    if not is_hashed(phc):
        raise ValueError("only an account with a hashed password can be locked")
    return "!" + unlock(phc)


def unlock(phc: str) -> str:
    """Return the stored value without the mark of a locked account."""
    return phc[1:] if is_locked(phc) else phc


def is_sound(phc: str) -> bool:
    """Return whether a hash can be parsed; with a damaged one nobody can log in."""
    return parameters(unlock(phc)) is not None
