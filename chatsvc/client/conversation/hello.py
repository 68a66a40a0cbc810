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


DEVICES = "devices"
"""The feature that makes a session's device a registered one."""


class NotIntroduced(Exception):
    """The connection is that of a registered device, or is not taken for another one's: it takes a new connection."""


class HelloSession:
    """
    What the server knows of this client by the last ``hello``.

    ``device`` is for the next one; empty: none. ``granted``: it is a registered device on this connection.
    ``knows_features``: the server has heard of such things.

    :param features: what is asked for; None: nothing, as if this client knew of none
    """

    def __init__(
        self,
        clock: IReactorTime,
        requests: RequestTracker,
        presenter: Presenter,
        features: tuple[str, ...] | None = None,
    ) -> None:
        self._clock = clock
        self._requests = requests
        self._presenter = presenter
        self._features = features
        self.device = ""
        self.granted = False
        self.knows_features = False

    def connection_made(self) -> None:
        """There is a new connection, on which nothing was said yet."""
        self.granted = self.knows_features = False

    def hello(self) -> Deferred[e.Event]:
        """
        Say hello on the present connection, without asking for features.

        :return: fires with the server's answer or fails with :class:`RequestLost`
        """
        return self._say(None)

    def begin(self) -> Deferred[e.Event]:
        """
        Say the first hello of a connection, by which the server shows what it knows.

        :return: fires with the server's answer or fails with :class:`RequestLost`
        """
        return self._say(self._features)

    async def introduce(self, device: str) -> None:
        """
        Speak as a device that is registered at the log-in, if the server grants that.

        :raise RequestLost: the connection was lost
        :raise NotIntroduced: it is another device's
        """
        if not (self.granted and self.device == device):
            await self._introduce(device, self._features)

    async def introduce_plainly(self, device: str) -> None:
        """
        Speak as a device that is not registered; empty: as none.

        :raise RequestLost: the connection was lost
        :raise NotIntroduced: it is a registered device's
        """
        await self._introduce(device, None)

    async def _introduce(self, device: str, features: tuple[str, ...] | None) -> None:
        if self.granted:
            raise NotIntroduced
        self.device = device
        if not isinstance(await self._say(features), e.Welcome):
            raise NotIntroduced

    def _say(self, features: tuple[str, ...] | None) -> Deferred[e.Event]:
        hello = c.Hello(
            client=CLIENT, device=self.device, lang=self._presenter.lang, features=features
        )
        return self._requests.ask_at_once(hello).addCallback(self._heard)

    def _heard(self, answer: e.Event) -> e.Event:
        if isinstance(answer, e.Welcome):
            self.granted = DEVICES in (answer.features or ())
            self.knows_features = self.knows_features or answer.features is not None
        return answer

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
