"""
Frames that no proper client sends: valid commands of both dialects, mutated, and bytes that never were a command.

Everything is drawn from a ``random.Random``. A seed draws the same frames again; Hypothesis' ``randoms`` draws and
shrinks them, so in each table the plainest comes first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

MAX_FRAME = 65_535

_LARGE_EACH = 70
"""One frame in so many is large, up to as large as frames get: they cost as much as a hundred others."""

_UNICODE = (
    "\N{BYTE ORDER MARK}",
    "\0",
    "\r\n",
    "\N{LINE SEPARATOR}",
    "\x1b[2J\x1b]0;x\x07",
    "\x7f\x85\x9b31m",
    "\N{RIGHT-TO-LEFT OVERRIDE}",
    "\N{RIGHT-TO-LEFT ISOLATE}",
    "\N{ZERO WIDTH JOINER}",
    "\N{ARABIC-INDIC DIGIT THREE}",
    "\N{FULLWIDTH DIGIT ONE}",
    "\N{IDEOGRAPHIC SPACE}",
    "\ufffe\U0010ffff",
    "\U000e0041",
    "a" + "\N{COMBINING ACUTE ACCENT}" * 50,
    "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 20,
    "\n2026-11-23 17:00:24\n[ x|UID:1 ]:x",
    "' OR ''='",
    '"; DROP TABLE user; --',
    "{0.__class__}%s%n",
)
"""Characters that mean something to a terminal, to a reader's eye, to a database or to a program."""

_NASTY = (
    *(text.encode() for text in _UNICODE),
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xed\xa0\xbd\xed\xb8\x80",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xe4\xbd",
    b"\x9b",
    b"\\ud800",
    b"\\udc00\\ud800",
    b"\\u0000",
    b"\\",
    b'"',
    b"{",
    b"}",
    b"  ",
)
"""
The same as bytes; then a byte order mark of UTF-16, surrogates alone and in pairs, overlong forms, past the end of
Unicode, five bytes for a character, a cut character, a bare C1 byte, escapes of JSON, and what separates words.
"""

_NUMBERS = (
    *("0", "-1", "1", "-0", "007", "1_000", "0x10", "1e3", "1.5", "1e308", "1e309", "-1e-400"),
    *("NaN", "Infinity", "true", "null", '"1"', "[1]", "9" * 30, "9" * 5_000),
    *(
        str(sign * 2**power + more)
        for power in (31, 32, 53, 63, 64)
        for sign in (1, -1)
        for more in (-1, 0, 1)
    ),
)
"""Numbers where a type, a column, JSON or Python's parser ends, and what is a number only for some."""

_STRANGE: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1.5,
        2**53,
        10**29,
        "",
        "1",
        "x" * 8_193,
        "汉" * 2_731,
        [],
        [1],
        {},
    ),
    *({"type": "msg"}, "\0", "\ud800", "\x1b", "{}", float("nan"), float("inf")),
)
"""Values for a field that expects another one."""

_NUMBER = re.compile(rb"-?[0-9]+")
_DEEPEST = 12_000


@dataclass(frozen=True)
class Targets:
    """Whom the commands are about: ``uids``, who all have this password; the token is one's of the first."""

    uids: tuple[int, ...]
    password: str
    token: str = "e30.AAAAAA.x"


Corpus = tuple[bytes, ...]


def text_corpus(targets: Targets) -> Corpus:
    """
    Valid commands of the text dialect. Those that end a log-in or a connection are rare, or little would follow, and so
    are those that have a password hashed, for which the others would wait. Those that change rooms have a mistake in
    them: an account may do so once a second.
    """
    uids, password = targets.uids, targets.password
    often = (
        *("?", "help", "lang en", "lang zh", "find 张三", "find two words", "msg 99 x"),
        *(f"msg {uid} 你好" for uid in uids),
        *(f"msg {uid} two\nlines" for uid in uids),
        *("rooms", "rooms d", "members #dev", "leave #dev", "help rooms", "msg ＃dev 你好"),
        *("create dev private", "join dev", "invite #dev x", "remove #dev", "topic #dev"),
    )
    rare = (
        *(f"auth {uid} {password}" for uid in uids),
        *("logout", f"passwd {password} {password}", f"register 张三 {password}", "quit"),
    )
    return tuple(line.encode() for line in (*often * 5, *rare))


