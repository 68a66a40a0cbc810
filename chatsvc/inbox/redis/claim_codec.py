"""Claims as the script takes them, and its answers."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from chatsvc.inbox.claim import (
    InboxClaim,
    NotRegistered,
    Registration,
    TakenOver,
    TooManyDevices,
)
from chatsvc.inbox.redis.script import NO_ANSWER
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire.events import Device, Missed

_REFUSALS: dict[str, Callable[[], Exception]] = {
    "unregistered": NotRegistered,
    "too-many": TooManyDevices,
    "late": partial(StoreUnavailable, NO_ANSWER),
}
"""What the script answers to a claim that it does not grant. `late`: the claim ran after it had been given up."""


def encode_claim(
    uid: int,
    after: int | None,
    renewed: int | None,
    device: str,
    origin: str,
    registration: Registration | None,
) -> dict[str, Any]:
    """The script's arguments for a claim; what is not known is left out."""
    arguments: dict[str, Any] = {"uid": str(uid), "fresh": secrets.token_hex(8)}
    if after is not None:
        arguments["after"] = after
    if renewed is not None:
        arguments["renewed"] = renewed
    if device:
        arguments["device"] = device
    if origin:
        arguments["origin"] = origin
    if registration is not None:
        arguments["client"] = registration.client
        if registration.serial is not None:
            arguments["serial"] = str(registration.serial)
    return arguments


def require_granted(answer: Any) -> None:
    """
    Raise what a claim's answer says if the script did not grant it.

    :raise TakenOver: another node holds the device.
    :raise NotRegistered: the device is not registered any more.
    :raise TooManyDevices: there is no room for another one.
    :raise StoreUnavailable: the claim came too late.
    """
    if not answer:
        raise TakenOver
    refusal = _REFUSALS.get(answer[0]) if isinstance(answer[0], str) else None
    if refusal is not None:
        raise refusal()


def decode_claim(answer: Any) -> InboxClaim:
    """A claim of the unnamed device."""
    generation, epoch, last_id, waiting, position, expired = answer
    return InboxClaim(generation, epoch, last_id, waiting, position, expired, position)


def decode_registered_claim(answer: Any) -> InboxClaim:
    """A claim of a registered device."""
    generation, last_id, waiting, position, expired, begin, serial, missed, registered_at = answer
    return InboxClaim(
        *(generation, "", last_id, waiting, position, expired, begin, int(serial)),
        _missed(*missed) if missed else None,
        int(registered_at),
    )


def decode_devices(found: Sequence[Sequence[Any]]) -> list[Device]:
    """A user's registered devices, the first registered first."""
    listed = [
        Device(name, client, int(first), int(used), online)
        for name, client, first, used, online in found
    ]
    return sorted(listed, key=lambda device: (device.first, device.device))


def _missed(after: int, until: int, serial: str) -> Missed:
    return Missed(after, until, int(serial) or None)
