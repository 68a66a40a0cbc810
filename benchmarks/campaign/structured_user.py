"""A user of the structured dialect: numbers messages, resends them, records what is shown and then acknowledges."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from benchmarks.campaign.user import User

_BETWEEN_PINGS = 5


class StructuredUser(User):
    """Keeps the promise's other half, as docs/protocol.md asks of a client."""

    token = ""
    acknowledged = 0
    expected: dict[int, int]
    trouble = False
    pinged = 0.0

    async def log_in(self, reader: asyncio.StreamReader) -> None:
        await self.read(reader)
        self.trouble, self.expected = False, {}
        self.say(type="hello", version=1, client="campaign/1", device=f"{self.uid:032x}")
        proof: dict[str, Any] = (
            {"token": self.token} if self.token else {"password": f"pw{self.uid}"}
        )
        self.say(type="auth", n=1, uid=self.uid, after=self.journal.cursor, **proof)
        while True:
            thing = json.loads(await self.read(reader))
            if thing["type"] == "ok":
                break
            if thing["type"] == "error":
                self.token = "" if thing["code"] == "bad-credentials" else self.token
                raise ConnectionError(thing["code"])
        self.token = thing["token"]
        if thing["epoch"] != self.journal.epoch:
            self.forget_older()
            self.journal.record("e", thing["epoch"])
        self.acknowledged = 0

    async def resume(self) -> None:
        self._submit_all()

    def _submit_all(self) -> None:
        for to, unconfirmed in self.journal.outbox.items():
            for k in list(unconfirmed):
                self.submit(to, k)

    def say(self, writer: asyncio.StreamWriter | None = None, **thing: Any) -> None:
        self.send(json.dumps(thing), writer)

    def submit(self, to: int, k: int) -> None:
        n = self.journal.outbox[to][k]
        self.outstanding.append((to, n, k))
        self.say(type="msg", n=n, to=to, text=self.text(to, k))

    def free(self) -> bool:
        return not self.trouble

    def idle(self) -> None:
        now = asyncio.get_running_loop().time()
        if self.journal.cursor > self.acknowledged:
            self.acknowledged = self.journal.cursor
            self.say(type="ack", id=self.acknowledged)
        if now > self.pinged + _BETWEEN_PINGS:
            self.pinged = now
            self.say(type="ping")
        if self.trouble and not self.outstanding:
            # Everything has been answered, so nothing of what is left can still be on its way.
            self.trouble = False
            self._renumber()
            self._submit_all()

    def _renumber(self) -> None:
        for to, expected in self.expected.items():
            # A lower number was accepted, though its answer was lost: it is asked for again as it is.
            refused = [k for k, n in self.journal.outbox[to].items() if n >= expected]
            for n, k in enumerate(refused, expected):
                self.journal.record("o", to, n, k)
        self.expected = {}

    def heard(self, frame: str) -> None:
        thing = json.loads(frame)
        kind = thing["type"]
        if kind == "msg":
            self._show(thing)
        elif kind == "sent":
            self.journal.record("c", thing["to"], self._answered(thing))
        elif kind == "error":
            self._refused(thing)
        elif kind in ("bye", "kicked"):
            if kind == "kicked":
                self.journal.record("k")
            raise ConnectionError(kind)

    def heard_late(self, frame: str, writer: asyncio.StreamWriter) -> None:
        # What was confirmed there is sent again on the newer connection, and confirmed there.
        thing = json.loads(frame)
        if thing["type"] == "msg":
            self._show(thing)
            self.say(writer, type="ack", id=thing["id"])
        elif thing["type"] in ("bye", "kicked"):
            raise ConnectionError(thing["type"])

    def _show(self, thing: dict[str, Any]) -> None:
        if thing["id"] > self.journal.cursor:
            k = thing["text"].split("#")[1].split()[0]
            self.journal.record("s", thing["id"], thing["from"], k)
            self.shown += 1

    def _answered(self, thing: dict[str, Any]) -> int:
        for answered in self.outstanding:
            if answered[:2] == (thing["to"], thing["re"]):
                self.outstanding.remove(answered)
                return answered[2]
        raise ConnectionError("an answer to nothing")

    def _refused(self, thing: dict[str, Any]) -> None:
        if "to" not in thing:
            raise ConnectionError(thing["code"])
        self._answered(thing)
        self.trouble = True
        if thing["code"] == "gap":
            self.expected[thing["to"]] = thing["expected"]
