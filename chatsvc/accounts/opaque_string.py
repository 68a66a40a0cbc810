"""Passwords under the PRECIS OpaqueString profile (RFC 8265): one form, whichever keyboard or program wrote them."""

from __future__ import annotations

import re

from precis_i18n import get_profile

MAX_PASSWORD = 1024
"""UTF-8 bytes. Longer ones protect no better, and senders could make us hash whole frames."""

_PROFILE = get_profile("OpaqueString")

_SEARCHING = tuple(map(re.compile, ("[\u0660-\u0669]", "[\u06f0-\u06f9]", "\u30fb")))
"""Characters for each of which the profile looks through the whole text (RFC 5892, appendix A.7 to A.9)."""

_LENGTH = f"a password has 1 to {MAX_PASSWORD} bytes of UTF-8"
_CHARACTERS = (
    "the password has a character that no password may have, such as a control character, a line end or an"
    " invisible one: leave it out"
)


class BadPassword(ValueError):
    """The text cannot become a password; the message says why in one line, and shows nothing of it."""


def enforce(raw: str) -> str:
    """
    Return the form of a password that is hashed: any space as U+0020, composed letters (NFC), all else as it is.

    :raise BadPassword: when it is not 1 to 1024 bytes of UTF-8, or has a character that OpaqueString refuses
        (RFC 8264, section 4.3).
    """
    if not 1 <= _length(raw) <= MAX_PASSWORD:
        raise BadPassword(_LENGTH)
    if raw.isascii() and raw.isprintable():
        return raw
    form: str = _PROFILE.apply_five_rules(raw)
    try:
        _PROFILE.base.enforce(_quick_to_judge(form))
    except UnicodeEncodeError:
        raise BadPassword(_CHARACTERS) from None
    if _length(form) > MAX_PASSWORD:
        raise BadPassword(_LENGTH)
    return form


def form_of(typed: str) -> str:
    """Return the form of a text that may be a password, or the text itself where no password can be like that."""
    try:
        return enforce(typed)
    except BadPassword:
        return typed


def _length(text: str) -> int:
    """Return the bytes of a text in UTF-8; 0: it has none, for a lone surrogate is in it."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return 0


def _quick_to_judge(form: str) -> str:
    """Replace characters that take long by others, so that the verdict stays: a password of them would take 30 ms."""
    for kind in _SEARCHING:
        first = kind.search(form)
        if first is not None:
            form = form[: first.end()] + kind.sub("0", form[first.end() :])
    return form
