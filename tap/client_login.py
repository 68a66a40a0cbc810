"""The options of commands that scripts run: which account, and how to log in to it."""

from __future__ import annotations

import os
import stat
from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Any

from twisted.python import usage

from chatsvc.client.state.saved_login import SavedAccount
from chatsvc.tap.options import PREFIX, Option
from chatsvc.wire.commands import Auth
from chatsvc.wire.uid import UID_RANGE, possible_uid

PASSWORD_VARIABLE = f"{PREFIX}PASSWORD"
"""The environment variable of a password; it is no option, for a command line can be seen by others."""


def _uid(text: str) -> int | None:
    if not text:
        return None
    uid = possible_uid(text)
    if uid is None:
        raise ValueError(f"{UID_RANGE} is expected")
    return uid


def _password(path: str) -> str | None:
    """Read the first line of a file that only its owner may read."""
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise ValueError(f"others can read it; this mends it: chmod 600 {path}")
            line = file.readline().removeprefix(BOM_UTF8).rstrip(b"\r\n")
    except OSError as problem:
        raise ValueError(problem.strerror or str(problem)) from None
    if not line:
        raise ValueError("its first line is empty")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


LOGIN_OPTIONS = (
    Option("uid", "", _uid, "Who logs in (default: the remembered account)."),
    Option(
        "password-file",
        "",
        _password,
        "File whose first line is the password; others must not be able to read it. Without it,"
        f" {PASSWORD_VARIABLE} is the password.",
    ),
)
"""The options."""


def credentials(
    values: Mapping[str, Any], environment: Mapping[str, str], known: SavedAccount | None
) -> Auth:
    """
    Make the command that logs in: by password, else by the token of the account that is ``known``.

    :raise usage.UsageError: there is neither.
    """
    password: str | None = values["password-file"] or environment.get(PASSWORD_VARIABLE) or None
    if password is not None and not _is_text(password):
        raise usage.UsageError(f"{PASSWORD_VARIABLE} is not UTF-8")
    uid: int | None = values["uid"]
    if uid is None and known is not None:
        uid = known.uid
    if uid is None:
        raise usage.UsageError(
            "--uid is needed, or an account that chatsvc client --remember knows"
        )
    if password is not None:
        return Auth(uid, password=password)
    if known is None or known.uid != uid:
        raise usage.UsageError(f"--password-file or {PASSWORD_VARIABLE} is needed for UID {uid}")
    return Auth(uid, token=known.token)


def _is_text(password: str) -> bool:
    try:
        password.encode()
    except UnicodeEncodeError:  # the environment has bytes that are no UTF-8
        return False
    return True
