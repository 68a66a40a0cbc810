"""Connections: frames, dialects, flow control and closing, both ends joined in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import capturedLogs
from zope.interface.verify import verifyObject

from chatsvc.delivery.router import REMOVAL_DELAY
from chatsvc.inbox.claim import Comparison
from chatsvc.limits.token_bucket import Rate
from chatsvc.transport import ack_tracker
from chatsvc.transport.ack_tracker import ByteMeter, metered
from chatsvc.wire.commands import MAX_FRAME
from tests.support.connections import GREETING, ClientEnd, ProtocolCase, Wire
from tests.support.fakes import FakeTCP
from tests.support.worlds import ALICE, BOB, MOST_UNANSWERED


class FrameTests(ProtocolCase):
    """Bytes to frames and back."""

    def test_greeting(self) -> None:
        """A new connection would not be greeted, once, in text."""
        self.assertEqual(self.connect().raw(), [GREETING])

    def test_frames_in_pieces(self) -> None:
        """A frame would be lost, or read twice, when it comes in pieces or with others."""
        end = self.connect()
        end.raw()
        for byte in end.pack("?", "lang en", "?"):
            end.protocol.dataReceived(bytes([byte]))
        self.turn()
        self.assertEqual(len(end.raw()), 3)

    def test_empty_frames(self) -> None:
        """An empty frame would be answered."""
        end = self.connect()
        end.raw()
        end.send("", "", "lang en", "")
        self.turn()
        self.assertEqual(end.raw(), ["English it is!"])

    def test_largest_frame(self) -> None:
        """A frame of the largest size would end the connection."""
        end = self.text()
        end.send("x" * MAX_FRAME)
        self.turn()
        self.assertEqual(end.raw(), ["Unknown command, please see help or ?!"])

    def test_not_utf8(self) -> None:
        """A frame that is no UTF-8 would end the connection, or do something."""
        end = self.text()
        end.send(b"msg 10002 \xff", "lang en")
        self.turn()
        self.assertEqual(
            end.raw(), ["This is not UTF-8, please check your client's encoding!", "English it is!"]
        )

    def test_byte_order_mark(self) -> None:
        """A program that writes its text with a mark in front would be told that its object is none."""
        end = self.connect()
        end.raw()
        end.send(
            "\ufefflang en", "\ufeff", '\ufeff{"type":"ping","n":1}', '\ufeff{"type":"ping","n":2}'
        )
        self.turn()
        english, *pongs = end.raw()
        self.assertEqual(english, "English it is!")
        self.assertEqual(pongs, ['{"type":"pong","re":1}', '{"type":"pong","re":2}'])

    def test_one_write_a_turn(self) -> None:
        """Frames that are said together would leave as many small packets."""
        end = self.connect()
        end.raw()
        end.send("lang en", "lang en", "help")
        self.assertEqual(end.wire.writes, [])
        self.turn()
        self.assertEqual(len(end.wire.writes), 1)
        self.assertEqual(len(end.raw()), 3)

    def test_legacy(self) -> None:
        """An older client could not read a length, or would take two frames for one."""
        end = self.connect(legacy=True)
        self.assertEqual(end.raw(), [GREETING])
        end.send("lang en", "lang en", "help")
        self.turn()
        self.assertEqual(len(end.wire.writes), 3)
        self.assertEqual(end.wire.writes[0][:2], b"\x0e\x00")
        self.assertEqual(len(end.raw()), 3)

    def test_network_order(self) -> None:
        """A length would not be in network order on an ordinary port."""
        end = self.connect()
        self.assertEqual(end.wire.writes[0][:2], b"\x00\x0e")


class DialectTests(ProtocolCase):
    """Which dialect a connection speaks."""

    def test_structured(self) -> None:
        """A program would be answered in text."""
        end = self.connect()
        end.send({"type": "ping", "n": 1}, "help")
        self.turn()
        said = end.things()
        self.assertEqual([thing["type"] for thing in said], ["pong", "error"])

    def test_language_stays(self) -> None:
        """A program's errors would be in another language than the connection's."""
        end = self.connect()
        end.send("lang zh", "{")
        self.turn()
        self.assertEqual(end.things()[0]["text"], "不是一个有效的JSON对象!")

    def test_not_while_logged_in(self) -> None:
        """A text that begins with a brace would change the dialect of somebody who is logged in."""
        end = self.text()
        end.send('{"type":"ping"}')
        self.turn()
        self.assertEqual(end.raw(), ["Unknown command, please see help or ?!"])

    def test_after_log_out(self) -> None:
        """A connection that is logged out could not become a program's."""
        end = self.text()
        end.send("logout", {"type": "ping"})
        self.turn()
        self.assertEqual(end.things(), [{"type": "pong"}])

    def test_log_in_under_way(self) -> None:
        """A brace behind a log-in that is under way would make a program of a person who logs in."""
        end = self.connect()
        end.raw()
        self.world.passwords.hold = {"check"}
        end.send("auth 10001 a", '{"type":"ping"}', "lang en")
        self.turn()
        self.assertEqual(end.raw(), [])
        self.world.let_all()
        self.turn()
        unknown = "Unknown command, please see help or ?!"
        self.assertEqual(end.raw(), ["Logged in!", unknown, "English it is!"])

    def test_log_in_that_fails(self) -> None:
        """A program behind a person's failed log-in would be answered in text, or the failure be told to a program."""
        end = self.connect()
        end.raw()
        self.world.passwords.hold = {"check"}
        end.send("auth 10001 b", {"type": "ping", "n": 1}, {"type": "ping", "n": 2})
        self.turn()
        self.world.let_all()
        self.turn()
        pongs = ['{"type":"pong","re":1}', '{"type":"pong","re":2}']
        self.assertEqual(end.raw(), ["Log-in failed!", GREETING, *pongs])

    def test_log_out_that_waits(self) -> None:
        """The dialect of a brace behind a log-out would depend on how fast the store is."""
        end = self.text()
        self.world.inbox.hold = {"commit"}
        end.send("msg 10002 hi", "logout", {"type": "ping", "n": 1})
        self.turn()
        self.world.let_all()
        self.turn()
        confirmed, *rest = end.raw()
        self.assertTrue(confirmed.endswith(":hi"))
        self.assertEqual(rest, ["You are logged out!", GREETING, '{"type":"pong","re":1}'])

    def test_registering(self) -> None:
        """A brace behind a registration would have it answered in another dialect than it was asked in."""
        end = self.connect()
        end.raw()
        self.world.passwords.hold = {"hash"}
        end.send("register dora d", {"type": "ping", "n": 1})
        self.turn()
        self.world.let_all()
        self.turn()
        registered, pong = end.raw()
        self.assertTrue(registered.startswith("Registered!"), registered)
        self.assertEqual(pong, '{"type":"pong","re":1}')

    def test_lost_while_undecided(self) -> None:
        """A connection that ends before a brace had its turn would be spoken to, or held for ever."""
        end = self.connect()
        end.raw()
        self.world.passwords.hold = {"check"}
        end.send("auth 10001 a", "{")
        end.lose()
        self.world.let_all()
        self.turn()
        self.assertEqual((end.raw(), self.world.online), ([], {}))
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_never_back(self) -> None:
        """A program's connection would fall back into text."""
        end = self.structured()
        end.send({"type": "logout"}, "help")
        self.turn()
        self.assertEqual([thing["type"] for thing in end.things()], ["ok", "error"])


