"""The time zone in which a test runs."""

from __future__ import annotations

import os
import time

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.wire.text.lines import stamp


def in_shanghai(test: SynchronousTestCase) -> None:
    """Have the text dialect show times of Shanghai until the test's end."""
    zone = os.environ.get("TZ")
    test.addCleanup(_set, zone)
    _set("Asia/Shanghai")


def _set(zone: str | None) -> None:
    if zone is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = zone
    time.tzset()
    stamp.cache_clear()
