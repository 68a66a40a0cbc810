"""MySQL and Redis go away and come back while people talk."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from tests.support.clients import StructuredClient
from tests.support.on_server import OnServer
from tests.support.processes import PASSWORD, ChatServer, ServerStores, shared
from tests.support.servers import mariadb, redis
from tests.support.watching import Watch

STORE_PATIENCE = 5.0
"""Seconds after which the design has a sender hear that a store is away."""

_MOST = 10.0
"""Seconds that a stop may take, by the design."""

UNAVAILABLE = "服务暂时不可用, 请稍后重试!"
MAYBE_NOT_STORED = "存储暂时不可用, 消息可能未保存!"

_DEVICES = count(1)


class StoresAway(OnServer):
    """What the tests of both stores share."""

    stores: ServerStores

    def setUp(self) -> None:
        def make() -> tuple[ServerStores, Watch, ChatServer]:
            stores, watch = ServerStores(), Watch()
            options = (*stores.options, *watch.options)
            return stores, watch, ChatServer(*options, "--rate", "0").start()

        self.stores, self.watch, self.server = shared(StoresAway, make, lambda all: all[2].remove())
        self.server.start()
        self.eventually(lambda: self.watch.get("health") == (200, "ok\n"))
        self.logged = len(self.server.log())
        self.addCleanup(self.all_is_well)

    def all_is_well(self) -> None:
        """Put the stores back, and fail if the server's log has a traceback."""
        for store in (mariadb(), redis()):
            store.thaw()
            store.start()
        self.no_traceback()

    def structured(self, uid: int = 0, device: str = "", **more: Any) -> StructuredClient:
        """Give a structured client with a device of its own, logged in if there is a uid."""
        return super().structured(uid, device or f"{next(_DEVICES):016x}", **more)

    def eventually(self, works: Callable[[], bool], patience: float = 10.0) -> None:
        """Fail unless something works soon."""
        deadline = time.monotonic() + patience
        while not works():
            self.assertLess(time.monotonic(), deadline, "it did not recover by itself")
            time.sleep(0.1)

    def seen(self, words: str) -> None:
        """Fail unless the health says that something is wrong, in words that match."""
        status, text = self.watch.get("health")
        self.assertEqual(status, 503)
        self.assertRegex(text, words)

    def up(self, store: str) -> float:
        """What the metrics say of a store, without asking it."""
        return self.watch.value(f'chatsvc_store_up{{store="{store}"}}')

    def recovered(self, store: str) -> None:
        """Fail unless those who watch see a store's return, and the log says in two lines that it was away."""
        self.eventually(lambda: self.watch.get("health") == (200, "ok\n"))
        self.assertEqual(self.up(store), 1)
        log = self.server.log()[self.logged :]
        said = [line for line in log.splitlines() if re.search(" (error|warn) ", line)]
        self.assertEqual(len(said), 2, said)
        self.assertRegex(said[0], f" error +{store} store .* is away: ")
        self.assertRegex(said[1], f" warn +{store} store .* is back after ")

    def sent(self, client: StructuredClient, n: int, to: int, text: str) -> dict[str, Any]:
        """Send a message under one number until it is confirmed; the confirmation."""
        deadline = time.monotonic() + 15
        while True:
            answer = client.ask(type="msg", n=n, to=to, text=text)
            if answer["type"] == "sent":
                return answer
            self.assertEqual((answer["code"], answer["to"]), ("store-unavailable", to))
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)


