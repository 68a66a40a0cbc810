"""Floods of what is large, of what is small and of what is hard to read, before a log-in and after it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from tests.attacks.bystanders import AttackCase
from tests.attacks.floods import LARGEST, flood, largest, together
from tests.support.clients import FrameClient

UNKNOWN_COMMAND = "输入的命令不支持,请使用 help 或 ? 查看帮助!"
TOO_LONG = "消息太长, 最多8192字节, 未发送!"

MEMORY = 20.0
"""MiB that no flood may cost the server."""

DEEP = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
DEEP_LIST = b'{"type":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
SURROGATES = b'{"type":"find","name":"' + b"\\ud800" * 10_000 + b'"}'


class FloodTests(AttackCase):
    options = ("--find-rate", "0")

    @contextmanager
    def others_go_on(self) -> Iterator[None]:
        """Fail if two others cannot talk as before, or if the server takes much memory."""
        with self.talk():
            before = self.server.resident()
            yield
            self.assertLess(self.server.resident() - before, MEMORY)

    def flood_all(self, clients: Sequence[FrameClient], frame: bytes, number: int) -> set[str]:
        """Flood on several connections at the same time; all the different answers, of which none is missing."""
        floods = [partial(flood, client, [frame] * number) for client in clients]
        return {answer for answers in together(floods) for answer in answers}

    def test_large_lines(self) -> None:
        """The longest frames, one after another from several people, would hold up the others or fill the memory."""
        frame = b"x" * LARGEST
        with self.others_go_on():
            strangers = [self.text(), self.text()]
            self.assertEqual(self.flood_all(strangers, frame, 100), {UNKNOWN_COMMAND})
            uid = self.user()
            members = [self.text(self.user()), self.text(self.user())]
            self.assertEqual(self.flood_all(members, frame, 100), {UNKNOWN_COMMAND})
            message = f"msg {uid} ".encode().ljust(LARGEST, b"x")
            self.assertEqual(self.flood_all(members, message, 100), {TOO_LONG})

    def test_large_objects(self) -> None:
        """The longest frames, one after another from several programs, would do the same."""
        ping = largest(type="ping", n=1)
        pong = '{"type":"pong","re":1}'
        with self.others_go_on():
            strangers = [self.structured(), self.structured()]
            self.assertEqual(self.flood_all(strangers, ping, 100), {pong})
            uid = self.user()
            members = [self.structured(self.user()), self.structured(self.user())]
            self.assertEqual(self.flood_all(members, ping, 100), {pong})
            frame = json.dumps({"type": "msg", "n": 1, "to": uid, "text": "x" * 65_000}).encode()
            (answer,) = self.flood_all(members, frame, 100)
            self.assertEqual(json.loads(answer)["code"], "too-long")

    def test_hard_to_read(self) -> None:
        """Objects in objects, or halves of characters, would exhaust the parser, its stack or the others' patience."""
        with self.others_go_on():
            clients = [self.structured(), self.structured(self.user())]
            for frame in (DEEP, DEEP_LIST, SURROGATES):
                (answer,) = self.flood_all(clients, frame, 100)
                self.assertEqual(json.loads(answer)["code"], "bad-request", frame[:30])

    def test_small_lines(self) -> None:
        """Many small commands of people would hold up the others, or be answered in another order."""
        with self.others_go_on():
            clients = [self.text(), self.text(), self.text(self.user()), self.text(self.user())]
            lines = ["?", "x", "help", "find nobody"] * 250
            for answers in together([partial(flood, client, lines) for client in clients]):
                self.assertEqual(answers, answers[:4] * 250)
                self.assertEqual(len(set(answers[:4])), 3)

    def test_small_objects(self) -> None:
        """Many small commands of programs would hold up the others, or be answered in another order."""
        kinds = [{"type": "ping"}, {"type": "find", "name": "nobody"}, {"type": "nonsense"}]
        frames = [json.dumps({**kinds[n % 3], "n": n}) for n in range(1, 1_501)]
        with self.others_go_on():
            clients = [
                self.structured(),
                self.structured(self.user()),
                self.structured(self.user()),
            ]
            for answers in together([partial(flood, client, frames) for client in clients]):
                self.assertEqual(
                    [json.loads(answer)["re"] for answer in answers], list(range(1, 1_501))
                )

    def test_unanswered(self) -> None:
        """Many frames that have no answer, acknowledgements and empty ones, would hold up the others."""
        with self.others_go_on():
            client = self.structured(self.user())
            for frame in (b'{"type":"ack","id":1}', b""):
                client.send_many([frame] * 4_000)
                self.assertEqual(client.ask(type="ping", n=1)["type"], "pong", frame)
