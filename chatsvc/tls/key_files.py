"""Files of keys and certificates: read, and refused when others can read what is private."""

from __future__ import annotations

import os
import shlex

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key


class BadKeys(Exception):
    """A key, a certificate or their folder cannot be used: one line for the admin that names its path."""


def read(path: str) -> bytes:
    """
    Read a whole file.

    :raise BadKeys: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as problem:
        raise BadKeys(f"{path} cannot be read: {problem.strerror}") from None


def private_key(path: str) -> PrivateKeyTypes:
    """
    Read the private key in a file, in PEM and without a password.

    :raise BadKeys: there is none that can be read.
    """
    try:
        return load_pem_private_key(read(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKeys(f"{path} holds no private key in PEM form, without a password") from None


def certificates(path: str, pem: bytes) -> list[x509.Certificate]:
    """
    Load the certificates in ``pem``, the content of the file ``path``.

    :raise BadKeys: there is none.
    """
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise BadKeys(f"{path} holds no certificate in PEM form") from None


def require_private(path: str) -> None:
    """
    Refuse a private file that others can use.

    :raise BadKeys: they can, or it is not there.
    """
    line = open_to_others(path)
    if line:
        raise BadKeys(line)


def open_to_others(path: str) -> str:
    """
    Say in one line that others can use a private file, and how to mend it; empty: they cannot.

    A file of root's may be readable for a group, as Debian's ``ssl-cert`` and PostgreSQL have it.

    :raise BadKeys: it is not there.
    """
    try:
        status = os.stat(path)
    except OSError as problem:
        raise BadKeys(f"{path} cannot be read: {problem.strerror}") from None
    group_may_read = status.st_uid == 0 != os.geteuid()
    if not status.st_mode & (0o037 if group_may_read else 0o077):
        return ""
    mode = 640 if group_may_read else 600
    return f"{path} is open to others than its owner: chmod {mode} {shlex.quote(path)}"
