"""
The entrance: who may come in, who may make an account or change a password.

Each function either does what is asked or raises :class:`Denied`. What fails here costs its address, and mostly its
account, some of their budget of tries; a token that no longer counts costs a budget of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatsvc.accounts import names, passwords
from chatsvc.accounts.creation import NameTaken, UidsUsedUp
from chatsvc.accounts.passwords import PasswordCheck
from chatsvc.accounts.store import Account
from chatsvc.limits.login_throttle import Attempt, Throttled
from chatsvc.limits.wait_list import Caller
from chatsvc.services import Services
from chatsvc.wire import commands as c
from chatsvc.wire.problems import Problem


class Denied(Exception):
    """A command is refused; ``retry_after`` in seconds."""

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        super().__init__(problem.name)
        self.problem = problem
        self.retry_after = retry_after


async def authenticate(chat: Services, caller: Caller, command: c.Auth) -> tuple[Account, str]:
    """
    The account that a log-in is for, and what is stored as its password now.

    Wrong passwords, wrong tokens and unknown uids are refused alike.
    """
    if command.token is not None:
        return await _by_token(chat, caller, command.uid, command.token)
    async with _turn(chat, caller, command.uid) as turn:
        entered = await _by_password(chat, command)
        if entered is None:
            turn.failed()
            raise Denied(Problem.BAD_CREDENTIALS)
        turn.succeeded()
        return entered


async def register(chat: Services, address: str, command: c.Register) -> int:
    """Make an account; its uid."""
    if not chat.registration:
        raise Denied(Problem.REGISTRATION_CLOSED)
    wait = chat.registration_limit.wait(address)
    if wait:
        raise Denied(Problem.THROTTLED, wait)
    try:
        name = names.enforce(command.name)
        _require_acceptable(command.password)
        # Counted before the hash, or many at once would slip past.
        chat.registration_limit.registered(address)
        return await chat.accounts.register(name, await chat.passwords.hash(command.password))
    except names.BadName:
        raise Denied(Problem.BAD_NAME) from None
    except NameTaken:
        raise Denied(Problem.NAME_TAKEN) from None
    except UidsUsedUp:
        raise Denied(Problem.REGISTRATION_CLOSED) from None


async def change_password(
    chat: Services, caller: Caller, uid: int, command: c.Passwd
) -> tuple[str, int]:
    """Change the password of somebody who is logged in; what is stored as it now, and how often it was locked."""
    _require_acceptable(command.new)
    async with _turn(chat, caller, uid) as turn:
        account = await chat.accounts.get(uid)
        stored = account.stored if account else None
        verdict = await _check(chat, uid, stored, command.old)
        if account is None or stored is None or not verdict.right:
            turn.failed()
            raise Denied(Problem.WRONG_OLD_PASSWORD)
        turn.succeeded()
    phc = await chat.passwords.hash(command.new)
    if not await chat.accounts.replace_password(uid, stored, phc):
        raise Denied(Problem.WRONG_OLD_PASSWORD)  # it was changed meanwhile
    return phc, account.locks


async def _by_token(chat: Services, caller: Caller, uid: int, token: str) -> tuple[Account, str]:
    """Nobody can guess a token of ours, so that the failures of others do not hold it up."""
    claim = chat.tokens.read(token)
    if claim is not None and claim.uid == uid:
        account = await chat.accounts.get(claim.uid)
        stored = account.stored if account else None
        if account and stored and chat.tokens.fits(claim, stored, account.locks):
            return account, stored
    if chat.tokens.may_have_been(token):
        # Everybody in an office has one when the secret was replaced, and goes on to type the password.
        wait = chat.dead_tokens.wait(caller.network)
        if wait:
            raise Denied(Problem.THROTTLED, wait)
        chat.dead_tokens.count(caller.network)
        raise Denied(Problem.BAD_CREDENTIALS)
    async with _turn(chat, caller, None) as turn:
        turn.failed()
        raise Denied(Problem.BAD_CREDENTIALS)


async def _by_password(chat: Services, command: c.Auth) -> tuple[Account, str] | None:
    """The account and what is stored as its password from now on, if the log-in is right."""
    account = await chat.accounts.get(command.uid)
    stored = account.stored if account else None
    verdict = await _check(chat, command.uid, stored, command.password or "")
    if account is None or stored is None or not verdict.right:
        return None
    if verdict.replacement is None:
        return account, stored
    if await chat.accounts.replace_password(command.uid, stored, verdict.replacement):
        return account, verdict.replacement
    # Something else is stored by now: mostly the same password, by another log-in at the same time.
    account = await chat.accounts.get(command.uid)
    stored = account.stored if account else None
    verdict = await _check(chat, command.uid, stored, command.password or "")
    return (account, stored) if account and stored and verdict.right else None


async def _check(chat: Services, uid: int, stored: str | None, password: str) -> PasswordCheck:
    if stored and chat.passwords.is_too_costly(stored):
        chat.brevity.too_costly(uid)
    return await chat.passwords.check(stored, password)


@asynccontextmanager
async def _turn(chat: Services, caller: Caller, uid: int | None) -> AsyncIterator[Attempt]:
    try:
        async with chat.login_throttle.turn(caller, uid) as turn:
            yield turn
    except Throttled as throttled:
        raise Denied(Problem.THROTTLED, throttled.seconds) from None


def _require_acceptable(password: str) -> None:
    if not passwords.acceptable(password):
        raise Denied(Problem.BAD_PASSWORD)
