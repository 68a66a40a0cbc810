"""Texts and names that would drive a terminal, or pass for somebody else's: what reaches a screen, and a log."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pexpect

from tests.attacks.bystanders import AttackCase
from tests.client.programs import COMMAND
from tests.clients import TextClient
from tests.processes import PASSWORD, ChatServer, ServerStores, SQLiteStores, Stores, free_port

MARK = "攻"
"""Stands before whatever a terminal, or a reader, must not get as it is."""

BREAKS = ("\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
"""All that some program takes for the end of a line (Unicode, UAX #14; Python's ``splitlines``)."""

SEQUENCES = (
    *("\x1b[2J\x1b[H", "\x1b[31;1337m", "\x1b[1A\x1b[2K", "\x1b[6n", "\x1b[?1049h", "\x1b[200~"),
    *("\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\x\x1b]8;;\x1b\\", "\x1b]52;c;eA==\x07"),
    *("\x1bP+q544e\x1b\\", "\x1b_apc\x1b\\", "\x1b^pm\x1b\\", "\x1bXsos\x1b\\", "\x1bc", "\x1b#8"),
    *(
        "\x9b31m",
        "\x9d0;t\x9c",
        "\x90x\x9c",
        "\x84",
        "\x8d",
        "\b\b\b\b老板",
        "\rxxx",
        "\x0e",
        "\x7f",
    ),
    *map(chr, (*range(0x20), *range(0x7F, 0xA0))),
)
"""CSI, OSC, DCS and the rest of ECMA-48, in seven and in eight bits, and each control by itself."""

BIDI = tuple(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x2070))))
"""Embeddings, overrides and isolates, and the deprecated ones."""

FORGED = "{0}2026-01-01 00:00:00{0}[ 老板|UID:1 ]:打钱"
"""Another sender's message, with a line break for {0}."""

ATTACKS = (
    *(f"a{MARK}{control}b" for control in (*SEQUENCES, *BIDI)),
    *(MARK + FORGED.format(MARK + line_break) for line_break in BREAKS),
    *(FORGED.format(line_break) for line_break in BREAKS),
    *("x" + "\u0301" * 3000, "x" + "\u0301\u200d" * 1000, "x" + "\U000e0041" * 1000),
)

HARMFUL = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u206f\ufff9-\ufffb]"
    "|[\u0300-\u036f\u200d\U000e0000-\U000e0fff]{10}"
)
"""What never reaches a screen."""

HEADER = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n\[ [^][|\n]{1,32}\|UID:%d \]:"


def calm_log(server: ChatServer) -> str:
    """What a log has that a terminal would act on: nothing."""
    found = HARMFUL.search(server.log())
    return ascii(found) if found else ""


class DeceitCase(AttackCase):
    options: tuple[str, ...] = (
        "--rate",
        "0",
        "--request-rate",
        "0",
        "--login-tries",
        "99999/99999",
    )

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(lambda: self.assertEqual(calm_log(self.server), ""))

    def harmless(self, shown: str, sender: int = 0) -> None:
        """Fail if a frame drives a terminal, or one of its lines could be a header; ``sender``: it has that header."""
        about = ascii(shown)[:300]
        self.assertIsNone(HARMFUL.search(shown), about)
        header = re.match(HEADER % sender, shown) if sender else None
        self.assertEqual(bool(header), bool(sender), about)
        for line in shown[header.end() if header else 0 :].split("\n")[1:]:
            self.assertTrue(line.startswith("    "), about)

    def said(self, client: TextClient, line: str) -> list[str]:
        """Everything that is said to a line."""
        client.send_many([line, "lang zh"])
        answers = [client.read()]
        while answers[-1] != "已切换为中文!":
            answers.append(client.read())
        return answers[:-1]


