"""Sessions of registered devices, with stores in memory and a connection that notes what it is told."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.delivery.router import REMOVAL_DELAY
from chatsvc.inbox.claim import InboxClaim
from chatsvc.inbox.features import FACTS
from chatsvc.inbox.nodes import NodeFacts
from chatsvc.inbox.outcome import Draft, Moved, Stored, Unregistered
from chatsvc.limits.token_bucket import Rate
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem
from tests.support.worlds import ALICE, BOB, RecordingConnection, World

PHONE, DESK = "b" * 16, "d" * 16


class DevicesCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.world.accounts.cached = {ALICE, BOB}

    def connect(self, device: str = "", *features: str) -> RecordingConnection:
        """A connection that has introduced itself, and whose answers so far are forgotten."""
        connection = RecordingConnection(self.world.services)
        if device:
            connection.do(c.Hello(client="x/1", device=device, features=features or None))
            self.assertIsInstance(connection.answers()[-1], e.Welcome)
        return connection

    def log_in(self, device: str, uid: int = ALICE, **more: Any) -> RecordingConnection:
        """A session of a registered device."""
        connection = self.connect(device, "devices")
        connection.do(c.Auth(uid, self.world.accounts.rows[uid][1], **more))
        self.assertIsInstance(connection.said[0], e.LoggedIn)
        connection.answers()
        return connection

    def log_in_unnamed(self, device: str = "", **more: Any) -> RecordingConnection:
        """A session without the feature."""
        connection = self.connect(device)
        connection.do(c.Auth(ALICE, "a", **more))
        self.assertIsInstance(connection.answers()[-1], e.LoggedIn)
        return connection

    def turn(self) -> None:
        self.world.clock.advance(0)

    def refused(self, connection: RecordingConnection) -> list[Problem]:
        """The problems that were told since this was last asked."""
        answers = connection.answers()
        return [answer.problem for answer in answers if isinstance(answer, e.Refused)]

    def message(self, to: int = ALICE) -> None:
        """Somebody writes."""
        self.world.router.send(Draft(to, 7, "g", 0, "x"), lambda *_: None)
        self.turn()


class HelloTests(DevicesCase):
    """Which features are granted."""

    def welcome(
        self, connection: RecordingConnection, device: str = PHONE, *features: str
    ) -> tuple[str, ...] | None:
        """What is granted."""
        connection.do(c.Hello(device=device, features=features))
        (answer,) = connection.answers()
        assert isinstance(answer, e.Welcome), answer
        return answer.features

    def test_granted(self) -> None:
        """A program could not have a device of its own."""
        connection = RecordingConnection(self.world.services)
        self.assertEqual(
            self.welcome(connection, PHONE, "typing", "devices", "devices"), ("devices",)
        )
        self.assertEqual(connection.noted, ["devices"])

    def test_not_asked_for(self) -> None:
        """A program of before would get a field, or frames, that it has not asked for."""
        connection = RecordingConnection(self.world.services)
        connection.do(c.Hello(device=PHONE))
        self.assertEqual(connection.said, [e.Welcome(True)])
        self.assertEqual((connection.noted, self.world.inbox.calls), ([], []))
        self.assertEqual(self.welcome(RecordingConnection(self.world.services)), ())

    def test_without_a_device(self) -> None:
        """A session would be a registered device without a name."""
        connection = RecordingConnection(self.world.services)
        self.assertEqual(self.welcome(connection, "", "devices"), ())
        self.assertEqual(
            self.welcome(connection, PHONE, "devices"), ("devices",), "it may ask again"
        )

    def test_after_the_log_in(self) -> None:
        """A session would become a registered device in the middle of its life."""
        connection = self.log_in_unnamed()
        self.assertEqual(self.welcome(connection, PHONE, "devices"), ())
        self.assertEqual(list(self.world.inbox.registered[ALICE]), [])

    def test_twice(self) -> None:
        """A registered device could become another one, whose numbers and position are others."""
        connection = self.connect(PHONE, "devices")
        connection.do(c.Hello(device=DESK, n=4))
        self.assertEqual(connection.answers(), [e.Refused(Problem.BAD_FIELD, re=4)])
        connection.do(c.Auth(ALICE, "a"), c.Hello(), c.Logout(), c.Hello(device=DESK))
        self.assertEqual(self.refused(connection), [Problem.BAD_FIELD] * 2)
        self.assertEqual(list(self.world.inbox.registered[ALICE]), [PHONE])

    def test_while_an_older_node_lives(self) -> None:
        """An older node, which knows no devices, would work on them and lose messages."""
        known = NodeFacts("2", "", FACTS).to_text()
        self.world.inbox.alive = {"a": known, "b": NodeFacts("1", "").to_text()}
        connection = RecordingConnection(self.world.services)
        self.assertEqual(self.welcome(connection, PHONE, "devices"), ())
        connection.do(c.Auth(ALICE, "a", after=3))
        self.assertIsInstance(connection.answers()[0], e.LoggedIn, "it goes on as without")
        self.assertEqual(list(self.world.inbox.registered[ALICE]), [])
        self.world.inbox.alive = {"a": known}
        self.world.clock.advance(1.1)
        connection = RecordingConnection(self.world.services)
        self.assertEqual(self.welcome(connection, PHONE, "devices"), ("devices",))

    def test_store_away(self) -> None:
        """A program that asked for the feature would log in without it, and throw somebody out."""
        person = self.log_in_unnamed()
        self.world.inbox.away = True
        connection = RecordingConnection(self.world.services)
        connection.do(c.Hello(device=PHONE, features=("devices",)))
        self.world.inbox.away = False
        connection.do(c.Auth(ALICE, "a"))
        self.assertEqual(self.refused(connection), [Problem.STORE_UNAVAILABLE] * 2)
        self.assertEqual(person.said, [])
        self.assertEqual(self.welcome(connection, PHONE, "devices"), ("devices",))


class LogInTests(DevicesCase):
    """Registered devices that log in."""

    def test_side_by_side(self) -> None:
        """One device of a user would throw the other out, or a person at the text dialect (P2)."""
        person, phone, desk = self.log_in_unnamed(), self.log_in(PHONE), self.log_in(DESK)
        self.assertEqual([one.said for one in (person, phone, desk)], [[]] * 3)
        self.message()
        self.assertEqual([len(one.delivered) for one in (person, phone, desk)], [1, 1, 1])
        self.assertEqual(list(self.world.online), [ALICE])

    def test_same_device(self) -> None:
        """Two sessions of one device would read and number messages beside each other, or other devices be ended."""
        older, desk = self.log_in(PHONE), self.log_in(DESK)
        newer = self.log_in(PHONE)
        self.assertEqual((older.said, desk.said, newer.said), ([e.Kicked()], [], []))
        self.message()
        self.assertEqual([len(one.delivered) for one in (older, desk, newer)], [0, 1, 1])

    def test_same_device_without_the_feature(self) -> None:
        """Two sessions would number the same messages of one device, and each take the other's for repetitions."""
        registered = self.log_in(PHONE)
        unnamed = self.log_in_unnamed(PHONE)
        self.assertEqual((registered.said, unnamed.said), ([e.Kicked()], []))
        registered = self.log_in(PHONE)
        self.assertEqual((registered.said, unnamed.said), ([], [e.Kicked()]))

    def test_device_changed_after_the_log_in(self) -> None:
        """A session would be ended for a device under whose name it no longer speaks."""
        person = self.log_in_unnamed(PHONE)
        person.do(c.Hello(device=DESK))
        person.answers()
        self.log_in(PHONE)
        self.assertEqual(person.said, [])
        self.log_in(DESK)
        self.assertEqual(person.said, [e.Kicked()])

    def test_position_without_its_serial(self) -> None:
        """A device would be begun behind an id that a store has given out twice."""
        connection = self.connect(PHONE, "devices")
        connection.do(c.Auth(ALICE, "a", after=3, n=1))
        self.assertEqual(connection.answers(), [e.Refused(Problem.BAD_FIELD, re=1)])
        self.assertEqual(self.world.passwords.calls, [], "before the password is checked")
        connection.do(c.Auth(ALICE, "a", after=3, receive=False))
        self.assertIsInstance(connection.answers()[0], e.LoggedIn)

    def test_serial_without_a_position(self) -> None:
        """A device would be begun behind what it does not say that it has shown."""
        claim, said = self.world.inbox.claim, []

        async def note(*given: Any) -> InboxClaim:
            said.append(given)
            return await claim(*given)

        self.patch(self.world.inbox, "claim", note)
        self.log_in(PHONE, serial=20)
        self.log_in(DESK, after=1, serial=20)
        shown = [(after, registration.serial) for _, after, *_, registration in said]
        self.assertEqual(shown, [(None, None), (1, 20)])

    def test_only_sending(self) -> None:
        """A program that only sends would become a device, take its reader's place, or make copies."""
        phone = self.log_in(PHONE)
        sending = self.connect(DESK, "devices")
        sending.do(c.Auth(ALICE, "a", receive=False), c.Send(BOB, "x", n=1))
        self.turn()
        self.assertEqual([type(one) for one in sending.said], [e.LoggedIn, e.Sent])
        self.assertEqual(list(self.world.inbox.registered[ALICE]), [PHONE])
        self.assertEqual((phone.said, phone.delivered), ([], []))

    def test_missed(self) -> None:
        """A device that was away too long would not be told what it lacks, or not before what is there."""
        for text in ("a", "b", "c"):
            self.world.inbox.store(ALICE, text)
        self.world.inbox.waiting[ALICE] = self.world.inbox.waiting[ALICE][2:]
        connection = self.connect(PHONE, "devices")
        order: list[Any] = []
        self.patch(connection, "say", order.append)
        self.patch(connection, "deliver", order.append)
        connection.do(c.Auth(ALICE, "a", after=1, serial=10))
        self.assertIsInstance(order.pop(0), e.LoggedIn)
        self.assertEqual(order[0], e.Missed(1, 2, 30))
        self.assertEqual([message.id for message in order[1:]], [3])

    def test_too_many(self) -> None:
        """A device more than the store keeps would throw out one that is online, or be refused without a reason."""
        self.world.inbox.most_devices = 2
        self.log_in(PHONE)
        desk = self.log_in(DESK)
        third = self.connect("e" * 16, "devices")
        third.do(c.Auth(ALICE, "a", n=1))
        self.assertEqual(third.answers(), [e.Refused(Problem.TOO_MANY_DEVICES, re=1)])
        registry = self.world.services.metrics.registry
        labels = {"result": "too-many-devices"}
        self.assertEqual(registry.get_sample_value("chatsvc_logins_total", labels), 1)
        desk.session.close("lost")
        self.turn()
        third.do(c.Auth(ALICE, "a", n=2))
        self.assertIsInstance(third.answers()[0], e.LoggedIn)

    def test_too_many_in_the_log(self) -> None:
        """An admin whom somebody asks why they cannot log in would find nothing."""
        self.world.inbox.most_devices = 1
        self.log_in(PHONE)
        with capturedLogs() as logged:
            self.connect(DESK, "devices").do(c.Auth(ALICE, "a"))
        said = [(event["event"], event["uid"], event["reason"]) for event in logged]
        self.assertEqual(said, [("login-refused", ALICE, "too-many-devices")])

    def test_name_of_the_program(self) -> None:
        """Whoever gives a long name could fill the store, and a list of devices not fit a frame."""
        connection = RecordingConnection(self.world.services)
        connection.do(c.Hello(client="x" * 9999, device=PHONE, features=("devices",)))
        connection.do(c.Auth(ALICE, "a"))
        self.assertEqual(self.world.inbox.registered[ALICE][PHONE].client, "x" * 64)

    def test_connection_lost_during_the_claim(self) -> None:
        """A device whose connection is lost meanwhile would be online for ever, or keep its generation from another."""
        self.world.inbox.hold = {"claim"}
        connection = self.connect(PHONE, "devices")
        connection.do(c.Auth(ALICE, "a"))
        connection.session.close("lost")
        self.world.let_all()
        self.turn()
        self.assertEqual((self.world.online, connection.said), ({}, []))
        self.assertFalse(self.world.inbox.registered[ALICE][PHONE].online)

    def test_connection_lost_while_taking_over(self) -> None:
        """A device whose connection is lost meanwhile would leave the session before deaf, or its messages refused."""
        for log_in in (self.log_in, self.log_in_unnamed):
            self.setUp()
            older = log_in(PHONE)
            self.world.inbox.hold = {"claim"}
            newer = self.connect(PHONE, "devices")
            newer.do(c.Auth(ALICE, "a"))
            newer.session.close("lost")
            self.world.let_all()
            self.turn()
            self.assertEqual((older.said, newer.said, len(self.world.online[ALICE])), ([], [], 1))
            reader = self.world.online[ALICE][0]
            generation = self.world.inbox.sending[ALICE, PHONE] if reader.device else None
            self.assertEqual(generation or reader.generation, reader.generation)
            self.message()
            older.do(c.Ack(older.delivered[-1].id))
            if reader.device:
                older.do(c.Send(BOB, "x", n=1))
                self.turn()
                self.assertEqual([type(one) for one in older.answers()], [e.Sent])
            self.world.clock.advance(REMOVAL_DELAY)
            self.turn()
            device = self.world.inbox.registered[ALICE][PHONE]
            held = device.position if reader.device else self.world.inbox.positions[ALICE]
            self.assertEqual(held, older.delivered[-1].id)
            self.assertEqual(device.online, bool(reader.device))

    def test_ending_one_another(self) -> None:
        """Two programs on one device would end each other for ever, or make the other devices wait."""
        self.log_in(PHONE)
        self.log_in(PHONE)
        third = self.connect(PHONE, "devices")
        third.do(c.Auth(ALICE, "a"))
        self.assertEqual(third.said, [])
        self.log_in(DESK)
        self.log_in_unnamed()
        self.world.clock.advance(1.1)
        self.assertIsInstance(third.said[0], e.LoggedIn)

    def test_by_name(self) -> None:
        """Nobody could log in who knows their name and not their number."""
        connection = self.connect()
        connection.do(c.Auth(c.NO_UID, "a", name="alice"), c.Logout())
        connection.do(c.Auth(c.NO_UID, "a", name="bob"))
        said = connection.answers()
        self.assertEqual([type(one) for one in said], [e.LoggedIn, e.LoggedOut, e.Refused])
        self.assertEqual(said[0].uid, ALICE)  # type: ignore[attr-defined]


