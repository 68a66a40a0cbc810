"""What a stored argon2 hash costs to check, and a check in one thread whatever the hash was made with."""

from __future__ import annotations

import binascii
from base64 import b64decode
from hmac import compare_digest

from argon2 import Parameters, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import core, error_to_str, ffi

MOST_WORK = 8 * 2 * 19 * 1024
"""
Passes * KiB of memory that a hash made elsewhere may cost: eight times our default.

The time of argon2 grows with this product (RFC 9106, section 3.1). The defaults of others are below it: PHP 262,144,
Django 204,800, argon2-cffi 196,608.
"""

MOST_LANES = 16
"""Lanes (RFC 9106's parallelism) that a hash made elsewhere may have."""

_OK = 0  # ARGON2_OK


def parameters(phc: str) -> Parameters | None:
    """Return how a hash was made, or None if it is damaged."""
    try:
        return extract_parameters(phc)
    except InvalidHashError:
        return None


def work_of(used: Parameters) -> int:
    """Return the cost of a hash: passes * KiB of memory."""
    return used.time_cost * used.memory_cost


def is_too_costly(phc: str, most: int = MOST_WORK) -> bool:
    """Return whether a hash costs more than ``most`` to check, or wants more lanes than anybody needs."""
    used = parameters(phc)
    return used is not None and (work_of(used) > most or used.parallelism > MOST_LANES)


def verify_in_one_thread(phc: str, secret: bytes) -> bool:
    """
    Return whether a secret fits a hash that has several lanes.

    argon2-cffi would start a thread a lane: such hashes would be checked faster than others of the same cost, which
    tells them apart, and outside the threads that hashing was given.

    :raise InvalidHashError: when the hash is damaged.
    :raise VerificationError: when argon2 fails.
    """
    used = extract_parameters(phc)
    *_, salt, expected = phc.split("$")
    try:
        raw_salt, raw = (b64decode(text + "=" * (-len(text) % 4)) for text in (salt, expected))
    except (binascii.Error, ValueError) as problem:
        raise InvalidHashError("no base64") from problem
    out = ffi.new("uint8_t[]", len(raw))
    kept_secret, kept_salt = ffi.new("uint8_t[]", secret), ffi.new("uint8_t[]", raw_salt)
    context = ffi.new(
        "argon2_context *",
        {
            "out": out,
            "outlen": len(raw),
            "version": used.version,
            "pwd": kept_secret,
            "pwdlen": len(secret),
            "salt": kept_salt,
            "saltlen": len(raw_salt),
            "secret": ffi.NULL,
            "secretlen": 0,
            "ad": ffi.NULL,
            "adlen": 0,
            "t_cost": used.time_cost,
            "m_cost": used.memory_cost,
            "lanes": used.parallelism,
            "threads": 1,
            "allocate_cbk": ffi.NULL,
            "free_cbk": ffi.NULL,
            "flags": 0,
        },
    )
    status = core(context, used.type.value)
    if status != _OK:
        raise VerificationError(error_to_str(status))
    return compare_digest(bytes(ffi.buffer(out, len(raw))), raw)
