"""What nodes that share their stores publish about themselves, and what they ought to have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import orjson


@dataclass(frozen=True)
class NodeFacts:
    """What a node publishes about itself; ``secret`` is the fingerprint of its token secret."""

    version: str
    secret: str

    def to_text(self) -> str:
        """The facts as JSON, for :func:`parse_facts`."""
        return orjson.dumps(asdict(self)).decode()


def parse_facts(text: str) -> NodeFacts:
    """Read the facts of a node; they are empty if ``text`` does not have them."""
    try:
        facts = orjson.loads(text)
        return NodeFacts(str(facts["version"]), str(facts["secret"]))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return NodeFacts("", "")


def differences(nodes: Mapping[str, str]) -> list[str]:
    """
    Find what nodes ought to have in common and have not.

    ``nodes`` are the published facts by the node's name. The result has a line for each difference.
    """
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
