"""
Authentication: who may log in, make an account or change a password.

A request is either granted or refused by :class:`Denied`. A failure costs its address, and mostly its account, some of
their budget of attempts; a token that no longer counts costs a budget of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chatsvc.accounts import names, opaque_string
from chatsvc.accounts.creation import NameTaken, UidsUsedUp
from chatsvc.accounts.passwords import PasswordCheck, PasswordHasherPool
from chatsvc.accounts.store import LONGEST, Account, AccountStore
from chatsvc.accounts.tokens import Tokens
from chatsvc.limits.login_throttle import Attempt, LoginThrottle, Throttled
from chatsvc.limits.token_bucket import AddressLimit, RegistrationLimit
from chatsvc.limits.wait_list import Caller
from chatsvc.observability.session_log import LogBudget
from chatsvc.wire import commands as c
from chatsvc.wire.problems import Problem

_NAME_TOLD_APART = 64
"""Characters of a name that nobody has, by which its failures are told from another's: a bound on memory."""


class Denied(Exception):
    """A request is refused because of ``problem``; ``retry_after`` is in seconds, where to repeat it makes sense."""

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        super().__init__(problem.name)
        self.problem = problem
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Identity:
    """
    An account whose password or token was right; ``stored`` is what is stored as its password now.

    ``device`` is the registered device of the session, empty if it has none, and ``forgets`` how often that device was
    forgotten: what a token for the session will say.
    """

    account: Account
    stored: str
    device: str = ""
    forgets: int = 0


