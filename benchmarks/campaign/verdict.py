"""What the journals say: was everything that was confirmed shown, once and in order?"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.campaign.journal import entries


@dataclass
class Verdict:
    """What became of all messages; ``examples`` are the first of those that give rise to complaints."""

    confirmed: int = 0
    lost: int = 0
    shown_twice: int = 0
    out_of_order: int = 0
    kicked: int = 0
    """Times that a user was logged out for a log-in that had failed, or was given up: a nuisance, not a loss."""
    examples: list[str] = field(default_factory=list)

    def blame(self, kind: str, sender: int, reader: int, k: int) -> None:
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.examples) < 10:
            self.examples.append(f"{kind}: {sender}>{reader}#{k}")


def reconcile(folder: Path, uids: list[int]) -> Verdict:
    """Compare what every sender was told with what every reader was shown."""
    verdict = Verdict()
    confirmed: dict[tuple[int, int], list[int]] = defaultdict(list)
    shown: dict[tuple[int, int], list[int]] = defaultdict(list)
    for uid in uids:
        for kind, *words in entries(folder / f"{uid}.journal"):
            if kind == "c":
                confirmed[uid, int(words[0])].append(int(words[1]))
            elif kind == "s":
                shown[int(words[1]), uid].append(int(words[2]))
            verdict.kicked += kind == "k"
    for pair, ks in confirmed.items():
        verdict.confirmed += len(ks)
        for k in sorted(set(ks) - set(shown[pair])):
            verdict.blame("lost", *pair, k)
    for pair, ks in shown.items():
        seen: set[int] = set()
        newest = 0
        for k in ks:
            if k in seen:
                verdict.blame("shown_twice", *pair, k)
            elif k < newest:
                verdict.blame("out_of_order", *pair, k)
            seen.add(k)
            newest = max(newest, k)
    return verdict