def structured_corpus(targets: Targets) -> Corpus:
    """Valid commands of the structured dialect; the same are rare, or have a mistake in them."""
    uids, password, n = targets.uids, targets.password, {"n": 2}
    often: list[dict[str, Any]] = [
        {"type": "ping", "n": 1},
        {"type": "hello", "version": 1, "client": "x/1", "device": "0123456789abcdef"},
        {"type": "hello", "lang": "en"},
        {"type": "find", "n": 4, "name": "张三"},
        {"type": "msg", "to": 99, "text": "x"},
        *({"type": "ack", "id": id} for id in (1, 7, 40)),
        *({"type": "msg", "n": n, "to": uid, "text": "你好"} for n in (1, 2, 3) for uid in uids),
        *({"type": "msg", "to": uid, "text": "two\nlines"} for uid in uids),
        {"type": "hello", "device": "0123456789abcdef", "features": ["devices", "rooms"]},
        {"type": "rooms", **n, "name": "d", "after": 0, "limit": 50},
        {"type": "members", **n, "room": 1, "after": 0, "limit": 100},
        {"type": "leave", **n, "room": 1},
        {"type": "msg", **n, "room": 1, "text": "你好"},
        {"type": "ack", "room": 1, "id": 7},
        {"type": "create", **n, "name": "dev", "kind": "", "topic": "x"},
        {"type": "join", **n, "room": 1, "name": "dev"},
        *({"type": kind, **n, "room": 1, "user": "1"} for kind in ("invite", "remove", "unban")),
        {"type": "role", **n, "room": 1, "user": uids[0], "role": ""},
        {"type": "change", **n, "room": 1, "history": ""},
    ]
    rare: list[dict[str, Any]] = [
        *({"type": "auth", **n, "uid": uid, "password": password, "after": 3} for uid in uids),
        {"type": "auth", **n, "uid": uids[0], "token": targets.token, "receive": False},
        {"type": "auth", **n, "uid": uids[0], "password": password, "rooms": {"1": [7, 70]}},
        {"type": "logout", **n},
        {"type": "register", **n, "name": "张三", "password": password},
        {"type": "passwd", **n, "old": password, "new": password},
    ]
    things = (*often * 5, *rare)
    return tuple(json.dumps(thing, ensure_ascii=False).encode() for thing in things)


def frame(rng: Random, corpus: Corpus) -> bytes:
    """One frame, at most as long as frames get."""
    if rng.randrange(_LARGE_EACH) == _LARGE_EACH - 1:
        return rng.choice(_LARGE)(rng, corpus)[:MAX_FRAME]
    return rng.choice(_KINDS)(rng, corpus)[:MAX_FRAME]


def noise(rng: Random, size: int) -> bytes:
    """Random bytes, from one number, so that many are drawn as cheaply as few."""
    return Random(rng.getrandbits(32)).randbytes(size)


def _valid(rng: Random, corpus: Corpus) -> bytes:
    return rng.choice(corpus)


def _mutated(rng: Random, corpus: Corpus) -> bytes:
    data = rng.choice(corpus)
    for _ in range(rng.randint(1, 3)):
        data = rng.choice(_MUTATIONS)(rng, data, corpus)
    return data


def _random(rng: Random, corpus: Corpus) -> bytes:
    return noise(rng, rng.randrange(200))


def _empty(rng: Random, corpus: Corpus) -> bytes:
    return b""


_KINDS: tuple[Callable[[Random, Corpus], bytes], ...] = (
    *(_valid, _valid),
    *(_mutated, _mutated, _mutated, _mutated, _mutated, _mutated, _mutated),
    _random,
    _empty,
)


def _flip(rng: Random, data: bytes, corpus: Corpus) -> bytes:
    """Other bits."""
    flipped = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if flipped:
            flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def _truncate(rng: Random, data: bytes, corpus: Corpus) -> bytes:
    return data[: rng.randint(0, len(data))]


def _delete(rng: Random, data: bytes, corpus: Corpus) -> bytes:
    start, end = _slice(rng, data)
    return data[:start] + data[end:]


def _duplicate(rng: Random, data: bytes, corpus: Corpus) -> bytes:
    start, end = _slice(rng, data)
    return data[:end] + data[start:end] * rng.choice((1, 2, 10, 100)) + data[end:]


def _insert(rng: Random, data: bytes, corpus: Corpus) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice(_NASTY) + data[at:]


