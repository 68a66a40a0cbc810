"""The archive of a whole server: nodes that die, an archiver that is away, stores set back, and no archive at all."""

from __future__ import annotations

import time
from typing import Any

from tests.support.clients import StructuredClient
from tests.support.processes import PASSWORD, ChatServer, ServerStores, SQLiteStores
from tests.system.devices import DESK
from tests.system.history import HistoryCase


class TwoNodesTests(HistoryCase):
    """Two nodes, one of which archives."""

    nodes = 2

    def redis(self, *words: str) -> bytes:
        """The answer of the nodes' Redis."""
        stores = self.world.stores
        assert isinstance(stores, ServerStores)
        return stores.redis(*words)

    def test_nobody_archives(self) -> None:
        """A page without what was just confirmed would pass for all there is; or nobody would archive it later."""
        client = self.room_device(self.a, DESK)
        self.history(client, **{"with": self.other})
        self.redis("SET", "chat:archiver", "nobody", "PX", "3000")
        self.write("late")
        asked = time.monotonic()
        answer = client.ask(type="history", n=1, **{"with": self.other})
        self.assertEqual(answer["code"], "store-unavailable")
        self.assertGreater(time.monotonic() - asked, 1.0)
        for _ in range(100):
            answer = client.ask(type="history", n=2, **{"with": self.other})
            if answer["type"] == "history":
                break
        self.assertEqual([one["text"] for one in answer["messages"]], ["late"])

    def test_refused_entry(self) -> None:
        """One entry that nobody can read would hold up the archive for good, or be lost unsaid."""
        self.redis("XADD", "chat:archive", "*", "something", "else")
        self.write("behind it")
        client = self.room_device(self.a, DESK)
        self.assertEqual(self.texts(client, **{"with": self.other}), ["behind it"])
        self.assertEqual(self.redis("XLEN", "chat:archive:refused")[:1], b":")
        said = "put aside in chat:archive:refused"
        self.assertTrue(self.a.wait_for(said, 1) or self.b.wait_for(said, 1))

    def test_archiver_dies(self) -> None:
        """What was confirmed before the archiving node died would be missing, or stand in the history twice."""
        dying = self.holder()
        self.addCleanup(dying.start)
        other = self.b if dying is self.a else self.a
        writer = other.structured()
        self.addCleanup(writer.close)
        writer.log_in(self.other, PASSWORD, receive=False)
        texts = [str(n) for n in range(1, 181)]
        writer.say_many(
            {"type": "msg", "n": n, "to": self.me, "text": text} for n, text in enumerate(texts, 1)
        )
        for place in range(len(texts)):
            self.assertEqual(writer.await_type("sent", "error")["type"], "sent")
            if place == 80:
                dying.kill()
        client = self.room_device(other, DESK)
        self.assertEqual(self.all_texts(client), texts)

    def test_emptied_redis(self) -> None:
        """After the loss of Redis new messages would have serials of old ones: they would be in no history."""
        self.write("before")
        client = self.room_device(self.a, DESK)
        (before,) = self.history(client, **{"with": self.other})["messages"]
        ahead = before["serial"] + 3_600_000_000
        self.world.stores.sql(
            "UPDATE chat_message SET serial = ? WHERE serial = ?", (ahead, before["serial"])
        )
        self.world.stores.sql("UPDATE chat_archive SET value = ? WHERE name = 'serial'", (ahead,))
        for server in (self.a, self.b):
            server.stop()
            (server.folder / "keys" / "inbox.watermark").unlink()
        self.redis("FLUSHDB")
        for server in (self.a, self.b):
            server.start()
        self.write("after")
        client = self.room_device(self.b, DESK)
        page = self.history(client, **{"with": self.other})["messages"]
        self.assertEqual([one["text"] for one in page], ["before", "after"])
        self.assertGreater(page[1]["serial"], ahead)

    def test_archive_set_back(self) -> None:
        """After an older copy of the database was put back, the history would go on with a gap of its own, or stop."""
        self.write("one", "two")
        client = self.room_device(self.a, DESK)
        self.assertEqual(self.texts(client, **{"with": self.other}), ["one", "two"])
        for table in (
            "chat_message",
            "chat_unindexed",
            "chat_word",
            "chat_conversation",
            "chat_archive",
        ):
            self.world.stores.sql(f"DELETE FROM {table}")  # noqa: S608
        client.ask(type="msg", n=1, to=self.other, text="三三")
        self.assertEqual(self.texts(client, **{"with": self.other}), ["三三"])
        found = client.ask(type="search", n=2, text="三三")
        self.assertEqual([one["text"] for one in found["messages"]], ["三三"])

    def holder(self) -> ChatServer:
        """The node that archives."""
        for _ in range(100):
            name = self.redis("GET", "chat:archiver").decode()
            for server in (self.a, self.b):
                if f":{server.pid}:" in name:
                    return server
            time.sleep(0.1)
        raise self.failureException("nobody archives")

    def all_texts(self, client: StructuredClient) -> list[str]:
        """The whole conversation, page by page, once somebody archives again."""
        found: list[str] = []
        more: dict[str, Any] = {"after": 0}
        for _ in range(100):
            page = client.ask(type="history", n=1, limit=100, **{"with": self.other}, **more)
            if page["type"] == "error":
                continue
            found += [one["text"] for one in page["messages"]]
            if page["complete"]:
                break
            more = {"after": page["messages"][-1]["serial"]}
        return found


