"""What a sender is answered, by the outcome of the message."""

from __future__ import annotations

from collections.abc import Container

from chatsvc.inbox.interface import Duplicate, Full, Gap, Moved, Outcome, Stored
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem


def answer(
    command: c.Send, outcome: Outcome | None, message: e.Message, online: Container[int]
) -> e.Event:
    """
    Give the answer to ``command``; ``online`` has the uids of those who read on this node.

    ``outcome`` None means that the store did not answer in time, so that nobody knows.
    """
    to, n = command.to, command.n
    if isinstance(outcome, Stored | Duplicate):
        is_online = outcome.elsewhere or to in online
        repeated = type(outcome) is Duplicate
        return e.Sent(to, outcome.id, message, is_online, outcome.waiting, repeated, re=n)
    if isinstance(outcome, Full):
        problem = Problem.SHARE_FULL if outcome.share else Problem.INBOX_FULL
        return e.Refused(problem, to=to, waiting=outcome.waiting, re=n)
    if isinstance(outcome, Moved):
        return e.Refused(Problem.NOT_LOGGED_IN, to=to, re=n)
    if isinstance(outcome, Gap):
        return e.Refused(Problem.GAP, to=to, expected=outcome.expected, re=n)
    return e.Refused(Problem.MAYBE_NOT_STORED, to=to, re=n)