class SendTests(DevicesCase):
    """Copies, and messages of devices that are gone."""

    def test_copies(self) -> None:
        """What one device sends, the others would not show, or it itself twice (P4)."""
        person, phone, desk = self.log_in_unnamed(), self.log_in(PHONE), self.log_in(DESK)
        phone.do(c.Send(BOB, "from the phone", n=1))
        person.do(c.Send(BOB, "typed"))
        self.turn()
        shown = [[message.text for message in one.delivered] for one in (person, phone, desk)]
        self.assertEqual(shown, [[], ["typed"], ["from the phone", "typed"]])
        copy = desk.delivered[0]
        self.assertEqual((copy.sender, copy.to, copy.device), (ALICE, BOB, PHONE))
        (sent,) = phone.said
        assert isinstance(sent, e.Sent)
        self.assertEqual(sent.message.serial, copy.serial)

    def test_draft(self) -> None:
        """The store would not know as which device a message comes, nor that a later log-in has ended it."""
        phone = self.log_in(PHONE)
        phone.do(c.Send(BOB, "x", n=1))
        self.turn()
        generation = self.world.online[ALICE][0].generation
        (draft,) = self.world.inbox.batches[-1][0]
        self.assertEqual((draft.device, draft.n, draft.registered), (PHONE, 1, True))
        self.assertEqual((draft.generation, draft.sending), (None, generation))
        self.world.online[ALICE][0].stay()
        phone.do(c.Send(BOB, "y", n=2))
        self.turn()
        self.assertEqual(self.world.inbox.batches[-1][0][0].sending, generation + 1)

    def test_rate(self) -> None:
        """A user with devices could fill two inboxes for the price of one."""
        self.world = World(Rate(2, 4))
        self.world.accounts.cached = {ALICE, BOB}
        phone = self.log_in(PHONE)
        phone.do(*[c.Send(BOB, "x", n=n) for n in range(1, 4)])
        self.turn()
        self.assertEqual(phone.held, set(), "without other devices there are no copies")
        self.world.clock.advance(10)
        self.log_in(DESK)
        phone.do(c.Send(BOB, "x", n=4), c.Send(BOB, "x", n=5))
        self.turn()
        self.assertEqual(phone.held, set())
        phone.do(c.Send(BOB, "x", n=6))
        self.turn()
        self.assertEqual(phone.held, {"message-rate"})
        self.world.clock.advance(1.1)
        self.assertEqual(phone.held, set())

    def test_rate_of_a_lost_connection(self) -> None:
        """Whoever hangs up behind each message would have its copies for nothing."""
        self.world = World(Rate(1, 4))
        self.world.accounts.cached = {ALICE, BOB}
        phone = self.log_in(PHONE)
        self.world.inbox.outcomes = [Stored(1, 1, copy=1)] * 2
        phone.do(c.Send(BOB, "x", n=1), c.Send(BOB, "x", n=2))
        phone.session.close("lost")
        self.turn()
        phone = self.log_in(PHONE)
        phone.do(c.Send(BOB, "x", n=3))
        self.assertEqual(phone.held, {"message-rate"})

    def test_unregistered(self) -> None:
        """A device that was forgotten would go on sending into nowhere."""
        phone, desk = self.log_in(PHONE), self.log_in(DESK)
        self.world.inbox.outcomes = [Unregistered()]
        phone.do(c.Send(BOB, "x", n=1))
        self.turn()
        refusal = e.Refused(Problem.NOT_LOGGED_IN, to=BOB, re=1)
        self.assertEqual(phone.said, [refusal, e.Bye(1.0)])
        self.assertIn("closed", phone.noted)
        self.assertEqual((desk.said, len(self.world.online[ALICE])), ([], 1))

    def test_moved(self) -> None:
        """A device that was taken over unheard would not be told, or the others be ended."""
        phone, desk = self.log_in(PHONE), self.log_in(DESK)
        self.world.inbox.outcomes = [Moved()]
        phone.do(c.Send(BOB, "x", n=1))
        self.turn()
        refusal = e.Refused(Problem.NOT_LOGGED_IN, to=BOB, re=1)
        self.assertEqual(phone.said, [refusal, e.Kicked()])
        self.assertEqual(desk.said, [])

    def test_after_its_own_new_claim(self) -> None:
        """A session whose generation was renewed, as by a fail-over, would be kicked for a message on its way."""
        phone = self.log_in(PHONE)
        self.world.inbox.hold = {"commit"}
        phone.do(c.Send(BOB, "x", n=1))
        self.turn()
        self.world.online[ALICE][0].stay()
        self.world.let_all()
        self.assertEqual(phone.answers(), [e.Refused(Problem.MAYBE_NOT_STORED, to=BOB, re=1)])
        phone.do(c.Send(BOB, "x", n=1))
        self.turn()
        self.assertIsInstance(phone.answers()[0], e.Sent)


