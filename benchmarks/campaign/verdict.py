"""
What the journals say: was everything that was confirmed shown, once and in order, and nothing that was refused?

A store that goes back loses what came after a moment. The campaign records each such loss (``losses.py``): it began at
FROM, just before the moment to which the store went back, or past which, and ended at TO, when the process that had
more was dead; what waited in the data that came back, and the last id that each inbox had given out there. This alone
is exempt, all else is strict:

*Lost with the store* may be a message that was confirmed after FROM, that the server had accepted (``at`` of the
answer) before TO, and that does not wait in the data which came back, under an id above the last one there, or one that
nobody knows. Who was told before FROM was told of what is in these data; what was accepted after TO, a repetition too,
was stored, or found, in them.

*Shown again* after TO may be a message that waits in the data which came back, for they know no acknowledgement of it,
or one that was shown after FROM, that the server had accepted (``at`` of the message) before TO, under an id above the
last one in these data: they know nothing of it. For each loss once. The order is counted on from there.

*Refused* is a message for good, and must not be shown, but for one that was shown of what the store lost, as above: it
may be refused afterwards.
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
    """
    Of a message K: when it was confirmed or shown, when the server had accepted it, in seconds since 1970, and under
    which id; 0: nobody knows.
    """

    k: int
    time: float
    at: float
    id: int


@dataclass
class Verdict:
    """What became of all messages; ``examples`` are the first of those that give rise to complaints."""

    confirmed: int = 0
    refused: int = 0
    lost: int = 0
    passed_over: int = 0
    """Those lost ones whose reader was shown a later message of the same sender: they cannot come any more."""
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
            to, k, at, id = map(int, entry.words)
            self.confirmed[owner, to][k] = _Told(k, entry.time, at / 1000, id)
        elif entry.kind == "x":
            to, k = map(int, entry.words)
            self.refused[owner, to].add(k)
        elif entry.kind == "s":
            sender = entry.words.pop(1)
            id, k, at = map(int, entry.words)
            told = _Told(k, entry.time, at / 1000, id)
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
        if any(_is_unknown(loss, pair, told) for loss in losses):
            verdict.lost_with_store += 1
        else:
            verdict.blame("lost", pair, k)
            verdict.passed_over += any(other.k > k for other in shown)


def _judge_refused(
    verdict: Verdict, pair: _Pair, refused: set[int], shown: list[_Told], losses: list[Loss]
) -> None:
    verdict.refused += len(refused)
    for told in shown:
        if told.k in refused and not any(_is_unknown(loss, pair, told) for loss in losses):
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
            and ((*pair, k) in loss.waiting or any(_is_unknown(loss, pair, o) for o in before))
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


def _is_unknown(loss: Loss, pair: _Pair, told: _Told) -> bool:
    """Whether the data that came back know nothing of a message which was told of before the loss."""
    lies_within = told.time >= loss.begin and told.at <= loss.end
    is_known = (*pair, told.k) in loss.waiting or 0 < told.id <= loss.last.get(pair[1], 0)
    return lies_within and not is_known