class ConversationTests(ProtocolCase):
    """Commands and answers through both ends."""

    def test_two_people(self) -> None:
        """A message would not reach its reader, or its sender not see it."""
        alice, bob = self.text(), self.text(BOB)
        alice.send("msg 10002 hi")
        self.turn()
        (read,), (confirmed,) = bob.raw(), alice.raw()
        self.assertEqual(read, confirmed)
        self.assertTrue(read.endswith("\n[ alice|UID:10001 ]:hi"))

    def test_pipelined(self) -> None:
        """Answers to commands that were sent together would come in another order."""
        alice = self.text()
        alice.send(
            "msg 10002 a", "find bob", "msg 99 b", "msg 10002 c", "lang zh", "help", "logout"
        )
        for _ in range(5):
            self.turn()
        said = alice.raw()
        self.assertEqual(
            [line.splitlines()[-1][-5:] for line in said[:5]],
            ["01 ]:a"[-5:], "away)"[-5:], "erid!", "01 ]:c"[-5:], "切换为中文!"[-5:]],
        )
        self.assertEqual(said[6:], ["您已退出登录!", "请登陆!"])

    def test_two_programs(self) -> None:
        """A program would not get a message, or could not acknowledge it."""
        alice, bob = self.structured(), self.structured(BOB)
        alice.send({"type": "msg", "n": 1, "to": BOB, "text": "hi"})
        self.turn()
        (sent,), (message,) = alice.things(), bob.things()
        self.assertEqual((sent["type"], sent["id"], sent["state"]), ("sent", 1, "online"))
        self.assertEqual((message["type"], message["id"], message["text"]), ("msg", 1, "hi"))
        self.assertEqual(len(self.world.inbox.waiting[BOB]), 1)
        bob.send({"type": "ack", "id": 1})
        self.turn(REMOVAL_DELAY)
        self.assertEqual(self.world.inbox.waiting[BOB], [])

    def test_kicked(self) -> None:
        """A program whose account logged in elsewhere would not hear of it, or be closed."""
        older = self.structured()
        self.structured()
        self.turn()
        self.assertEqual(older.things(), [{"type": "kicked"}])
        self.assertFalse(older.wire.disconnecting)

    def test_quit(self) -> None:
        """Frames said before closing would be lost, or something done after it."""
        end = self.text()
        end.send("quit", "help", "auth 10001 a")
        self.turn()
        self.assertEqual(end.raw(), ["Goodbye!"])
        self.assertTrue(end.wire.disconnecting)
        self.assertEqual(self.world.online, {})
        end.send("auth 10001 a")
        self.assertEqual(self.world.online, {})

    def test_nothing_after_the_end(self) -> None:
        """Something would be written to, or done for, a connection that is gone."""
        end = self.text()
        end.send("help")
        end.lose()
        self.turn()
        end.protocol.dataReceived(end.pack("help"))
        self.turn()
        self.assertEqual(end.raw(), [])
        self.assertEqual((self.world.online, self.factory.connections), ({}, 0))

    def test_restarted(self) -> None:
        """A program would keep a cursor that no longer counts."""
        end = self.structured()
        self.world.router.store_returned(Comparison(stale=[ALICE]))
        self.turn()
        (bye,) = end.things()
        self.assertEqual(bye["type"], "bye")
        self.assertGreater(bye["retry_after"], 0)
        self.assertTrue(end.wire.disconnecting)

    def test_people_stay_when_an_inbox_restarts(self) -> None:
        """A person would be sent away over ids that the text dialect does not show."""
        end = self.text()
        self.world.router.store_returned(Comparison(stale=[ALICE]))
        self.turn()
        self.assertEqual((end.raw(), end.wire.disconnecting), ([], False))


