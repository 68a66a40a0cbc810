"""As which device, and in which language, the client speaks on its connection: by the last ``hello``."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from chatsvc import __version__
from chatsvc.client.conversation.account import AccountSession, DeliveryResult
from chatsvc.client.conversation.presenter import Presenter
from chatsvc.client.conversation.requests import RequestLost, RequestTracker
from chatsvc.client.transport.backoff import Backoff
from chatsvc.wire import commands as c
from chatsvc.wire import events as e

CLIENT = f"chatsvc/{__version__}"

_FIRST_RETRY, _LAST_RETRY = 0.5, 15.0


class HelloSession:
    """``device`` is the one that the next ``hello`` names; empty: none."""

    def __init__(self, clock: IReactorTime, requests: RequestTracker, presenter: Presenter) -> None:
        self._clock = clock
        self._requests = requests
        self._presenter = presenter
        self.device = ""

    def hello(self) -> Deferred[e.Event]:
        """Say ``hello`` on the connection that there is."""
        hello = c.Hello(client=CLIENT, device=self.device, lang=self._presenter.lang)
        return self._requests.ask_at_once(hello)

    async def switch_device(self, account: AccountSession, goes_on: Callable[[], bool]) -> None:
        """Speak as the device for which a account's messages wait: tries while it ``goes_on``."""
        backoff = Backoff(_FIRST_RETRY, _LAST_RETRY)
        while goes_on():
            if await self._announce(account, account.outbox.device):
                return
            await deferLater(self._clock, backoff.delay())

    async def repeat(
        self, account: AccountSession, to: int, n: int, text: str
    ) -> DeliveryResult | None:
        """
        Say a confirmed message once more, as the device whose number it had: the server's word; None: not now.
        """
        before, device = self.device, account.confirmed_as(to)
        if device != before:
            if account.outbox.count():
                return None  # which goes first
            if not await self._announce(account, device):
                account.use_device(before)
                return None
        return await account.repeat(to, n, text)

    async def _announce(self, account: AccountSession, device: str) -> bool:
        """Whether the server now takes messages as a device's; else it may take them as that of before."""
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
