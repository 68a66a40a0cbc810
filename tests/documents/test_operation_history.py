"""What ``docs/operation.md`` says of the history, done as an admin would, with the rights that the page gives."""

from __future__ import annotations

import re
from typing import Any

from chatsvc.accounts.rights import of_server
from tests.support.clients import StructuredClient
from tests.support.operating import OnServers


class HistoryTests(OnServers):
    def asked(self, client: StructuredClient, **more: Any) -> list[str]:
        """The texts that the history has, or that a search finds."""
        answer = client.ask(n=90, **more)
        self.assertEqual(answer["type"], "history", answer)
        return [message["text"] for message in answer["messages"]]

    def test_history(self) -> None:
        """Set up by the page, the history would lack a right, or could not be shortened, switched off or emptied."""
        self.start()
        zhang, _ = self.accounts()
        writer = self.program(zhang)
        serial = writer.ask(type="msg", n=1, to=10002, text="明天的预算")["at"] * 1000
        with_li = {"with": 10002}
        self.assertEqual(self.asked(writer, type="history", **with_li), ["明天的预算"])
        self.assertEqual(self.asked(writer, type="search", text="预算"), ["明天的预算"])
        self.assertEqual(writer.ask(type="read", n=2, serial=serial, **with_li)["type"], "ok")
        listed = writer.ask(type="conversations", n=3)["conversations"]
        self.assertEqual([one["with"] for one in listed], [10002])
        said = {"n": 4, "serial": listed[0]["last"]["serial"]}
        self.assertEqual(writer.ask(type="edit", text="明天的会议 @李四", **said)["type"], "ok")
        self.assertEqual(self.asked(writer, type="search", text="会议"), ["明天的会议 @李四"])
        answer = writer.ask(type="settings", n=5, receipts=False, muted=True, **with_li)
        self.assertEqual((answer["receipts"], answer["muted"]), (False, True))
        self.type("history")
        self.assertIn("CHATSVC_HISTORY_DAYS='90'\n", (self.folder / "chatsvc.env").read_text())
        off = self.block("shell history").replace("'90'", "'0'")
        self.type_in(off)
        writer = self.program(zhang)
        answer = writer.ask(type="history", n=4, **with_li)
        self.assertEqual(answer["code"], "forbidden")
        self.sql("forget")
        self.type("history")
        writer = self.program(zhang)
        self.assertEqual(self.asked(writer, type="history", **with_li), [])
        self.assertEqual(writer.ask(type="msg", n=2, to=10002, text="新预算")["type"], "sent")
        self.assertEqual(self.asked(writer, type="search", text="预算"), ["新预算"])
        self.assert_unhindered()

    def test_rights(self) -> None:
        """The page would give the server other rights than it needs."""
        grants = re.findall(r"GRANT (.*) ON chat\.(\w+) TO 'chatsvc'", self.block("sql grants"))
        given = {table: rights.split(", ") for rights, table in grants}
        self.assertEqual(given.pop("chat_schema"), ["SELECT"])
        needed = of_server(registers=True, archives=True)
        self.assertEqual(given, {table: [*rights] for table, rights in needed.items()})
