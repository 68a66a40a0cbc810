"""Runs what a user typed, and says what came of it in the text dialect's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from chatsvc.client.conversation.conversation import Conversation
from chatsvc.client.conversation.presenter import Presenter
from chatsvc.client.conversation.requests import RequestLost
from chatsvc.client.i18n.device_list import DEVICE_TEXTS, SHORT_ID, device_lines
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.client_codec import Confirmed, Rejected
from chatsvc.wire.problems import Problem

_NEED_LOGIN = frozenset({c.Send, c.Passwd, c.Find, c.Devices, c.Forget, c.Logout})

_DEVICE = re.compile("[0-9a-f]{16,32}")


class CommandRunner:
    """Runs a front end's commands on a conversation."""

    def __init__(self, conversation: Conversation, presenter: Presenter) -> None:
        self._conversation = conversation
        self._presenter = presenter
        self._listed: tuple[e.Device, ...] = ()
        """The devices as they were shown last, whose numbers a user knows."""

    def run(self, command: c.Command) -> Deferred[bool]:
        """Run a command and say what comes of it; fires with whether it was carried out."""
        return Deferred.fromCoroutine(self._run(command)).addErrback(self._presenter.report)

    async def find(self, name: str) -> list[int]:
        """The uids of a name, and none when something is wrong, which is said."""
        if not self._conversation.logged_in:
            self._presenter.refuse(Problem.NOT_LOGGED_IN)
            return []
        try:
            answer = await self._conversation.ask(c.Find(name))
        except RequestLost:
            self._presenter.view.say(self._presenter.client_messages.undecided)
            return []
        if isinstance(answer, Rejected):
            self._presenter.view.say(answer.text)
        elif isinstance(answer, e.Found):
            if not answer.users:
                self._presenter.show_result(answer)
            return [uid for uid, _ in answer.users]
        return []

    async def _run(self, command: c.Command) -> bool:
        kind = command.kind if isinstance(command, c.Malformed) else type(command)
        if kind in _NEED_LOGIN and not self._conversation.logged_in:
            return self._presenter.refuse(Problem.NOT_LOGGED_IN)
        if isinstance(command, c.Malformed):
            return self._presenter.refuse(command.problem)
        return await _RUNNERS[type(command)](self, command)

    async def _auth(self, command: c.Auth) -> bool:
        if self._conversation.logged_in:
            return self._presenter.refuse(Problem.ALREADY_LOGGED_IN)
        answer = await self._conversation.log_in(command)
        if not isinstance(answer, e.LoggedIn):
            self._presenter.reject_login(answer)
            return False
        self._presenter.show_result(answer)
        return True

    async def _logout(self, command: c.Logout) -> bool:
        await self._conversation.log_out()
        self._presenter.show_result(e.LoggedOut())
        return True

    async def _send(self, command: c.Send) -> bool:
        result = await self._conversation.send(command.to, command.text)
        if isinstance(result, Rejected) and result.re is None:
            # The server's own refusal was shown when it came.
            self._presenter.view.say(result.text)
        return isinstance(result, Confirmed)

    async def _request(self, command: c.Command) -> bool:
        answer = await self._conversation.ask(command)
        if isinstance(answer, Rejected):
            self._presenter.view.say(answer.text)
            return False
        if isinstance(command, c.Passwd) and isinstance(answer, e.PasswordChanged):
            self._conversation.password_changed(command.new, answer.token)
        self._presenter.show_result(answer)
        return True

    async def _passwd(self, command: c.Passwd) -> bool:
        try:
            return await self._request(replace(command, token=True))
        except RequestLost:
            self._conversation.password_changed(command.new, None)
            raise

    async def _devices(self, command: c.Devices) -> bool:
        answer = await self._conversation.ask(command)
        if isinstance(answer, Rejected):
            self._presenter.view.say(answer.text)
        if not isinstance(answer, e.DevicesListed):
            return False
        self._listed = answer.devices
        for line in device_lines(answer, self._conversation.lang):
            self._presenter.view.say(line)
        return True

    async def _forget(self, command: c.Forget) -> bool:
        texts = DEVICE_TEXTS[self._conversation.lang]
        device = self._meant(command.device.lower())
        if device is None:
            self._presenter.view.say(texts.not_listed)
            return False
        if device != self._conversation.device:
            self._conversation.keep_login()
        answer = await self._conversation.ask(c.Forget(device))
        if isinstance(answer, Rejected):
            self._presenter.view.say(answer.text)
            return False
        self._presenter.view.say(texts.forgotten.format(id=device[:SHORT_ID]))
        return True

    def _meant(self, word: str) -> str | None:
        """The device that a user means by its number in the list, by its id, or by how that begins."""
        if word.isascii() and word.isdigit() and len(word) < SHORT_ID:
            listed = self._listed[max(0, int(word) - 1) : int(word)]
            return listed[0].device if listed else None
        if _DEVICE.fullmatch(word):
            return word
        begun = [one.device for one in self._listed if one.device.startswith(word)]
        return begun[0] if len(begun) == 1 and len(word) >= SHORT_ID else None

    async def _set_lang(self, command: c.SetLang) -> bool:
        self._conversation.set_lang(command.lang)
        return await self._show(e.LangSet())

    async def _help(self, command: c.Help) -> bool:
        return await self._show(e.HelpShown())

    async def _quit(self, command: c.Quit) -> bool:
        return await self._show(e.Farewell())

    async def _show(self, event: e.Event) -> bool:
        self._presenter.show_result(event)
        return True


_RUNNERS: dict[type, Callable[[CommandRunner, Any], Coroutine[Any, Any, bool]]] = {
    c.Auth: CommandRunner._auth,
    c.Send: CommandRunner._send,
    c.Register: CommandRunner._request,
    c.Passwd: CommandRunner._passwd,
    c.Find: CommandRunner._request,
    c.Devices: CommandRunner._devices,
    c.Forget: CommandRunner._forget,
    c.Logout: CommandRunner._logout,
    c.Help: CommandRunner._help,
    c.SetLang: CommandRunner._set_lang,
    c.Quit: CommandRunner._quit,
}
