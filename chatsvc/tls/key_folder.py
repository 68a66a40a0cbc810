"""The server's key folder: what is missing is made, what is there is checked."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from twisted.logger import Logger

from chatsvc.storage.private_files import locked_folder, write_atomically
from chatsvc.tls.certificates import fingerprint
from chatsvc.tls.context import ServerContext
from chatsvc.tls.key_files import BadKeys, private_key, read, require_private
from chatsvc.tls.self_signed import key_pem, new_key, self_signed, subject_names

SECRET_BYTES = 32
"""Bytes of the secret that signs tokens, at least."""


class KeyFolder:
    """
    The folder of the server's private key, its certificate and the secret that signs tokens.

    ``now`` gives seconds since the epoch.
    """

    def __init__(self, path: str, now: Callable[[], float] = time.time) -> None:
        self.path = path
        self.key_path = os.path.join(path, "server.key")
        self.certificate_path = os.path.join(path, "server.crt")
        self.secret_path = os.path.join(path, "token.secret")
        self._now = now

    def ensure(self, host_names: Sequence[str]) -> list[str]:
        """
        Make what is missing, for ``localhost`` and these names or addresses, and check the rest.

        Several servers may do so at the same time.

        :return: one line for each thing made.
        :raise BadKeys: something cannot be made or used.
        """
        made = self.ensure_folder()
        with _locked(self.path) as folder:
            self._check_what_is_there()
            made += self._ensure_certificate(host_names) + self._ensure_secret()
            if made:
                os.fsync(folder)  # or a crash may forget the new names
        self.context()
        self.token_secret()
        return made

    def ensure_for_this_host(self, log: Logger) -> None:
        """
        Do the same for this machine's name, and log what was made.

        :raise BadKeys: something cannot be made or used.
        """
        for line in self.ensure([socket.gethostname()]):
            log.info("{line}", event="keys-made", line=line[0].upper() + line[1:])

    def private_key(self) -> PrivateKeyTypes:
        """
        Read the private key.

        :raise BadKeys: it cannot be used, or others can read it.
        """
        require_private(self.key_path)
        return private_key(self.key_path)

    def context(self) -> ServerContext:
        """
        Make what TLS connections are made from.

        :raise BadKeys: the key or the certificate cannot be used, or others can read the key.
        """
        return ServerContext(self.key_path, self.certificate_path, private=True)

    def token_secret(self) -> bytes:
        """
        Read the 32 random bytes, or more, that sign tokens.

        :raise BadKeys: the file cannot be read, is open to others or holds something else.
        """
        require_private(self.secret_path)
        try:
            secret = bytes.fromhex(read(self.secret_path).decode("ascii"))
        except ValueError:
            secret = b""
        if len(secret) < SECRET_BYTES:
            raise BadKeys(f"{self.secret_path} does not hold {SECRET_BYTES} bytes in hex")
        return secret

    def ensure_folder(self) -> list[str]:
        """
        Make the folder, if it is not there.

        :return: a line, if it was made.
        :raise BadKeys: it cannot be made.
        """
        if os.path.isdir(self.path):
            return []
        try:
            os.makedirs(self.path, 0o700, exist_ok=True)
        except OSError as problem:
            raise BadKeys(f"{self.path} cannot be made: {problem.strerror}") from None
        return [f"made the folder {self.path} for keys"]

    def _check_what_is_there(self) -> None:
        """Check it before anything is made beside it, of which nobody would hear."""
        if os.path.lexists(self.key_path) and os.path.lexists(self.certificate_path):
            self.context()
        if os.path.lexists(self.secret_path):
            self.token_secret()

    def _ensure_certificate(self, host_names: Sequence[str]) -> list[str]:
        paths = (self.key_path, self.certificate_path)
        missing = [path for path in paths if not os.path.lexists(path)]
        if not missing:
            return []
        if len(missing) == 1:
            (other,) = set(paths) - set(missing)
            raise BadKeys(
                f"{missing[0]} is missing: put it back, or remove {other} to have both made anew"
            )
        names = subject_names(host_names)
        key = new_key()
        certificate = self_signed(key, names, datetime.fromtimestamp(self._now(), UTC))
        _write(self.key_path, key_pem(key), 0o600)
        _write(self.certificate_path, certificate, 0o644)
        shown = ", ".join(str(name.value) for name in names)
        return [
            f"made the private key {self.key_path}",
            f"made the certificate {self.certificate_path} for {shown}: {fingerprint(certificate)}",
        ]

    def _ensure_secret(self) -> list[str]:
        if os.path.lexists(self.secret_path):
            return []
        _write(self.secret_path, secrets.token_hex(SECRET_BYTES).encode() + b"\n", 0o600)
        return [f"made the token secret {self.secret_path}"]


def _write(path: str, content: bytes, mode: int) -> None:
    try:
        write_atomically(path, content, mode)
    except OSError as problem:
        raise BadKeys(f"{path} cannot be written: {problem.strerror}") from None


@contextmanager
def _locked(folder: str) -> Iterator[int]:
    try:
        with locked_folder(folder) as descriptor:
            yield descriptor
    except OSError as problem:
        raise BadKeys(f"{folder} cannot be used: {problem.strerror}") from None
