"""Whether a Redis is new enough, and which of its settings endanger messages."""

from __future__ import annotations

from typing import Any

import txredisapi

from chatsvc.storage.url import StoreMisconfigured, StoreURL

_OLDEST = (6, 2)
"""The first version in which SET has GET and XTRIM has MINID."""

_SETTINGS = (
    "appendonly",
    "appendfsync",
    "save",
    "maxmemory",
    "maxmemory-policy",
    "min-replicas-to-write",
)


async def require_version(protocol: Any, url: StoreURL) -> None:
    """
    Ask Redis for its version.

    :raise StoreMisconfigured: it is too old.
    """
    facts = parse_info(await protocol.execute_command("INFO", "server"))
    version = facts.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        raise StoreMisconfigured(f"{url}: Redis {version} is too old, 6.2 or newer is needed")


async def endangering_settings(protocol: Any, url: StoreURL) -> list[str]:
    """Ask Redis for its settings; return warnings about those that endanger messages, one line each."""
    try:
        flat = [
            word.decode()
            for name in _SETTINGS
            for word in await protocol.execute_command("CONFIG", "GET", name)
        ]
    except txredisapi.ResponseError:
        return [f"{url}: Redis does not tell its settings, see that it keeps messages on disk"]
    settings = dict(zip(flat[::2], flat[1::2], strict=True))
    return risks(url, settings | parse_info(await protocol.execute_command("INFO")))


def parse_info(info: bytes) -> dict[str, str]:
    """The fields of INFO's answer, by name."""
    lines = info.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def product(facts: dict[str, str]) -> str:
    """The kind and version of a server, by what it says of itself."""
    if "valkey_version" in facts:
        return f"Valkey {facts['valkey_version']}"
    return f"Redis {facts.get('redis_version', '?')}"


def risks(url: StoreURL, settings: dict[str, str]) -> list[str]:
    """
    The settings that endanger messages, a line each.

    ``settings`` are those of CONFIG together with the fields of INFO; they have no name in common.
    """
    found = []
    if settings.get("role") == "slave":
        found.append("is a replica and stores nothing: name the one that it copies")
    if settings.get("aof_last_write_status", "ok") != "ok":
        found.append("could not write to its disk: see its log")
    if settings.get("appendonly") != "yes":
        if settings.get("save"):
            found.append("keeps messages on disk only now and then: set appendonly yes")
        else:
            found.append("keeps nothing on disk: set appendonly yes")
    elif settings.get("appendfsync") != "always":
        found.append("can lose the last second in a crash: set appendfsync always")
    if settings.get("maxmemory", "0") != "0" and settings.get("maxmemory-policy") != "noeviction":
        found.append("may evict waiting messages: set maxmemory-policy noeviction")
    replicas = settings.get("role") == "master" and settings.get("connected_slaves", "0") != "0"
    if replicas and settings.get("min-replicas-to-write", "0") == "0":
        found.append("loses messages when a replica takes over: set min-replicas-to-write 1")
    return [f"{url}: Redis {risk}" for risk in found]
