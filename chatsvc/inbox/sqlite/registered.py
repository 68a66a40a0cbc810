"""The rules of registered devices: where a claim begins, for whom another is forgotten, and when one is."""

from __future__ import annotations

from dataclasses import dataclass

from chatsvc.inbox.claim import NotRegistered, Registration, TooManyDevices
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.sqlite.message_log import MessageLog
from chatsvc.inbox.sqlite.state import UNNAMED, DeviceState, InboxState
from chatsvc.wire.events import Missed

_DAY = 86_400_000
"""Milliseconds."""


@dataclass(slots=True)
class Beginning:
    """Where a claim of a registered device begins to read: behind ``id``; the rest is as in ``InboxClaim``."""

    id: int
    serial: int
    missed: Missed | None


class DeviceClaims:
    """
    Claims of the registered devices of ``uid``.

    ``now`` is in ms; ``serial`` is the one that the store gave out last.
    """

    def __init__(
        self, uid: int, inbox: InboxState, log: MessageLog, limits: InboxLimits, now: int
    ) -> None:
        self._uid = uid
        self._inbox = inbox
        self._log = log
        self._limits = limits
        self._now = now

    def claim_unnamed(self, generation: int, device: str, renewed: bool) -> None:
        """
        Take hold of the unnamed device, for a session that sends as ``device``; register it if it is not.

        :raise NotRegistered: the claim only renews one, and the device was forgotten.
        """
        inbox = self._inbox
        if inbox.unnamed is None:
            if renewed and inbox.registered:
                raise NotRegistered
            at = (inbox.acknowledged, inbox.bytes_acknowledged)
            inbox.devices[UNNAMED] = DeviceState(generation, *at, self._now, 1)
        self._hold(inbox.devices[UNNAMED], generation)
        inbox.unnamed_device = device
        same = inbox.devices.get(device) if device else None
        if same is not None:
            same.generation = generation
            same.leave(self._now)

    def claim_registered(
        self,
        generation: int,
        device: str,
        after: int | None,
        registration: Registration,
        renewed: bool,
        newest_serial: int,
    ) -> Beginning:
        """
        Take hold of a registered device; register it if it is not. ``newest_serial`` was given out last.

        A claim that only renews one leaves the position where it is: what a session was handed may never be shown.

        :raise NotRegistered: the claim only renews one, and the device was forgotten.
        :raise TooManyDevices: it is not registered, and as many as may be are online.
        """
        inbox = self._inbox
        known = inbox.devices.get(device)
        if known is None and renewed:
            raise NotRegistered
        position = inbox.acknowledged if known is None else max(inbox.front, known.position)
        id = self._beginning(position, after, registration.serial)
        missed = self._missed(known, after, registration.serial)
        state = known or self._register(generation, device, id, newest_serial)
        self._hold(state, generation)
        if not renewed:
            state.client = registration.client
            self._pass_to(state, id, is_new=known is None)
        if missed is not None and registration.serial is not None:
            # Until it has shown more it is told again: the answer may be lost.
            state.serial = max(state.serial, registration.serial + 1)
        self._take_from_unnamed(generation, device)
        serial = registration.serial
        if serial is None:
            serial = self._log.serial_of(self._uid, inbox, id) or newest_serial
        return Beginning(id, serial, missed)

    def _beginning(self, position: int, after: int | None, serial: int | None) -> int:
        uid, inbox, log = self._uid, self._inbox, self._log
        if serial is None:
            return position
        if after is not None and log.serial_of(uid, inbox, after) == serial:
            return after
        last = log.last_not_above(uid, inbox, serial)
        # Of what has no serial, ids tell what it knows: a server of before there were serials may have stored it last.
        if serial == 0 or (after is not None and log.serial_of(uid, inbox, last) == 0):
            return max(inbox.front, min(after or 0, last))
        return last

    def _missed(
        self, known: DeviceState | None, after: int | None, serial: int | None
    ) -> Missed | None:
        front = self._inbox.front
        if after is None or serial is None or after >= front:
            return None
        if known is not None and serial >= known.serial and known.position >= front:
            return None  # what lies between what it has shown and its position was not for it
        return Missed(after, front, self._log.first_serial(self._uid, self._inbox))

    def _register(self, generation: int, device: str, id: int, serial: int) -> DeviceState:
        self._make_room()
        inbox = self._inbox
        state = DeviceState(generation, id, inbox.bytes, self._now, 1)
        state.first, state.since, state.registered_at = self._now, generation, serial
        inbox.devices[device] = state
        return state

    def _make_room(self) -> None:
        """Forget those that were unused longest, until there is room for one more."""
        named = [one for one in self._inbox.devices.items() if one[0] != UNNAMED]
        offline = sorted(
            (one for one in named if not one[1].online),
            key=lambda one: (one[1].used, one[1].generation),
        )
        for place in range(len(named) - self._limits.devices + 1):
            if place >= len(offline):
                raise TooManyDevices
            del self._inbox.devices[offline[place][0]]

    def _pass_to(self, state: DeviceState, id: int, is_new: bool) -> None:
        """Raise a device's position to where its claim begins."""
        inbox = self._inbox
        if id < state.position or (id == state.position and not is_new):
            return
        copies, bytes = counts_at(self._uid, inbox, self._log, id)
        state.position, state.bytes, state.shown = id, bytes, id
        state.serial = max(state.serial, self._log.serial_of(self._uid, inbox, id) or 0)
        inbox.acknowledge(id, copies, bytes)

    def _hold(self, state: DeviceState, generation: int) -> None:
        state.generation, state.used, state.online = generation, self._now, 1

    def _take_from_unnamed(self, generation: int, device: str) -> None:
        """End the session of the unnamed device if it sends as the same device: the two have one series of numbers."""
        inbox = self._inbox
        if inbox.unnamed is not None and inbox.unnamed_device == device:
            inbox.unnamed.generation = generation
            inbox.unnamed.leave(self._now)
            inbox.unnamed_device = ""


