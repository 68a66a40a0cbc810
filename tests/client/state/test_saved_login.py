"""``--remember``: an account that logs in by itself, and a token that is on the disk only for that."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

import pexpect

from chatsvc.client.state.outbox import StateUnusable
from chatsvc.client.state.saved_login import SavedAccount, SavedLogin
from tests.client.peer import ME, SERVER, YOU, PeerCase
from tests.client.programs import COMMAND, PASSWORD, PATIENCE
from tests.client.script.script_case import ScriptCase
from tests.client.waiting import await_that
from tests.support.servers import free_port

CTRL_D = "\x04"


class Remembered(ScriptCase):
    def setUp(self) -> None:
        super().setUp()
        self.file = self.folder / "state" / "remembered.json"

    def environment(self, **more: str) -> dict[str, str]:
        """Only the server's certificate and the state folder are given."""
        nothing = dict.fromkeys(
            ("CHATSVC_CONNECT", "CHATSVC_UID", "CHATSVC_PASSWORD_FILE", "CHATSVC_LANG"), ""
        )
        return super().environment(**{**nothing, **more})

    def log_in_once(self, *options: str, **env: str) -> None:
        """Log in in a pipe."""
        outcome = self.run_client(
            f"auth {self.uid} {PASSWORD}", options=[*self.options(), *options], **env
        )
        self.assertEqual(outcome.status, 0, outcome)

    def at_terminal(self, *options: str) -> Any:
        """A client at a terminal."""
        child = pexpect.spawn(
            COMMAND[0],
            [*COMMAND[1:], *options],
            cwd=str(self.folder),
            env=self.environment(TERM="dumb"),
            encoding="utf-8",
            timeout=PATIENCE,
            dimensions=(24, 120),
        )
        self.addCleanup(child.close, force=True)
        return child

    def kept(self) -> dict[str, Any]:
        """What is remembered."""
        thing: dict[str, Any] = json.loads(self.file.read_text())
        return thing

    def change_password(self) -> None:
        """Change it elsewhere."""
        client = self.server.structured()
        self.addCleanup(client.close)
        client.log_in(self.uid, PASSWORD, receive=False)
        self.assertEqual(client.ask(type="passwd", n=2, old=PASSWORD, new="new")["type"], "ok")

    def test_not_unasked(self) -> None:
        """Who did not ask for it would leave something on the disk that logs them in."""
        process = self.begin("client", *self.options())
        client = self.server.structured()
        self.addCleanup(client.close)
        # All tokens of one account and one second are alike but for their last part.
        begins = client.log_in(self.uid, PASSWORD, receive=False)["token"].split(".")[0]
        process.communicate(f"auth {self.uid} {PASSWORD}\nmsg {self.other} x\n", PATIENCE)
        paths = [path for path in (self.folder / "state").rglob("*") if path.is_file()]
        self.assertTrue(paths)
        for path in paths:
            self.assertNotIn(begins.encode(), path.read_bytes(), path)
        self.assertFalse(self.file.exists())

    def test_kept(self) -> None:
        """A script would need a password, or others could read what logs in."""
        self.log_in_once("--remember")
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        kept = self.kept()
        self.assertEqual((kept["server"], kept["uid"]), (f"localhost:{self.server.port}", self.uid))
        self.done(self.send("x"))
        self.assertEqual(self.waiting(self.other), ["x"])
        self.write(self.uid, "y", uid=self.other)
        self.assertIn(":y\n", self.done(self.run_to_end("listen", "--count", "1")))
        self.assertEqual([path.name for path in self.file.parent.glob(".rem*")], [])

    def test_environment(self) -> None:
        """A container could not ask for it."""
        self.log_in_once(CHATSVC_REMEMBER="1")
        self.assertTrue(self.file.exists())

    def test_renewed(self) -> None:
        """A script that runs every day would be locked out after a week."""
        self.log_in_once("--remember")
        old = {**self.kept(), "token": self.kept()["token"]}
        kept_at = int(self.file.stat().st_mtime)
        await_that(lambda: int(time.time()) > kept_at, "the next second: tokens tell no less")
        self.done(self.send("x"))
        self.assertNotEqual(self.kept()["token"], old["token"])
        self.assertEqual({**self.kept(), "token": ""}, {**old, "token": ""})

    def test_others_are_not_remembered(self) -> None:
        """A script that logs in as somebody else by password would take the place of the one who is remembered."""
        self.log_in_once("--remember")
        password = {"CHATSVC_UID": str(self.other), "CHATSVC_PASSWORD": PASSWORD}
        self.done(self.run_to_end("send", "--to", str(self.uid), "x", **password))
        self.assertEqual(self.kept()["uid"], self.uid)
        self.failed(self.send("x", CHATSVC_UID=str(self.other)), "CHATSVC_PASSWORD")
        self.failed(self.send("x", CHATSVC_CONNECT=f"localhost:{free_port()}"), "--uid")

    def test_terminal(self) -> None:
        """A person would have to type server and password every day."""
        self.log_in_once("--remember")
        child = self.at_terminal("--lang", "zh")
        child.expect("认证成功!")
        self.assertNotIn("请登陆!", child.before)
        child.sendline(f"msg {self.other} 你好")
        child.expect("你好")
        child.expect("离线消息")
        child.sendline("quit")
        child.expect(pexpect.EOF)
        self.assertTrue(self.file.exists())
        self.at_terminal("--lang", "zh").expect("认证成功!")
        self.assertEqual(self.waiting(self.other), ["你好"])

    def test_remembered_at_a_terminal(self) -> None:
        """--remember would do nothing where people use it."""
        child = self.at_terminal("--lang", "zh", "--remember", *self.options())
        child.expect("请登陆!")
        child.sendline(f"auth {self.uid} {PASSWORD}")
        child.expect("认证成功!")
        child.close(force=True)
        self.at_terminal("--lang", "zh").expect("认证成功!")

    def test_another_server(self) -> None:
        """The token would be given to another server."""
        self.log_in_once("--remember")
        kept = self.kept()
        self.file.write_text(json.dumps({**kept, "server": "localhost:1"}))
        child = self.at_terminal("--lang", "zh", *self.options())
        child.expect("请登陆!")
        self.assertEqual(self.kept()["server"], "localhost:1")

    def test_log_out(self) -> None:
        """Who has logged out would be logged in the next time."""
        self.log_in_once("--remember")
        child = self.at_terminal("--lang", "zh")
        child.expect("认证成功!")
        child.sendline("logout")
        child.expect("您已退出登录!")
        self.assertFalse(self.file.exists())
        child.send(CTRL_D)
        child.expect(pexpect.EOF)

    def test_no_longer_valid_at_a_terminal(self) -> None:
        """After a password change the client would try its token for ever, or end, or not say why."""
        self.log_in_once("--remember")
        self.change_password()
        child = self.at_terminal("--lang", "zh")
        child.expect("不再有效, 请重新登录!")
        child.expect("请登陆!")
        self.assertFalse(self.file.exists())
        child.sendline(f"auth {self.uid} new")
        child.expect("认证成功!")

    def test_no_longer_valid_in_a_script(self) -> None:
        """A script would not learn that somebody has to log in again."""
        self.log_in_once("--remember")
        self.change_password()
        self.failed(self.send("x"), f"UID {self.uid} no longer works")
        self.failed(self.send("x"), "--uid")

    def test_pipe(self) -> None:
        """Lines that log in themselves would be refused because somebody is remembered."""
        self.log_in_once("--remember")
        outcome = self.run_client(f"auth {self.uid} {PASSWORD}", options=["--lang", "en"])
        self.assertEqual(outcome.output, "Please log in!\nLogged in!\n")

    def test_damaged(self) -> None:
        """A file that cannot be read would end the client in a traceback."""
        self.file.parent.mkdir()
        for text in (
            "",
            "{",
            "[]",
            '{"server":"x","uid":"a","token":""}',
            '{"server":"::1:1","uid":1}',
        ):
            self.file.write_text(text)
            self.failed(self.send("x"), "--uid")


