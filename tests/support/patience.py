"""How long something takes, compared with what a busy machine makes late as well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorTime


@contextmanager
def sooner_than(seconds: float) -> Iterator[None]:
    """
    Fail unless what is done here is over before a call of the same reactor is due in so many seconds.

    Both are timed by one reactor: where one is late, so is the other.

    :raise AssertionError: when the call came first
    """
    timed = IReactorTime(reactor)
    call = timed.callLater(seconds, lambda: None)
    yield
    if not call.active():
        raise AssertionError(f"it was not over within {seconds} s")
    call.cancel()
