"""Servers that are known, unknown, trusted and changed, with somebody to ask."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Any, cast

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.client.transport.certificates import client_options, presented
from tests.client.connecting import ConnectionCase, settle, until
from tests.client.strangers import LURE, Papers, papers
from tests.support.processes import ChatServer

_NOT_RESUMED = 1 << 16
"""SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION: the certificate is shown anew."""


class Unknown(ConnectionCase):
    async def test_nothing_before_the_answer(self) -> None:
        """A stranger would be told who we are, or could tell the user what it likes, before the user trusts it."""
        stranger = self.stranger()
        process = self.process(stranger.port)
        await self.asked(process)
        await settle()
        self.assertEqual((stranger.heard, process.view.said), ([], []))
        self.assertEqual((process.conversation.given, process.conversation.frames_received), (0, 0))
        (question,) = process.observer.questions
        for words in (process.server, "self-signed", self.mine.fingerprint, "CN=mine"):
            self.assertIn(words, question)
        process.observer.answer("o")
        await self.found(process)
        self.assertEqual(stranger.heard[0]["type"], "hello")
        self.assertIn(LURE, process.view.said)  # now it may

    async def test_no(self) -> None:
        """A stranger whom the user does not trust would be talked to all the same, or asked about for ever."""
        for letter in ("n", "oa", "x", ""):
            stranger = self.stranger()
            process = self.process(stranger.port)
            await self.asked(process)
            process.observer.answer(letter)
            line = await self.ended(process)
            self.assertIn(f"{process.server} is not trusted: the certificate is self-signed", line)
            self.assertIn(self.mine.fingerprint, line)
            self.assertEqual((stranger.heard, stranger.connections), ([], 1))
            self.assertEqual(process.view.said, [])
            self.assertFalse(self.known.path.exists())

    async def test_once(self) -> None:
        """After each loss of the connection the user would be asked again; or the file would hold what was for once."""
        stranger = self.stranger()
        process = self.process(stranger.port)
        await self.asked(process)
        process.observer.answer("o")
        for times in (1, 2, 3):
            await self.found(process, times)
            stranger.hang_up()
            await self.lost(process, times)
            process.clock.advance(60)
        await self.found(process, 4)
        self.assertEqual(len(process.observer.questions), 1)
        self.assertFalse(self.known.path.exists())
        await process.end()
        await self.asked(self.process(stranger.port))

    async def test_always(self) -> None:
        """The next start would ask again, or any user of the machine could write the file."""
        stranger = self.stranger()
        process = self.process(stranger.port)
        await self.asked(process)
        process.observer.answer("a")
        await self.found(process)
        await process.end()
        again = self.process(stranger.port)
        await self.found(again)
        self.assertEqual(again.observer.questions, [])
        line = f"localhost:{stranger.port} {self.mine.fingerprint}\n"
        self.assertEqual(self.known.path.read_text(), line)
        self.assertEqual(self.known.path.stat().st_mode & 0o777, 0o600)

    async def test_whose_answer(self) -> None:
        """To trust one server would mean to trust the same certificate elsewhere, or another server at that host."""
        stranger, elsewhere = self.stranger(), self.stranger()
        self.known.add(f"localhost:{elsewhere.port}", self.mine.fingerprint)
        await self.asked(self.process(stranger.port))

    async def test_always_cannot_be_written(self) -> None:
        """A user who chose "always" would not learn that it is not kept."""
        stranger = self.stranger()
        self.known.path.parent.write_text("a file in the folder's place")
        process = self.process(stranger.port)
        await until(lambda: process.observer.questions or process.observer.ends)
        line = await self.ended(process)
        self.assertIn(str(self.known.path), line)
        self.assertEqual(stranger.heard, [])

    async def test_unusable_file(self) -> None:
        """Who can write the file could make the client trust anybody; a damaged one would be taken for an empty one."""
        stranger = self.stranger()
        self.known.add(f"localhost:{stranger.port}", self.mine.fingerprint)
        self.known.path.chmod(0o622)
        line = await self.ended(self.process(stranger.port))
        self.assertIn(f"{self.known.path} can be changed by other users", line)
        self.known.path.chmod(0o600)
        self.known.path.write_text("nonsense\n")
        line = await self.ended(self.process(stranger.port, lang="zh"))
        self.assertIn(f"{self.known.path} 第 1 行", line)
        self.assertEqual(stranger.heard, [])


class Flawed(ConnectionCase):
    async def question(self, shown: Papers, **more: Any) -> str:
        process = self.process(self.stranger(shown).port, **more)
        await self.asked(process)
        return process.observer.questions[0]

    async def test_what_is_wrong(self) -> None:
        """The user would be asked without being told why, or a certificate that proves nothing would do."""
        root = papers(self.folder, "root", (), authority=True)
        for name, more, words in (
            ("expired", {"ends": -0.5}, "has expired"),
            ("early", {"starts": 0.5}, "is not valid yet"),
            ("else", {"hosts": ("example.org",)}, "for another name"),
            ("nobody", {"hosts": ()}, "for another name"),
            ("issued", {"issuer": root}, "issuer is not trusted"),
            ("client", {"for_clients": True}, "not for servers"),
        ):
            question = await self.question(papers(self.folder, name, **more))  # type: ignore[arg-type]
            self.assertIn(words, question, name)

    async def test_all_that_is_wrong(self) -> None:
        """Somebody who overlooks an expired certificate would not see that it is another server's besides."""
        both = papers(self.folder, "both", ("example.org",), ends=-0.5)
        question = await self.question(both)
        for words in ("self-signed", "expired", "another name", "example.org"):
            self.assertIn(words, question)

    async def test_a_name_that_is_none(self) -> None:
        """A stranger could write on the user's terminal what it likes, through the names in its certificate."""
        hosts = [f"h{number}.example" for number in range(100)]
        evil = papers(self.folder, "\x1b[2J\nBelieve me!\r", hosts)
        question = await self.question(evil)
        self.assertNotIn("\x1b", question)
        self.assertNotIn("\r", question)
        self.assertEqual(question.count("\n"), (await self.question(self.mine)).count("\n"))
        self.assertIn("Believe me!", question)
        self.assertLess(len(question), 1000)


