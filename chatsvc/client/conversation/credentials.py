"""By what an account that is logged in comes back: its newest token, and the passwords that it may have."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from chatsvc.client.conversation.requests import RequestLost
from chatsvc.client.state.outbox import StateUnusable
from chatsvc.client.state.saved_login import SavedAccount, SavedLogin
from chatsvc.wire import commands as c
from chatsvc.wire import events as e

TEMPORARY = frozenset({"throttled", "store-unavailable"})
"""Refusals of a log-in that say nothing against it."""

_LONGEST_TERM = 86_400.0
"""Seconds between two renewals at most: timers stand still while a machine sleeps, and tokens do not."""


class Credentials:
    """
    What logs one account in.

    ``token`` is the newest one. ``tokens`` are all that this process had from the server.
    """

    def __init__(self, uid: int) -> None:
        self.uid = uid
        self.token = ""
        self.tokens: set[str] = set()
        self._passwords: tuple[str, ...] = ()

    def has_token(self, token: str) -> None:
        """Use another token from now on."""
        self.token = token
        self.tokens.add(token)

    def has_password(self, password: str) -> None:
        """Know the password: the server has just taken it."""
        self._passwords = (password,)

    def may_have_password(self, password: str) -> None:
        """Try this password first: whether the server has taken the change is not known."""
        self._passwords = (password, *self._passwords)

    def clear(self) -> None:
        """Know nothing any more: only a person logs the account in again."""
        self.token, self.tokens, self._passwords = "", set(), ()

    def ways(self, saved_token: str) -> list[c.Auth]:
        """
        Give the log-ins to try, one after the other, until one is not refused.

        :param saved_token: the token in the state folder, which another process may have renewed; empty: there is none
        """
        tokens = [self.token]
        if saved_token and saved_token not in self.tokens:
            tokens.append(saved_token)
        return [
            *(c.Auth(self.uid, token=token) for token in tokens),
            *(c.Auth(self.uid, password=password) for password in self._passwords),
        ]


class TokenRenewal:
    """
    Asks for a newer token in time, for as long as a connection is logged in.

    :param ask: asks the server on the present connection
    :param renewed: called with each new token
    """

    def __init__(
        self,
        clock: IReactorTime,
        ask: Callable[[c.Command], Deferred[e.Event]],
        renewed: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._ask = ask
        self._renewed = renewed
        self._timer: IDelayedCall | None = None

    def begin(self, token: str, lifetime: int) -> None:
        """Keep a token that was just issued from growing old; it works for ``lifetime`` seconds, 0: nobody knows."""
        self.end()
        if lifetime:
            term = min(lifetime / 2, _LONGEST_TERM)
            self._timer = self._clock.callLater(term, self._renew, token, lifetime)

    def end(self) -> None:
        """Renew nothing more: the connection is lost, or nobody is logged in."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _renew(self, token: str, lifetime: int) -> None:
        self._timer = None

        def answered(answer: e.Event) -> None:
            if isinstance(answer, e.Renewed):
                self._renewed(answer.token)
                self.begin(answer.token, lifetime)

        # A refusal means that this token is dead; the next log-in finds another way, as it does on a new connection.
        self._ask(c.Renew(token)).addCallbacks(
            answered, lambda failure: failure.trap(RequestLost) and None
        )


class TokenKeeper:
    """
    The tokens of the account that is logged in: the newest one in use, and in the state folder, renewed in time.

    :param ask: asks the server on the present connection
    ``remembers``: the user of this process wants the account to be remembered, or came in by that.

    :param saved_login: where the account is kept; None: nowhere
    :param server: ``HOST:PORT``, under which it is kept
    """

    def __init__(
        self,
        clock: IReactorTime,
        ask: Callable[[c.Command], Deferred[e.Event]],
        saved_login: SavedLogin | None,
        server: str,
    ) -> None:
        self.remembers = saved_login is not None and saved_login.keeps
        self._saved_login = saved_login
        self._server = server
        self._credentials: Credentials | None = None
        self._lifetime = 0
        self._renewal = TokenRenewal(clock, ask, self._renewed)

    def begin(self, credentials: Credentials, answer: e.LoggedIn) -> None:
        """Take the token of a log-in."""
        self._credentials, self._lifetime = credentials, answer.token_seconds
        self.use(answer.token)

    def use(self, token: str) -> None:
        """
        Use another token from now on for the account that is logged in.

        :raise StateUnusable: it cannot be kept
        """
        if self._credentials is not None:
            self._credentials.has_token(token)
            self._renewal.begin(token, self._lifetime)
            self.keep()

    def keep(self) -> None:
        """
        Save the newest token of the account that is logged in, as far as it is to be remembered.

        :raise StateUnusable: it cannot be kept
        """
        known = self._credentials
        if known is not None and self._saved_login is not None:
            self._saved_login.keep(SavedAccount(self._server, known.uid, known.token))

    def password_changed(self, password: str, token: str | None) -> None:
        """Log in by another password from now on; ``token`` None: whether it was changed is not known."""
        if self._credentials is None:
            return
        if token is None:
            self._credentials.may_have_password(password)
            return
        self._credentials.has_password(password)
        if token:
            self.use(token)

    def pause(self) -> None:
        """Renew nothing: the connection is lost."""
        self._renewal.end()

    def end(self) -> None:
        """Nobody is logged in any more."""
        self._renewal.end()
        self._credentials = None

    def saved(self, uid: int) -> str:
        """The token that is saved for an account; empty: none is."""
        saved = self._saved_login.account() if self._saved_login is not None else None
        known = saved is not None and (saved.server, saved.uid) == (self._server, uid)
        return saved.token if saved is not None and known else ""

    def forget(self, uid: int, tokens: Collection[str] | None = None) -> bool:
        """Forget the saved account if it is this one, and its token one of these; return whether it was."""
        if self._saved_login is None:
            return False
        return self._saved_login.forget(self._server, uid, tokens)

    def drop(self, credentials: Credentials, refused: Collection[str] = ()) -> bool:
        """
        Forget what logged an account in, as it does no more.

        The saved account goes if its token is one that this process had, or one of those that were ``refused``. Another
        terminal's stays: the file is shared, and that terminal goes on.

        :return: whether the user has to hear that a remembered log-in is gone
        """
        gone = self.forget(credentials.uid, {*credentials.tokens, *refused})
        credentials.clear()
        return gone and self.remembers

    def _renewed(self, token: str) -> None:
        with suppress(StateUnusable):  # the one that is saved works for a while, and the next comes
            self.use(token)
