"""The faults that strike registered devices: they are forgotten, stay away, come in too many, or are taken over."""

from __future__ import annotations

import random
import time
from functools import partial

from benchmarks.campaign.forgettings import record_forgetting
from benchmarks.campaign.journal import split_name
from benchmarks.campaign.lasting import LastingFaults
from benchmarks.campaign.sessions import MOST_DEVICES
from benchmarks.campaign.world import World

_GONE = 1.0
"""Seconds in which a server has noticed that somebody has left."""

_NOTICED = 2.0
"""Seconds in which something was stored for everybody, which is when the days since a device's last use are counted."""

_DAYS = 31
"""Days for which a device was away: one more than the servers keep it."""

_STRIKES_OF_BACKLOG = 15
"""In so many strikes, about, more is stored than a device may be behind."""


class DeviceFaults(LastingFaults):
    """A device that is away for long is left alone until it is back."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._away: set[str] = set()

    def _device_weights(self) -> dict[str, float]:
        weights = {"device borrowed": 2.0, "device days away": 1.0, "device behind": 0.7}
        if any(len(names) > 1 for names in self._world.devices.values()):
            weights |= {"device forgotten": 1.5, "device removed": 1.0, "devices too many": 1.0}
        return weights if self._world.devices else {}

    def _choose_device(self, least: int = 1) -> list[str]:
        """The devices of a user who has so many that are not away for long, in any order; fewer if nobody has."""
        here = [
            [name for name in names if name not in self._away]
            for names in self._world.devices.values()
        ]
        enough = [names for names in here if len(names) >= least] or [max(here, key=len)]
        chosen = random.choice(enough)
        return random.sample(chosen, len(chosen))

    def _device_borrowed(self) -> None:
        """Another process logs in as the same device, which then takes it back."""
        for name in self._choose_device()[:1]:
            as_what = "registered"
            if self._has_unnamed(name) and random.random() < 0.4:
                as_what = "plain"
            self._world.tell(name, f"borrow {as_what}")

    def _has_unnamed(self, name: str) -> bool:
        """Whether the user has a session without a registered device, too: a plain one takes its place then."""
        sessions = self._world.sessions[int(split_name(name)[0])]
        return sessions != self._world.devices[int(split_name(name)[0])]

    def _device_days_away(self) -> None:
        """Its time of use, as the store has it, is set back; it is forgotten, and comes back."""
        for name in self._choose_device()[:1]:
            self._world.tell(name, "away")
            time.sleep(_GONE)
            record_forgetting(self._world.folder, name)
            self._world.make_old(name, _DAYS)
            time.sleep(random.uniform(0, _NOTICED))
            self._world.tell(name, "back")

    def _device_behind(self) -> None:
        """It is away while more comes than is kept for it."""
        for name in self._choose_device()[:1]:
            self._away.add(name)
            self._world.tell(name, "away")
            self._hold(None, _STRIKES_OF_BACKLOG, partial(self._bring_back, name))

    def _bring_back(self, name: str) -> None:
        self._away.discard(name)
        self._world.tell(name, "back")

    def _device_forgotten(self) -> None:
        """Another device has it forgotten, while it is here or while it is away."""
        teller, *others = self._choose_device(2)
        for name in others[:1]:
            away = random.random() < 0.5
            if away:
                self._world.tell(name, "away")
                time.sleep(_GONE)
            self._world.tell(teller, f"forget-device {name}")
            time.sleep(random.uniform(0, _NOTICED))
            if away:
                self._world.tell(name, "back")

    def _device_removed(self) -> None:
        """The admin has it forgotten."""
        for name in self._choose_device()[:1]:
            record_forgetting(self._world.folder, name)
            self._world.remove_device(name)

    def _devices_too_many(self) -> None:
        """It is away when more are registered than a user may have; it is the one that was unused longest."""
        teller, *others = self._choose_device(2)
        for name in others[:1]:
            self._world.tell(name, "away")
            time.sleep(_GONE)
            record_forgetting(self._world.folder, name)
            self._world.tell(teller, f"let-in {MOST_DEVICES}")
            time.sleep(_NOTICED)
            self._world.tell(name, "back")
