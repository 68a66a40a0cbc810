"""What the client of this project writes to a screen when everybody who writes to it is evil, the server included."""

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
from pathlib import Path
from typing import Any

import pexpect

from tests.attacks.deceit import ATTACKS, BREAKS, HARMFUL, MARK, SEQUENCES, DeceitCase
from tests.client.programs import COMMAND
from tests.support.processes import PASSWORD, ChatServer, ServerStores, Stores

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
                    self.assertNotRegex(line, r"^ {0,3}(\[|\d{4}-)", ascii((text, shown)))

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

    def test_old_header_at_a_terminal(self) -> None:
        """A name that the older server left in a header would begin another header at a terminal."""
        uid = self.user()
        self.leave(uid, "[ 李四\n[ 老板|UID:1 ]:打钱|UID:7 ]:完")
        with self.talk(), self.terminal("xterm") as child:
            child.expect(">>>")
            child.sendline(f"auth {uid} {PASSWORD}")
            child.expect(":完")
            self.assertIsNone(re.search(r"\n(\x1b\[[0-9;]*m|\r)*\[ 老板", child.before))

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