class Texts(DeceitCase):
    def test_messages(self) -> None:
        """A text would drive its reader's terminal, or its sender's, or pass for another sender's message."""
        writer, reader = self.user(), self.user()
        with self.talk():
            reading, person = self.text(reader), self.text(writer)
            for text in ATTACKS:
                self.harmless(person.ask(f"msg {reader} {text}"), writer)
                self.harmless(reading.read(), writer)
            program = self.structured(writer)
            for n, text in enumerate(ATTACKS, 1):
                program.say(type="msg", n=n, to=reader, text=text)
                self.harmless(reading.read(), writer)

    def test_answers(self) -> None:
        """What somebody typed would come back raw with an answer: a pasted name, a mistyped command."""
        with self.talk():
            client = self.text(self.user())
            for text in ATTACKS:
                for line in (
                    *(f"find {text}", text, f"msg {text} x", f"lang {text}", f"passwd {text}"),
                    *(f"auth {text} x", f"register {text}", f"register {text} x x", f"quit{text}"),
                ):
                    for answer in self.said(client, line):
                        self.harmless(answer)

    def test_errors_of_programs(self) -> None:
        """What a program sent would stand raw in an error that it shows to people, or in the log."""
        with self.talk():
            client = self.structured(self.user())
            kinds = ("x", "msg", "auth", "find", "register", "passwd", "ack", "hello")
            for n, (text, kind) in enumerate(product(ATTACKS[:-3], kinds), 1):
                fields = dict.fromkeys(("device", "lang", "uid", "to", "id", "after", "old"), text)
                answer = client.ask(n=n, type=kind if kind != "x" else text, **fields)
                self.assertEqual(answer["type"], "error", answer)
                self.harmless(answer["text"])
                self.assertNotIn(MARK, answer["text"])


NAMES = (
    *(f"老{MARK}{control}板" for control in (*SEQUENCES[:24:4], "\u202e", "\u2066", *BREAKS[::2])),
    *(f"张三|UID:1 ]:{FORGED.format(line_break)}" for line_break in ("\n", "\u2028")),
    *("x]:", "[ 老板|UID:1 ]:", "［老板｜UID:1］", "x" + "\u0301" * 60, "\u0301x", "", " "),
    *("长" * 255, "\u2800", "\u3164", "\u200b\u200b", "\ufeff老板", "老板\U000e0041"),
)
"""Names that other programs may have stored."""

ALIKE = {
    "Tom Lee": ("TOM LEE", "Tom  Lee", " Tom Lee", "Tom\u00a0Lee", "Ｔｏｍ　Ｌｅｅ", "𝐓𝐨𝐦 𝐋𝐞𝐞"),
    "Zoë ﬁ": ("Zoe\u0308 fi", "ZOË FI"),
    "Việt": ("Vie\u0323\u0302t", "Vie\u0302\u0323t", "Viê\u0323t"),
    "アイ": ("ｱｲ",),
    "가나": ("\u1100\u1161\u1102\u1161",),
    "Å1": ("A\u030a1", "\u212b1", "å①"),
}
"""Names, and others that are the same by the PRECIS Nickname profile."""

UNSEEN = (
    *("\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u180b", "\u180e"),
    *("\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u202a", "\u202e", "\u2060", "\u2062"),
    *("\u2066", "\u2069", "\u206a", "\u2800", "\u3164", "\ufe00", "\ufe0f", "\ufeff", "\uffa0"),
    *("\ufff9", "\ufffb", "\ufffc", "\U0001d159", "\U0001d173", "\U0001bca0", "\U00016fe4"),
    *("\U000e0001", "\U000e0041", "\U000e007f", "\U000e0100", "\U000e01ef", "\0", "\x1b", "\x7f"),
    *("\x85", "\u2028", "\ue000", "\uffff", "\U0010fffd", "|", "[", "]", "］", "｜", "\ufffd"),
)
"""What shows nothing, orders others anew, or stands in a header: no name has it."""