class TimeTests(ProtocolCase):
    """The log-in timeout."""

    def test_never_logged_in(self) -> None:
        """Connections that never log in would fill the server."""
        self.make(login_timeout=60)
        end = self.connect()
        end.send("help")
        self.turn(59.9)
        self.assertFalse(end.wire.disconnecting)
        self.turn(0.2)
        self.assertTrue(end.wire.disconnecting)

    def test_peer_that_does_not_close(self) -> None:
        """A peer that does not answer our closing would keep its place for ever."""
        self.make(login_timeout=60)
        silent, polite = self.connect(), self.connect()
        self.turn(60)
        self.assertEqual((silent.wire.disconnecting, silent.wire.aborted), (True, False))
        polite.lose()
        self.turn(1)
        self.turn(31)
        self.assertEqual((silent.wire.aborted, polite.wire.aborted), (True, False))
        silent.lose()
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_logged_in(self) -> None:
        """Somebody who logged in would be sent away after a minute."""
        self.make(login_timeout=60)
        for end in (self.text(), self.structured(BOB), self.structured(10003, receive=False)):
            self.turn(120)
            self.assertFalse(end.wire.disconnecting)
        end = self.text()
        end.send("logout")
        self.turn(1000)
        self.assertFalse(end.wire.disconnecting, "who has logged in once may stay")

    def test_told_to_come_again(self) -> None:
        """A connection that was told when to log in again would be closed before, and lose its turn."""
        self.make(login_timeout=60)
        end = self.connect()
        for _ in range(12):
            end.send(f"auth {ALICE} wrong")
        self.turn(59)
        end.send(f"auth {ALICE} wrong")
        end.send(f"auth {ALICE} wrong")
        self.turn(31)
        self.assertFalse(end.wire.disconnecting)
        self.turn(2)
        self.assertTrue(end.wire.disconnecting)

    def test_lost_before(self) -> None:
        """A connection that ended would be closed once more by its timeout."""
        end = self.connect()
        end.lose()
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_log_in_under_way(self) -> None:
        """A log-in that ends after the timeout would log out its user elsewhere for nothing."""
        self.make(login_timeout=60)
        older = self.text()
        newer = self.connect()
        self.world.passwords.hold = {"check"}
        newer.send("auth 10001 a")
        self.turn(61)
        self.assertTrue(newer.wire.disconnecting)
        self.world.let_all()
        self.turn()
        self.assertEqual(older.raw(), [])
        newer.lose()
        self.assertEqual(list(self.world.online), [ALICE])


