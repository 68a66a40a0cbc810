"""What nodes that share their stores publish about themselves, and what they ought to have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import orjson


@dataclass(frozen=True)
class NodeFacts:
    """
    What a node publishes about itself.

    ``secret`` is the fingerprint of its token secret, ``features`` are those of clients that it knows. ``history`` says
    how it keeps the history, empty if it does not say.
    """

    version: str
    secret: str
    features: tuple[str, ...] = ()
    history: str = ""

    def to_text(self) -> str:
        """The facts as JSON, for :func:`parse_facts`."""
        return orjson.dumps(asdict(self)).decode()


def parse_facts(text: str) -> NodeFacts:
    """Read the facts of a node; they are empty if ``text`` does not have them."""
    try:
        facts = orjson.loads(text)
        features = tuple(map(str, facts.get("features", ())))
        history = str(facts.get("history", ""))
        return NodeFacts(str(facts["version"]), str(facts["secret"]), features, history)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return NodeFacts("", "")


def differences(nodes: Mapping[str, str]) -> list[str]:
    """
    Find what nodes ought to have in common and have not.

    ``nodes`` are the published facts by the node's name. The result has a line for each difference.
    """
    facts = {name: parse_facts(text) for name, text in sorted(nodes.items())}
    return [*_other_secrets(facts), *_other_histories(facts), *_older_nodes(facts)]


def _other_secrets(facts: Mapping[str, NodeFacts]) -> list[str]:
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


def _other_histories(facts: Mapping[str, NodeFacts]) -> list[str]:
    by_history: dict[str, list[str]] = {}
    for name, one in facts.items():
        if one.history:
            by_history.setdefault(one.history, []).append(name)
    if len(by_history) < 2:
        return []
    groups = " | ".join(f"{how}: {', '.join(names)}" for how, names in by_history.items())
    return [
        "nodes keep different histories, so some of what is said may be in none: give all the same --history-days"
        f" and --edit-minutes ({groups})"
    ]


def _older_nodes(facts: Mapping[str, NodeFacts]) -> list[str]:
    known = {feature for one in facts.values() for feature in one.features}
    older = [name for name, one in facts.items() if not known.issubset(one.features)]
    if not older:
        return []
    lacking = known - known.intersection(*(one.features for one in facts.values()))
    return [
        f"nodes of an older version keep clients from what they ask for ({', '.join(sorted(lacking))}):"
        f" stop them, and never start one again on these data ({', '.join(older)})"
    ]