class Both:
    class Names(DeceitCase):
        """The same on either kind of store."""

        options = (*DeceitCase.options, "--registration", "open", "--registration-rate", "0")

        def test_old_rows(self) -> None:
            """A name that another program stored would forge a header, or drive a terminal."""
            reader = self.user()
            uids = [self.user() for _ in NAMES]
            for uid, name in zip(uids, NAMES, strict=True):
                self.stores.sql("UPDATE user SET username = ? WHERE id = ?", (name, uid))
            with self.talk():
                reading = self.text(reader)
                client = self.structured()
                for uid, raw in zip(uids, NAMES, strict=True):
                    name = client.log_in(uid, PASSWORD)["name"]
                    self.assertTrue(name.isprintable() and 1 <= len(name) <= 32, ascii(raw))
                    self.assertNotRegex(name, r"[][|]")
                    client.say(type="msg", to=reader, text="x")
                    shown = reading.read()
                    self.harmless(shown, uid)
                    self.assertEqual(shown.count("\n"), 1)
                    self.assertTrue(shown.endswith(f"[ {name}|UID:{uid} ]:x"))
                    client.ask(type="logout", n=2)

        def test_alike(self) -> None:
            """Two users could have names that look the same."""
            with self.talk():
                client, seeker = self.structured(), self.structured(self.user("seeker"))
                for name, others in ALIKE.items():
                    answer = self.register(client, name)
                    self.assertEqual(answer["type"], "ok", name)
                    for other in others:
                        refusal = self.register(client, other)
                        self.assertEqual(refusal.get("code"), "bad-request", ascii(other))
                        self.assertIn("taken", refusal["text"], ascii(other))
                        found = seeker.ask(type="find", n=2, name=other)["users"]
                        self.assertEqual([user["uid"] for user in found], [answer["uid"]], other)

        def test_alike_at_once(self) -> None:
            """Of those who register one name at the same moment, two would get it."""
            names = ("Änn", "ÄNN", "a\u0308nn", " änn", "Ä\uff4e\uff4e", "änn\u3000") * 4
            with self.talk():
                clients = [self.structured() for _ in names]
                for client, name in zip(clients, names, strict=True):
                    client.say(type="register", n=1, name=name, password="x")
                answers = [client.next()["type"] for client in clients]
                self.assertEqual(answers.count("ok"), 1)

        def test_unseen(self) -> None:
            """A name could differ from another one by what nobody sees, or hold a part of a header."""
            with self.talk():
                client = self.structured()
                for character in UNSEEN:
                    for name in (
                        f"李{character}四",
                        f"{character}李四",
                        f"李四{character}",
                        character,
                    ):
                        answer = self.register(client, name)
                        self.assertEqual(answer.get("code"), "bad-request", ascii(name))
                for name in (
                    "",
                    " ",
                    "\u3000",
                    "x" * 33,
                    "x" + "\u0301" * 5,
                    "老板│UID:1 〕",
                    "\u0301x",
                ):
                    self.assertEqual(self.register(client, name).get("code"), "bad-request", name)

        def test_like_an_old_row(self) -> None:
            """Somebody could register the name that another one's old row is shown as."""
            rows = ("王五\u200b", "Ａｎｎａ  Ｂ", "x" * 40, "", "C\u202eD", "é\u0301" * 3)
            with self.talk():
                client = self.structured()
                for raw in rows:
                    uid = self.user(raw)
                    shown = client.log_in(uid, PASSWORD)["name"]
                    client.ask(type="logout", n=2)
                    for name in (shown, raw):
                        self.assertEqual(self.register(client, name)["type"], "error", ascii(raw))

        def register(self, client: Any, name: str) -> dict[str, Any]:
            """What becomes of a registration."""
            answer: dict[str, Any] = client.ask(type="register", n=1, name=name, password="x")
            return answer


class NamesInSQLite(Both.Names):
    store = SQLiteStores


class NamesInMySQL(Both.Names):
    store = ServerStores


OLD = (
    *("2019-01-01 00:00:00\n[ 李四|UID:7 ]:" + text for text in ATTACKS[:-3]),
    *("[ 李四|UID:7 ]:" + text for text in ATTACKS[-20:]),
    *(f"2019-01-01 00:00:00\n[ 李{MARK}{control}四|UID:7 ]:x" for control in SEQUENCES[:24]),
    *(f"[ 李四{line_break}[ 老板|UID:1 ]:打钱|UID:7 ]:x" for line_break in BREAKS),
    *(MARK + control for control in SEQUENCES),
)
"""Messages that the older server may have left."""


