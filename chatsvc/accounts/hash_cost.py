"""What a stored argon2 hash costs to check, and checking it in one thread, whatever it was made in."""

from __future__ import annotations

import binascii
from base64 import b64decode
from hmac import compare_digest

from argon2 import Parameters, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import core, error_to_str, ffi

MOST_WORK = 8 * 2 * 19 * 1024
"""
Passes * KiB of memory that a hash from elsewhere may cost, eight times the default: the time of argon2 grows with it
(RFC 9106, section 3.1). What others make by default is below: PHP 262,144, Django 204,800, argon2-cffi 196,608.
"""

MOST_LANES = 16

_OK = 0  # ARGON2_OK


def parameters(phc: str) -> Parameters | None:
    """How a hash was made; None: it is damaged."""
    try:
        return extract_parameters(phc)
    except InvalidHashError:
        return None


def work_of(used: Parameters) -> int:
    """Passes * KiB of memory."""
    return used.time_cost * used.memory_cost


def is_too_costly(phc: str, most: int = MOST_WORK) -> bool:
    """Whether to check a hash costs more than ``most``, or wants more lanes than anybody needs."""
    used = parameters(phc)
    return used is not None and (work_of(used) > most or used.parallelism > MOST_LANES)


def verify_in_one_thread(phc: str, secret: bytes) -> bool:
    """
    Whether a secret is the one of a hash with several lanes. In as many threads it would take less time than others
    with the same cost, and other processors than those that hashing was given.

    :raise InvalidHashError: the hash is damaged.
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
