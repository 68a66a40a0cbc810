"""Who supervises this process, as the environment says."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from twisted.internet.interfaces import IReactorTime

from chatsvc.supervision.sd_notify import SystemdNotifier


def supervisor(clock: IReactorTime, environment: MutableMapping[str, str]) -> SystemdNotifier:
    """
    The one that NOTIFY_SOCKET names (sd_notify(3), sd_watchdog_enabled(3)); that, and what belongs to it, leaves the
    environment: what this process may start has nothing to tell it.
    """
    address = environment.pop("NOTIFY_SOCKET", "")
    limit = environment.pop("WATCHDOG_USEC", "")
    process = environment.pop("WATCHDOG_PID", "")
    watches = limit.isascii() and limit.isdigit() and process in ("", str(os.getpid()))
    return SystemdNotifier(clock, address, int(limit) / 1e6 if watches else 0.0)
