"""
Formats of the log: one event is one line, text for people or a JSON object for programs.

Each of our log calls passes ``event=``, a short name that stays when the text changes, and ``connection=`` and ``uid=``
where there is one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

from twisted.logger import LogEvent, LogLevel, eventAsText, formatEvent

from chatsvc.wire.sanitize import sanitized, sanitized_lines

LEVELS = ("debug", "info", "warn", "error")
"""The levels, from the least grave."""

Line = Callable[[LogEvent], str]
"""Returns the line for an event; empty if the event has nothing to show."""


def level_of(event: LogEvent) -> str:
    """
    Return the level of an event, one of ``LEVELS``.

    Twisted reports on its reactor and its factories at ``info``; for an admin of a chat service that is ``debug``.
    """
    level = event.get("log_level", LogLevel.info)
    if level is LogLevel.info and not _is_ours(event):
        return "debug"
    return "error" if level is LogLevel.critical else str(level.name)


def dated(event: LogEvent) -> str:
    """
    Return an event as a line with time and level; a traceback follows on lines of its own.

    ``2026-11-23T17:00:24.123+01:00 info  connection 7, uid 10001: logged in …``
    """
    line = undated(event)
    local = datetime.fromtimestamp(event["log_time"]).astimezone()
    return line and f"{local.isoformat(timespec='milliseconds')} {level_of(event):5} {line}"


def undated(event: LogEvent) -> str:
    """Return the same without time and level, for a log that adds its own."""
    about = [f"{name} {event[name]}" for name in ("connection", "uid") if name in event]
    message = ", ".join(about) + ": " * bool(about) + formatEvent(event)
    traceback = _traceback(event)
    line = sanitized(" ".join(message.splitlines()))
    text = line + "\n" * bool(line and traceback) + sanitized_lines(traceback)
    return text.encode(errors="backslashreplace").decode()  # a path in the text need not be UTF-8


def as_json(event: LogEvent) -> str:
    """
    Return an event as a JSON object.

    It has ``time`` (RFC 3339, UTC), ``level``, ``event``, ``message``, all arguments of the log call by their names
    (``connection``, ``uid`` …), and ``failure`` with a traceback if there is one. An event of another library has the
    ``event`` ``other`` and names its ``logger``; its arguments are left out.
    """
    time = datetime.fromtimestamp(event["log_time"], UTC).isoformat(timespec="milliseconds")
    arguments = {
        name: _brief(thing) for name, thing in event.items() if not name.startswith("log_")
    }
    facts = (
        arguments if _is_ours(event) else {"event": "other", "logger": event.get("log_namespace")}
    )
    record = {
        "time": time.replace("+00:00", "Z"),
        "level": level_of(event),
        "event": "other",
        "message": formatEvent(event),
        **facts,
    }
    traceback = _traceback(event)
    if traceback:
        record["failure"] = traceback
    elif not record["message"]:
        return ""
    return json.dumps(record, default=str)


def _brief(thing: object) -> object:
    return round(thing, 3) if isinstance(thing, float) else thing


def _is_ours(event: LogEvent) -> bool:
    return str(event.get("log_namespace")).startswith("chatsvc.")


def _traceback(event: LogEvent) -> str:
    if "log_failure" not in event:
        return ""
    return eventAsText(
        {**event, "log_format": ""}, includeTimestamp=False, includeSystem=False
    ).strip()
