"""User names by the PRECIS Nickname profile (RFC 8266): one form to store, one to compare."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

from precis_i18n import get_profile

MAX_CHARACTERS = 32
"""Code points of a name, after the profile was applied: at most 128 bytes."""

MAX_BYTES = 255
"""UTF-8 bytes of what was typed, so that nobody makes the profile chew on a whole frame."""

_STORED = get_profile("NicknameCasePreserved")
_COMPARED = get_profile("NicknameCaseMapped")

MOST_MARKS = 4
"""Marks on one letter (UTS #39, section 5.4); more of them run over the lines around it."""

# A message's header is `[ NAME|UID:10001 ]:`. The others are symbols, and a mark, that show nothing.
_NEVER = frozenset("[]|\u2800\ufffc\U00016fe4\U0001d159")
_REPLACEMENT = "\ufffd"
_ELLIPSIS = "…"  # no registered name has it: the profile makes it three dots

# With a look-alike of `|` before it, it would read as a header's end.
_UID = re.compile(r"(?<![a-z])uid[\W_]*\d", re.IGNORECASE)


class BadName(ValueError):
    """No name for a user; the text says why."""


def enforce(raw: str) -> str:
    """
    The name to store: spaces gathered, compatibility forms (full width, ligatures) made plain.

    :raise BadName: it is not 1 to 32 visible characters, begins with a combining mark, has a
        character that does not show or that could pass for a part of a message's header, or reads
        as what :func:`shown` makes of a worse name.
    """
    if _is_long(raw):
        raise BadName(f"the name has more than {MAX_CHARACTERS} characters")
    try:
        name = _STORED.enforce(raw)
    except UnicodeError:
        raise BadName("the name is empty or has a character that no name may have") from None
    bad = _misplaced(name)
    if bad is not None:
        raise BadName(f"U+{ord(name[bad]):04X} may not stand there in a name")
    if _REPLACEMENT in name or _UID.search(name):
        raise BadName("the name has U+FFFD or a UID in it")
    if _doubles_a_mark(name):
        raise BadName("the name has a mark twice on one letter")
    return name


def _is_long(raw: str) -> bool:
    """
    Whether a name is longer than any that the profile lets pass: it takes milliseconds over what one character, such
    as U+FDFA, can become.
    """
    if len(raw.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return True
    return len(" ".join(unicodedata.normalize("NFKC", raw).split())) > MAX_CHARACTERS


def fold(raw: str) -> str:
    """The key by which names are compared: two names with the same key are the same name."""
    if _is_long(raw):
        return _folded_quickly(raw)
    try:
        # By way of the stored form: in lower case, U+03F9 is not the sigma it is stored as.
        return _COMPARED.enforce(_STORED.enforce(raw))
    except UnicodeError:  # a row older than the rules
        return _folded_quickly(raw)


def _folded_quickly(raw: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", raw.casefold()).casefold().split())


@lru_cache(maxsize=10_000)  # the profile takes some 50 µs, and every log-in asks
def display_name(raw: str | None, uid: int) -> str:
    """
    The name of a row that may be older than the rules, made harmless: the very same where it is
    one that :func:`enforce` lets pass as it is, else one that nobody can register.
    """
    try:
        return enforce(raw or "")
    except BadName:
        # Twice, as RFC 8266 (section 2.3) does: the first round may make new spaces.
        name = _STORED.apply_five_rules(_STORED.apply_five_rules(raw or ""))
    if len(name) > MAX_CHARACTERS:
        # Without dots at its end, or a second round would find three more of them.
        name = name[: MAX_CHARACTERS - 1].rstrip(" .") + _ELLIPSIS
    while (bad := _misplaced(name)) is not None:
        name = name[:bad] + _REPLACEMENT + name[bad + 1 :]
    return name or f"UID{uid}"


def _misplaced(name: str) -> int | None:
    """The index of the first character that may not stand where it stands."""
    if unicodedata.category(name[:1] or " ").startswith("M"):
        return 0
    marks = 0
    for index, character in enumerate(name):
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        # The profile lets joiners pass in some scripts; without them names differ visibly.
        if character in _NEVER or category == "Cf" or marks > MOST_MARKS:
            return index
    try:
        _STORED.base.enforce(name)
    except UnicodeEncodeError as problem:
        return problem.start
    return None


def _doubles_a_mark(name: str) -> bool:
    """Whether a mark stands twice in a row: terminals draw the two as one (UTS #39, section 5.4)."""
    apart = unicodedata.normalize("NFD", name)
    return any(one == other and unicodedata.combining(one) for one, other in pairwise(apart))