class FlowTests(ProtocolCase):
    """Somebody who is slow is waited for, and slows nobody else."""

    def producer(self, end: ClientEnd) -> Any:
        producer = end.wire.producer
        verifyObject(IPushProducer, producer)
        self.assertTrue(end.wire.streaming)
        return producer

    def test_output(self) -> None:
        """A peer that does not read would fill the server's memory with answers and messages."""
        end = self.text()
        self.producer(end).pauseProducing()
        self.assertEqual(end.wire.producerState, "paused")
        self.world.inbox.store(ALICE, "x")
        self.world.online[ALICE][0].resync()
        end.send("help")
        self.turn()
        self.assertEqual(end.raw(), [])
        self.producer(end).resumeProducing()
        self.turn()
        self.assertEqual(end.wire.producerState, "producing")
        self.assertEqual(len(end.raw()), 2)

    def test_unanswered(self) -> None:
        """A client that sends without end would fill the server's memory with commands."""
        self.make(unanswered=16)
        end = self.text()
        self.world.inbox.hold = {"commit"}
        end.send(*[f"msg 10002 {i}" for i in range(3 * 16)])
        self.turn()
        self.assertEqual(end.wire.producerState, "paused")
        drafts = sum(len(drafts) for drafts, _ in self.world.inbox.batches)
        self.assertEqual(drafts, 16)
        self.world.let_all()
        for _ in range(10):
            self.turn()
        self.assertEqual(end.wire.producerState, "producing")
        texts = [frame.rsplit(":", 1)[1] for frame in end.raw()]
        self.assertEqual(texts, [str(i) for i in range(3 * 16)])

    def test_rate(self) -> None:
        """An account past its rate would be read on, or its messages be lost."""
        self.make(Rate(8, 4))
        end = self.text()
        end.send(*[f"msg 10002 {i}" for i in range(20)])
        self.turn()
        self.assertEqual(end.wire.producerState, "paused")
        self.assertEqual(len(end.raw()), 5)
        for _ in range(20):
            self.turn(0.1)
        self.assertEqual(end.wire.producerState, "producing")
        self.assertEqual(len(end.raw()), 15)

    def test_unanswered_bytes(self) -> None:
        """A few commands as large as they may be would fill the server's memory."""
        self.make(unanswered_bytes=100_000)
        end = self.text()
        self.world.accounts.hold = {"find"}
        end.send(*["find " + "x" * 30_000] * 10)
        self.turn()
        self.assertEqual(end.wire.producerState, "paused")
        self.assertEqual(len(end.protocol.session._queue), 3)
        self.world.let_all()
        self.turn()
        self.assertEqual(len(end.raw()), 10)

    def test_others_have_their_turn(self) -> None:
        """Somebody who sends thousands of commands at once would be served before everybody else."""
        end = self.connect()
        end.raw()
        end.protocol.dataReceived(end.pack(*["help"] * 1000))
        end.protocol.flush()
        self.assertLess(len(end.raw()), 100)
        answers = 0
        for _ in range(40):
            self.turn()
            answers += len(end.raw())
        self.assertGreater(answers, 900)

    def test_request_rate(self) -> None:
        """Commands that are no messages could be asked without limit, or a message be slowed by them."""
        self.make(request_rate=Rate(8, 4))
        end = self.connect()
        end.raw()
        end.send(*["help"] * 20)
        self.turn()
        self.assertEqual((len(end.raw()), end.wire.producerState), (5, "paused"))
        other = self.connect(host="192.0.2.9")
        other.raw()
        other.send("help")
        self.turn()
        self.assertEqual(len(other.raw()), 1, "another address pays for it")
        for _ in range(30):
            self.turn(0.1)
        self.assertEqual((len(end.raw()), end.wire.producerState), (15, "producing"))

    def test_what_leads_to_nothing(self) -> None:
        """Empty frames, acknowledgements of nothing and bytes one by one could be sent without any limit."""
        nothing: dict[str, Callable[[ClientEnd], None]] = {
            "empty frames": lambda end: end.send(*[""] * 20),
            "acknowledgements": lambda end: end.send(*[{"type": "ack", "id": 0}] * 20),
            "single bytes": lambda end: self.send_bytes(end, end.pack("x" * 100)[:20]),
        }
        for what, send in nothing.items():
            for logged_in in (False, True):
                self.make(request_rate=Rate(8, 16))
                end = self.structured() if logged_in else self.connect()
                send(end)
                self.turn()
                self.assertEqual(end.wire.producerState, "paused", (what, logged_in))

    def send_bytes(self, end: ClientEnd, data: bytes) -> None:
        """Send byte by byte, as far as the other end reads."""
        for byte in data:
            end.protocol.dataReceived(bytes([byte]))

    def test_bytes_that_come_while_not_read(self) -> None:
        """Bytes that TLS hands on after a connection is no longer read would be lost, or be copied over and over."""
        end = self.text()
        end.protocol.hold("one")
        self.send_bytes(end, end.pack("help", "help", "?")[:-1])
        self.turn()
        self.assertEqual(end.raw(), [])
        end.protocol.release("one")
        self.turn()
        self.assertEqual(len(end.raw()), 2)
        end.protocol.dataReceived(b"?")
        self.turn()
        self.assertEqual(len(end.raw()), 1)

    def test_two_reasons(self) -> None:
        """A connection that waits for two things would be read when the first is over."""
        end = self.connect()
        end.protocol.hold("one")
        end.protocol.hold("two")
        end.protocol.release("one")
        end.protocol.release("nothing")
        self.assertEqual(end.wire.producerState, "paused")
        end.protocol.release("two")
        self.assertEqual(end.wire.producerState, "producing")

    def test_closing_while_it_is_not_read(self) -> None:
        """A connection that is closed while it is not read would never see its peer close, and stay for ever."""
        self.make(unanswered=16)
        end = self.text()
        self.world.inbox.hold = {"commit"}
        end.send(*[f"msg 10002 {i}" for i in range(2 * 16)])
        self.assertEqual(end.wire.producerState, "paused")
        end.protocol.bye("stopping")
        self.assertEqual(end.wire.producerState, "producing")
        self.world.let_all()
        self.turn()
        self.assertEqual(end.wire.producerState, "producing")
        drafts = sum(len(drafts) for drafts, _ in self.world.inbox.batches)
        self.assertEqual(drafts, 16, "what was not read is not done")

    def test_timeout_while_it_is_not_read(self) -> None:
        """Anybody could keep a connection for ever by sending commands and no log-in."""
        end = self.connect()
        self.world.passwords.hold = {"check"}
        end.send(*["auth 10001 a"] * (2 * MOST_UNANSWERED))
        self.assertEqual(end.wire.producerState, "paused")
        self.turn(100)
        self.assertTrue(end.wire.disconnecting)
        self.assertEqual(end.wire.producerState, "producing")

    def test_lost_while_slowed(self) -> None:
        """The end of a connection that is slowed would raise later."""
        self.make(Rate(10, 1))
        end = self.text()
        end.send(*[f"msg 10002 {i}" for i in range(5)])
        end.lose()
        self.turn(5)
        self.assertEqual(self.factory.connections, 0)


