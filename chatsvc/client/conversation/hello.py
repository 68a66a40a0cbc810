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
from chatsvc.transport.backoff import Backoff
from chatsvc.wire import commands as c
from chatsvc.wire import events as e

CLIENT = f"chatsvc/{__version__}"

_FIRST_RETRY, _LAST_RETRY = 0.5, 15.0


class HelloSession:
    """``device`` is the one that the next ``hello`` names; empty: none."""

    def __init__(self, clock: IReactorTime, asking: RequestTracker, voice: Presenter) -> None:
        self._clock = clock
        self._asking = asking
        self._voice = voice
        self.device = ""

    def hello(self) -> Deferred[e.Event]:
        """Say ``hello`` on the connection that there is."""
        hello = c.Hello(client=CLIENT, device=self.device, lang=self._voice.lang)
        return self._asking.ask_at_once(hello)

    async def redirect(self, member: AccountSession, goes_on: Callable[[], bool]) -> None:
        """Speak as the device for which a member's messages wait: tries while it ``goes_on``."""
        backoff = Backoff(_FIRST_RETRY, _LAST_RETRY)
        while goes_on():
            if await self._speak_as(member, member.outbox.device):
                return
            await deferLater(self._clock, backoff.delay())

    async def repeat(
        self, member: AccountSession, to: int, n: int, text: str
    ) -> DeliveryResult | None:
        """
        Say a confirmed message once more, as the device whose number it had: the server's word; None: not now.
        """
        before, device = self.device, member.confirmed_as(to)
        if device != before:
            if member.outbox.count():
                return None  # which goes first
            if not await self._speak_as(member, device):
                member.speaks_as(before)
                return None
        return await member.repeat(to, n, text)

    async def _speak_as(self, member: AccountSession, device: str) -> bool:
        """Whether the server now takes messages as a device's; else it may take them as that of before."""
        member.pause()
        before, self.device = self.device, device
        try:
            answer = await self.hello()
        except RequestLost:
            return False
        if isinstance(answer, e.Welcome):
            member.speaks_as(device)
            return True
        self.device = before
        return False
