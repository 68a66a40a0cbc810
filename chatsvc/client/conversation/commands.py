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


async def perform(conversation: Conversation, voice: Presenter, command: c.Command) -> bool:
    """
    Carry out a command, and say what comes of it; whether it was carried out.

    :raise Lost: the connection was lost, and that is not known.
    """
    kind = command.kind if isinstance(command, c.Malformed) else type(command)
    if kind in _NEED_LOGIN and not conversation.logged_in:
        return voice.refuse(Problem.NOT_LOGGED_IN)
    if isinstance(command, c.Malformed):
        return voice.refuse(command.problem)
    return await _PERFORMERS[type(command)](conversation, voice, command)


async def find(conversation: Conversation, voice: Presenter, name: str) -> list[int]:
    """The uids of a name; what is wrong is said."""
    if not conversation.logged_in:
        voice.refuse(Problem.NOT_LOGGED_IN)
        return []
    try:
        answer = await conversation.ask(c.Find(name))
    except RequestLost:
        voice.audience.say(voice.words.undecided)
        return []
    if isinstance(answer, Rejected):
        voice.audience.say(answer.text)
    elif isinstance(answer, e.Found):
        if not answer.users:
            voice.tell(answer)
        return [uid for uid, _ in answer.users]
    return []


async def _auth(conversation: Conversation, voice: Presenter, command: c.Auth) -> bool:
    if conversation.logged_in:
        return voice.refuse(Problem.ALREADY_LOGGED_IN)
    answer = await conversation.enter(command)
    if not isinstance(answer, e.LoggedIn):
        voice.reject_login(answer)
        return False
    voice.tell(answer)
    return True


async def _logout(conversation: Conversation, voice: Presenter, command: c.Logout) -> bool:
    await conversation.log_out()
    voice.tell(e.LoggedOut())
    return True


async def _send(conversation: Conversation, voice: Presenter, command: c.Send) -> bool:
    fate = await conversation.send(command.to, command.text)
    if isinstance(fate, Rejected) and fate.re is None:  # the server's was said when it came
        voice.audience.say(fate.text)
    return isinstance(fate, Confirmed)


async def _request(conversation: Conversation, voice: Presenter, command: c.Command) -> bool:
    answer = await conversation.ask(command)
    if isinstance(answer, Rejected):
        voice.audience.say(answer.text)
        return False
    voice.tell(answer)
    return True


async def _passwd(conversation: Conversation, voice: Presenter, command: c.Passwd) -> bool:
    answer = await conversation.ask(replace(command, token=True))
    if isinstance(answer, Rejected):
        voice.audience.say(answer.text)
        return False
    if isinstance(answer, e.PasswordChanged) and answer.token:
        conversation.take_token(answer.token)
    voice.tell(answer)
    return True


async def _help(conversation: Conversation, voice: Presenter, command: c.Help) -> bool:
    voice.tell(e.HelpShown())
    return True


async def _set_lang(conversation: Conversation, voice: Presenter, command: c.SetLang) -> bool:
    conversation.speak(command.lang)
    voice.tell(e.LangSet())
    return True


async def _quit(conversation: Conversation, voice: Presenter, command: c.Quit) -> bool:
    voice.tell(e.Farewell())
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