def _insert_noise(rng: Random, data: bytes, corpus: Corpus) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + noise(rng, rng.randint(1, 20)) + data[at:]


def _replace(rng: Random, data: bytes, corpus: Corpus) -> bytes:
    start, end = _slice(rng, data)
    return data[:start] + rng.choice(_NASTY) + data[end:]


def _strange_text(rng: Random, data: bytes, corpus: Corpus) -> bytes:
    """Strange characters in the last argument or field, so that it is still a command, and they go a long way."""
    at = _end_of_text(data)
    text = "".join(rng.choice(_UNICODE) for _ in range(rng.randint(1, 3)))
    in_json = at < len(data) and rng.randrange(4)
    return data[:at] + (json.dumps(text)[1:-1] if in_json else text).encode() + data[at:]


def _splice(rng: Random, data: bytes, corpus: Corpus) -> bytes:
    """The beginning of one, the end of another."""
    other = rng.choice(corpus)
    return data[: rng.randint(0, len(data))] + other[rng.randint(0, len(other)) :]


def _other_number(rng: Random, data: bytes, corpus: Corpus) -> bytes:
    """One number pushed to a limit."""
    numbers = [match.span() for match in _NUMBER.finditer(data)]
    if not numbers:
        return data
    start, end = rng.choice(numbers)
    return data[:start] + rng.choice(_NUMBERS).encode() + data[end:]


def _other_field(rng: Random, data: bytes, corpus: Corpus) -> bytes:
    """One field of an object that has a strange value, is missing, or comes twice."""
    try:
        thing = json.loads(data)
    except (ValueError, RecursionError):
        return data
    if type(thing) is not dict or not thing:
        return data
    field = rng.choice(list(thing))
    change = rng.randrange(4)
    if change == 0:
        del thing[field]
    elif change == 1:
        return _dumped(thing)[:-1] + b", " + _dumped({field: rng.choice(_STRANGE)})[1:]
    else:
        thing[field] = rng.choice(_STRANGE)
    return _dumped(thing)


def _nested(rng: Random, data: bytes, corpus: Corpus) -> bytes:
    """Brackets within brackets, closed or not."""
    at = rng.randint(0, len(data))
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'{"type":', b"")))
    depth = rng.choice((10, 100, 1_030, _DEEPEST if rng.randrange(20) == 19 else 200))
    return data[:at] + opening * depth + b"1" + closing * depth + data[at:]


def _end_of_text(data: bytes) -> int:
    return len(data) - 2 if data.endswith(b'"}') else len(data)


def _slice(rng: Random, data: bytes) -> tuple[int, int]:
    start = rng.randint(0, len(data))
    return start, min(len(data), start + rng.randint(0, 20))


def _dumped(thing: dict[str, Any]) -> bytes:
    # A lone surrogate leaves as three bytes, which are no UTF-8.
    return json.dumps(thing, ensure_ascii=False).encode(errors="surrogatepass")


_MUTATIONS: tuple[Callable[[Random, bytes, Corpus], bytes], ...] = (
    *(_flip, _truncate, _delete, _duplicate, _insert, _insert_noise, _replace, _splice, _nested),
    *(_other_number, _other_number, _other_number, _other_field, _other_field, _other_field),
    *(_strange_text, _strange_text, _strange_text),
)


def _stretched(rng: Random, corpus: Corpus) -> bytes:
    """A command in which something comes thousands of times: about as long as a text, or a frame, may be."""
    data = rng.choice(corpus)
    at = rng.choice((_end_of_text(data), rng.randint(0, len(data))))
    filling = rng.choice((b"x", "汉".encode(), rng.choice(_NASTY)))
    more = rng.choice((8_192, 8_192 - len(data), 16_384, MAX_FRAME - len(data)))
    return data[:at] + filling * (more // len(filling) + rng.randint(-1, 5)) + data[at:]


def _much_noise(rng: Random, corpus: Corpus) -> bytes:
    return noise(rng, MAX_FRAME)


def _deep(rng: Random, corpus: Corpus) -> bytes:
    return rng.choice((b"{", b"[", b'{"a":', b'{"type":[')) * MAX_FRAME


_LARGE: tuple[Callable[[Random, Corpus], bytes], ...] = (
    *(_stretched, _stretched, _stretched),
    *(_much_noise, _deep),
)
