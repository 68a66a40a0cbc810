"""Rows for people, for scripts and for programs."""

from __future__ import annotations

import sys
from io import BytesIO, TextIOWrapper

import orjson
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.cli.output import aligned, local_time, print_rows

ROWS = [{"uid": 7, "name": "张三", "last_id": None}, {"uid": 10001, "name": "Bob", "last_id": 3}]


class _Terminal(TextIOWrapper):
    def isatty(self) -> bool:
        return True


class RowsTests(SynchronousTestCase):
    def printed(self, as_json: bool, stream: type[TextIOWrapper], encoding: str = "utf-8") -> bytes:
        """What stands on standard output."""
        out = BytesIO()
        self.patch(sys, "stdout", stream(out, encoding))
        print_rows(ROWS, as_json, ("uid", "name", "last_id"), uid=lambda uid: f"<{uid}>")
        return out.getvalue()

    def test_scripts(self) -> None:
        """Scripts that split lines at tabs would break."""
        printed = self.printed(False, TextIOWrapper).decode()
        self.assertEqual(printed, "<7>\t张三\t\n<10001>\tBob\t3\n")

    def test_people(self) -> None:
        """Columns would not stand below each other where names are Chinese, or have no heading."""
        lines = self.printed(False, _Terminal).decode().splitlines()
        self.assertEqual(lines, ["uid      name  last id", "<7>      张三", "<10001>  Bob   3"])

    def test_programs(self) -> None:
        """Programs would have to take a table apart."""
        for encoding in ("utf-8", "gbk", "ascii"):
            self.assertEqual(orjson.loads(self.printed(True, _Terminal, encoding)), ROWS)

    def test_widths(self) -> None:
        """Emoji and marks would push what follows out of its column."""
        lines = aligned([["😀", "x"], ["e\u0301", "x"], ["", "x"]])
        self.assertEqual(lines, ["😀  x", "e\u0301   x", "    x"])

    def test_no_time(self) -> None:
        """What the older server left would seem to be from 1970."""
        self.assertEqual(local_time(0), "")
        self.assertRegex(local_time(1_700_000_000_000), r"^2023-11-1\d \d\d:\d\d:\d\d$")
