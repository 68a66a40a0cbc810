"""What people's programs write, in UTF-8: byte order marks, and the encodings of locales."""

from __future__ import annotations

from codecs import BOM_UTF8


def in_utf8(data: bytes, encoding: str) -> bytes:
    """
    Give a text in UTF-8, without a byte order mark.

    What begins with a mark is in UTF-8 already. What is not in the encoding, such as the locale's, stays as it is.
    """
    if data.startswith(BOM_UTF8):
        return data.removeprefix(BOM_UTF8)
    try:
        return data.decode(encoding).encode()
    except UnicodeError:
        return data