class Memories(PeerCase):
    """Against a scripted server."""

    def remember(self) -> None:
        self.connect()
        self.log_in()
        self.kill()
        self.begin()
        account = self.saved_login.account()
        self.assertEqual(account, SavedAccount(SERVER, ME, "t1"))
        assert account is not None
        self.conversation.use_saved_login(account)
        self.connect()

    def test_comes_back(self) -> None:
        """Who is remembered would be asked to log in, or what they type meanwhile be lost."""
        self.remember()
        greeted = self.conversation.ready()
        self.assertNoResult(greeted)
        (auth,) = self.take("auth")
        self.assertEqual((auth["uid"], auth["token"]), (ME, "t1"))
        self.accept(auth)
        self.successResultOf(greeted)
        self.assertEqual(self.view.said, ["认证成功!"])
        self.type(f"msg {YOU} x")
        self.assertEqual(self.numbers(), [(1, "x")])

    def test_lost_meanwhile(self) -> None:
        """A connection that is lost during the log-in would cost it."""
        self.remember()
        self.conversation.connection_lost()
        self.connect()
        (auth,) = self.take("auth")
        self.accept(auth)
        self.assertEqual(self.view.said, ["认证成功!"])

    def test_refused(self) -> None:
        """A token that no longer works would be kept, or one that works be forgotten because a store is away."""
        for code, kept in (
            ("store-unavailable", True),
            ("throttled", True),
            ("bad-credentials", False),
        ):
            self.kill()
            self.begin()
            self.remember()
            (auth,) = self.take("auth")
            self.say(type="error", re=auth["n"], code=code, text=f"<{code}>")
            self.assertEqual(self.saved_login.account() is not None, kept)
            self.assertEqual(self.view.said[-1], "请登陆!")
            typed = self.type(f"auth {ME} pw")
            (auth,) = self.take("auth")
            self.accept(auth)
            self.assertTrue(self.successResultOf(typed))

    def test_refused_later(self) -> None:
        """A token that a restarted server refuses would be tried again at the next start."""
        self.connect()
        self.log_in()
        self.conversation.connection_lost()
        self.connect()
        for _ in ("token", "password"):
            (auth,) = self.take("auth")
            self.say(type="error", re=auth["n"], code="bad-credentials", text="认证失败!")
        self.assertIsNone(self.saved_login.account())

    def test_only_one(self) -> None:
        """An account would be remembered that nobody asked to remember."""
        memory = SavedLogin(self.folder)
        memory.keep(SavedAccount(SERVER, ME, "t"))
        self.assertIsNone(memory.account())
        SavedLogin(self.folder, keeps=True).keep(SavedAccount(SERVER, ME, "t"))
        memory.keep(SavedAccount(SERVER, YOU, "u"))
        memory.keep(SavedAccount("other:1", ME, "v"))
        self.assertEqual(memory.account(), SavedAccount(SERVER, ME, "t"))
        memory.forget(SERVER, YOU)
        self.assertEqual(memory.account(), SavedAccount(SERVER, ME, "t"))
        memory.forget(SERVER, ME)
        self.assertIsNone(memory.account())

    def test_nowhere_to_keep(self) -> None:
        """A full disk would end the client in a traceback."""
        file = Path(self.folder) / "file"
        file.touch()
        with self.assertRaises(StateUnusable) as caught:
            SavedLogin(file, keeps=True).keep(SavedAccount(SERVER, ME, "t"))
        self.assertIn(str(file), str(caught.exception))
