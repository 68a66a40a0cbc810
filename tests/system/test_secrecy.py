"""Passwords, tokens, texts and names never reach a log, a page or a command line, whatever goes wrong."""

from __future__ import annotations

import json
import time
from urllib.parse import quote

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.accounts.tokens import Tokens
from tests.support.leaks import Secrets, forms
from tests.support.processes import phc
from tests.support.secrecy import FileStores, GuardedStores, Run


class SearchTests(SynchronousTestCase):
    """The search itself."""

    def setUp(self) -> None:
        self.secrets = Secrets()
        self.secret = self.secrets.new("text", head="🗝")

    def test_every_form(self) -> None:
        """A secret that a program escapes, encodes or cuts short would pass unseen."""
        for piece in ("🗝", self.secret[1:], self.secret[1:9], self.secret[3:11]):
            for form in forms(piece):
                said = b"2026-11-23 [-] failed: '" + form + b"'\n"
                self.assertTrue(self.secrets.found_in(said), said)
        inside = f"x{self.secret}y"
        for escaped in (quote(inside), repr(repr(inside.encode())), repr([repr(ascii("🗝"))])):
            self.assertTrue(self.secrets.found_in(escaped.encode()), escaped)
        self.assertTrue(self.secrets.found_in(self.secret.upper().encode()))

    def test_other_words(self) -> None:
        """Every log would seem to have secrets in it."""
        other = Secrets().new("text", head="箋")
        for form in (*forms(other), "请登陆!".encode(), b""):
            self.assertEqual(self.secrets.found_in(form), [])
        self.assertEqual(self.secrets.found_in(self.secret.encode(), "text"), [])