class Screens(DeceitCase):
    """What the client of this project writes to a screen, and what older messages become there."""

    store: type[Stores] = ServerStores

    def setUp(self) -> None:
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="chatsvc-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def leave(self, uid: int, *entries: str) -> None:
        """Leave messages as the older server did."""
        assert isinstance(self.stores, ServerStores)
        self.stores.redis("RPUSH", f"list_usermessages_of_userid:userid:{uid}", *entries)

    def options_of_client(self, port: int = 0) -> list[str]:
        """Connect to the server and trust it."""
        place = f"localhost:{port or self.server.port}"
        return ["--connect", place, "--ca", self.server.ca, "--state", str(self.folder)]

    def environment(self, **more: str) -> dict[str, str]:
        """Nothing of the developer's own settings."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CHATSVC_", "LC_"))}
        return {**kept, "LANG": "zh_CN.UTF-8", "HOME": str(self.folder), **more}

    def piped(self, *lines: str, port: int = 0) -> str:
        """What the client prints in a pipe, on both of its outputs."""
        done = subprocess.run(
            [*COMMAND, *self.options_of_client(port)],
            input="".join(f"{line}\n" for line in lines).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment(),
            timeout=60,
        )
        return done.stdout.decode()

    @contextmanager
    def terminal(self, kind: str, port: int = 0) -> Iterator[Any]:
        """The client at a terminal of that kind."""
        child = pexpect.spawn(
            COMMAND[0],
            [*COMMAND[1:], *self.options_of_client(port)],
            env=self.environment(TERM=kind),
            encoding="utf-8",
            timeout=30,
            dimensions=(50, 5000),
        )
        try:
            yield child
        finally:
            child.close(force=True)

    def harmless_messages(self, output: str) -> None:
        """Fail if printed messages drive a terminal, or one of their lines is a header that nobody has."""
        for harm in (HARMFUL, re.compile("(?m)^.?.?.?(\\[ 老板|2026-01-01).*")):
            found = harm.search(output)
            self.assertIsNone(found, ascii(found and output[found.start() - 40 : found.end() + 40]))

    def test_old_messages(self) -> None:
        """A message that the older server left would forge a header, or drive a terminal."""
        uid = self.user()
        self.leave(uid, *OLD)
        with self.talk():
            reading = self.text(uid)
            for text in OLD:
                shown = reading.read()
                self.assertIsNone(HARMFUL.search(shown), ascii(shown))
                head, _, rest = shown.partition("\n")
                if re.match(r"\d{4}(-\d\d){2} \d\d(:\d\d){2}$", head):
                    head, _, rest = rest.partition("\n")
                for line in rest.split("\n") if rest else ():
                    self.assertTrue(line.startswith("    "), ascii((text, shown)))

    def test_client_in_a_pipe(self) -> None:
        """A script that shows what the client prints would have its terminal driven by whoever writes to it."""
        uid, writer = self.user(), self.user()
        self.leave(uid, *OLD)
        self.stores.sql(
            "UPDATE user SET username = ? WHERE id = ?", (f"老{MARK}\x1b]0;x\x07\n[ 板", writer)
        )
        with self.talk():
            program = self.structured(writer)
            for n, text in enumerate(ATTACKS, 1):
                self.assertEqual(
                    program.ask(type="msg", n=n, to=uid, text=text)["type"], "sent", ascii(text)
                )
            # What cannot stand in a line is not typed but pasted into it.
            finds = [f"find {text}" for text in ATTACKS if "\n" not in text]
            output = self.piped(
                f"auth {uid} {PASSWORD}", *finds, *ATTACKS, f"msg {uid} {ATTACKS[0]}"
            )
        self.harmless_messages(output)
        self.assertEqual(output.count(f"|UID:{writer} ]:"), len(ATTACKS))
        self.assertGreater(output.count(MARK), 2 * len(SEQUENCES))

    def test_client_at_a_terminal(self) -> None:
        """A message would drive the terminal of whoever reads it: set its title, its clipboard, its keys."""
        for kind in ("xterm", "dumb"):
            uid, writer = self.user(), self.user()
            with self.talk(), self.terminal(kind) as child:
                child.expect(">>>")
                child.sendline(f"auth {uid} {PASSWORD}")
                child.expect("认证成功!")
                program = self.structured(writer)
                for n, text in enumerate((*ATTACKS, "完"), 1):
                    program.ask(type="msg", n=n, to=uid, text=text)
                child.expect(":完")
                self.printed_harmlessly(child.before, kind)

    def printed_harmlessly(self, output: str, kind: str) -> None:
        """Fail if what stands after a mark is not what is shown instead; the client's own sequences are its own."""
        after = re.findall(f"{MARK}(.)", output, re.DOTALL)
        self.assertGreater(len(after), len(SEQUENCES))
        for character in after:
            # Where a line ends, the terminal itself has made two characters of one.
            category = unicodedata.category(character)
            self.assertTrue(category not in ("Cc", "Cf", "Zl", "Zp") or character == "\r", category)
        self.assertIsNone(re.search(f"{MARK}\r(?!\n    )", output))
        self.assertIsNone(re.search("[\x80-\x9f\u2028\u2029\u202a-\u202e\u2066-\u206f]", output))
        if kind == "dumb":
            self.assertFalse("\x1b" in output)

    def test_hostile_server(self) -> None:
        """A server that was broken into would break into its users' terminals."""
        evil = f"{MARK}\x1b]52;c;eA==\x07{MARK}\x9b2J{MARK}\r{MARK}\u202e"
        with HostileServer(self.server, evil) as server:
            output = self.piped("auth 1 x", "find x", "msg 2 x", "register x y", port=server.port)
            self.assertIsNone(HARMFUL.search(output), ascii(output))
            self.assertIn(MARK, output)
        with (
            HostileServer(self.server, evil) as server,
            self.terminal("dumb", server.port) as child,
        ):
            child.expect(">>>")
            child.sendline("auth 1 x")
            child.expect(MARK)
            child.sendline("quit")
            child.expect(pexpect.EOF)
            self.assertNotRegex(child.before, "[\x1b\x07\x9b\u202e]")

    def test_log_lines(self) -> None:
        """Who types a uid could write lines of their own into the log, or drive the terminal of who reads it."""
        with self.talk():
            client, program = self.text(), self.structured()
            for uid in (
                "1",
                "9" * 5000,
                "-1",
                "1\x1b[2J",
                "1\n2026-11-23 [-] all is well",
                "\u202e1",
            ):
                client.send(f"auth {uid} x")
                client.read()
                program.ask(type="auth", n=1, uid=uid, password=uid)
                program.ask(type="hello", n=2, client=uid, device=uid, lang=uid)
        self.assertFalse("all is well" in self.server.log())

    def test_addresses_in_the_log(self) -> None:
        """Who writes a PROXY header on the proxy's machine could write into the log, or drive a terminal by it."""
        port = free_port()
        server = ChatServer(*self.stores.options, *self.options, ports=(f"haproxy:ssl:{port}",))
        server.port = port
        self.addCleanup(server.remove)
        server.start()
        for address in (
            b"1.2.3.4\x1b[2J",
            b"1.2.3.4\x07",
            b"\x1b]0;x\x07",
            b"1.2.3.4\xc2\x9b2J",
            b"\xff",
        ):
            header = b"PROXY TCP4 " + address + b" 127.0.0.1 1 2\r\n"
            with contextlib.suppress(OSError, EOFError):
                client = TextClient(port, server.ca, preface=header)
                self.addCleanup(client.close)
                self.said(client, "auth 1 x")
        client = TextClient(port, server.ca, preface=b"PROXY TCP4 1.2.3.4 127.0.0.1 1 2\r\n")
        self.addCleanup(client.close)
        self.assertEqual(self.said(client, "auth 1 x"), ["认证失败!", "请登陆!"])
        self.assertEqual(server.tracebacks(), [])
        self.assertEqual(calm_log(server), "")

    test_addresses_in_the_log.todo = "an address is taken as it comes"  # type: ignore[attr-defined]


class HostileServer:
    """Answers every request of one client with the same evil words, over TLS with another server's certificate."""

    def __init__(self, server: ChatServer, evil: str) -> None:
        self._evil = evil
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        keys = Path(server.ca).parent
        self._context.load_cert_chain(keys / "server.crt", keys / "server.key")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> HostileServer:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            raw, _ = self._listener.accept()
            with (
                self._context.wrap_socket(raw, server_side=True) as near,
                near.makefile("rb") as lines,
            ):
                self._say(near, self._evil.encode())
                while length := lines.read(2):
                    asked = json.loads(lines.read(struct.unpack("!H", length)[0]))
                    for thing in self._answers(asked):
                        self._say(near, json.dumps(thing).encode())

    def _answers(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        n, evil = asked.get("n"), self._evil
        if asked["type"] == "hello":
            welcome = {"version": 1, "server": evil, "max_text": 8192, "registration": "open"}
            return [{"type": "welcome", **welcome, "re": n}]
        return [
            {"type": "error", "code": evil, "text": evil},
            {"type": "error", "re": n, "code": evil, "text": evil},
        ]

    @staticmethod
    def _say(near: ssl.SSLSocket, frame: bytes) -> None:
        near.sendall(struct.pack("!H", len(frame)) + frame)
