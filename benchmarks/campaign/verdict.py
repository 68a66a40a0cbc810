"""
What the journals say: was everything that was confirmed shown, once and in order, and nothing that was refused?

A store that goes back loses what came after a copy of it was made. The campaign records each such loss
(``losses.py``): it began at FROM, just before the store was held to be copied, and ended at TO, when the process that
had more was dead; in the copy waited the messages of a list. This alone is exempt, all else is strict:

*Lost with the store* may be a confirmed message that nobody was shown, if the sender was told after FROM, the server
had accepted it (``at`` of the answer) before TO, and it did not wait in the copy. Who was told before FROM was told
of what is in the copy; what was accepted after TO, a repetition too, was stored, or found, in the store that came
back.

*Shown again* after TO may be a message that waited in the copy, or one that was shown before after FROM, having been
accepted (``at`` of the message) before TO: the store has lost that it was acknowledged, or that it was stored at all.
For each loss once. The order is counted on from there.

*Refused* is a message for good, but one that was shown of what the store lost (shown after FROM, accepted before TO)
may be refused afterwards: the store knows nothing of it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.campaign.journal import Entry, entries
from benchmarks.campaign.losses import LOSSES, Loss, read_losses

_Pair = tuple[str, int]
"""A sender and a reader."""


@dataclass(frozen=True)
class _Told:
    """Of a message K: when it was confirmed or shown, and when the server had accepted it, in seconds since 1970."""

    k: int
    time: float
    at: float


@dataclass
class Verdict:
    """What became of all messages; ``examples`` are the first of those that give rise to complaints."""

    confirmed: int = 0
    refused: int = 0
    lost: int = 0
    shown_twice: int = 0
    out_of_order: int = 0
    shown_though_refused: int = 0
    lost_with_store: int = 0
    """Confirmed ones that the store lost when it went back: exempt."""
    shown_again: int = 0
    """Showings that come of that, too: exempt."""
    kicked: int = 0
    """Times that a user was logged out for a log-in that had failed, or was given up: a nuisance, not a loss."""
    devices: int = 0
    """Times that a user took a new device, because its numbers had been used."""
    examples: list[str] = field(default_factory=list)

    def blame(self, kind: str, pair: _Pair, k: int) -> None:
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.examples) < 10:
            self.examples.append(f"{kind}: {pair[0]}>{pair[1]}#{k}")


class _Records:
    """All journals, by sender and reader."""

    def __init__(self) -> None:
        self.confirmed: dict[_Pair, dict[int, _Told]] = defaultdict(dict)
        self.refused: dict[_Pair, set[int]] = defaultdict(set)
        self.shown: dict[_Pair, list[_Told]] = defaultdict(list)

    def take(self, owner: str, entry: Entry) -> None:
        if entry.kind == "c":
            to, k, at = map(int, entry.words)
            # Who has forgotten its numbers may be told twice.
            self.confirmed[owner, to].setdefault(k, _Told(k, entry.time, at / 1000))
        elif entry.kind == "x":
            to, k = map(int, entry.words)
            self.refused[owner, to].add(k)
        elif entry.kind == "s":
            _, sender, k_shown, at_shown = entry.words
            told = _Told(int(k_shown), entry.time, int(at_shown) / 1000)
            self.shown[sender, int(owner)].append(told)


def reconcile(folder: Path) -> Verdict:
    """Compare what every sender was told with what every reader was shown."""
    verdict, records = Verdict(), _Records()
    for path in folder.glob("*.journal"):
        for entry in entries(path):
            records.take(path.stem, entry)
            verdict.kicked += entry.kind == "k"
            verdict.devices += entry.kind == "d"
    losses = read_losses(folder / LOSSES)
    for pair, confirmed in records.confirmed.items():
        _judge_confirmed(verdict, pair, confirmed, records.shown[pair], losses)
    for pair, refused in records.refused.items():
        _judge_refused(verdict, pair, refused, records.shown[pair], losses)
    for pair, shown in records.shown.items():
        _judge_shown(verdict, pair, shown, losses)
    return verdict


def _judge_confirmed(
    verdict: Verdict,
    pair: _Pair,
    confirmed: dict[int, _Told],
    shown: list[_Told],
    losses: list[Loss],
) -> None:
    verdict.confirmed += len(confirmed)
    for k in sorted(set(confirmed) - {told.k for told in shown}):
        told = confirmed[k]
        if any(_in(loss, told) and (*pair, k) not in loss.waiting for loss in losses):
            verdict.lost_with_store += 1
        else:
            verdict.blame("lost", pair, k)


def _judge_refused(
    verdict: Verdict, pair: _Pair, refused: set[int], shown: list[_Told], losses: list[Loss]
) -> None:
    verdict.refused += len(refused)
    for told in shown:
        if told.k in refused and not any(_in(loss, told) for loss in losses):
            verdict.blame("shown_though_refused", pair, told.k)


def _judge_shown(verdict: Verdict, pair: _Pair, shown: list[_Told], losses: list[Loss]) -> None:
    seen: dict[int, list[_Told]] = defaultdict(list)
    newest = 0
    for told in shown:
        before, k = seen[told.k], told.k
        reasons = [
            loss
            for loss in losses
            if loss.end <= told.time
            and ((*pair, k) in loss.waiting or any(_in(loss, other) for other in before))
        ]
        if before and len(before) <= len(reasons):
            verdict.shown_again += 1
            newest = k
        elif before:
            verdict.blame("shown_twice", pair, k)
        elif k < newest:
            verdict.blame("out_of_order", pair, k)
        before.append(told)
        newest = max(newest, k)


def _in(loss: Loss, told: _Told) -> bool:
    """Whether this was told after the copy, of a message that was accepted before the data was lost."""
    return told.time >= loss.begin and told.at <= loss.end