class MySQLAway(StoresAway):
    def away(self, patiently: bool = False) -> None:
        """Check what everybody sees while MySQL is away, from now on; ``patiently``: no earlier than it must be."""
        text, program = self.text(), self.structured()
        self.assertTrue(self.writer.ask(f"msg {self.reader} 还在").endswith(" ]:还在"))
        self.assertTrue(self.live.read().endswith(" ]:还在"))
        self.writer.send(f"msg {self.stranger} 你好")
        for uid, password in [(self.reader, PASSWORD), (self.reader, "wrong"), (1, "x")]:
            start = time.monotonic()
            program.say(type="auth", n=4, uid=uid, password=password)
            answer = text.ask(f"auth {uid} {password}")
            self.assertEqual(answer, UNAVAILABLE)
            refused = program.next()
            self.assertEqual((refused["code"], refused["re"]), ("store-unavailable", 4))
            self.assertEqual(time.monotonic() - start >= STORE_PATIENCE - 1, patiently)
            if patiently:
                break  # once costs the store's whole patience
        self.assertIn(self.writer.read(), (UNAVAILABLE, MAYBE_NOT_STORED))
        self.assertTrue(text.silent(0.05))

    def company(self) -> None:
        """Have two users talk, so that the server knows their names."""
        self.reader, self.stranger = self.user(), self.user()
        self.live, self.writer = self.text(self.reader), self.text(self.user())
        self.writer.ask(f"msg {self.reader} 你好")
        self.assertTrue(self.live.read().endswith(" ]:你好"))

    def back(self) -> None:
        """Check that all works again by itself."""
        client = self.text()

        def log_in() -> bool:
            answer = client.ask(f"auth {self.stranger} {PASSWORD}")
            self.assertIn(answer, ("认证成功!", UNAVAILABLE))
            return answer == "认证成功!"

        self.eventually(log_in)
        self.assertTrue(self.writer.ask(f"msg {self.stranger} 回来了").endswith(" ]:回来了"))
        self.assertTrue(client.read().endswith(" ]:回来了"))
        wrong = self.text()
        wrong.send(f"auth {self.stranger} wrong")
        self.assertEqual([wrong.read(), wrong.read()], ["认证失败!", "请登陆!"])

    def test_killed(self) -> None:
        """A MySQL that is down would look like a wrong password, or stop those who talk."""
        self.company()
        mariadb().kill()
        self.seen("is away: Can't connect")
        self.away()
        self.assertEqual((self.up("accounts"), self.up("inbox")), (0, 1))
        mariadb().start()
        self.back()
        self.recovered("accounts")

    def test_frozen(self) -> None:
        """A MySQL that hangs would hang the server, or look like a wrong password."""
        self.company()
        mariadb().freeze()
        self.seen("accounts store")
        self.away(patiently=True)
        self.eventually(lambda: self.up("accounts") == 0)
        # The pool's patience and the connection's own end at the same moment: either may be the one that is said.
        self.seen(
            r"is away: (did not answer in time|Lost connection to MySQL server during query \(timed out\))"
        )
        mariadb().thaw()
        self.back()
        self.recovered("accounts")