def counts_at(uid: int, inbox: InboxState, log: MessageLog, id: int) -> tuple[int, int]:
    """How many copies and bytes the inbox of ``uid`` had taken with the message ``id``."""
    if id >= inbox.last_id or inbox.is_even:
        return inbox.copies, inbox.bytes
    place = log.places([(uid, id)]).get((uid, id))
    if place is not None:
        return place.copies, place.bytes
    # Nothing up to there is kept: it is where the last device is.
    return inbox.copies_acknowledged, min([one.bytes for one in inbox.devices.values()])


def is_too_far_behind(
    inbox: InboxState, limits: InboxLimits, name: str, device: DeviceState
) -> bool:
    """Whether a device is too far behind: the unnamed one behind what was acknowledged, others behind the end."""
    end, bytes = inbox.last_id, inbox.bytes
    if name == UNNAMED:
        end, bytes = inbox.acknowledged, inbox.bytes_acknowledged
    return (
        end - device.position > limits.device_backlog or bytes - device.bytes > limits.device_bytes
    )


def has_another(inbox: InboxState, limits: InboxLimits, device: str) -> bool:
    """
    Whether there is another registered device than this one, to which a copy can go.

    One that is too far behind is about to be forgotten: it gets none, or copies that nobody acknowledges would grow
    without end.
    """
    return any(
        name not in (UNNAMED, device) and not is_too_far_behind(inbox, limits, name, other)
        for name, other in inbox.devices.items()
    )


def forget_unused(inbox: InboxState, limits: InboxLimits, now: int) -> list[str]:
    """
    Forget devices that are too far behind, or that were not used for too long before ``now`` (ms).

    :return: those of them that are logged in.
    """
    unused = now - limits.device_days * _DAY if limits.device_days else 0
    online = []
    for name, one in list(inbox.devices.items()):
        is_behind = is_too_far_behind(inbox, limits, name, one)
        if is_behind or (one.used < unused and not one.online):
            del inbox.devices[name]
            if one.online:
                online.append(name)
    return online
