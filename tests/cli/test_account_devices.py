"""``chatsvc account devices``: with a store in memory, and beside a running server on both kinds of store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import click
import orjson
from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.accounts.store import Account
from chatsvc.cli import accounts as module
from chatsvc.wire.events import Device
from tests.cli.shell import chatsvc
from tests.support.clients import StructuredClient
from tests.support.processes import PASSWORD, ChatServer, Outcome, ServerStores, SQLiteStores

PHONE, DESK = "0123456789abcdef", "f" * 32
HARMFUL = "x\x1b[2J\ty\nz"


class FakeInbox:
    """What a store has of devices; ``done`` has what was done, here and at the accounts."""

    def __init__(self, done: list[str]) -> None:
        self.done = done
        self.listed = [Device(PHONE, HARMFUL, 1000, 2000, True), Device(DESK, "y/2", 3, 4, False)]

    async def devices(self, uid: int) -> list[Device]:
        return self.listed

    async def forget(self, uid: int, device: str) -> bool:
        self.done.append(f"inbox {uid} {device}")
        return device == PHONE


class OutputTests(SynchronousTestCase):
    """What is printed and done, with stores in memory."""

    def setUp(self) -> None:
        self.done: list[str] = []
        self.inbox = FakeInbox(self.done)
        self.patch(module, "run_on_accounts", self.run_on_accounts)
        self.patch(module, "open_inbox", self.open_inbox)

    def run_on_accounts(self, url: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
        """Run something that never waits, on the accounts of this test."""
        opened = SimpleNamespace(account=self.account, accounts=self, reactor=None)
        running: Any = work(opened)
        try:
            running.send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError("it waits")

    async def account(self, uid: int) -> Account:
        if uid != 10001:
            raise click.ClickException(f"there is no account {uid}")
        return Account(uid, "Ann", "$")

    async def forget_device(self, uid: int, device: str) -> None:
        self.done.append(f"accounts {uid} {device}")

    @asynccontextmanager
    async def open_inbox(self, url: str, reactor: Any) -> AsyncIterator[FakeInbox]:
        self.assertEqual(url, "redis://there")
        yield self.inbox

    def run_devices(self, *words: str, status: int = 0) -> Result:
        done = CliRunner().invoke(
            module.devices, [*words, "--inbox", "redis://there"], obj="sqlite:chat.db"
        )
        self.assertEqual(done.exit_code, status, done.output)
        return done

    def test_listed(self) -> None:
        """An admin could not tell a phone that was lost from the others, or its name could drive the terminal."""
        first, second = self.run_devices("10001").stdout.splitlines()
        device, client, registered, used, online = first.split("\t")
        self.assertEqual((device, client, online), (PHONE, "x␛[2J␉y␊z", "yes"))
        self.assertRegex(f"{registered} {used}", r"^\d{4}-\d\d-\d\d \S+:01 \d{4}-\d\d-\d\d \S+:02$")
        self.assertEqual(second.split("\t")[::4], [DESK, "no"])
        found = orjson.loads(self.run_devices("10001", "--json").stdout)
        expected = {"client": HARMFUL, "first": 1000, "last": 2000, "online": True}
        self.assertEqual(found[0], {"device": PHONE, **expected})
        self.inbox.listed = []
        self.assertEqual(self.run_devices("10001").stdout, "")

    def test_forget(self) -> None:
        """A lost phone would stay logged in, or come back by its token between the two steps."""
        said = self.run_devices("10001", "--forget", PHONE.upper())
        self.assertEqual(said.stdout, f"Forgot {PHONE}.\n")
        self.assertEqual(self.done, [f"accounts 10001 {PHONE}", f"inbox 10001 {PHONE}"])
        said = self.run_devices("10001", "--forget", PHONE, "--json")
        self.assertEqual(orjson.loads(said.stdout), {"uid": 10001, "forgotten": PHONE})

    def test_refused(self) -> None:
        """A slip would end in a traceback, pass for done, or leave a token of a device that is not registered now."""
        said = self.run_devices("10001", "--forget", DESK, status=1)
        self.assertIn(f"account 10001 has no device {DESK};", said.stderr)
        self.assertEqual(said.stderr.count("\n"), 1)
        self.assertEqual(self.done, [f"accounts 10001 {DESK}", f"inbox 10001 {DESK}"])
        self.done.clear()
        for words in ((), ("--forget", PHONE)):
            said = self.run_devices("77", *words, status=1)
            self.assertEqual(said.stderr, "Error: there is no account 77\n")
        for bad in ("phone", "0" * 15, "0" * 33, "", "0" * 16 + "\n"):
            said = self.run_devices("10001", "--forget", bad, status=2)
            self.assertIn("16 to 32 hexadecimal digits", said.stderr)
        self.run_devices("x", status=2)
        self.assertEqual(self.done, [])


class BothKinds:
    """What holds on both kinds of store."""

    class Tests(SynchronousTestCase):
        """The command beside a running server."""

        stores: SQLiteStores | ServerStores

        def setUp(self) -> None:
            self.server = ChatServer(*self.stores.options).start()
            self.addCleanup(self.server.remove)
            self.uid = self.stores.add_user("张三")

        def run_devices(self, *words: str, status: int = 0) -> Outcome:
            done = chatsvc("account", "devices", str(self.uid), *words, *self.stores.options)
            self.assertEqual(done.status, status, done)
            return done

        def session(self, device: str, **auth: Any) -> tuple[StructuredClient, dict[str, Any]]:
            """Connect as a registered device and log in; the answer to the log-in with it."""
            client = StructuredClient(self.server.port, self.server.ca)
            self.addCleanup(client.close)
            hello = {"type": "hello", "version": 1, "client": "phone/1", "n": 1, "lang": "en"}
            welcome = client.ask(**hello, device=device, features=["devices"])
            self.assertEqual(welcome["features"], ["devices"])
            credentials = auth or {"password": PASSWORD}
            return client, client.ask(type="auth", n=2, uid=self.uid, **credentials)

        def test_a_lost_phone(self) -> None:
            """A phone that was forgotten would go on, come back by its token, or take the desk along."""
            self.assertEqual(self.run_devices().stdout, "")
            phone, welcome = self.session(PHONE)
            desk, at_desk = self.session(DESK)
            found = orjson.loads(self.run_devices("--json").stdout)
            seen = [(one["device"], one["client"], one["online"]) for one in found]
            self.assertEqual(seen, [(PHONE, "phone/1", True), (DESK, "phone/1", True)])
            self.assertEqual(self.run_devices("--forget", PHONE).stdout, f"Forgot {PHONE}.\n")
            self.assertEqual(phone.await_type("bye", "kicked")["type"], "bye")
            (left,) = orjson.loads(self.run_devices("--json").stdout)
            self.assertEqual(left["device"], DESK)
            _, refused = self.session(PHONE, token=welcome["token"])
            self.assertEqual(refused["code"], "bad-credentials")
            self.assertEqual(desk.ask(type="ping", n=3)["type"], "pong")
            _, again = self.session(DESK, token=at_desk["token"])
            self.assertEqual(again["type"], "ok")
            said = self.run_devices("--forget", PHONE, status=1).stderr
            self.assertIn("has no device", said)
            _, back = self.session(PHONE)
            self.assertEqual(back["type"], "ok", "by password")


class SQLiteDevicesTests(BothKinds.Tests):
    def setUp(self) -> None:
        self.stores = SQLiteStores()
        super().setUp()


class RedisDevicesTests(BothKinds.Tests):
    def setUp(self) -> None:
        self.stores = ServerStores()
        super().setUp()