class Trusted(ConnectionCase):
    def setUp(self) -> None:
        super().setUp()
        self.root = papers(self.folder, "root", (), authority=True)

    def issued(self, name: str, **more: Any) -> Papers:
        return papers(self.folder, name, issuer=self.root, **more)

    async def test_by_a_root(self) -> None:
        """A server with a proper certificate would be asked about."""
        stranger = self.stranger(self.issued("good"))
        process = self.process(stranger.port, ca=self.root.path)
        await self.found(process)
        self.assertEqual(process.observer.questions, [])

    async def test_strict(self) -> None:
        """Who names what is to be trusted would be asked about something else, or it would do because it once did."""
        self.known.add("localhost:1", self.mine.fingerprint)
        for shown, words in (
            (self.mine, "self-signed"),
            (self.issued("expired", ends=-0.5), "expired"),
            (self.issued("else", hosts=("example.org",)), "another name"),
            (self.issued("nobody", hosts=()), "another name"),
            (self.issued("client", for_clients=True), "not for servers"),
        ):
            stranger = self.stranger(shown)
            self.known.add(f"localhost:{stranger.port}", shown.fingerprint)
            process = self.process(stranger.port, ca=self.root.path)
            line = await self.ended(process)
            self.assertIn(f"Cannot trust {process.server}", line)
            self.assertIn(words, line)
            self.assertEqual((stranger.heard, process.observer.questions), ([], []))

    async def test_names(self) -> None:
        """A server could not be reached by its address, or one address's certificate would do for another."""
        wanted = self.issued("address", hosts=("127.0.0.1", "*.example.org"))
        stranger = self.stranger(wanted)
        await self.found(self.process(stranger.port, ca=self.root.path, host="127.0.0.1"))
        stranger = self.stranger(self.issued("second", hosts=("127.0.0.2",)))
        process = self.process(stranger.port, ca=self.root.path, host="127.0.0.1")
        self.assertIn("another name", await self.ended(process))

    async def test_pinned(self) -> None:
        """A script's fingerprint would not be enough; or another certificate would do, even a proper one."""
        stranger = self.stranger()
        process = self.process(stranger.port, pinned=self.mine.fingerprint)
        await self.found(process)
        self.assertEqual(process.observer.questions, [])
        stranger = self.stranger(self.issued("good"))
        process = self.process(stranger.port, pinned=self.mine.fingerprint, ca=self.root.path)
        line = await self.ended(process)
        self.assertIn(stranger.papers.fingerprint, line)
        self.assertIn("--fingerprint", line)
        self.assertEqual(stranger.heard, [])


