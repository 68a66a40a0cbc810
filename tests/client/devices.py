"""A server that knows registered devices, in memory, and terminals of one user at it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.client.conversation.account import LoginIntent
from chatsvc.client.conversation.commands import CommandRunner
from chatsvc.client.conversation.conversation import Conversation
from chatsvc.client.conversation.presenter import Presenter
from chatsvc.client.input.parser import interpret
from chatsvc.client.state.outbox import Outbox
from chatsvc.client.state.saved_login import SavedLogin
from chatsvc.wire import commands as c
from tests.client.ledger import Ledger
from tests.client.peer import ME, SERVER, YOU, RecordingView

Frame = dict[str, Any]


@dataclass
class Entry:
    """A message in the inbox; ``to`` and ``device``: it is a copy of what that device sent there."""

    id: int
    serial: int
    text: str
    to: int = 0
    device: str = ""


class DeviceServer:
    """
    The inbox of ``ME``, and the sessions that read it.

    ``features`` are granted to whoever asks for them; None: it knows of none, as older servers. ``stored`` are the
    texts of all messages that ever were in the inbox, in order.
    """

    def __init__(self) -> None:
        self.features: tuple[str, ...] | None = ("devices",)
        self.epoch = "e1"
        self.log: list[Entry] = []
        self.stored: list[str] = []
        self.last = 0
        self.serial = 10_000
        self.acknowledged = 0
        self.positions: dict[str, int] = {}
        self.registered: list[str] = []
        self.full = False
        self.password = "pw"
        self.tokens = 0
        self.issued: dict[str, str] = {}
        self.void: set[str] = set()
        self.ledger = Ledger()
        self.links: list[Link] = []
        self.auths: list[Frame] = []
        self.hellos: list[Frame] = []

    def store(self, text: str, to: int = 0, device: str = "", *, serial: int | None = None) -> None:
        """A message comes into the inbox; ``serial`` 0: the server does not know of serials yet."""
        self.last += 1
        if serial is None:
            self.serial += 10
            serial = self.serial
        self.log.append(Entry(self.last, serial, text, to, device))
        self.stored.append(text)
        for link in list(self.links):
            link.hand_over()

    def lose(self, count: int) -> None:
        """The store has lost its last messages, and goes on: another epoch, and serials above all others."""
        lost, self.log = self.log[len(self.log) - count :], self.log[: len(self.log) - count]
        self.last -= len(lost)
        self.acknowledged = min(self.acknowledged, self.last)
        self.positions = {who: min(at, self.last) for who, at in self.positions.items()}
        self.serial += 60_000_000
        self.epoch += "+"
        for link in list(self.links):
            link.cursor = min(link.cursor, self.last)
            if link.receives and not link.granted:
                link.end()
                link.say(type="bye", retry_after=0)

    def forget(self, device: str, *, on_request: bool = False) -> None:
        """A device is forgotten; its session ends. On request its tokens are void, too."""
        if on_request:
            self.void |= {token for token, whose in self.issued.items() if whose == device}
        self.registered = [one for one in self.registered if one != device]
        self.positions.pop(device, None)
        for link in list(self.links):
            if link.reader == device:
                link.end()
                link.say(type="bye", retry_after=0, **({"forgotten": True} if on_request else {}))

    def claim(self, device: str, after: int | None, serial: int | None) -> int:
        """The id behind which a registered device begins to read."""
        new = device not in self.registered
        if new:
            self.registered.append(device)
        begin = self.positions.get(device, self.acknowledged)
        if after is not None:
            assert serial is not None
            exact = [entry.id for entry in self.log if (entry.id, entry.serial) == (after, serial)]
            not_above = [entry.id for entry in self.log if entry.serial <= serial]
            begin = max(exact or not_above or [self.log[0].id - 1 if self.log else self.last])
        self.positions[device] = begin if new else max(begin, self.positions[device])
        return begin


class Link:
    """One connection to the server."""

    def __init__(self, server: DeviceServer, terminal: Terminal) -> None:
        self.server = server
        self.terminal = terminal
        self.device = ""
        self.granted = False
        self.user = False
        self.receives = False
        self.cursor = 0
        self.cut = False
        self.open = True

    @property
    def reader(self) -> str:
        """The device whose position moves; empty: the unnamed one."""
        return self.device if self.granted else ""

    def say(self, **thing: Any) -> None:
        """Put a frame on its way."""
        if self.open and not self.cut:
            self.terminal.arriving.append((self, thing))

    def close(self) -> None:
        """The client closes the connection, or the server does."""
        self.open = False
        self.end()
        self.terminal.lost(self)

    def end(self) -> None:
        """The session is over."""
        self.user = self.receives = False
        if self in self.server.links:
            self.server.links.remove(self)

    def heard(self, frame: Frame) -> None:
        """The client has said something."""
        if self.cut or not self.open:
            return
        getattr(self, f"_{frame['type']}")(frame, {"re": frame.get("n")})

    def hand_over(self) -> None:
        """Whatever is above the cursor, and for this session."""
        for entry in self.server.log if self.receives else ():
            if entry.id <= self.cursor:
                continue
            self.cursor = entry.id
            if entry.to and (not self.granted or entry.device == self.device):
                continue
            more: Frame = {"serial": entry.serial} if self.granted and entry.serial else {}
            if entry.to:
                more["to"] = entry.to
            sender = ME if entry.to else YOU
            self.say(
                type="msg", id=entry.id, name="x", at=1, text=entry.text, **{"from": sender}, **more
            )

    def _hello(self, frame: Frame, re: Frame) -> None:
        self.server.hellos.append(frame)
        if self.granted:
            self.say(type="error", code="bad-request", text="<hello>", **re)
            return
        self.device = frame.get("device", "")
        welcome: Frame = {"type": "welcome", "version": 1, "server": "x", "registration": "open"}
        if "features" in frame and self.server.features is not None:
            self.granted = bool(self.device) and "devices" in self.server.features
            welcome["features"] = ["devices"] if self.granted else []
        self.say(**welcome, **re)

    def _auth(self, frame: Frame, re: Frame) -> None:
        server = self.server
        server.auths.append(frame)
        assert not self.user, "logged in already"
        known = frame.get("password") == server.password or (
            str(frame.get("token", "")).startswith("t") and frame["token"] not in server.void
        )
        named = "name" not in frame or (frame["name"] == "张三" and server.features is not None)
        if not known or not named or frame.get("uid", ME) != ME:
            self.say(type="error", code="bad-credentials", text="认证失败!", **re)
            return
        receives = frame.get("receive", True)
        if server.full and self.granted and receives:
            self.say(type="error", code="too-many-devices", text="<too many>", **re)
            return
        for other in list(server.links):
            same = self.device and other.device == self.device
            if same or (receives and other.receives and other.reader == self.reader):
                other.end()
                other.say(type="kicked")
        self.user, self.receives = True, receives
        server.links.append(self)
        waiting, epoch = sum(not m.to and m.id > server.acknowledged for m in server.log), ""
        if receives and self.granted:
            assert ("after" in frame) == ("serial" in frame), frame
            self.cursor = server.claim(self.device, frame.get("after"), frame.get("serial"))
        elif receives:
            self.cursor = server.positions.setdefault("", server.acknowledged)
            epoch = server.epoch
        server.tokens += 1
        server.issued[f"t{server.tokens}"] = self.reader
        self.say(
            type="ok",
            uid=ME,
            name="张三",
            token=f"t{server.tokens}",
            epoch=epoch,
            waiting=waiting,
            **re,
        )
        self.hand_over()

    def _ack(self, frame: Frame, re: Frame) -> None:
        if self.receives and frame["id"] <= self.cursor:
            positions = self.server.positions
            positions[self.reader] = max(positions.get(self.reader, 0), frame["id"])
            self.server.acknowledged = max(self.server.acknowledged, frame["id"])

    def _msg(self, frame: Frame, re: Frame) -> None:
        if not self.user:
            self.say(type="error", to=frame["to"], code="not-logged-in", text="<out>", **re)
            return
        before = len(self.server.ledger.stored)
        self.say(**self.server.ledger.answer(self.device, frame))
        if len(self.server.ledger.stored) > before and self.receives and self.server.registered:
            self.server.store(frame["text"], frame["to"], self.device)

    def _logout(self, frame: Frame, re: Frame) -> None:
        self.end()
        self.say(type="ok", **re)

    def _ping(self, frame: Frame, re: Frame) -> None:
        self.say(type="pong", **re)

    def _devices(self, frame: Frame, re: Frame) -> None:
        assert self.server.features is not None, "an older server knows no such thing"
        listed = [
            {"device": one, "client": "x/1", "first": 0, "last": 0, "online": True}
            for one in self.server.registered
        ]
        for one in listed:
            one["this"] = one["device"] == self.reader
        self.say(type="ok", devices=listed, **re)

    def _forget(self, frame: Frame, re: Frame) -> None:
        self.say(type="ok", **re)
        self.server.forget(frame["device"], on_request=True)


class _Remembering(Outbox):
    """An outbox that knows which others its process holds, for the end of that process."""

    def __init__(self, *account: Any, **more: Any) -> None:
        self.others: list[Outbox] = []
        super().__init__(*account, **more)

    def left(self) -> list[Outbox]:
        found = super().left()
        self.others += found
        return found

    def close(self) -> None:
        for other in self.others:
            other.close()
        super().close()


class Terminal:
    """A process of a client, with a state folder, that connects again whenever it is not connected."""

    def __init__(self, server: DeviceServer, folder: Path, **intent: Any) -> None:
        self.server = server
        self.clock = Clock()
        self.view = RecordingView()
        self.texts: list[str] = []
        self.arriving: deque[tuple[Link, Frame]] = deque()
        self.asked: deque[tuple[Link, Frame]] = deque()
        self.outboxes: list[Outbox] = []
        self.link: Link | None = None
        self._folder = folder
        self._terminal = intent.get("devices", True)
        self._remember = intent.pop("remember", False)
        presenter = Presenter(self.view, intent.pop("lang", "zh"))
        self.view.show = self._show  # type: ignore[method-assign]
        self.conversation = Conversation(
            self.clock,
            self._open,
            presenter,
            LoginIntent(**{"devices": True, **intent}),
            SavedLogin(folder, self._remember),
            SERVER,
        )
        self.commands = CommandRunner(self.conversation, presenter)

    def _open(self, uid: int) -> Outbox:
        self.outboxes.append(_Remembering(self._folder, SERVER, uid, terminal=self._terminal))
        return self.outboxes[-1]

    def _show(self, messages: Any) -> Deferred[None]:
        self.texts.extend(message.text for message in messages)
        return RecordingView.show(self.view, messages)

    @property
    def outbox(self) -> Outbox:
        """That of the account."""
        return self.outboxes[0]

    def connect(self) -> None:
        """There is a connection."""
        link = self.link = Link(self.server, self)
        self.conversation.connection_made(
            lambda frame: self.asked.append((link, json.loads(frame))), link.close
        )

    def lost(self, link: Link) -> None:
        """A connection is gone."""
        if self.link is link:
            self.link = None
            self.conversation.connection_lost()

    def cut(self) -> None:
        """Lose the connection, and what is on its way."""
        if self.link is not None:
            self.link.cut = True
            self.link.close()

    def kill(self) -> None:
        """The process is gone."""
        if self.link is not None:
            link, self.link = self.link, None
            link.open = False
            link.end()
        for outbox in self.outboxes:
            outbox.close()
        self.outboxes.clear()

    def type(self, line: str) -> Deferred[bool]:
        """The user types a line."""
        typed = interpret(line, None)
        assert isinstance(typed, c.Command), typed
        return self.commands.run(typed)

    def step(self) -> bool:
        """One thing goes one way; whether there was one."""
        if self.link is None:
            self.connect()
        elif self.asked:
            link, frame = self.asked.popleft()
            link.heard(frame)
        elif self.arriving:
            link, frame = self.arriving.popleft()
            if self.link is link and link.open:
                self.conversation.frame(json.dumps(frame).encode())
                self.clock.advance(0)
                if frame["type"] == "bye":
                    link.close()
        else:
            return False
        return True


class DevicesCase(SynchronousTestCase):
    """Terminals of one user."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chatsvc-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.server = DeviceServer()
        self.terminals: list[Terminal] = []
        self.addCleanup(self._kill_all)

    def _kill_all(self) -> None:
        while self.terminals:
            self.kill(self.terminals[0])

    def terminal(self, state: str = "state", **intent: Any) -> Terminal:
        """Start a client."""
        self.terminals.append(Terminal(self.server, self.folder / state, **intent))
        return self.terminals[-1]

    def settle(self) -> None:
        """Let everything happen that is on its way."""
        for _ in range(10_000):
            steps = [one.step() for one in self.terminals]
            if not any(steps):
                return
        raise AssertionError("it does not come to an end")

    def logged_in(
        self, state: str = "state", line: str = f"login {ME} pw", **intent: Any
    ) -> Terminal:
        """A client at which the user has logged in."""
        terminal = self.terminal(state, **intent)
        self.log_in(terminal, line)
        return terminal

    def log_in(self, terminal: Terminal, line: str = f"login {ME} pw") -> None:
        """The user logs in."""
        typed = terminal.type(line)
        self.settle()
        self.assertTrue(self.successResultOf(typed), terminal.view.said)

    def kill(self, terminal: Terminal) -> None:
        """End a process without a word."""
        terminal.kill()
        self.terminals.remove(terminal)
