"""Events of the log as lines."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from twisted.logger import LogEvent, Logger
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.observability.log_format import as_json, dated, level_of, undated
from chatsvc.observability.redaction import redacted

_SECRET = "geheim"


def said(namespace: str = "chatsvc.session", text: str = "in", **facts: Any) -> LogEvent:
    """An event, as Twisted's logger makes it."""
    events: list[LogEvent] = []
    log = Logger(namespace, observer=cast(Any, events.append))
    if facts.pop("fails", False):
        try:
            raise ValueError(_SECRET)
        except ValueError:
            log.failure(text, redacted(), **facts)
    else:
        getattr(log, facts.pop("level", "info"))(text, **facts)
    return events[0]


class LevelTests(SynchronousTestCase):
    """The level of an event."""

    def test_ours(self) -> None:
        """An admin who asks for warnings would get others, or miss what is broken."""
        for level, shown in (
            *(("debug", "debug"), ("info", "info"), ("warn", "warn")),
            *(("error", "error"), ("critical", "error")),
        ):
            self.assertEqual(level_of(said(level=level)), shown)

    def test_others(self) -> None:
        """What Twisted says of its factories would drown our lines, or its trouble be hidden."""
        self.assertEqual(level_of(said("twisted.internet")), "debug")
        self.assertEqual(level_of(said("log_legacy")), "debug")
        self.assertEqual(level_of(said("twisted.internet", level="warn")), "warn")
        self.assertEqual(level_of(said("chatsvcs", fails=True)), "error")


class TextTests(SynchronousTestCase):
    """Events as text."""

    def test_who(self) -> None:
        """A line would not say which connection and which user it is about."""
        text = "logged in from {address}"
        cases: tuple[tuple[dict[str, Any], str], ...] = (
            ({"connection": 7, "uid": 10001}, "connection 7, uid 10001: "),
            ({"connection": 7}, "connection 7: "),
            ({"uid": 10001}, "uid 10001: "),
            ({}, ""),
        )
        for facts, head in cases:
            line = undated(said(text=text, address="::1", **facts))
            self.assertEqual(line, f"{head}logged in from ::1")

    def test_time_and_level(self) -> None:
        """A line in a file would not say when it was, or how bad it is."""
        self.assertRegex(
            dated(said()), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d info  in$"
        )
        self.assertIn(" error in", dated(said(level="critical")))

    def test_one_line(self) -> None:
        """What a store says could pass for lines of the log, or drive the terminal that shows them."""
        line = undated(said(text="{reason}", reason="a\nb\r\n\x1b[2Jc\udcff"))
        self.assertEqual(line, "a b ␛[2Jc\\udcff")

    def test_traceback(self) -> None:
        """An error would not say where it happened, or quote what it was given."""
        first, second, *_, last = undated(said(fails=True, uid=5)).splitlines()
        self.assertEqual(first, "uid 5: in")
        self.assertTrue(second.startswith("Traceback"))
        self.assertNotIn(_SECRET, last)

    def test_nothing(self) -> None:
        """Events without words would be empty lines."""
        self.assertEqual(undated(said(text="")), "")
        self.assertEqual(dated(said(text="")), "")
        self.assertEqual(as_json(said(text="")), "")


class JSONTests(SynchronousTestCase):
    """Events as JSON."""

    def record(self, **facts: Any) -> dict[str, Any]:
        """Log an event; return its JSON object."""
        line = as_json(said(**facts))
        self.assertEqual(len(line.splitlines()), 1)
        record: dict[str, Any] = json.loads(line)
        return record

    def test_fields(self) -> None:
        """A log collector would have to take sentences apart."""
        record = self.record(
            text="{n} of {thing}", event="x", connection=7, uid=5, n=2.00049, thing=()
        )
        self.assertRegex(record.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        message = record.pop("message")
        self.assertEqual(message, "2.00049 of ()")
        expected = {"level": "info", "event": "x", "connection": 7, "uid": 5, "n": 2.0, "thing": []}
        self.assertEqual(record, expected)

    def test_anything(self) -> None:
        """A value that JSON does not have would cost the line."""
        record = self.record(event="x", thing=re, words="\udcff\n你好", huge=2**70)
        self.assertIn("module", record["thing"])
        self.assertEqual((record["words"], record["huge"]), ("\udcff\n你好", 2**70))

    def test_failure(self) -> None:
        """A traceback would be spread over lines that are no objects, or quote what it was given."""
        record = self.record(fails=True, event="x")
        self.assertEqual(
            (record["event"], record["level"], record["message"]), ("x", "error", "in")
        )
        self.assertTrue(record["failure"].startswith("Traceback"))
        self.assertNotIn(_SECRET, str(record))

    def test_others(self) -> None:
        """What Twisted's own events carry along would be logged, whatever it is."""
        record = self.record(namespace="twisted.x", event="y", secret=_SECRET)
        self.assertEqual((record["event"], record["logger"]), ("other", "twisted.x"))
        self.assertNotIn(_SECRET, str(record))