class Everywhere:
    """What holds on both kinds of stores."""

    class Tests(Run):
        options = ("--inbox-limit", "20")

        def test_passwords(self) -> None:
            """A password would show: right or wrong, old or new, well-formed or not."""
            old, new = self.password(), self.password()
            uid = self.stores.add_user(self.name(), old)
            person = self.person(uid, old)
            self.assertEqual(person.ask(f"passwd {old} {new}"), "密码已修改!")
            self.type(person, [f"passwd {self.password()} {self.password()}", "logout"])
            person.log_in(uid, new)
            locked, its_password = self.account()
            self.stores.sql("UPDATE user SET password = ? WHERE id = ?", (f"!{phc('x')}", locked))
            mistyped = [
                *(f"auth {number} {self.password()}" for number in (uid, locked, 77, 0, 10**30)),
                f"auth {locked} {its_password}",
                f"auth {uid} {self.password()} 3",
                f"auth 1 2 {self.password()}",
                f"auth {self.password()}",
                f"auth {self.password()} {uid}",
                f"auth 918273645546372819 {uid}",
                f"AUTH {uid} {self.password()}",
                f"auth {uid} {self.password() * 100}",
                *(self.password(), f" {self.password()}", f"passwd {self.password()}"),
                f"passwd {self.password()} {self.password()} x",
                f"register {self.password()}",
                f"register x {self.password()} x",
                f"register {self.name()} {self.password() * 100}",
                f"register {self.name()} {self.password()}",
                f"lang {self.password()}",
            ]
            self.secrets.add("password", "918273645546372819")
            said = self.type(self.stranger(), mistyped)
            self.assertGreaterEqual(said.count("认证失败!"), 6)
            self.assertIn("bad-credentials", self.server.log())

        def test_passwords_of_programs(self) -> None:
            """A password in a request would show: right or wrong, well-formed or not."""
            uid, password = self.account()
            new = self.password()
            login = {"type": "auth", "n": 1, "uid": uid}
            change = {"type": "passwd", "n": 2, "old": password, "new": new}
            register = {"type": "register", "n": 3, "name": self.name()}
            program = self.program(uid, password)
            self.assertEqual(self.ask(program, [change]), [{"type": "ok", "re": 2}])
            secret = self.password
            answers = self.ask(
                program,
                [
                    {**change, "old": secret()},
                    {**change, "old": 5, "new": secret()},
                    {**change, "old": [secret()], "new": new},
                    {**change, "new": secret() * 100},
                ],
            )
            answers += self.ask(
                self.program(),
                [
                    {**login, "password": secret()},
                    *({**login, "password": wrong} for wrong in ([secret()], {"x": secret()})),
                    {**login, "password": secret(), "token": secret()},
                    {**login, "uid": secret(), "password": secret()},
                    {**login, "n": secret(), "password": secret()},
                    {**login, "receive": secret(), "password": secret()},
                    {**login, "type": secret(), "password": secret()},
                    {**login, "type": "login", "password": secret()},
                    {**change, "old": secret(), "new": secret()},
                    {**register, "password": secret() * 100},
                    {**register, "password": [secret()]},
                    json.dumps({**login, "password": secret()}).encode()[:-1],
                    json.dumps({**login, "password": secret() + "\ud800"}).encode(),
                    json.dumps(login).encode()[:-1] + b',"password":"\xff%s"}' % secret().encode(),
                ],
            )
            self.assertEqual({answer["type"] for answer in answers}, {"error"})
            codes = {answer["code"] for answer in answers}
            self.assertLessEqual({"bad-credentials", "bad-request", "not-utf8"}, codes)
            self.assertEqual(
                self.ask(self.program(), [{**register, "password": secret()}])[0]["type"], "ok"
            )

        def test_tokens(self) -> None:
            """A token would show: good, forged, too old, or of a password that was changed."""
            uid, password = self.account()
            secret = bytes.fromhex(self.token_secret)
            self.secrets.add("token", good := self.token(uid, secret, 0))
            login = {"type": "auth", "n": 1, "uid": uid}
            change = {"type": "passwd", "n": 2, "old": password, "new": self.password()}
            program = self.program()
            again = self.ask(program, [{**login, "token": good}])[0]
            self.assertEqual(again["type"], "ok")
            self.secrets.add("token", again["token"])
            wrong = [good[:-1], good[:-4] + "AAAA", "x" + good, self.token(uid, b"x" * 32, 0)]
            wrong += [self.token(uid, secret, age) for age in (8 * 86400, -8 * 86400)]
            for token in wrong:
                self.secrets.add("token", token)
                answer = self.ask(self.program(), [{**login, "token": token}])[0]
                self.assertEqual(answer["code"], "bad-credentials", token)
            self.ask(self.program(), [{**login, "uid": 1, "token": good}])
            self.ask(self.program(), [{**login, "password": good}, {**login, "token": [good]}])
            self.ask(self.program(), [{"type": good}, json.dumps({"token": good}).encode()[:-1]])
            self.type(self.stranger(), [f"auth {uid} {good}", f"auth {uid} {good} x", good])
            self.ask(program, [change])
            stale = self.ask(self.program(), [{**login, "token": good}])[0]
            self.assertEqual(stale["code"], "bad-credentials")

        def token(self, uid: int, secret: bytes, age: float) -> str:
            """A token that a server with this secret gave out so many seconds ago."""
            ((stored,),) = self.stores.sql("SELECT password FROM user WHERE id = ?", (uid,))
            return Tokens(secret, now=lambda: time.time() - age).issue(uid, stored)

        def test_texts(self) -> None:
            """A message would show: delivered, waiting or refused."""
            reader, away = self.account(), self.account()
            live, words = self.person(*reader), self.words
            person, program = self.person(), self.program(*self.account())
            to, numbered = f"msg {reader[0]} ", {"type": "msg", "to": reader[0]}
            self.assertIn("[ ", person.ask(to + words()))
            self.type(
                person,
                [
                    f"msg {away[0]} {words()}",
                    *(f"msg {nobody} {words()}" for nobody in (77, 0, -1, 10**30, "1_0")),
                    *(f"msg {words()}", f"msg {words()} {reader[0]}", f"msg  {words()}"),
                    to + words() * 600,
                    to + words() + "\n[ x|UID:1 ]:\x1b]0;" + words() + "\x07\x85\u202e",
                    *(f"MSG 1 {words()}", f"find {words()}", words()),
                ],
            )
            numbers = [1, 1, 5, 2]
            answers = self.ask(
                program,
                [
                    *({**numbered, "n": n, "text": words()} for n in numbers),
                    *({**numbered, "n": 3, "text": text} for text in (words() * 600, [words()])),
                    *({**numbered, "n": 3, "to": to, "text": words()} for to in (77, words())),
                    *({**numbered, "n": 1 + n, "to": away[0], "text": words()} for n in range(25)),
                ],
            )
            codes = {answer["code"] for answer in answers if answer["type"] == "error"}
            expected = {"gap", "too-long", "bad-request", "unknown-user", "inbox-full"}
            self.assertEqual(codes, expected)
            self.type(self.stranger(), [f"msg {reader[0]} {words()}", words()])
            self.ask(self.program(), [{**numbered, "n": 1, "text": words()}])
            self.assertIn(" ]:箋", live.read())
            waiting = self.program(*away)
            self.assertEqual(waiting.await_type("msg")["text"][0], "箋")

        def test_names(self) -> None:
            """A name would show: registered, refused, taken or looked for."""
            name, password = self.name(), self.password()
            stranger, person = self.stranger(), self.person()
            worse = [f"{self.name()}{bad}" for bad in ("]", "|", "\u202e", "\0", "x" * 40)]
            told = self.type(
                stranger,
                [
                    *(f"register {one} {password}" for one in (name, name.upper(), *worse)),
                    *(f"register {self.name()}", self.name()),
                ],
            )
            self.assertEqual(len(told), 9)
            self.type(person, [f"find {name}", f"find {self.name()}", f"find {self.name() * 4000}"])
            ((uid,),) = self.stores.sql("SELECT id FROM user WHERE username = ?", (name,))
            self.type(self.person(uid, password), [f"msg {uid} {self.words()}"])
            old = self.stores.add_user(f"[{self.name()}|\x1b\u202e]", phc(password))
            self.type(self.person(old, password), [f"msg {uid} {self.words()}"])

        def test_broken_frames(self) -> None:
            """Bytes that no client sends would show, from its bytes or from an error that quotes them."""
            words = self.words().encode
            frames = [b"\xff" + words(), b"msg 1 " + words() + b"\xc3", words() + b"\0" * 60_000]
            braces = [b"{" + words(), b'{"type":"%s"}' % words(), b'{"%s":1}' % words()]
            braces += [b'{"type":"msg","text":"%s' % words(), b'{"type":' + b"[" * 10_000 + words()]
            self.type(self.person(), frames)
            self.ask(self.program(), [*frames, *braces])
            self.ask(self.program(*self.account()), [*frames, *braces])
            half = self.stranger()
            half.socket.sendall(b"\xff\xff" + words())
            half.socket.close()
            for rubbish in (b"\0\x40", b"GET /", b"\x16\x03\x01\xff\xff", b"PROXY TCP4 "):
                self.raw(rubbish + words())
            self.page(f"metrics/{self.words()[1:]}?x={self.words()[1:]}")

        def test_signals(self) -> None:
            """Messages and log-ins under way would show when the server is told to reload, stop, or is killed."""
            reader, other = self.account(), self.account()
            writer = self.program(*self.account())
            message = {"type": "msg", "to": reader[0]}
            certificate = self.server.folder / "keys" / "server.crt"
            good = certificate.read_bytes()
            for end in (self.server.stop, self.server.kill):
                self.assertEqual(writer.ask(**message, n=1, text=self.words())["type"], "sent")
                certificate.write_bytes(b"no certificate")
                self.server.reload()
                self.assertTrue(self.server.wait_for("Not reloaded"))
                certificate.write_bytes(good)
                writer.say_many({**message, "text": self.words()} for _ in range(15))
                self.stranger().send(f"auth {other[0]} {other[1]}")
                self.stranger().send(f"register {self.name()} {self.password()}")
                end()
                self.server.start()
                person = self.person(*reader)
                self.assertIn("[ ", person.read())
                person.close()  # or it would read what comes next, too
                writer = self.program(*self.account())


class SQLiteSecrecyTests(Everywhere.Tests):
    stores_kind = FileStores


class ServersSecrecyTests(Everywhere.Tests):
    stores_kind = GuardedStores
