"""What is older than the history in a room where nobody speaks any more, at servers with real stores."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.support.clients import StructuredClient
from tests.support.processes import ChatServer, ServerStores, SQLiteStores, Stores
from tests.system.devices import DESK, PHONE
from tests.system.history import HistoryCase

_AGED = {
    "chatsvc.history.upkeep._DAY_MS": 1,
    "chatsvc.history.upkeep._EXPIRED_EVERY": 0.1,
    "chatsvc.history.room_retention._EVERY": 0.1,
}
"""With these all is too old at once."""


class EveryStores:
    """What holds whatever the stores are."""

    class Tests(HistoryCase):
        """The tests, for each kind of stores."""

        kind: Callable[[], Stores]

        def setUp(self) -> None:
            """Share no server."""
            self.stores = type(self).kind()
            self.server: ChatServer | None = None

        def start(self, *options: str, **constants: float) -> ChatServer:
            """The server, on what the one before has left."""
            before, words = self.server, (*self.stores.options, *options)
            if before is not None:
                before.stop()
            folder = None if before is None else before.folder
            self.server = ChatServer(*words, folder=folder, constants=constants).start()
            self.addCleanup(self.server.remove)
            if before is None:
                self.me, self.other = (self.stores.add_user(name) for name in ("me", "other"))
            return self.server

        def shown(self, server: ChatServer, device: str, **rooms: Any) -> list[dict[str, Any]]:
            """What a device of the other is shown at its log-in, but for the room itself."""
            self.room_device(server, device, self.other, rooms=rooms).close()
            return [one for one in self.before if one["type"] != "room"]

        def age(self, room: int, *options: str) -> None:
            """Have all that was said become too old, and wait until a log has nothing more."""
            server = self.start("--history-days", "1", *options, **_AGED)
            for _ in range(200):
                if [one["type"] for one in self.shown(server, DESK, **{str(room): [0, 0]})] == [
                    "missed"
                ]:
                    return
                time.sleep(0.05)
            raise self.failureException(f"the log has more: {self.before}")

        def found(self, client: StructuredClient, words: str) -> list[dict[str, Any]]:
            """What a search finds."""
            answer = client.ask(type="search", n=700, text=words)
            messages: list[dict[str, Any]] = answer["messages"]
            return messages

        def test_quiet_room(self) -> None:
            """A message that the history has let go of would be handed to a device that was away (P6)."""
            server = self.start()
            owner = self.room_device(server, DESK)
            self.room_device(server, PHONE, self.other).close()
            member = self.room_device(server, DESK, self.other)
            room = self.create(owner)
            joined = self.join(member, room)["last"]
            member.close()
            said = self.say(owner, room, 1, "old 旧的")
            owner.ask(type="edit", n=2, serial=said["serial"], text="older 旧的")
            self.assertEqual(len(self.found(owner, "旧的")), 1)
            self.assertIn("old 旧的", [one.get("text") for one in self.shown(server, DESK)])
            self.age(room)
            server = self.start()
            owner = self.room_device(server, DESK)
            self.assertEqual((self.texts(owner, room=room), self.found(owner, "旧的")), ([], []))
            # The desk says nothing, then something; the phone has the joining in its inbox.
            missed = {"type": "missed", "room": room, "until": said["id"] + 1}
            self.assertEqual(
                self.shown(server, DESK, **{str(room): [0, 0]}), [missed | {"after": 0}]
            )
            self.assertEqual(self.shown(server, PHONE), [missed | {"after": joined - 1}])
            again = self.say(owner, room, 1, "old 旧的")
            self.assertEqual((again["duplicate"], again["id"]), (True, said["id"]))
            phone = self.room_device(server, PHONE, self.other)
            new = self.say(owner, room, 2, "new")
            self.assertEqual(new["id"], said["id"] + 2)
            self.assertGreater(new["serial"], said["serial"])
            message = phone.await_type("msg")
            self.assertEqual((message["text"], message["id"]), ("new", new["id"]))
            self.assertEqual(self.texts(phone, room=room), ["new"])
            shown = self.shown(server, DESK, **{str(room): [0, 0]})
            self.assertEqual(shown[0], missed | {"after": 0, "serial": new["serial"]})
            self.assertEqual([one.get("text") for one in shown[1:]], ["new"])


class SQLiteTests(EveryStores.Tests):
    kind = SQLiteStores

    def test_without_history(self) -> None:
        """A server that keeps no history would take from its rooms what members who were away lack (P3)."""
        server = self.start("--history-days", "0", **_AGED)
        owner, member = (
            self.room_device(server, DESK),
            self.room_device(server, DESK, self.other),
        )
        room = self.create(owner)
        self.join(member, room)
        member.close()
        self.say(owner, room, 1, "kept")
        time.sleep(0.5)
        shown = self.shown(server, DESK, **{str(room): [0, 0]})
        self.assertEqual([one.get("text") for one in shown if one["type"] == "msg"], ["kept"])


class ServersTests(EveryStores.Tests):
    kind = ServerStores
