"""What is said of the devices of one's account."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from chatsvc.wire import events as e
from chatsvc.wire.sanitize import sanitized

SHORT_ID = 8
"""Digits of a device's id that are shown."""


@dataclass(frozen=True)
class DeviceTexts:
    """The texts of one language."""

    device: str
    online: str
    offline: str
    this: str
    none: str
    forgotten: str
    not_listed: str


ZH = DeviceTexts(
    device="{number:>3}  {id}  {client}  首次登录 {first}  最近使用 {last}  {state}{this}",
    online="在线",
    offline="离线",
    this="  本设备",
    none="没有已登记的设备!",
    forgotten="设备 {id} 已移除, 它保存的登录也已失效!",
    not_listed="没有这台设备, 请先输入 devices 查看编号!",
)

EN = DeviceTexts(
    device="{number:>3}  {id}  {client}  first seen {first}  last used {last}  {state}{this}",
    online="online",
    offline="away",
    this="  this one",
    none="No device is registered!",
    forgotten="Device {id} is forgotten, and so is the log-in that it remembers!",
    not_listed="There is no such device, devices lists their numbers!",
)

DEVICE_TEXTS = {"zh": ZH, "en": EN}


def device_lines(listed: e.DevicesListed, lang: str) -> Iterator[str]:
    """Give a line for each device, numbered from 1, or one that says that there is none."""
    texts = DEVICE_TEXTS[lang]
    if not listed.devices:
        yield texts.none
    for number, device in enumerate(listed.devices, 1):
        yield texts.device.format(
            number=number,
            id=device.device[:SHORT_ID],
            client=sanitized(device.client) or "-",
            first=_minute(device.first),
            last=_minute(device.last),
            state=texts.online if device.online else texts.offline,
            this=texts.this if device.device == listed.this else "",
        )


def _minute(ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(ms // 1000))
