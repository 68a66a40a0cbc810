"""A server on data of the version before, with messages waiting and its server killed."""

from __future__ import annotations

import time

from twisted.trial.unittest import SynchronousTestCase

from tests.support.clients import StructuredClient
from tests.support.processes import ChatServer
from tests.system import older_data as older
from tests.system.older_data import BOT, LIST, PASSWORD, PERSON, READING, SENDING, WRITER

PHONE = "b" * 16


class EveryStore:
    """What holds on both kinds of store."""

    class Tests(SynchronousTestCase):
        stores: older.OlderSQLite | older.OlderServers
        line: str
        """The event of the upgrade."""

        def make_server(self, batches: int = older.BATCHES, **constants: float) -> ChatServer:
            """A server on the older data, with the older key folder; not started."""
            constants = {name.replace("__", "."): value for name, value in constants.items()}
            options = (*self.stores.options, "--log-format", "json")
            server = ChatServer(*options, constants=constants)
            self.addCleanup(server.remove)
            older.write_keys(server.folder / "keys", self.stores.run, batches)
            return server

        def begin(self) -> ChatServer:
            return self.make_server().start()

        def program(self, device: str = "", **more: object) -> StructuredClient:
            client = self.server.structured(device=device, **more)
            self.addCleanup(client.close)
            return client

        def texts(self, client: StructuredClient, count: int) -> list[str]:
            """The texts of the next messages, after which there is silence."""
            messages = [client.await_type("msg") for _ in range(count)]
            self.assertTrue(client.silent())
            for message in messages:
                self.assertNotIn("serial", message)
            client.say(type="ack", id=messages[-1]["id"])
            client.ask(type="ping", n=9)
            return [message["text"] for message in messages]

        def lines(self, event: str) -> int:
            return len([one for one in self.server.events() if one["event"] == event])

        def test_phone_first(self) -> None:
            """A bot would lose what it had not acknowledged, or be told that ids begin anew, or tokens be worthless."""
            self.server = self.begin()
            phone = self.program(PHONE, features=["devices"])
            answer = phone.ask(type="auth", n=1, uid=BOT, token=older.token(BOT))
            self.assertEqual((answer["type"], answer["waiting"]), ("ok", 2), answer)
            self.assertEqual(self.texts(phone, 2), ["b2", "b3"])
            bot = self.program(READING)
            answer = bot.log_in(BOT, PASSWORD, after=2)
            self.assertEqual((answer["epoch"], answer["waiting"]), (f"{older.EPOCH}.0", 0))
            self.assertEqual(self.texts(bot, 2), ["b2", "b3"])
            self.assertTrue(phone.silent())

        def test_numbers(self) -> None:
            """What was sent again over the upgrade would come twice, or a new text be lost under a known number."""
            self.server = self.begin()
            writer = self.program(SENDING)
            writer.log_in(WRITER, PASSWORD)
            for n, text in ((2, "b2"), (3, "b3")):
                answer = writer.ask(type="msg", n=n, to=BOT, text=text)
                self.assertEqual((answer["type"], answer.get("duplicate")), ("sent", True), n)
            answer = writer.ask(type="msg", n=3, to=BOT, text="another")
            self.assertEqual((answer["code"], answer["expected"]), ("gap", 4))
            self.assertEqual(writer.ask(type="msg", n=3, to=PERSON, text="p3")["id"], 3)
            person = self.server.text()
            self.addCleanup(person.close)
            person.log_in(PERSON, PASSWORD)
            shown = [person.read().rpartition(":")[2] for _ in range(3)]
            self.assertEqual((shown, person.silent()), (["p1", "p2", "p3"], True))

        def test_said_once(self) -> None:
            """An admin would not see the upgrade, or at each start, or be told that the data has gone back."""
            self.server = self.begin()
            self.server.crash()
            self.assertEqual((self.lines(self.line), self.lines("store-lost")), (1, 0))
            self.assertEqual(self.server.tracebacks(), [])

        def test_older_than_the_watermark(self) -> None:
            """Nobody would notice that a back-up was put back before the upgrade: clients drop new messages."""
            self.server = self.make_server(batches=older.BATCHES + 1).start()
            self.assertEqual(self.lines("store-lost"), 1)
            bot = self.program(READING)
            self.assertNotEqual(bot.log_in(BOT, PASSWORD, after=3)["epoch"], f"{older.EPOCH}.0")


class SQLiteUpgradeTests(EveryStore.Tests):
    line = "store-upgraded"

    def setUp(self) -> None:
        self.stores = older.OlderSQLite()


class ServersUpgradeTests(EveryStore.Tests):
    line = "store-upgraded"

    def setUp(self) -> None:
        self.stores = older.OlderServers()

    def test_list_of_the_still_older_server(self) -> None:
        """What waits in a list of the asyncio server would be lost to a bot whose user's phone comes first."""
        self.server = self.begin()
        phone = self.program(PHONE, features=["devices"])
        self.assertEqual(phone.log_in(LIST, PASSWORD)["waiting"], 2)
        self.assertEqual(self.texts(phone, 2), list(older.IN_LIST))
        bot = self.program()
        bot.log_in(LIST, PASSWORD)
        self.assertEqual(self.texts(bot, 2), list(older.IN_LIST))

    def test_older_node_beside(self) -> None:
        """An older node would work on registered devices, or run without a word, or keep features back for ever."""
        assert isinstance(self.stores, older.OlderServers)
        self.server = self.make_server(chatsvc__assembly__LOOKED_EVERY=0.2).start()
        self.assertEqual(self.lines("older-node"), 0)
        self.stores.revive(3000)
        self.assertTrue(self.server.wait_for('"older-node"'))
        self.assertEqual(self.program(PHONE, features=["devices"]).welcome["features"], [])
        deadline = time.monotonic() + 10
        while not self.program(PHONE, features=["devices"]).welcome["features"]:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
