"""Connections of registered devices: the frames themselves, both ends joined in memory."""

from __future__ import annotations

from typing import Any

from chatsvc.delivery.router import REMOVAL_DELAY
from tests.support.connections import ClientEnd, ProtocolCase
from tests.support.worlds import ALICE, BOB

PHONE, DESK = "b" * 16, "d" * 16


class DeviceFramesTests(ProtocolCase):
    def device(self, device: str, uid: int = ALICE, **more: Any) -> ClientEnd:
        """A registered device that is logged in, and whose answers so far are forgotten."""
        end = self.connect()
        password = self.world.accounts.rows[uid][1]
        end.send(
            {"type": "hello", "device": device, "client": "x/1", "features": ["devices"]},
            {"type": "auth", "n": 1, "uid": uid, "password": password, **more},
        )
        self.turn()
        welcome, ok = end.things()[:2]
        self.assertEqual((welcome["features"], ok["epoch"], ok["re"]), (["devices"], "", 1))
        return end

    def test_conversation(self) -> None:
        """A device would not be shown what another one sends, or read it as a message to its user (P4)."""
        phone, desk, bob = self.device(PHONE), self.device(DESK), self.structured(BOB)
        phone.send({"type": "msg", "n": 1, "to": BOB, "text": "hi"})
        self.turn()
        at = 1_000_000
        sent = {"type": "sent", "to": BOB, "at": at, "id": 1, "state": "online"}
        message = {"type": "msg", "id": 1, "from": ALICE, "name": "alice", "at": at, "text": "hi"}
        self.assertEqual(phone.things(), [{**sent, "serial": 10, "re": 1}])
        self.assertEqual(desk.things(), [{**message, "serial": 10, "to": BOB}])
        self.assertEqual(bob.things(), [message], "as ever")

    def test_of_before(self) -> None:
        """A program or a person of before would read a frame that is not byte for byte what it was."""
        self.device(PHONE)
        program, person = self.connect(), self.text(BOB)
        program.send(
            {"type": "hello", "device": DESK},
            {"type": "auth", "n": 1, "uid": ALICE, "password": "a", "after": 0},
            {"type": "msg", "n": 1, "to": BOB, "text": "hi"},
            {"type": "msg", "n": 1, "to": ALICE, "text": "me"},
        )
        self.turn()
        welcome, ok, *rest = program.raw()[1:]
        self.assertEqual(
            welcome,
            '{"type":"welcome","version":1,"server":"chatsvc/0.1","max_text":8192,"registration":"open"}',
        )
        self.assertRegex(
            ok,
            r'^\{"type":"ok","uid":10001,"name":"alice","token":"10001\.[0-9a-f]{32}\.[^."]+\.[^."]+"'
            r',"epoch":"epoch","waiting":0,"token_seconds":604800,"re":1\}$',
        )
        self.assertEqual(
            rest,
            [
                '{"type":"sent","to":10002,"at":1000000,"id":1,"state":"online","re":1}',
                '{"type":"msg","id":2,"from":10001,"name":"alice","at":1000000,"text":"me"}',
                '{"type":"sent","to":10001,"at":1000000,"id":2,"state":"online","re":1}',
            ],
        )
        (typed,) = person.raw()
        self.assertTrue(typed.endswith("[ alice|UID:10001 ]:hi"), typed)

    def test_forgotten(self) -> None:
        """A device that was forgotten would not be told to come again, or its connection stay open."""
        phone, desk = self.device(PHONE), self.device(DESK)
        desk.send({"type": "forget", "n": 9, "device": PHONE})
        self.turn()
        (bye,) = phone.things()
        self.assertEqual((bye["type"], bye["forgotten"]), ("bye", True))
        self.assertTrue(phone.wire.disconnecting)
        self.assertEqual(desk.things(), [{"type": "ok", "re": 9}])
        self.assertFalse(desk.wire.disconnecting)

    def test_forgotten_by_the_store(self) -> None:
        """A device that the store forgot by itself would be kept out until its user logs in again."""
        phone, desk = self.device(PHONE), self.device(DESK)
        self.world.router.forgotten(ALICE, PHONE)
        self.turn()
        (bye,) = phone.things()
        self.assertEqual(set(bye), {"type", "retry_after"})
        self.assertEqual(desk.things(), [])

    def test_forgotten_person(self) -> None:
        """A person who is too far behind would see nothing of what becomes of the connection."""
        person = self.text()
        self.world.router.forgotten(ALICE, "")
        self.turn()
        (line,) = person.raw()
        self.assertRegex(line, r"^The server is stopping, please connect again in \d s!$")
        self.assertTrue(person.wire.disconnecting)

    def test_person_with_copies(self) -> None:
        """What a person types would hold their inbox for ever, because the copy is not shown to them."""
        self.device(PHONE).lose()
        person = self.text()
        person.send(f"msg {BOB} hi")
        self.turn()
        self.turn(REMOVAL_DELAY)
        self.assertEqual(self.world.inbox.positions[ALICE], 1)