class OneServerTests(HistoryCase):
    """One server, with SQLite."""

    nodes = 1

    def test_search_for_people(self) -> None:
        """People at the text dialect would find nothing, or not see whom they had written to."""
        person = self.person(self.a)
        self.assertEqual(person.ask("search 预算"), "没有找到!")
        person.ask(f"msg {self.other} 预算 one")
        self.write("预算 two")
        person.read()
        person.send("search 预算")
        mine, theirs = person.read().split("\n"), person.read().split("\n")
        self.assertRegex(mine[0], rf"^[-0-9]+ [:0-9]+ -> UID:{self.other}$")
        self.assertRegex(mine[1], rf"\|UID:{self.me} \]:预算 one$")
        self.assertRegex(theirs[1], rf"\|UID:{self.other} \]:预算 two$")
        self.assertEqual(person.ask("search"), "提示:查找消息格式: [ search 词语 ]")
        self.assertEqual(person.ask("search !!"), "请输入要查找的词语!")


class WithoutHistoryTests(HistoryCase):
    """A server that keeps no history."""

    nodes = 1
    options = ("--history-days", "0")

    def test_off(self) -> None:
        """A server that is to keep no history would keep one, or its clients hang."""
        self.write("nowhere")
        client = self.room_device(self.a, DESK)
        sent = client.ask(type="msg", n=1, to=self.other, text="x")
        for what in (
            {"type": "history", "with": self.other},
            {"type": "conversations"},
            {"type": "search", "text": "nowhere"},
            {"type": "read", "with": self.other, "serial": 1},
            {"type": "edit", "serial": sent["serial"], "text": "y"},
            {"type": "retract", "serial": sent["serial"]},
            {"type": "settings"},
        ):
            self.assertEqual(client.ask(n=2, **what)["code"], "forbidden", what)
        self.assertEqual(self.world.stores.sql("SELECT COUNT(*) FROM chat_message"), [(0,)])
        stranger = self.world.stores.add_user("stranger")
        said = self.person(self.a, stranger).ask("history 1")
        self.assertEqual(said, "本服务器不保存历史消息!")


class StartTests(HistoryCase):
    """Servers that begin with what is there."""

    nodes = 1

    def setUp(self) -> None:
        """Share no server."""

    def test_too_old(self) -> None:
        """What is older than the history is to be would stay for good, with its words."""
        stores = SQLiteStores()
        server = ChatServer(*stores.options).start()
        self.addCleanup(server.remove)
        uid = stores.add_user("me")
        client = server.structured()
        self.addCleanup(client.close)
        client.log_in(uid, PASSWORD)
        client.ask(type="msg", n=1, to=uid, text="old 旧的")
        client.ask(type="search", n=2, text="old")
        server.stop()
        (old,) = stores.sql("SELECT serial FROM chat_message")[0]
        day = 86_400_000_000
        for table, column in (("chat_message", "serial"), ("chat_word", "serial")):
            stores.sql(f"UPDATE {table} SET {column} = {column} - {2 * day}")  # noqa: S608
        server = ChatServer(*stores.options, "--history-days", "1", folder=server.folder).start()
        self.addCleanup(server.remove)
        for _ in range(100):
            if stores.sql("SELECT COUNT(*) FROM chat_message") == [(0,)]:
                break
            time.sleep(0.1)
        self.assertEqual(stores.sql("SELECT COUNT(*) FROM chat_message"), [(0,)])
        self.assertEqual(stores.sql("SELECT COUNT(*) FROM chat_word"), [(0,)])
        kept = stores.sql("SELECT value FROM chat_archive WHERE name = 'kept'")
        self.assertEqual(kept, [(old - 2 * day,)])