class ReceiptTests(ProtocolCase):
    """Readers that cannot acknowledge."""

    def connect_metered(self) -> tuple[ClientEnd, ByteMeter]:
        class Under(FakeTCP):
            def getPeer(self) -> Any:
                return None

        meter = metered(self.factory).buildProtocol(None)
        assert isinstance(meter, ByteMeter)
        self.under_way = 0
        self.patch(
            ack_tracker,
            "unacknowledged",
            lambda descriptor: self.under_way,
        )
        tcp = Under()
        meter.makeConnection(tcp)
        protocol: Any = meter.wrappedProtocol
        return ClientEnd(protocol, Wire()), meter

    def test_received(self) -> None:
        """A message would be removed before its reader has it, or never."""
        end, _ = self.connect_metered()
        end.send("auth 10001 a")
        self.turn()
        self.under_way = 1
        self.world.inbox.store(ALICE, "x")
        self.world.online[ALICE][0].resync()
        self.turn(1)
        self.assertEqual(len(self.world.inbox.waiting[ALICE]), 1)
        self.under_way = 0
        self.turn(1)
        self.turn(REMOVAL_DELAY)
        self.assertEqual(self.world.inbox.waiting[ALICE], [])

    def test_restarted(self) -> None:
        """Receipts of ids from before a fail-over would remove messages that nobody has."""
        end, _ = self.connect_metered()
        end.send("auth 10001 a")
        self.turn()
        self.under_way = 10**6
        for _ in range(5):
            self.world.inbox.store(ALICE, "old")
        self.world.online[ALICE][0].resync()
        self.turn()
        # The store lost them, and has others under the same ids.
        self.world.inbox.waiting[ALICE], self.world.inbox.last_ids[ALICE] = [], 0
        end.protocol.hold("a test")
        self.world.router.store_returned(Comparison(stale=[ALICE]))
        self.world.inbox.store(ALICE, "new")
        self.world.online[ALICE][0].resync()
        self.under_way = 0
        end.protocol.poll_acks()
        self.world.clock.advance(0)
        self.assertEqual([m.text for m in self.world.inbox.waiting[ALICE]], ["new"])
        self.turn(1)
        self.turn(REMOVAL_DELAY)
        self.assertEqual(self.world.inbox.waiting[ALICE], [])

    def test_last_of_a_backlog(self) -> None:
        """The message with which a backlog comes to 64 KiB would never leave the inbox, and be shown at each log-in."""
        end, _ = self.connect_metered()
        for _ in range(8):  # with the eighth it is past 64 KiB
            self.world.inbox.store(ALICE, "x" * 8_192)
        end.send("auth 10001 a")
        self.turn()
        self.turn(1)
        self.turn(REMOVAL_DELAY)
        self.assertEqual(self.world.inbox.waiting[ALICE], [])

    def test_programs_acknowledge_themselves(self) -> None:
        """A message that a program's kernel has, and the program has not recorded, would be removed."""
        end, _ = self.connect_metered()
        end.send({"type": "auth", "n": 1, "uid": ALICE, "password": "a"})
        self.world.inbox.store(ALICE, "x")
        self.world.online[ALICE][0].resync()
        self.turn(5)
        self.assertEqual(len(self.world.inbox.waiting[ALICE]), 1)


