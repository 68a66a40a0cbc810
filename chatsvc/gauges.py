"""Gauges: figures that are looked up when a monitoring system asks, and those that are measured on a timer for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from chatsvc.factory import ChatFactory
from chatsvc.observability.periodic import PeriodicTask
from chatsvc.services import Services
from chatsvc.storage.url import StoreUnavailable
from chatsvc.tls.certificates import days_left

_TICK = 0.25
"""Seconds between two measurements of how late the reactor is."""

_COUNTED_EVERY = 10.0
"""Seconds after which the store is asked again how many messages wait."""


class Gauges:
    """
    The gauges of a server.

    ``expiry`` gives the time, in seconds since 1970, at which the first certificate ends; None: there is no TLS.
    """

    def __init__(
        self, services: Services, factory: ChatFactory, expiry: Callable[[], float] | None
    ) -> None:
        self._clock = services.clock
        self._inbox = services.inbox
        self._lag = services.metrics.reactor_lag
        self._waiting: int | None = None
        self._began = self._due = 0.0
        self._measuring = PeriodicTask(
            self._clock, "measuring how late the reactor is", self._measure
        )
        self._counting = PeriodicTask(
            self._clock, "counting the messages that wait", self._count_waiting
        )
        gauge = services.metrics.gauge
        gauge("chatsvc_connections", "Connections now.", lambda: factory.connections)
        gauge(
            "chatsvc_connections_limit", "Most connections at once.", lambda: services.limits.total
        )
        gauge("chatsvc_online_users", "Users who are online here.", lambda: len(services.online))
        gauge(
            "chatsvc_registered_devices_online",
            "Registered devices that are online here.",
            lambda: sum(1 for reader in services.online.readers() if reader.device),
        )
        feeds = services.feeds
        gauge("chatsvc_rooms_read", "Rooms that somebody reads here.", lambda: len(feeds))
        gauge(
            "chatsvc_room_subscriptions",
            "Sessions here that read rooms, counted once for each room.",
            lambda: feeds.subscriptions,
        )
        gauge(
            "chatsvc_room_subscriptions_behind",
            "Those of them that are behind: they read the room's log by themselves.",
            lambda: feeds.behind,
        )
        gauge(
            "chatsvc_password_queue",
            "Passwords that are being hashed, or wait for it.",
            lambda: services.auth.passwords.queue,
        )
        gauge(
            "chatsvc_waiting_messages",
            "Messages that wait in all inboxes of the store, also those of other servers, as the store counts them.",
            lambda: self._waiting,
        )
        backlog = services.backlog
        gauge(
            "chatsvc_archive_waiting_messages",
            "Messages of all servers that wait to be archived.",
            lambda: backlog.messages,
        )
        gauge(
            "chatsvc_archive_waiting_bytes",
            "About how many bytes these have in the queue.",
            lambda: backlog.bytes,
        )
        gauge(
            "chatsvc_archive_unindexed_messages",
            "Archived messages that a search does not find yet.",
            lambda: backlog.unindexed,
        )
        if expiry is not None:
            gauge(
                "chatsvc_certificate_days_left",
                "Days until the first certificate expires.",
                lambda: days_left(expiry(), services.now()),
            )

    def start(self) -> None:
        """Measure from now on."""
        self._began = self._due = self._clock.seconds()
        self._measuring.start(_TICK)
        self._counting.start(_COUNTED_EVERY)

    def stop(self) -> None:
        """Measure no more."""
        self._measuring.stop()
        self._counting.stop()

    def _measure(self) -> None:
        now, due = self._clock.seconds(), self._due
        self._due = (
            now + _TICK - (now - self._began) % _TICK
        )  # after a delay, the ticks go on as if there was none
        self._lag.observe(max(0.0, now - due))

    async def _count_waiting(self) -> None:
        with suppress(StoreUnavailable):  # what was known last stays
            self._waiting = await self._inbox.total()
