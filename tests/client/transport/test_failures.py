"""Why there is no connection, in words."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from OpenSSL import SSL
from twisted.internet import error
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.client.i18n.client_messages import CLIENT_MESSAGES, EN, ZH
from chatsvc.client.transport.certificates import Flaw
from chatsvc.client.transport.failures import Cause, ClosedEarly, NoAnswer, cause
from chatsvc.client.transport.known_servers import KnownServersProblem, KnownServersUnusable
from chatsvc.wire.client_codec import NotUnderstood
from tests.client.connecting import ConnectionCase, until

_ENGLISH = re.compile(r"(?!(?:TLS|HOST|PORT|SHA256|chmod)\b)\b[A-Za-z]{2,}")
"""Words, but for names that Chinese sentences have as well."""


class InWords(SynchronousTestCase):
    def test_every_case(self) -> None:
        """A case without words would be a traceback, in one language or the other."""
        for lang, words in CLIENT_MESSAGES.items():
            self.assertEqual(set(words.causes), set(Cause), lang)
            self.assertEqual(set(words.flaws), set(Flaw), lang)
            self.assertEqual(set(words.troubles), set(KnownServersProblem), lang)

    def test_chinese(self) -> None:
        """English words would stand inside a Chinese sentence."""
        path = Path("/")
        troubles = (
            KnownServersUnusable(trouble, path, 3, errno.EACCES) for trouble in KnownServersProblem
        )
        for text in (
            *(text for kind, text in ZH.causes.items() if kind not in (Cause.SYSTEM, Cause.OTHER)),
            *ZH.flaws.values(),
            *map(ZH.known_servers, troubles),
            *ZH.system.values(),
        ):
            self.assertIsNone(_ENGLISH.search(text), text)

    def test_what_twisted_says(self) -> None:
        """A common failure would go by Twisted's name for it, or by that of another."""
        for problem, english, chinese in (
            (
                error.ConnectionRefusedError(111, "Connection refused"),
                "connection refused",
                "连接被拒绝",
            ),
            (error.DNSLookupError("no results"), "no such host", "找不到该主机"),
            (error.UnknownHostError(), "no such host", "找不到该主机"),
            (error.TimeoutError(), "timed out", "连接超时"),
            (error.TCPTimedOutError(110, "timed out"), "timed out", "连接超时"),
            (error.NoRouteError(101, "unreachable"), "network unreachable", "网络不可达"),
            (error.ConnectError(errno.EHOSTUNREACH, "x"), "No route to host", "主机不可达"),
            (error.ConnectError(errno.ENOTSOCK, "x"), "Socket operation on non-socket", "ENOTSOCK"),
            (error.ConnectionDone(), "closed by the server", "服务器关闭了连接"),
            (error.ConnectionLost(), "connection lost", "连接中断"),
            (error.ConnectionAborted(), "connection lost", "连接中断"),
            (NoAnswer(), "no answer", "服务器没有响应"),
            (ClosedEarly(), "closed before TLS was set up", "TLS 握手完成之前连接就被关闭"),
            (NotUnderstood("x"), "the server's answer makes no sense", "服务器的回答无法理解"),
            (SSL.Error([("", "", "odd")]), "the TLS handshake failed", "TLS 握手失败"),
            (SSL.Error(), "the TLS handshake failed", "TLS 握手失败"),
            (ZeroDivisionError(), "unknown error ZeroDivisionError", "未知错误 ZeroDivisionError"),
        ):
            self.assertEqual((EN.reason(problem), ZH.reason(problem)), (english, chinese))


class OfARealHandshake(ConnectionCase):
    """OpenSSL's words differ between its versions."""

    async def fails(self, change: Callable[[ssl.SSLContext], object]) -> str:
        """What a client is told by a server whose TLS is changed."""

        def serve(connection: socket.socket) -> None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.mine.path)
            change(context)
            with context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(1)

        process = self.process(self.listener(serve).port, pinned=self.mine.fingerprint)
        await until(lambda: process.observer.reasons)
        return process.observer.reasons[0]

    async def test_versions(self) -> None:
        """A server that is too old would be said to have failed somehow."""

        def old(context: ssl.SSLContext) -> None:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1

        self.assertEqual(await self.fails(old), EN.causes[Cause.NO_COMMON_TLS])

    async def test_ciphers(self) -> None:
        """A server that wants ciphers that we have not would be said to have failed somehow."""

        def odd(context: ssl.SSLContext) -> None:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers("ECDHE-ECDSA-AES256-CCM8:@SECLEVEL=0")

        self.assertEqual(await self.fails(odd), EN.causes[Cause.NO_COMMON_TLS])

    async def test_wants_a_certificate(self) -> None:
        """A server that wants a client's certificate, which we have not, would be said to have failed somehow."""

        def suspicious(context: ssl.SSLContext) -> None:
            context.verify_mode = ssl.CERT_REQUIRED

        self.assertEqual(await self.fails(suspicious), EN.causes[Cause.WANTS_CERTIFICATE])


class Causes(SynchronousTestCase):
    def test_of_nothing(self) -> None:
        """A failure without an exception would be a traceback."""
        self.assertEqual(cause(None), Cause.OTHER)
