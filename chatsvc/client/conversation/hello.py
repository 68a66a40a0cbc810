"""Says hello: tells the server as which device, and in which language, the client speaks on its connection."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from chatsvc import __version__
from chatsvc.client.conversation.account import AccountSession, DeliveryResult
from chatsvc.client.conversation.presenter import Presenter
from chatsvc.client.conversation.requests import RequestLost, RequestTracker, request_backoff
from chatsvc.wire import commands as c
from chatsvc.wire import events as e

CLIENT = f"chatsvc/{__version__}"


class HelloSession:
    """What the server knows of this client by the last ``hello``. ``device`` is for the next one; empty: none."""

    def __init__(self, clock: IReactorTime, requests: RequestTracker, presenter: Presenter) -> None:
        self._clock = clock
        self._requests = requests
        self._presenter = presenter
        self.device = ""

    def hello(self) -> Deferred[e.Event]:
        """Say hello on the present connection; fires with the server's answer or fails with :class:`RequestLost`."""
        hello = c.Hello(client=CLIENT, device=self.device, lang=self._presenter.lang)
        return self._requests.ask_at_once(hello)

    async def switch_device(self, account: AccountSession, goes_on: Callable[[], bool]) -> None:
        """Speak as the device for which an account's messages wait; try until it works, while it ``goes_on``."""
        backoff = request_backoff()
        while goes_on():
            if await self._announce(account, account.outbox.device):
                return
            await deferLater(self._clock, backoff.delay())

    async def repeat(
        self, account: AccountSession, to: int, n: int, text: str
    ) -> DeliveryResult | None:
        """
        Send a confirmed message once more, as the device whose number it had.

        :return: what the server says of it; None: not now
        """
        before, device = self.device, account.confirmed_as(to)
        if device != before:
            if account.outbox.count():
                return None  # these go first
            if not await self._announce(account, device):
                account.use_device(before)
                return None
        return await account.repeat(to, n, text)

    async def _announce(self, account: AccountSession, device: str) -> bool:
        """Whether the server takes messages as a device's now; if not, it may take them as the former device's."""
        account.pause()
        before, self.device = self.device, device
        try:
            answer = await self.hello()
        except RequestLost:
            return False
        if isinstance(answer, e.Welcome):
            account.use_device(device)
            return True
        self.device = before
        return False