class FrameTimeoutTests(ProtocolCase):
    """Frames that come in part."""

    def setUp(self) -> None:
        self.make(frame_timeout=30, login_timeout=1000)

    def trickle(self, end: ClientEnd, data: bytes, each: float) -> None:
        """Send a byte now and then."""
        for byte in data:
            self.turn(each)
            end.protocol.dataReceived(bytes([byte]))

    def test_half_sent(self) -> None:
        """Somebody who sends half a frame and no more would keep its memory for ever, before a log-in and after it."""
        for end in (self.connect(), self.text()):
            end.protocol.dataReceived(end.pack("help")[:3])
            self.turn(29.9)
            self.assertFalse(end.wire.disconnecting)
            self.turn(0.2)
            self.assertTrue(end.wire.disconnecting)
            end.lose()
            self.turn()
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_a_byte_a_second(self) -> None:
        """Somebody who sends a byte now and then would be taken for somebody who is busy."""
        end = self.text()
        self.trickle(end, end.pack("x" * 1000)[:40], 1)
        self.assertTrue(end.wire.disconnecting)

    def test_slow_but_honest(self) -> None:
        """A line that needs twenty seconds for a frame could not be used, however often."""
        end = self.text()
        for _ in range(5):
            self.trickle(end, end.pack("help"), 4)
        self.turn()
        self.assertFalse(end.wire.disconnecting)
        self.assertEqual(len(end.raw()), 5)

    def test_half_a_frame_while_not_read(self) -> None:
        """A client would be sent away for a frame that we do not read because it sends too fast."""
        self.make(rate=Rate(0.01, 1), frame_timeout=30)
        end = self.text()
        end.protocol.dataReceived(
            end.pack("msg 10002 a", "msg 10002 b", "msg 10002 c", "help")[:-2]
        )
        self.assertEqual(end.wire.producerState, "paused")
        self.turn(90)
        self.assertFalse(end.wire.disconnecting)

    def test_lost_in_a_frame(self) -> None:
        """A connection that ended in the middle of a frame would be closed once more."""
        end = self.connect()
        end.protocol.dataReceived(b"\0")
        end.lose()
        self.assertEqual(self.world.clock.getDelayedCalls(), [])


