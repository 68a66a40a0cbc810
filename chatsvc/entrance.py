"""
The entrance: who may come in, who may make an account or change a password.

Each function either does what is asked or raises :class:`Refusal`. What fails here costs its address, and mostly its
account, some of their budget of tries.
"""

from __future__ import annotations

from chatsvc import names, passwords
from chatsvc.accounts import Account, NameTaken
from chatsvc.chat import Chat
from chatsvc.wire import commands as c
from chatsvc.wire.problems import Problem


class Refusal(Exception):
    """A command is refused; ``retry_after`` in seconds."""

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        super().__init__(problem.name)
        self.problem = problem
        self.retry_after = retry_after


async def identify(chat: Chat, address: str, command: c.Auth) -> tuple[Account, str]:
    """
    The account that a log-in is for, and what is stored as its password now.

    Wrong passwords, wrong tokens and unknown uids are refused alike.
    """
    # A token cannot be guessed, so it costs no account's budget.
    throttled = command.uid if command.token is None else None
    _require_turn(chat.login_throttle.wait(address, throttled))
    account = await chat.accounts.get(command.uid)
    stored = await _right_stored(chat, account, command)
    if account is None or stored is None:
        chat.login_throttle.failed(address, throttled)
        raise Refusal(Problem.BAD_CREDENTIALS)
    chat.login_throttle.succeeded(address, throttled)
    return account, stored


async def register(chat: Chat, address: str, command: c.Register) -> int:
    """Make an account; its uid."""
    if not chat.registration:
        raise Refusal(Problem.REGISTRATION_CLOSED)
    _require_turn(chat.registration_limit.wait(address))
    try:
        name = names.enforce(command.name)
        _require_acceptable(command.password)
        # Counted before the hash, or many at once would slip past.
        chat.registration_limit.registered(address)
        return await chat.accounts.register(name, await chat.passwords.hash(command.password))
    except names.BadName:
        raise Refusal(Problem.BAD_NAME) from None
    except NameTaken:
        raise Refusal(Problem.NAME_TAKEN) from None


async def change_password(chat: Chat, address: str, uid: int, command: c.Passwd) -> None:
    """Change the password of somebody who is logged in."""
    _require_turn(chat.login_throttle.wait(address, uid))
    _require_acceptable(command.new)
    account = await chat.accounts.get(uid)
    stored = account.stored if account else None
    verdict = await chat.passwords.check(stored, command.old)
    if stored is None or not verdict.right:
        chat.login_throttle.failed(address, uid)
        raise Refusal(Problem.WRONG_OLD_PASSWORD)
    chat.login_throttle.succeeded(address, uid)
    phc = await chat.passwords.hash(command.new)
    if not await chat.accounts.replace_password(uid, stored, phc):
        raise Refusal(Problem.WRONG_OLD_PASSWORD)  # it was changed meanwhile


async def _right_stored(chat: Chat, account: Account | None, command: c.Auth) -> str | None:
    """What is stored as the account's password if the log-in is right, else None."""
    stored = account.stored if account else None
    if command.token is not None:
        right = stored is not None and chat.tokens.valid(command.token, command.uid, stored)
        return stored if right else None
    verdict = await chat.passwords.check(stored, command.password or "")
    if not verdict.right or stored is None:
        return None
    if verdict.replacement is None:
        return stored
    if await chat.accounts.replace_password(command.uid, stored, verdict.replacement):
        return verdict.replacement
    # Another log-in replaced it at the same time; a token must be made for what is stored now.
    account = await chat.accounts.get(command.uid)
    return account.stored if account else None


def _require_turn(wait: float) -> None:
    if wait:
        raise Refusal(Problem.THROTTLED, wait)


def _require_acceptable(password: str) -> None:
    if not passwords.acceptable(password):
        raise Refusal(Problem.BAD_PASSWORD)