class RedisAway(StoresAway):
    def test_killed_and_restarted(self) -> None:
        """Messages under way in a crash of Redis would be lost, doubled, or never confirmed."""
        uid = self.user()
        reader, writer = self.structured(uid), self.structured(self.user())
        texter = self.text(self.user())
        self.sent(writer, 1, uid, "1")
        self.assertEqual(reader.next()["text"], "1")
        redis().kill()
        writer.say(type="msg", n=2, to=uid, text="2")
        texter.send(f"msg {uid} from a person")
        login = self.text()
        login.send(f"auth {self.user()} {PASSWORD}")
        self.seen("inbox store")
        self.assertEqual((self.up("accounts"), self.up("inbox")), (1, 0))
        answer = writer.next()
        self.assertEqual(
            (answer["type"], answer["code"], answer["re"], answer["to"]),
            ("error", "store-unavailable", 2, uid),
        )
        self.assertEqual(texter.read(), MAYBE_NOT_STORED)
        self.assertEqual(login.read(), UNAVAILABLE)
        redis().start()
        self.assertEqual(self.sent(writer, 2, uid, "2")["re"], 2)
        self.sent(writer, 3, uid, "3")
        received = [reader.next()["text"]]
        while received[-1] != "3":
            received.append(reader.next()["text"])
        numbered = [text for text in received if text != "from a person"]
        self.assertEqual(numbered, ["2", "3"])
        self.assertTrue(reader.silent(0.2))
        self.assertTrue(texter.silent(0.05))
        self.eventually(lambda: login.ask(f"auth {uid} {PASSWORD}") == "认证成功!")
        self.recovered("inbox")
        failures = self.watch.value('chatsvc_store_failures_total{store="inbox"}')
        self.assertGreaterEqual(failures, 2)

    def test_nothing_confirmed_is_lost(self) -> None:
        """A message that was confirmed just before Redis crashed would be gone."""
        uid, writer = self.user(), self.structured(self.user())
        for i in range(1, 21):
            self.assertEqual(self.sent(writer, i, uid, str(i))["waiting"], i)
        redis().kill()
        redis().start()
        self.assertEqual(self.sent(writer, 21, uid, "21")["waiting"], 21)
        reader = self.structured(uid)
        self.assertEqual([reader.next()["text"] for _ in range(21)], [str(i) for i in range(1, 22)])

    def test_frozen(self) -> None:
        """A message that a frozen Redis stored late would be doubled by a resend, or not reach a live reader."""
        by_program, by_person = self.user(), self.user()
        reader, live = self.structured(by_program), self.text(by_person)
        writer, texter, late = (self.structured(self.user()) for _ in range(3))
        person = self.text(self.user())
        for client, to in [(writer, by_program), (texter, by_person), (late, by_person)]:
            self.sent(client, 1, to, "before")
        self.assertEqual(reader.next()["text"], "before")
        self.assertEqual([live.read()[-6:], live.read()[-6:]], ["before", "before"])
        person.ask(f"msg {by_person} before")
        live.read()
        inbox = f"chat:{{{by_person}}}:inbox"
        self.eventually(lambda: self.stores.redis("XLEN", inbox) == b":0\r\n")
        time.sleep(0.1)  # nothing is on its way to Redis now
        redis().freeze()
        start = time.monotonic()
        late.say(type="msg", n=2, to=by_person, text="stored late")
        time.sleep(0.2)  # this one is on its way to Redis, the others wait for it to come back
        writer.say(type="msg", n=2, to=by_program, text="resent")
        person.send(f"msg {by_person} 你好")
        unknown = 'chatsvc_messages_total{state="unknown"}'
        before = self.watch.value(unknown)
        self.seen("inbox store")
        for client, to in [(writer, by_program), (late, by_person)]:
            answer = client.next()
            self.assertEqual(
                (answer["code"], answer["re"], answer["to"]), ("store-unavailable", 2, to)
            )
        self.assertEqual(person.read(), MAYBE_NOT_STORED)
        self.assertGreater(time.monotonic() - start, STORE_PATIENCE - 1)
        self.assertEqual(reader.ask(type="ping", n=1)["type"], "pong")
        self.assertEqual(self.watch.value(unknown), before + 3)
        self.eventually(lambda: self.up("inbox") == 0)
        self.seen("is away: no answer in time")
        redis().thaw()
        # Nobody sends anything to this reader now: what was stored late must come all the same.
        self.assertTrue(live.read().endswith(" ]:stored late"))
        confirmed = self.sent(writer, 2, by_program, "resent")
        self.assertEqual(self.sent(writer, 3, by_program, "after")["id"], confirmed["id"] + 1)
        received = [reader.next(), reader.next()]
        self.assertEqual([m["text"] for m in received], ["resent", "after"])
        self.assertEqual(received[0]["id"], confirmed["id"])
        self.assertTrue(self.sent(late, 2, by_person, "stored late")["duplicate"])
        self.assertTrue(person.silent(0.1))
        self.assertTrue(reader.silent(0.1))
        if not live.silent(0.1):  # that one's outcome was said to be unknown
            self.assertTrue(live.read().endswith(" ]:你好"))
            self.assertTrue(live.silent(0.1))
        self.recovered("inbox")

    def test_short_freeze(self) -> None:
        """A Redis that hangs for a moment would cost an error though nothing is wrong."""
        uid = self.user()
        reader, writer = self.text(uid), self.structured(self.user())
        redis().freeze()
        writer.say(type="msg", n=1, to=uid, text="x")
        self.assertTrue(reader.silent(1))
        redis().thaw()
        self.assertEqual(writer.next()["type"], "sent")
        self.assertTrue(reader.read().endswith(" ]:x"))

    def test_scripts_flushed(self) -> None:
        """An admin's `SCRIPT FLUSH` would stop all messages until a restart."""
        uid = self.user()
        reader, writer = self.text(uid), self.structured(self.user())
        for i in range(1, 4):
            self.stores.redis("SCRIPT", "FLUSH")
            writer.say_many({"type": "msg", "n": 2 * i - k, "to": uid, "text": "x"} for k in (1, 0))
            self.assertEqual([writer.next()["type"] for _ in range(2)], ["sent", "sent"])
            self.assertTrue(reader.read().endswith(" ]:x"))
            self.assertTrue(reader.read().endswith(" ]:x"))
            self.text(self.user())
        self.assertTrue(reader.silent(0.1))

    def test_stopping_while_it_is_away(self) -> None:
        """A server could not be stopped, or not in time, while Redis is away."""
        uid = self.user()
        writer = self.structured(self.user())
        self.sent(writer, 1, uid, "1")
        redis().freeze()
        writer.say(type="msg", n=2, to=uid, text="2")
        time.sleep(0.2)
        start = time.monotonic()
        self.server.terminate()
        self.assertTrue(writer.closed(_MOST))
        writer.hang_up()
        self.server.wait()
        self.assertLess(time.monotonic() - start, _MOST)
        _, stopped = self.server.log().split(" Stopping; ")
        self.assertIn("its senders", stopped)
        self.assertRegex(stopped, r" info  Stopped, after [0-9.]+ s\n$")
        redis().thaw()
        self.server.start()