class FactoryTests(ProtocolCase):
    """How many may be here, and how they leave."""

    def test_too_many(self) -> None:
        """More connections than allowed would be served, or told nothing."""
        self.make(total=2)
        self.connect()
        second = self.connect()
        third = self.connect()
        self.assertEqual(second.raw(), [GREETING])
        people, program = third.raw()
        self.assertEqual(people, "Too many connections, please try again later!")
        self.assertEqual(json.loads(program)["code"], "too-many-connections")
        self.assertTrue(third.wire.disconnecting)
        third.send("auth 10001 a")
        self.turn()
        self.assertEqual((third.raw(), self.world.online), ([], {}))
        for end in (second, third):
            end.lose()
        self.assertEqual(self.connect().raw(), [GREETING])

    def test_too_many_from_one_address(self) -> None:
        """One address could take the server from all others."""
        self.make(per_address=1)
        first = self.connect()
        self.assertTrue(self.connect().wire.disconnecting)
        self.assertFalse(self.connect(host="192.0.2.2").wire.disconnecting)
        first.lose()
        self.assertTrue(self.connect().wire.disconnecting, "one that was refused is still there")

    def test_unix_sockets_have_no_address(self) -> None:
        """Behind a Unix socket all together would count as one address."""
        self.make(per_address=1)
        ends = [self.connect(host="") for _ in range(3)]
        self.assertEqual([end.wire.disconnecting for end in ends], [False] * 3)

    def test_far_too_many(self) -> None:
        """A flood of connections would cost more than hanging up, or go unsaid in the log, or fill it."""
        self.make(total=1)
        with capturedLogs() as said:
            for _ in range(101):
                self.connect()
            self.assertIsNone(self.factory.buildProtocol(None))
        full = [e for e in said if e["event"] == "too-many-connections"]
        self.assertEqual([(e["limit"], e["log_level"].name) for e in full], [("total", "warn")])

    def test_silence_makes_room(self) -> None:
        """Connections that say nothing could keep everybody out, or push out who has only just come."""
        self.make(total=3)
        user = self.text()
        silent, younger = self.connect(), self.connect()
        refused = self.connect()
        self.assertTrue(refused.wire.disconnecting, "nobody has been silent for long")
        refused.lose()
        self.turn(6)
        newcomer = self.factory.buildProtocol(None)
        assert newcomer is not None
        ends = (user, silent, younger)
        self.assertEqual([end.wire.aborted for end in ends], [False, True, False])
        silent.lose()
        wire = Wire()
        newcomer.makeConnection(wire)
        self.assertFalse(wire.disconnecting)

    def test_silence_makes_room_at_its_address(self) -> None:
        """Connections from one address that say nothing could keep everybody else there out, or others there too."""
        self.make(per_address=2)
        elsewhere = self.connect(host="192.0.2.2")
        user, silent = self.text(), self.connect()
        refused = self.connect()
        self.assertTrue(refused.wire.disconnecting, "nobody has been silent for long")
        refused.lose()
        self.turn(6)
        ends = (elsewhere, user, silent)
        newcomers = [
            self.factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 5000)) for _ in range(2)
        ]
        self.assertEqual([end.wire.aborted for end in ends], [False, False, True])
        silent.lose()
        wires = [Wire(), Wire()]
        for newcomer, wire in zip(newcomers, wires, strict=True):
            assert newcomer is not None
            wire.protocol = newcomer
            newcomer.makeConnection(wire)
        # Both are past the limit together, and neither was silent for long.
        self.assertEqual([wire.disconnecting for wire in wires], [True, True])
        self.assertFalse(user.wire.disconnecting)

    def test_those_that_made_room_still_hold_it(self) -> None:
        """Many who come in one turn of the reactor could have more descriptors than there are places."""
        self.make(total=1)
        silent = self.connect()
        self.turn(6)
        come = [self.factory.buildProtocol(None) for _ in range(103)]
        self.assertTrue(silent.wire.aborted)
        self.assertEqual(come.index(None), 101)
        self.assertEqual(self.factory.connections, 102)

    def test_drain(self) -> None:
        """A server that stops would not say goodbye, or not wait for its connections to end."""
        person, program = self.text(), self.structured(BOB)
        drained = Deferred.fromCoroutine(self.factory.drain())
        self.turn()
        (line,) = person.raw()
        self.assertRegex(line, r"The server is stopping, please connect again in [1-5] s!")
        self.assertEqual([thing["type"] for thing in program.things()], ["bye"])
        self.assertIsNone(self.factory.buildProtocol(None))
        person.lose()
        self.assertNoResult(drained)
        program.lose()
        self.successResultOf(drained)
        self.turn()
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_drain_does_not_wait_for_ever(self) -> None:
        """A peer that does not close would keep a server from stopping, or the log not say what it waits for."""
        end = self.text()
        with capturedLogs() as said:
            drained = Deferred.fromCoroutine(self.factory.drain())
            self.world.clock.pump([0.5] * 16)
            self.assertTrue(end.wire.aborted)
            end.lose()
        self.successResultOf(drained)
        shown = [(e["event"], e.get("connections"), e.get("reason")) for e in said]
        remaining = [("draining", 1, None)] * 4
        left, gone = ("logout", None, "stopping"), ("disconnected", None, "stopping")
        self.assertEqual(shown, [left, *remaining, gone])

    def test_drain_of_nobody(self) -> None:
        """A server without connections could not stop."""
        self.successResultOf(Deferred.fromCoroutine(self.factory.drain()))
