"""Decides by its certificate whether a server is trusted, with the user's help where nobody vouches for it (TOFU)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from chatsvc.client.i18n.client_messages import ClientMessages
from chatsvc.client.transport.certificates import Presented
from chatsvc.client.transport.known_servers import KnownServers, KnownServersUnusable

Ask = Callable[[str, str], Awaitable[str]]
"""Asks the user for one of these letters; the answer is the last one if there is nobody to ask."""

ONCE, ALWAYS, NO = "o", "a", "n"


class UntrustedServer(Exception):
    """The server is not trusted; its text is for the user, in several lines where it must not be overlooked."""


class TrustPolicy:
    """
    Decides for one process about one server, ``HOST:PORT``, over all its connections.

    With a ``pinned`` fingerprint only that certificate will do. If it is ``strict``, only roots are trusted, and nobody
    is asked.
    """

    def __init__(
        self, server: str, known: KnownServers, *, strict: bool = False, pinned: str = ""
    ) -> None:
        self._server = server
        self._known = known
        self._strict = strict
        self._pinned = pinned
        self._accepted = ""

    async def admit(self, shown: Presented, ask: Ask, messages: ClientMessages) -> None:
        """
        Return when the server that has shown this certificate is trusted.

        :raise UntrustedServer: it is not
        """
        if self._pinned:
            if shown.fingerprint != self._pinned:
                raise UntrustedServer(self._say(messages.not_pinned, shown, messages))
        elif shown.flaws and self._strict:
            raise UntrustedServer(self._say(messages.not_trusted, shown, messages))
        elif shown.flaws and shown.fingerprint != self._accepted:
            try:
                await self._decide(shown, ask, messages)
            except KnownServersUnusable as problem:
                raise UntrustedServer(messages.known_servers(problem)) from None
        self._accepted = shown.fingerprint

    async def _decide(self, shown: Presented, ask: Ask, messages: ClientMessages) -> None:
        """Decide by what the user has said before, or says now."""
        if self._is_known(shown, messages):
            return
        if self._accepted:
            raise UntrustedServer(
                self._say(messages.changed_since, shown, messages, expected=self._accepted)
            )
        answer = await ask(self._say(messages.unknown, shown, messages), ONCE + ALWAYS + NO)
        if answer == ALWAYS:
            self._known.add(self._server, shown.fingerprint)
        elif answer != ONCE:
            raise UntrustedServer(self._say(messages.not_accepted, shown, messages))
        self._is_known(
            shown, messages
        )  # another process may have been told something else meanwhile

    def _is_known(self, shown: Presented, messages: ClientMessages) -> bool:
        known = self._known.find(self._server)
        if known is not None and known.fingerprint != shown.fingerprint:
            where = {"line": known.line, "path": self._known.path}
            raise UntrustedServer(
                self._say(messages.changed, shown, messages, expected=known.fingerprint, **where)
            )
        return known is not None

    def _say(
        self, template: str, shown: Presented, messages: ClientMessages, **more: object
    ) -> str:
        return template.format(
            server=self._server,
            fingerprint=shown.fingerprint,
            names=shown.names,
            issuer=shown.issuer,
            reason=", ".join(messages.flaws[flaw] for flaw in shown.flaws),
            **more,
        )