@dataclass(frozen=True, slots=True)
class Authenticator:
    """
    Checks passwords and tokens within the budgets of accounts and addresses.

    ``registration`` is whether anybody may make an account. ``dead_tokens`` limits tokens that no longer count, from
    one address. Every method raises :class:`~chatsvc.storage.url.StoreUnavailable` when the accounts are away and
    :class:`~chatsvc.accounts.passwords.PasswordsBusy` when too many passwords wait to be hashed.
    """

    accounts: AccountStore
    passwords: PasswordHasherPool
    tokens: Tokens
    throttle: LoginThrottle
    registration_limit: RegistrationLimit
    dead_tokens: AddressLimit
    log_budget: LogBudget
    registration: bool

    async def authenticate(self, caller: Caller, command: c.Auth, device: str = "") -> Identity:
        """
        Find out who logs in, from a session of the registered ``device``, if that has one.

        A wrong password, a wrong token, an unknown uid and a name that nobody has, or several have, are refused alike,
        and after the same time.

        :raise Denied: the log-in is wrong, or it is throttled.
        """
        if command.token is not None:
            return await self._by_token(caller, command, command.token, device)
        whom = await self._whom(caller, command)
        async with self._attempt(caller, whom) as attempt:
            identity = await self._by_password(whom, command, device)
            if identity is None:
                attempt.failed()
                raise Denied(Problem.BAD_CREDENTIALS)
            attempt.succeeded()
            return identity

    async def register(self, address: str, command: c.Register) -> int:
        """
        Make an account and return its uid.

        :raise Denied: registration is closed or throttled, or the name or the password cannot be had.
        """
        if not self.registration:
            raise Denied(Problem.REGISTRATION_CLOSED)
        wait = self.registration_limit.wait(address)
        if wait:
            raise Denied(Problem.THROTTLED, wait)
        try:
            name = names.enforce(command.name)
            password = _new_password(command.password)
            # Counted before the hash, or many at once would slip past.
            self.registration_limit.registered(address)
            return await self.accounts.register(name, await self.passwords.hash(password))
        except names.BadName:
            raise Denied(Problem.BAD_NAME) from None
        except NameTaken:
            raise Denied(Problem.NAME_TAKEN) from None
        except UidsUsedUp:
            raise Denied(Problem.REGISTRATION_CLOSED) from None

    async def change_password(
        self, caller: Caller, uid: int, command: c.Passwd, device: str = ""
    ) -> Identity:
        """
        Change the password of a user who is logged in, in a session of the registered ``device``, if that has one.

        :raise Denied: the old password is wrong, the new one cannot be had, or the attempt is throttled.
        """
        new = _new_password(command.new)
        async with self._attempt(caller, uid) as attempt:
            account = await self.accounts.get(uid, *_named(device))
            stored = account.stored if account else None
            check = await self._check(uid, stored, command.old)
            if account is None or stored is None or not check.right:
                attempt.failed()
                raise Denied(Problem.WRONG_OLD_PASSWORD)
            attempt.succeeded()
        phc = await self.passwords.hash(new)
        if not await self.accounts.replace_password(uid, stored, phc):
            raise Denied(Problem.WRONG_OLD_PASSWORD)  # it was changed meanwhile
        return _identity(account, phc, device)

    def issue_token(self, identity: Identity) -> str:
        """Make a token that logs this account in until its password changes, it is locked or the device forgotten."""
        account, device = identity.account, identity.device
        return self.tokens.issue(
            account.uid, identity.stored, account.locks, device, identity.forgets
        )

    def renew_token(self, uid: int, token: str, device: str = "") -> str:
        """
        Make a newer token from one that still works, for a user who is logged in, on the registered ``device`` if any.

        It is no better than the one before: it ends with the same password and by the same lock. So it is not asked
        here whether those are as they were. Nor is it asked whether a device was forgotten: this one's session would
        have ended with it.

        :raise Denied: it is none of this user's tokens, another device's, or too old.
        """
        claims = self.tokens.read(token)
        if claims is None or claims.uid != uid or claims.device not in ("", device):
            raise Denied(Problem.BAD_CREDENTIALS)
        return self.tokens.renew(claims)

    async def forget_device(self, uid: int, device: str) -> None:
        """Make all tokens void that were issued to a device of a user so far, whether or not it is registered."""
        await self.accounts.forget_device(uid, device)

    async def was_forgotten(self, identity: Identity) -> bool:
        """
        Return whether the device of a session was forgotten since its log-in was found right.

        Such a log-in may have registered the device again behind the one who forgot it.
        """
        if not identity.device:
            return False
        account = await self.accounts.get(identity.account.uid, identity.device)
        return account is None or account.forgets[identity.device] != identity.forgets

    async def _whom(self, caller: Caller, command: c.Auth) -> int | str:
        """The uid by which failures are counted, or, where a name is not that of one account, a text for the name."""
        if command.name is None:
            return command.uid
        account = await self._named_account(caller, command.name)
        if account is not None:
            return account.uid
        return names.fold(command.name[:LONGEST])[:_NAME_TOLD_APART]

    async def _named_account(self, caller: Caller, name: str, *devices: str) -> Account | None:
        try:
            self.throttle.count_lookup(caller)
        except Throttled as throttled:
            raise Denied(Problem.THROTTLED, throttled.seconds) from None
        return await self.accounts.get_by_name(name, *devices)

    async def _by_token(self, caller: Caller, command: c.Auth, token: str, device: str) -> Identity:
        """Nobody can guess one of our tokens, so the failures of others do not hold it up."""
        claims = self.tokens.read(token)
        if claims is not None:
            devices = _named(claims.device, device)
            account = None
            if command.name is not None:
                account = await self._named_account(caller, command.name, *devices)
            elif claims.uid == command.uid:
                account = await self.accounts.get(claims.uid, *devices)
            if account and account.uid == claims.uid and account.stored:
                forgets = account.forgets.get(claims.device, 0)
                if self.tokens.fits(claims, account.stored, account.locks, forgets):
                    return _identity(account, account.stored, device)
        if self.tokens.may_have_been(token):
            # After the secret was replaced everybody in an office has one, and goes on to type the password.
            wait = self.dead_tokens.wait(caller.network)
            if wait:
                raise Denied(Problem.THROTTLED, wait)
            self.dead_tokens.count(caller.network)
            raise Denied(Problem.BAD_CREDENTIALS)
        async with self._attempt(caller, None) as attempt:
            attempt.failed()
            raise Denied(Problem.BAD_CREDENTIALS)

    async def _by_password(self, whom: int | str, command: c.Auth, device: str) -> Identity | None:
        """The account and what is stored as its password from now on; None: the log-in is wrong."""
        password = command.password or ""
        account = await self._account(whom, command, device)
        stored = account.stored if account else None
        check = await self._check(whom, stored, password)
        if account is None or stored is None or not check.right:
            return None
        if check.replacement is None:
            return _identity(account, stored, device)
        if await self.accounts.replace_password(account.uid, stored, check.replacement):
            return _identity(account, check.replacement, device)
        # Something else is stored by now: mostly the same password, by another log-in at the same time.
        account = await self._account(whom, command, device)
        stored = account.stored if account else None
        check = await self._check(whom, stored, password)
        return _identity(account, stored, device) if account and stored and check.right else None

    async def _account(self, whom: int | str, command: c.Auth, device: str) -> Account | None:
        """
        The account that a log-in names, as it is when the attempt's turn has come.

        A name is looked up again: if it is another's by now, that account's failures have not been asked.
        """
        if command.name is None:
            return await self.accounts.get(command.uid, *_named(device))
        account = await self.accounts.get_by_name(command.name, *_named(device))
        return account if account is not None and account.uid == whom else None

    async def _check(self, whom: int | str, stored: str | None, password: str) -> PasswordCheck:
        if isinstance(whom, int) and stored and self.passwords.is_too_costly(stored):
            self.log_budget.too_costly(whom)
        return await self.passwords.check(stored, password)

    @asynccontextmanager
    async def _attempt(self, caller: Caller, whom: int | str | None) -> AsyncIterator[Attempt]:
        try:
            async with self.throttle.turn(caller, whom) as attempt:
                yield attempt
        except Throttled as throttled:
            raise Denied(Problem.THROTTLED, throttled.seconds) from None


def _named(*devices: str) -> tuple[str, ...]:
    """Those that are named, each once."""
    return tuple(dict.fromkeys(filter(None, devices)))


def _identity(account: Account, stored: str, device: str) -> Identity:
    return Identity(account, stored, device, account.forgets.get(device, 0))


def _new_password(typed: str) -> str:
    try:
        return opaque_string.enforce(typed)
    except opaque_string.OddPassword:
        raise Denied(Problem.ODD_PASSWORD) from None
    except opaque_string.BadPassword:
        raise Denied(Problem.BAD_PASSWORD) from None
