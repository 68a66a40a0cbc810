"""What nodes that share their stores say about themselves, and what they ought to have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import orjson


@dataclass(frozen=True)
class NodeFacts:
    """``secret`` is the fingerprint of the token secret."""

    version: str
    secret: str

    def to_text(self) -> str:
        """These facts, as :func:`parse_facts` reads them."""
        return orjson.dumps(asdict(self)).decode()


def parse_facts(text: str) -> NodeFacts:
    """The facts of a node, empty where it does not tell them."""
    try:
        told = orjson.loads(text)
        return NodeFacts(str(told["version"]), str(told["secret"]))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return NodeFacts("", "")


def differences(nodes: Mapping[str, str]) -> list[str]:
    """What ``nodes``, by name, ought to have in common and have not: a line each."""
    facts = {name: parse_facts(text) for name, text in sorted(nodes.items())}
    by_secret: dict[str, list[str]] = {}
    for name, one in facts.items():
        by_secret.setdefault(one.secret, []).append(name)
    if len(by_secret) < 2:
        return []
    groups = " | ".join(", ".join(names) for names in by_secret.values())
    return [
        "nodes do not share the token secret, so users who move must type their passwords: give all"
        f" the same token.secret ({groups})"
    ]
