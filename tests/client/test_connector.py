"""Connections that hang, are closed or never come about, and those that wait for the user's word."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from chatsvc.client.connection_machine import WELCOME_PATIENCE
from chatsvc.client.transport.retry import Patience
from chatsvc.wire import commands as c
from tests.client.connecting import ConnectionCase, settle, until
from tests.client.strangers import PATIENCE
from tests.support.servers import free_port

NEVER = Patience(first=0.0, later=0.0)


class WhileTheQuestionIsOpen(ConnectionCase):
    async def test_time(self) -> None:
        """A user who compares fingerprints for an hour would be told that the server has closed or does not answer."""
        stranger = self.stranger()
        process = self.process(stranger.port)
        await self.asked(process)
        await until(lambda: stranger.left == 1)  # it would not wait as long
        process.clock.advance(3600)
        await settle()
        self.assertEqual((process.observer.events, stranger.connections), ([], 1))
        process.observer.answer("o")
        await self.found(process)
        self.assertEqual((process.observer.events, stranger.connections), (["found"], 2))
        self.assertEqual(len(process.observer.questions), 1)

    async def test_another_certificate(self) -> None:
        """An answer about one certificate would be taken for one about another."""
        for letter in "oa":
            stranger = self.stranger()
            process = self.process(stranger.port)
            await self.asked(process)
            stranger.papers = self.other
            process.observer.answer(letter)
            self.assert_changed(await self.ended(process), self.mine, self.other)
            self.assertEqual((stranger.heard, stranger.connections), ([], 2))

    async def test_the_server_is_gone(self) -> None:
        """An answer would be lost where the server is away for a moment."""
        stranger = self.stranger()
        process = self.process(stranger.port)
        await self.asked(process)
        stranger.close()
        process.observer.answer("o")
        await until(lambda: process.observer.reasons)
        self.assertEqual(process.observer.reasons, ["connection refused"])
        self.stranger(port=stranger.port)
        await self.in_time(process, lambda: "found" in process.observer.events)
        self.assertEqual(len(process.observer.questions), 1)

    async def test_says_nothing_when_it_is_trusted(self) -> None:
        """A server that is trusted at last and does not welcome us would be waited for, for ever."""
        stranger = self.stranger()
        stranger.welcomes = False
        process = self.process(stranger.port)
        await self.asked(process)
        process.clock.advance(WELCOME_PATIENCE - 1)
        process.observer.answer("o")
        await until(lambda: stranger.heard)
        process.clock.advance(WELCOME_PATIENCE - 1)
        await settle()
        self.assertEqual(process.observer.reasons, [])
        process.clock.advance(1)
        await until(lambda: process.observer.reasons)
        self.assertEqual(process.observer.reasons, ["no answer"])

    async def test_the_user_leaves(self) -> None:
        """The client would not end, or end only when its question is answered."""
        stranger = self.stranger()
        process = self.process(stranger.port)
        await self.asked(process)
        await process.end()
        self.assertEqual((process.observer.withdrawn, process.observer.ends), (1, []))
        self.assertEqual(stranger.heard, [])


class Hanging(ConnectionCase):
    """Servers that stop in the middle of everything, as a process does under SIGSTOP."""

    async def test_another_connection(self) -> None:
        """Minutes after its server has stopped a client would still say that it is connected."""
        stranger = self.stranger()
        process = self.process(stranger.port, ca=self.mine.path)
        await self.found(process)
        await self.in_time(process, lambda: "lost" in process.observer.events)
        self.assertEqual(process.observer.reasons, ["no answer"])
        self.assertEqual([frame["type"] for frame in stranger.heard], ["hello", "ping"])
        self.assertLess(process.clock.seconds(), 60)
        await until(lambda: stranger.left)  # it takes one after the other
        await self.in_time(process, lambda: process.observer.events.count("found") == 2)

    async def test_unanswered(self) -> None:
        """Somebody who asks something would wait for as long as somebody who asks nothing."""
        stranger = self.stranger()
        process = self.process(stranger.port, ca=self.mine.path)
        await self.found(process)
        asked = Deferred.fromCoroutine(process.conversation.ask(c.Find("x")))
        await self.in_time(process, lambda: "lost" in process.observer.events)
        self.assertLess(process.clock.seconds(), 18)
        self.assertNoResult(asked)  # it is asked again


class NoServer(ConnectionCase):
    async def reason(self, port: int, **more: Any) -> str:
        """Why there is no connection, said to a user whose client goes on trying, and to a script."""
        process = self.process(port, **more)
        await until(lambda: process.observer.reasons)
        script = self.process(port, patience=NEVER, **more)
        line = await self.ended(script)
        self.assertEqual(line, f"Cannot connect to {script.server}: {process.observer.reasons[0]}")
        self.assertEqual(process.observer.events, ["not found"])
        await self.in_time(process, lambda: process.observer.reasons[1:])
        self.assertEqual(process.observer.ends, [])
        return process.observer.reasons[0]

    async def test_nobody_listens(self) -> None:
        """A wrong port would be silence."""
        self.assertEqual(await self.reason(free_port()), "connection refused")

    async def test_no_such_host(self) -> None:
        """A wrong name would be silence, or a traceback."""
        for host in ("nosuch.invalid", "a..b", "-"):
            self.assertEqual(await self.reason(1, host=host), "no such host")

    async def test_closes_at_once(self) -> None:
        """Something that hangs up would be tried in silence."""
        listener = self.listener(lambda connection: None)
        self.assertEqual(await self.reason(listener.port), "closed before TLS was set up")

    async def test_no_tls(self) -> None:
        """A server of another kind would be tried in silence, or with words that help nobody."""
        for words in (b"\0\x0agreeting", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 smtp\r\n"):

            def serve(connection: socket.socket, words: bytes = words) -> None:
                connection.sendall(words)
                connection.recv(65_536)

            reason = await self.reason(self.listener(serve).port)
            self.assertEqual(reason, "the other end does not speak TLS")

    async def hangs(self, serve: Callable[[socket.socket], object]) -> None:
        """Such a server is given up when its time is over, and not before."""
        listener = self.listener(serve)
        process = self.process(listener.port)
        await until(lambda: listener.connections)
        await settle()
        process.clock.advance(WELCOME_PATIENCE - 0.1)
        await settle()
        self.assertEqual(process.observer.reasons, [])
        process.clock.advance(0.1)
        await until(lambda: process.observer.reasons)
        self.assertEqual(process.observer.reasons, ["no answer"])
        self.assertEqual(process.observer.events, ["not found"])
        self.assertEqual(process.observer.questions, [])

    async def test_hangs_at_once(self) -> None:
        """A server that takes the connection and does not even read would be waited for, for ever."""
        over = threading.Event()
        self.addCleanup(over.set)
        await self.hangs(lambda connection: over.wait(PATIENCE))

    async def test_hangs_in_the_handshake(self) -> None:
        """A server that reads our part of the handshake and does not answer would be waited for, for ever."""
        await self.hangs(_take_all)

    async def test_hangs_half_way(self) -> None:
        """A server that begins its part of the handshake and does not end it would be waited for, for ever."""

        def serve(connection: socket.socket) -> None:
            connection.recv(65_536)
            connection.sendall(
                bytes.fromhex("16 0303 007a 02 000076 0303 0000")
            )  # of a ServerHello
            _take_all(connection)

        await self.hangs(serve)


def _take_all(connection: socket.socket) -> None:
    while connection.recv(65_536):
        pass
