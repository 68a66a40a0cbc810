"""What is tried on a screen, and what never reaches one."""

from __future__ import annotations

import re

from tests.attacks.bystanders import AttackCase
from tests.support.clients import TextClient
from tests.support.processes import ChatServer

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
        *("--rate", "0", "--request-rate", "0", "--find-rate", "0", "--login-tries", "99999/99999"),
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
