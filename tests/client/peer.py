"""A scripted server for a conversation, in memory and on a fake clock."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.client.conversation.account import LoginIntent
from chatsvc.client.conversation.commands import CommandRunner
from chatsvc.client.conversation.conversation import Conversation
from chatsvc.client.conversation.presenter import Presenter
from chatsvc.client.state.outbox import Outbox
from chatsvc.client.state.saved_login import SavedLogin
from chatsvc.wire.events import Event, Message
from chatsvc.wire.phrases import ZH
from chatsvc.wire.text.dialect import TextDialect, show

SERVER = "localhost:10000"

ME, YOU = 10001, 10002

MINE = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(0))}\n[ 张三|UID:{ME} ]:"
"""The header of a message from ``ME`` that was sent when time began, as the peer says of all."""


class RecordingView:
    """A view that keeps what it shows. While ``slow``, messages are not shown until :meth:`finish`."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.read: list[int] = []
        self.record: list[int] = []
        self.failures: list[str] = []
        self.slow = False
        self._unfinished: list[Deferred[None]] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def show_result(self, event: Event, lines: Sequence[str]) -> None:
        self.said.extend(lines)

    def not_sent(self, to: int, text: str, why: str) -> None:
        self.said.append(why)

    def show(self, messages: Sequence[Message]) -> Deferred[None]:
        self.said.extend(show(message, ZH) for message in messages)
        self.read.extend(message.id for message in messages)
        if not self.slow:
            return succeed(None)
        self._unfinished.append(Deferred())
        return self._unfinished[-1]

    def finish(self) -> None:
        """What was being shown now stands there."""
        unfinished, self._unfinished = self._unfinished, []
        for waiting in unfinished:
            waiting.callback(None)

    def recorded(self, messages: Sequence[Message]) -> None:
        self.record.extend(message.id for message in messages)

    def failed(self, line: str) -> None:
        self.failures.append(line)


class PeerCase(SynchronousTestCase):
    """Talks to a conversation as a server would. ``intent`` is what each log-in is for."""

    intent: LoginIntent | None = None

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chatsvc-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.begin()
        self.addCleanup(lambda: self.kill())

    def begin(self) -> None:
        """A client's process starts."""
        self.clock = Clock()
        self.view = RecordingView()
        self.outboxes: list[Outbox] = []
        self.saved_login = SavedLogin(self.folder, keeps=True)
        presenter = Presenter(self.view, "zh")
        self.conversation = Conversation(
            self.clock, self._open, presenter, self.intent, self.saved_login, SERVER
        )
        self.commands = CommandRunner(self.conversation, presenter)
        self.frames: list[dict[str, Any]] = []

    def _open(self, uid: int) -> Outbox:
        self.outboxes.append(Outbox(self.folder, SERVER, uid))
        return self.outboxes[-1]

    def kill(self) -> None:
        """The client's process is gone, as by SIGKILL."""
        for outbox in self.outboxes:
            outbox.close()
        self.outboxes.clear()

    def connect(self) -> None:
        """A connection is made and welcomed."""
        self.frames.clear()
        self.conversation.connection_made(lambda frame: self.frames.append(json.loads(frame)))
        (hello,) = self.take("hello")
        self.conversation.frame("请登陆!".encode())
        self.say(type="welcome", version=1, server="x", registration="open", re=hello["n"])

    def say(self, **thing: Any) -> None:
        """The server says something; then a turn of the reactor ends."""
        self.conversation.frame(json.dumps(thing).encode())
        self.clock.advance(0)

    def take(self, *kinds: str) -> list[dict[str, Any]]:
        """What the client has sent since the last time, of some types; the rest is dropped."""
        taken = [frame for frame in self.frames if frame["type"] in kinds]
        self.frames.clear()
        return taken

    def type(self, line: str) -> Deferred[bool]:
        """The user types a line."""
        return self.commands.run(TextDialect("zh").parse(line.encode()))

    def log_in(self, epoch: str = "e1", waiting: int = 0) -> dict[str, Any]:
        """The user logs in; what the client asked."""
        typed = self.type(f"auth {ME} pw")
        (auth,) = self.take("auth")
        self.accept(auth, epoch, waiting)
        self.assertTrue(self.successResultOf(typed))
        return auth

    def accept(self, auth: dict[str, Any], epoch: str = "e1", waiting: int = 0) -> None:
        """The server accepts a log-in."""
        answer = {"uid": auth["uid"], "name": "张三", "token": "t1", "epoch": epoch}
        self.say(type="ok", re=auth["n"], waiting=waiting, **answer)

    def sent(self, n: int, to: int = YOU, **more: Any) -> None:
        """The server confirms a message."""
        self.say(**{"type": "sent", "re": n, "to": to, "id": n, "at": 1, "state": "online", **more})

    def refuse(self, n: int, code: str, to: int = YOU, **more: Any) -> None:
        """The server refuses a message."""
        self.say(type="error", re=n, to=to, code=code, text=f"<{code}>", **more)

    def message(self, id: int, text: str = "text") -> None:
        """The server hands a message over."""
        self.say(type="msg", id=id, **{"from": YOU}, name="李四", at=1, text=text)

    def numbers(self) -> list[tuple[int, str]]:
        """The messages that the client has sent since the last time."""
        return [(frame["n"], frame["text"]) for frame in self.take("msg")]