class Changed(ConnectionCase):
    async def test_since_it_was_trusted(self) -> None:
        """Somebody in between could pass for the server at the next start, and would be given the password."""
        stranger = self.stranger(self.other)
        self.known.add("elsewhere:1", self.other.fingerprint)
        self.known.add(f"localhost:{stranger.port}", self.mine.fingerprint)
        process = self.process(stranger.port)
        line = await self.ended(process)
        self.assert_changed(line, self.mine, self.other)
        self.assertIn(f"line 2 of {self.known.path}", line)
        self.assertEqual((stranger.heard, stranger.connections), ([], 1))
        self.assertEqual((process.observer.questions, process.view.said), ([], []))

    async def test_between_two_connections(self) -> None:
        """Somebody in between could cut a connection, and would be talked to when the client comes back by itself."""
        stranger = self.stranger()
        process = self.process(stranger.port)
        await self.asked(process)
        process.observer.answer("o")
        await self.found(process)
        stranger.papers = self.other
        stranger.heard.clear()
        stranger.hang_up()
        await self.lost(process)
        process.clock.advance(60)
        self.assert_changed(await self.ended(process), self.mine, self.other)
        self.assertEqual((stranger.heard, len(process.observer.questions)), ([], 1))

    async def test_after_a_proper_one(self) -> None:
        """A server that could prove itself would be asked about when it no longer can, in the middle of a dialogue."""
        root = papers(self.folder, "root", (), authority=True)
        good = papers(self.folder, "good", issuer=root)
        stranger = self.stranger(good)
        process = self.process(stranger.port, ca=root.path, strict=False)
        await self.found(process)
        self.assertEqual(process.observer.questions, [])
        stranger.papers = self.other
        stranger.hang_up()
        await self.lost(process)
        process.clock.advance(60)
        self.assert_changed(await self.ended(process), good, self.other)

    async def test_by_another_process_meanwhile(self) -> None:
        """Two clients side by side would each trust another certificate for the same server."""
        for letter in ("a", "o"):
            stranger = self.stranger()
            process = self.process(stranger.port)
            await self.asked(process)
            self.known.add(process.server, self.other.fingerprint)
            process.observer.answer(letter)
            self.assert_changed(await self.ended(process), self.other, self.mine)
            self.assertEqual(stranger.heard, [])

    async def test_of_a_real_server(self) -> None:
        """What the server logs would be another fingerprint than what the user is shown."""
        server = ChatServer().start()
        self.addCleanup(server.remove)
        process = self.process(server.port)
        await self.asked(process)
        fingerprint = process.observer.questions[0].partition("SHA256:")[2].split()[0]
        self.assertIn(f"Certificate SHA256:{fingerprint}\n", server.log())
        process.observer.answer("a")
        await self.found(process)
        await process.end()
        server.stop()
        for name in ("server.key", "server.crt"):
            (server.folder / "keys" / name).unlink()
        server.start()
        line = await self.ended(self.process(server.port))
        self.assertIn("CHANGED", line)
        self.assertIn(fingerprint, line)


class OfOneConnection(SynchronousTestCase):
    """A client's TLS against a server's, in memory."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chatsvc-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.client = client_options("localhost", None).clientConnectionForTLS(cast(Any, None))
        self.client.set_connect_state()

    def server(self, shown: Papers) -> SSL.Connection:
        server = SSL.Connection(self.context(shown))
        server.set_accept_state()
        return server

    def context(self, shown: Papers) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)  # the last that could renegotiate
        context.set_options(SSL.OP_NO_TICKET | _NOT_RESUMED)
        context.use_certificate_file(str(shown.path))
        context.use_privatekey_file(str(shown.path))
        return context

    def shake_hands(self, server: SSL.Connection) -> None:
        for _ in range(8):
            for near, far in ((self.client, server), (server, self.client)):
                with contextlib.suppress(SSL.Error):
                    near.do_handshake()
                with contextlib.suppress(SSL.Error):
                    near.recv(1)
                with contextlib.suppress(SSL.WantReadError):
                    far.bio_write(near.bio_read(65_536))

    def test_another_one_later(self) -> None:
        """Once it is trusted, a server could hand the connection on to somebody with another certificate."""
        first, second = papers(self.folder, "first"), papers(self.folder, "second")
        server = self.server(first)
        self.shake_hands(server)
        self.assertEqual(presented(self.client).fingerprint, first.fingerprint)
        server.set_context(self.context(second))
        server.renegotiate()
        self.shake_hands(server)
        self.assertEqual(presented(self.client).fingerprint, first.fingerprint)

    def test_none_yet(self) -> None:
        """A connection whose server has shown nothing would pass for one without a flaw."""
        self.assertRaises(SSL.Error, presented, self.client)
