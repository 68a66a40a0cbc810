"""Texts that would drive a terminal or pass for somebody else's message: what the server makes of them."""

from __future__ import annotations

import contextlib
from itertools import product
from typing import Any

from tests.attacks.deceit import ATTACKS, MARK, DeceitCase, calm_log
from tests.support.clients import TextClient
from tests.support.processes import ChatServer
from tests.support.servers import free_port


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
        """Words that somebody typed would come back raw with an answer: a pasted name, a mistyped command."""
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
        """Words that a program sent would stand raw in an error that it shows to people, or in the log."""
        with self.talk():
            client = self.structured(self.user())
            kinds = ("x", "msg", "auth", "find", "register", "passwd", "ack", "hello")
            for n, (text, kind) in enumerate(product(ATTACKS[:-3], kinds), 1):
                fields = dict.fromkeys(("device", "lang", "uid", "to", "id", "after", "old"), text)
                answer = client.ask(n=n, type=kind if kind != "x" else text, **fields)
                self.assertEqual(answer["type"], "error", answer)
                self.harmless(answer["text"])
                self.assertNotIn(MARK, answer["text"])


class Logs(DeceitCase):
    def test_log_lines(self) -> None:
        """Somebody who types a uid could write lines of their own into the log, or drive its reader's terminal."""
        with self.talk():
            client, program = self.text(), self.structured()
            for word in ("9" * 5000, "1\x1b[2J", "1\n2026-11-23 [-] all is well", "\u202e1"):
                client.send_many([f"auth {word} x", f"auth 1 {word}", "?"])
                while not client.read().startswith("命令使用说明"):
                    pass
                requests: list[dict[str, Any]] = [
                    {"type": "hello", "client": word},
                    {"type": "hello", "device": word, "lang": word},
                    {"type": "auth", "uid": word, "password": word},
                    {"type": "auth", "uid": 1, "password": word},
                    {"type": "auth", "uid": 1, "token": word},
                    {"type": word},
                ]
                for n, request in enumerate(requests, 1):
                    self.assertEqual(program.ask(n=n, **request)["re"], n)
        self.assertFalse("all is well" in self.server.log())

    def test_addresses_in_the_log(self) -> None:
        """A PROXY header written on the proxy's machine could write into the log, or drive a terminal by it."""
        port = free_port()
        server = ChatServer(*self.options, ports=(f"haproxy:ssl:{port}",))
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
