"""
Logs an account in as a registered device, where the server grants that.

What other devices left is settled before.

With a registered device a connection is introduced once: to speak as another one, the client connects anew. So a
connection says at first that it knows of registered devices and names none; it is introduced as the outbox's device
when all that is to be done as another one is done, and that is

- to learn the inbox's epoch as the unnamed device, when only that tells what was shown (``reading.py``);
- to settle what processes that are gone left in other slots of the file, at the first log-in of this process;
- to settle what was sent under a device that was given up (``sender.py``).

**What another terminal left** its user's terminals are shown once, each as a copy. If the server stored it while that
terminal lived, the copies are made, and this terminal has shown its own or is about to. If not, it is stored now, in a
session of that terminal's registered device, which makes copies; nothing that waits for that device is acknowledged
there. Where this terminal's device is not registered yet it gets no copy, so it shows the confirmations. Where the
other's is not any more, as it was forgotten, or never was, as a script's, nothing registers it: what is stored then
makes no copies, and only this terminal shows it.

**A device that was given up stays registered** until the server forgets it for want of use: whoever uses it, as a clone
of this machine or of its state does, is another living device, and this client cannot tell whether there is one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from twisted.internet.interfaces import IReactorTime

from chatsvc.client.conversation.errand import Errand
from chatsvc.client.conversation.hello import HelloSession
from chatsvc.client.conversation.presenter import Presenter
from chatsvc.client.conversation.requests import RequestTracker
from chatsvc.client.state.outbox import Outbox
from chatsvc.client.state.shown import Position
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem

_MOST_ERRANDS = 8
"""Log-ins for what one outbox has left, one after the other, before the rest is left for another time."""


class _Refused(Exception):
    """The server refuses a log-in."""

    def __init__(self, answer: e.Event) -> None:
        super().__init__()
        self.answer = answer


class DeviceLogin:
    """
    Logs accounts in on the present connection.

    ``errand`` is the one that is under way. ``entering``: there is a log-in under way.
    """

    def __init__(
        self,
        clock: IReactorTime,
        requests: RequestTracker,
        hello: HelloSession,
        presenter: Presenter,
    ) -> None:
        self.errand: Errand | None = None
        self.entering = False
        self._clock = clock
        self._requests = requests
        self._hello = hello
        self._presenter = presenter
        self._doubts: dict[Outbox, Position] = {}

    def doubt(self, outbox: Outbox, place: Position) -> None:
        """Before the next log-in, learn whether all up to a message was shown."""
        self._doubts[outbox] = place

    def connection_lost(self) -> None:
        """The connection is gone."""
        if self.errand is not None:
            self.errand.connection_lost()

    async def find_uid(self, way: c.Auth) -> e.Event:
        """
        Log in by name, for the uid and a token, and out again.

        :return: the server's answer; ``LoggedIn`` has both
        :raise RequestLost: the connection was lost
        :raise NotIntroduced: another connection is needed
        """
        if not self._hello.knows_features:
            return self._presenter.rejection("bad-request", Problem.UID_NOT_INTEGER)
        self.entering = True
        try:
            return await self._pass_through(replace(way, receive=False))
        except _Refused as refused:
            return refused.answer
        finally:
            self.entering = False

    async def enter(self, way: c.Auth, outbox: Outbox, *, first: bool) -> e.Event:
        """
        Log in.

        :param first: for the first time in this process
        :return: the server's answer
        :raise RequestLost: the connection was lost
        :raise NotIntroduced: another connection is needed
        """
        self.entering = True
        try:
            way = await self._settle(way, outbox, first=first)
            await self._hello.introduce(outbox.present_device)
            return await self._requests.ask_at_once(self._with_cursor(way, outbox))
        except _Refused as refused:
            return refused.answer
        finally:
            self.entering = False

    async def _settle(self, way: c.Auth, outbox: Outbox, *, first: bool) -> c.Auth:
        """Do all that is to be done as another device; the way to log in next."""
        way = await self._learn_epoch(way, outbox)
        if first:
            way = await self._settle_others(way, outbox)
        tries = _MOST_ERRANDS
        while outbox.device != outbox.present_device and tries:
            way = await self._go(way, outbox)
            tries -= 1
        return way

    def _with_cursor(self, way: c.Auth, outbox: Outbox) -> c.Auth:
        if not self._hello.granted:
            return replace(way, after=outbox.last_shown)
        place = outbox.shown.position
        if not place.serial:
            # Either nothing was shown yet, or a message from before there were serials, which are all alike to the
            # server: it knows better how far this device has acknowledged, and what comes again is dropped.
            return way
        return replace(way, after=place.id, serial=place.serial)

    async def _learn_epoch(self, way: c.Auth, outbox: Outbox) -> c.Auth:
        place = self._doubts.get(outbox)
        if place is None:
            return way
        answer = await self._pass_through(replace(way, after=outbox.last_shown, receive=True))
        outbox.logged_in(answer.epoch)
        if outbox.shown.before:
            outbox.shown.settle(place)
        del self._doubts[outbox]
        return _by_token(answer)

    async def _settle_others(self, way: c.Auth, outbox: Outbox) -> c.Auth:
        others = outbox.left()
        try:
            registered: Collection[str] = ()
            if others and self._hello.knows_features:
                way, registered = await self._list_devices(way)
            if outbox.present_device not in registered:
                registered = ()
            for other in others:
                tries = _MOST_ERRANDS
                while other.count() and tries:
                    way = await self._go(way, other, registered)
                    tries -= 1
        finally:
            for other in others:
                other.close()
        return way

    async def _list_devices(self, way: c.Auth) -> tuple[c.Auth, Collection[str]]:
        """Learn which devices are registered; the way to log in next, and their names."""
        await self._hello.introduce_plainly("")
        answer = await self._ask(replace(way, receive=False))
        listed = await self._requests.ask_at_once(c.Devices())
        await self._requests.ask_at_once(c.Logout())
        devices = listed.devices if isinstance(listed, e.DevicesListed) else ()
        return _by_token(answer), [one.device for one in devices]

    async def _go(self, way: c.Auth, outbox: Outbox, registered: Collection[str] = ()) -> c.Auth:
        """
        Send as a device what an outbox has under it.

        :param registered: the user's registered devices, this terminal's among them; empty: it is shown no copies
        :return: the way to log in next
        """
        device, copies = outbox.device, False
        if device == outbox.present_device and device in registered:
            await self._hello.introduce(device)
            copies = self._hello.granted
        else:
            await self._hello.introduce_plainly(device)
        answer = await self._ask(replace(way, receive=copies))
        copied = bool(registered) and outbox.is_terminal
        self.errand = Errand(
            *(self._clock, outbox, self._presenter, self._requests, answer),
            is_copied=lambda confirmed: copied if confirmed.duplicate else copies,
        )
        try:
            await self.errand.done()
            taken = self.errand.taken
        finally:
            self.errand = None
        if not taken:
            await self._requests.ask_at_once(c.Logout())
        return _by_token(answer)

    async def _pass_through(self, way: c.Auth) -> e.LoggedIn:
        """Log in without a device, and out again."""
        await self._hello.introduce_plainly("")
        answer = await self._ask(way)
        await self._requests.ask_at_once(c.Logout())
        return answer

    async def _ask(self, way: c.Auth) -> e.LoggedIn:
        answer = await self._requests.ask_at_once(way)
        if not isinstance(answer, e.LoggedIn):
            raise _Refused(answer)
        return answer


def _by_token(answer: e.LoggedIn) -> c.Auth:
    return c.Auth(answer.uid, token=answer.token)
