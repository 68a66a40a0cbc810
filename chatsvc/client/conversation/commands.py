"""Carries out what a user typed: on a conversation, which is told in the text dialect's words what came of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chatsvc.client.conversation.presenter import Presenter
from chatsvc.client.conversation.requests import RequestLost
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.client_codec import Confirmed, Rejected
from chatsvc.wire.problems import Problem

if TYPE_CHECKING:
    from chatsvc.client.conversation.conversation import Conversation

_NEED_LOGIN = frozenset({c.Send, c.Passwd, c.Find, c.Logout})


async def perform(conversation: Conversation, presenter: Presenter, command: c.Command) -> bool:
    """
    Carry out a command, and say what comes of it; whether it was carried out.

    :raise Lost: the connection was lost, and that is not known.
    """
    kind = command.kind if isinstance(command, c.Malformed) else type(command)
    if kind in _NEED_LOGIN and not conversation.logged_in:
        return presenter.refuse(Problem.NOT_LOGGED_IN)
    if isinstance(command, c.Malformed):
        return presenter.refuse(command.problem)
    return await _PERFORMERS[type(command)](conversation, presenter, command)


async def find(conversation: Conversation, presenter: Presenter, name: str) -> list[int]:
    """The uids of a name; what is wrong is said."""
    if not conversation.logged_in:
        presenter.refuse(Problem.NOT_LOGGED_IN)
        return []
    try:
        answer = await conversation.ask(c.Find(name))
    except RequestLost:
        presenter.view.say(presenter.client_messages.undecided)
        return []
    if isinstance(answer, Rejected):
        presenter.view.say(answer.text)
    elif isinstance(answer, e.Found):
        if not answer.users:
            presenter.show_result(answer)
        return [uid for uid, _ in answer.users]
    return []


async def _auth(conversation: Conversation, presenter: Presenter, command: c.Auth) -> bool:
    if conversation.logged_in:
        return presenter.refuse(Problem.ALREADY_LOGGED_IN)
    answer = await conversation.log_in(command)
    if not isinstance(answer, e.LoggedIn):
        presenter.reject_login(answer)
        return False
    presenter.show_result(answer)
    return True


async def _logout(conversation: Conversation, presenter: Presenter, command: c.Logout) -> bool:
    await conversation.log_out()
    presenter.show_result(e.LoggedOut())
    return True


async def _send(conversation: Conversation, presenter: Presenter, command: c.Send) -> bool:
    result = await conversation.send(command.to, command.text)
    if isinstance(result, Rejected) and result.re is None:  # the server's was said when it came
        presenter.view.say(result.text)
    return isinstance(result, Confirmed)


async def _request(conversation: Conversation, presenter: Presenter, command: c.Command) -> bool:
    answer = await conversation.ask(command)
    if isinstance(answer, Rejected):
        presenter.view.say(answer.text)
        return False
    presenter.show_result(answer)
    return True


async def _passwd(conversation: Conversation, presenter: Presenter, command: c.Passwd) -> bool:
    answer = await conversation.ask(replace(command, token=True))
    if isinstance(answer, Rejected):
        presenter.view.say(answer.text)
        return False
    if isinstance(answer, e.PasswordChanged) and answer.token:
        conversation.renew_token(answer.token)
    presenter.show_result(answer)
    return True


async def _help(conversation: Conversation, presenter: Presenter, command: c.Help) -> bool:
    presenter.show_result(e.HelpShown())
    return True


async def _set_lang(conversation: Conversation, presenter: Presenter, command: c.SetLang) -> bool:
    conversation.set_lang(command.lang)
    presenter.show_result(e.LangSet())
    return True


async def _quit(conversation: Conversation, presenter: Presenter, command: c.Quit) -> bool:
    presenter.show_result(e.Farewell())
    return True


_PERFORMERS: dict[type, Callable[[Conversation, Presenter, Any], Coroutine[Any, Any, bool]]] = {
    c.Auth: _auth,
    c.Send: _send,
    c.Register: _request,
    c.Passwd: _passwd,
    c.Find: _request,
    c.Logout: _logout,
    c.Help: _help,
    c.SetLang: _set_lang,
    c.Quit: _quit,
}