class ForgettingTests(DevicesCase):
    """`devices` and `forget`."""

    def test_list(self) -> None:
        """Nobody would see which devices have access, and which of them is this."""
        phone, desk = self.log_in(PHONE), self.log_in(DESK)
        desk.session.close("lost")
        self.turn()
        listed = (e.Device(PHONE, "x/1", 0, 0, True), e.Device(DESK, "x/1", 0, 0, False))
        person = self.log_in_unnamed("e" * 16)
        for connection, this in ((phone, PHONE), (person, "")):
            connection.do(c.Devices(n=3))
            self.assertEqual(connection.answers(), [e.DevicesListed(listed, this, re=3)])

    def test_forget_another(self) -> None:
        """A lost phone would stay logged in, or its token go on working."""
        phone, desk = self.log_in(PHONE), self.log_in(DESK)
        desk.do(c.Forget(PHONE, n=3))
        self.assertEqual(desk.answers(), [e.DeviceForgotten(re=3)])
        self.assertEqual((phone.said, phone.noted[-1]), ([e.Bye(1.0, forgotten=True)], "closed"))
        self.assertEqual(list(self.world.inbox.registered[ALICE]), [DESK])
        self.assertEqual(self.world.accounts.forgets[ALICE, PHONE], 1)
        registry = self.world.services.metrics.registry
        self.assertEqual(registry.get_sample_value("chatsvc_devices_forgotten_total"), 1)
        desk.do(c.Forget(PHONE, n=4))
        self.assertEqual(desk.answers(), [e.DeviceForgotten(re=4)], "also when it is not there")

    def test_tokens_first(self) -> None:
        """A phone that is thrown out could come back by its token before that is void."""
        self.log_in(PHONE)
        desk = self.log_in(DESK)
        self.world.accounts.hold = {"forget_device"}
        desk.do(c.Forget(PHONE))
        self.assertNotIn("forget", self.world.inbox.calls)
        self.world.let_all()
        self.assertIn("forget", self.world.inbox.calls)

    def test_forget_itself(self) -> None:
        """A device that has itself forgotten would not be answered, or stay logged in."""
        phone = self.log_in(PHONE)
        phone.do(c.Forget(PHONE, n=3), c.Send(BOB, "x", n=1))
        self.turn()
        self.assertEqual(phone.said, [e.DeviceForgotten(re=3), e.Bye(1.0, forgotten=True)])
        self.assertEqual((self.world.online, self.world.inbox.batches[-1][0]), ({}, []))
        self.assertEqual(list(self.world.inbox.registered[ALICE]), [])

    def test_forget_itself_while_a_store_is_away(self) -> None:
        """A device would be told that it is forgotten, and be kept."""
        phone = self.log_in(PHONE)
        self.world.accounts.away = True
        phone.do(c.Forget(PHONE, n=3))
        refusal = e.Refused(Problem.STORE_UNAVAILABLE, re=3)
        self.assertEqual(phone.said, [refusal, e.Bye(1.0)])
        self.assertEqual(list(self.world.inbox.registered[ALICE]), [PHONE])

    def test_store_away(self) -> None:
        """A device would be told that another is forgotten, and it be kept."""
        phone, desk = self.log_in(PHONE), self.log_in(DESK)
        self.world.inbox.away = True
        desk.do(c.Forget(PHONE), c.Devices())
        self.assertEqual(self.refused(desk), [Problem.STORE_UNAVAILABLE] * 2)
        self.assertEqual(phone.said, [])

    def test_forgotten_by_the_store(self) -> None:
        """A session would go on whose device the store has forgotten for being too far behind."""
        phone, person = self.log_in(PHONE), self.log_in_unnamed()
        self.world.inbox.forgetting = [(ALICE, PHONE), (ALICE, "")]
        self.message(BOB)
        self.assertEqual((phone.said, person.said), ([e.Bye(1.0)], [e.Bye(1.0)]))
        self.assertEqual(self.world.online, {})

    def test_log_in_behind_it(self) -> None:
        """A phone whose token was checked just before it was forgotten would register itself again, and stay."""
        desk = self.log_in(DESK)
        self.world.inbox.hold = {"claim"}
        phone = self.connect(PHONE, "devices")
        phone.do(c.Auth(ALICE, "a"))
        desk.do(c.Forget(PHONE))
        self.world.inbox.store(ALICE, "secret")
        self.world.let_all()
        self.assertEqual((phone.said[-1], phone.delivered), (e.Bye(1.0, forgotten=True), []))
        self.assertEqual(list(self.world.inbox.registered[ALICE]), [DESK])

    def test_store_away_behind_a_log_in(self) -> None:
        """A phone that is known to be forgotten would come back by itself, because a store was away meanwhile."""
        desk = self.log_in(DESK)
        self.world.inbox.hold = {"claim"}
        phone = self.connect(PHONE, "devices")
        phone.do(c.Auth(ALICE, "a"))
        desk.do(c.Forget(PHONE))
        self.patch(self.world.inbox, "forget", lambda *_: fail(StoreUnavailable("away")))
        self.world.let_all()
        self.assertEqual(phone.said[-1], e.Bye(1.0, forgotten=True))

    def test_accounts_away_behind_a_log_in(self) -> None:
        """A log-in would be answered twice, or read though nobody knows whether its device was forgotten."""
        self.world.inbox.hold = {"claim"}
        phone = self.connect(PHONE, "devices")
        phone.do(c.Auth(ALICE, "a"))
        self.world.accounts.away = True
        self.world.let_all()
        self.assertEqual([type(one) for one in phone.said], [e.LoggedIn, e.Bye])
        self.assertIn("closed", phone.noted)

    def test_token_names_its_device(self) -> None:
        """A forgotten device would come back by its token; or a program without the feature not by one of before."""
        tokens = []
        for device, features in ((PHONE, ["devices"]), (PHONE, []), ("", [])):
            connection = self.connect(device, *features)
            connection.do(c.Auth(ALICE, "a"))
            (answer,) = connection.answers()
            assert isinstance(answer, e.LoggedIn)
            tokens.append(answer.token)
            connection.session.close("lost")
            self.turn()
        claims = [self.world.services.auth.tokens.read(token) for token in tokens]
        self.assertEqual([one.device for one in claims if one], [PHONE, "", ""])
        Deferred.fromCoroutine(self.world.services.auth.forget_device(ALICE, PHONE))
        refused = []
        for token in tokens:
            connection = self.connect(DESK, "devices")
            connection.do(c.Auth(ALICE, token=token))
            refused.append(bool(self.refused(connection)))
            connection.session.close("lost")
            self.turn()
        self.assertEqual(refused, [True, False, False])

    def test_renewed_token(self) -> None:
        """Whoever has a token of a forgotten device would get a newer one, or a device none for its own."""
        kinds: tuple[tuple[str, list[str]], ...] = (
            (PHONE, ["devices"]),
            (DESK, ["devices"]),
            ("", []),
        )
        sessions, tokens = [], []
        for device, features in kinds:
            connection = self.connect(device, *features)
            connection.do(c.Auth(ALICE, "a"))
            (answer,) = connection.answers()
            assert isinstance(answer, e.LoggedIn)
            sessions.append(connection)
            tokens.append(answer.token)
        renewed = []
        for connection in sessions:
            connection.do(*[c.Renew(token) for token in tokens])
            answers = connection.answers()
            renewed.append([isinstance(answer, e.Renewed) for answer in answers])
            refusals = [answer.problem for answer in answers if isinstance(answer, e.Refused)]
            self.assertEqual({*refusals}, {Problem.BAD_CREDENTIALS})
        self.assertEqual(renewed, [[True, False, True], [False, True, True], [False, False, True]])

    def test_password_changed(self) -> None:
        """The token that a device gets for a new password would outlive it."""
        phone = self.log_in(PHONE)
        phone.do(c.Passwd("a", "new", token=True))
        (answer,) = phone.answers()
        assert isinstance(answer, e.PasswordChanged)
        claims = self.world.services.auth.tokens.read(answer.token)
        assert claims is not None
        self.assertEqual(claims.device, PHONE)
