"""Promises that a campaign has found broken."""

from __future__ import annotations

from dataclasses import dataclass, field

_MOST_EXAMPLES = 20


@dataclass
class Complaints:
    """Counts of complaints, one field a kind; ``examples`` are the first of what gave rise to them."""

    examples: list[str] = field(default_factory=list, kw_only=True)

    def blame(self, kind: str, what: str) -> None:
        """Count a complaint."""
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.examples) < _MOST_EXAMPLES:
            self.examples.append(f"{kind}: {what}")
