"""What users do with own messages that were confirmed: edit some, retract some, and ask again until it is done."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.campaign.journal import RETRACTION, Journal, edit_text

_EDITED = 1 / 30
_RETRACTED = 1 / 60
"""The shares of the messages that are edited and retracted."""

_MORE = 0.3
"""The share of the edits that are followed by another one…"""

_THE_SAME = 0.2
"""…of the changes that are asked for again though they were confirmed…"""

_AT_ONCE = 0.3
"""…and of the retractions behind an edit that do not wait for its answer."""

_IN = (0.0, 4.0)
"""Seconds after which a message is changed…"""

_BETWEEN = (0.05, 1.0)
"""…between two changes of it…"""

_AGAIN = (0.3, 1.5)
"""…and before one is tried again whose outcome is not known."""

_GIVEN_UP = 0.04
"""The share of those tried again that are given up instead."""

_FOR_NOW = ("store-unavailable", "inbox-full", "not-logged-in", "throttled")
"""Answers after which a change is tried again, if it is not given up."""

_FOR_GOOD = ("forbidden", "not-a-member", "unknown-room")

_EDIT, _SAME, _RETRACT, _EDIT_AND_RETRACT = "edit", "same", "retract", "edit-and-retract"


@dataclass
class _Plan:
    """What is still to be done with a message, and when."""

    due: float
    serial: int
    to: int
    k: int
    steps: list[str]
    last: int = RETRACTION


class Changing:
    """
    The changes of one session, called ``name``; ``ask`` sends a command and returns its number.

    Of one message there is one change at a time, but where a retraction follows at once upon an edit.
    """

    def __init__(self, name: str, journal: Journal, ask: Callable[..., int]) -> None:
        self._name = name
        self._journal = journal
        self._ask = ask
        self._plans: list[_Plan] = []
        self._asked: dict[int, tuple[int, int]] = {}
        """What is not answered on this connection, by the number of the command."""
        self._due: dict[tuple[int, int], float] = {}
        """When what is not confirmed is tried again."""

    def plan(self, to: int, k: int, serial: int) -> None:
        """Perhaps plan something with a message that was just confirmed."""
        steps = []
        if random.random() < _EDITED:
            steps += [_EDIT, *_perhaps(_MORE, _EDIT), *_perhaps(_THE_SAME, _SAME)]
        if random.random() < _RETRACTED or (steps and random.random() < _THE_SAME):
            if steps and random.random() < _AT_ONCE:
                steps.append(_EDIT_AND_RETRACT)
            else:
                steps += [_RETRACT, *_perhaps(_THE_SAME, _SAME)]
        if steps:
            due = asyncio.get_running_loop().time() + random.uniform(*_IN)
            self._plans.append(_Plan(due, serial, to, k, steps))

    def resume(self) -> None:
        """After a log-in: ask for what was not confirmed again, in order."""
        self._asked, self._due = {}, {}
        for serial, n in list(self._journal.changes):
            self._try_again(serial, n)

    def act(self, now: float, *, is_over: bool) -> None:
        """Ask for what is due; ``is_over``: begin nothing new."""
        for key in [key for key, due in self._due.items() if due <= now]:
            del self._due[key]
            self._try_again(*key)
        if is_over:
            self._plans.clear()
        changing = {serial for serial, _ in self._journal.changes}
        for plan in [one for one in self._plans if one.due <= now]:
            if plan.serial not in changing:
                self._do_next(plan)
                plan.due = now + random.uniform(*_BETWEEN)
        self._plans = [plan for plan in self._plans if plan.steps]

    def answered(self, thing: dict[str, Any]) -> bool:
        """Take the answer to a command; False: it is none to a change."""
        if thing["type"] not in ("ok", "error") or thing.get("re") not in self._asked:
            return False
        serial, n = self._asked.pop(thing["re"])
        if thing["type"] == "ok":
            self._journal.record("vk", serial, n)
        elif thing["code"] in _FOR_NOW:
            now = asyncio.get_running_loop().time()
            self._due[serial, n] = now + random.uniform(*_AGAIN)
        else:
            if thing["code"] not in _FOR_GOOD:
                self._journal.record("w", "refused-change:", thing["code"])
            self._journal.record("vx", serial, n, thing["code"])
            self._plans = [plan for plan in self._plans if plan.serial != serial]
        return True

    def _try_again(self, serial: int, n: int) -> None:
        if random.random() < _GIVEN_UP:
            self._journal.record("vx", serial, n, "-")
        else:
            self._send(serial, n, *self._journal.changes[serial, n])

    def _do_next(self, plan: _Plan) -> None:
        step = plan.steps.pop(0)
        if step in (_EDIT, _EDIT_AND_RETRACT):
            plan.last = self._journal.edits[plan.serial] + 1
        elif step == _RETRACT:
            plan.last = RETRACTION
        self._send(plan.serial, plan.last, plan.to, plan.k)
        if step == _EDIT_AND_RETRACT:
            self._send(plan.serial, RETRACTION, plan.to, plan.k)

    def _send(self, serial: int, n: int, to: int, k: int) -> None:
        self._journal.record("v", serial, n, to, k)
        if n == RETRACTION:
            number = self._ask(type="retract", serial=serial)
        else:
            text = edit_text(self._name, to, k, n)
            number = self._ask(type="edit", serial=serial, text=text)
        self._asked[number] = serial, n


def _perhaps(share: float, step: str) -> list[str]:
    return [step] if random.random() < share else []
