"""User names under the PRECIS Nickname profile (RFC 8266): one form to store, one to compare by."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

from precis_i18n import get_profile

MAX_CHARACTERS = 32
"""Code points of a name after the profile was applied; they take at most 128 bytes."""

MAX_BYTES = 255
"""UTF-8 bytes of a name as typed, so that PRECIS never processes a whole frame."""

_STORED = get_profile("NicknameCasePreserved")
_COMPARED = get_profile("NicknameCaseMapped")

MOST_MARKS = 4
"""Marks on one letter (UTS #39, section 5.4); more of them would run over the lines around it."""

# A message's header is `[ NAME|UID:10001 ]:`. The other four are symbols and a mark that show nothing.
_NEVER = frozenset("[]|\u2800\ufffc\U00016fe4\U0001d159")
_REPLACEMENT = "\ufffd"
_ELLIPSIS = "…"  # no registered name has it: the profile makes it three dots

# After a look-alike of `|` this would read as a header's end.
_UID = re.compile(r"(?<![a-z])uid[\W_]*\d", re.IGNORECASE)


class BadName(ValueError):
    """The text cannot be a user's name; the message says why."""


def enforce(raw: str) -> str:
    """
    Return the name to store: spaces collapsed, compatibility forms (full width, ligatures) made plain.

    :raise BadName: when it is not 1 to 32 visible characters, begins with a combining mark, has a character that does
        not show or could pass for a part of a message's header, or could be what ``display_name`` makes of a bad name.
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
    Return whether a name is longer than any that the profile accepts.

    One character, such as U+FDFA, can become many, over which the profile takes milliseconds.
    """
    if len(raw.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return True
    return len(" ".join(unicodedata.normalize("NFKC", raw).split())) > MAX_CHARACTERS


def fold(raw: str) -> str:
    """Return the key by which names are compared: two names with the same key are the same name."""
    if _is_long(raw):
        return _fold_without_profile(raw)
    try:
        # Through the stored form: U+03F9 is stored as a sigma, but its lower case is another letter.
        return _COMPARED.enforce(_STORED.enforce(raw))
    except UnicodeError:  # a row older than the rules
        return _fold_without_profile(raw)


def possible_folds(raw: str) -> list[str]:
    """
    Return one key or two, one of which is what ``fold`` returns, in a hundredth of its time.

    The profile spends its time on whether each character may be in a name. This leaves that out, and gives the keys for
    both answers; they are the same for all but a few letters, such as ß and ς.
    """
    text = raw
    for _ in range(2):  # each round as the profile has it, two of them for the stored form
        text = unicodedata.normalize("NFKC", " ".join(text.split()))
    for _ in range(2):
        text = unicodedata.normalize("NFKC", " ".join(text.split()).lower())
    return list(dict.fromkeys((text, _fold_without_profile(raw))))


def _fold_without_profile(raw: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", raw.casefold()).casefold().split())


@lru_cache(maxsize=10_000)  # the profile takes some 50 µs, and every log-in asks
def display_name(raw: str | None, uid: int) -> str:
    """
    Return the name to show for a row that may be older than the rules.

    A name that ``enforce`` accepts unchanged stays as it is. Any other becomes one that is safe to show and that nobody
    can register, so that it cannot be mistaken for another account's.
    """
    try:
        return enforce(raw or "")
    except BadName:
        # Twice, as RFC 8266 (section 2.3) does: the first round may make new spaces.
        name = _STORED.apply_five_rules(_STORED.apply_five_rules(raw or ""))
    if len(name) > MAX_CHARACTERS:
        # Dots before the ellipsis are cut off, or a second round would change the name again.
        name = name[: MAX_CHARACTERS - 1].rstrip(" .") + _ELLIPSIS
    while (bad := _misplaced(name)) is not None:
        name = name[:bad] + _REPLACEMENT + name[bad + 1 :]
    return name or f"UID{uid}"


def _misplaced(name: str) -> int | None:
    """Return the index of the first character that may not stand where it does."""
    if unicodedata.category(name[:1] or " ").startswith("M"):
        return 0
    marks = 0
    for index, character in enumerate(name):
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        # The profile accepts joiners in some scripts; without joiners, names that differ also look different.
        if character in _NEVER or category == "Cf" or marks > MOST_MARKS:
            return index
    try:
        _STORED.base.enforce(name)
    except UnicodeEncodeError as problem:
        return problem.start
    return None


def _doubles_a_mark(name: str) -> bool:
    """Return whether a mark stands twice in a row: terminals draw the two as one (UTS #39, section 5.4)."""
    apart = unicodedata.normalize("NFD", name)
    return any(one == other and unicodedata.combining(one) for one, other in pairwise(apart))
