"""Sessions, with stores in memory and a connection that notes what it is told."""

from __future__ import annotations

from typing import Any

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.accounts.passwords import PasswordsBusy
from chatsvc.delivery.router import REMOVAL_DELAY
from chatsvc.inbox.outcome import Draft, Duplicate, Full, Gap, Moved, Outcome, Stored
from chatsvc.limits.token_bucket import Rate
from chatsvc.storage.url import STORE_PATIENCE, StoreUnavailable
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem
from tests.support.worlds import (
    ALICE,
    BOB,
    CAROL,
    DEVICE,
    MOST_UNANSWERED,
    RecordingConnection,
    World,
)


class SessionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()

    def connect(self) -> RecordingConnection:
        return RecordingConnection(self.world.services)

    def log_in(self, uid: int = ALICE, **more: Any) -> RecordingConnection:
        """Somebody who is logged in, and whose answers so far are forgotten."""
        connection = self.connect()
        connection.do(c.Auth(uid, self.world.accounts.rows[uid][1], **more))
        self.assertIsInstance(connection.answers()[-1], e.LoggedIn)
        return connection

    def turn(self) -> None:
        self.world.clock.advance(0)

    def assertRefused(
        self, connection: RecordingConnection, problem: Problem, **details: Any
    ) -> None:
        self.assertEqual(connection.answers(), [e.Refused(problem, **details)])


class LogInTests(SessionTests):
    """`auth` and what depends on it."""

    def test_right(self) -> None:
        """Nobody could log in, or be found online."""
        self.world.inbox.store(ALICE, "x")
        connection = self.connect()
        connection.do(c.Auth(ALICE, "a", n=1))
        (answer,) = connection.said
        assert isinstance(answer, e.LoggedIn)
        self.assertEqual(
            (answer.re, answer.uid, answer.name, answer.epoch, answer.waiting),
            (1, ALICE, "alice", "epoch", 1),
        )
        claim = self.world.services.auth.tokens.read(answer.token)
        assert claim is not None
        self.assertEqual(claim.uid, ALICE)
        self.assertTrue(self.world.services.auth.tokens.fits(claim, "a"))
        self.assertEqual(list(self.world.online), [ALICE])
        self.assertEqual([message.text for message in connection.delivered], ["x"])
        self.assertIn("settled in", connection.noted)

    def test_answer_comes_before_messages(self) -> None:
        """A client would get messages before it knows that it is logged in."""
        self.world.inbox.store(ALICE, "x")
        connection = self.connect()
        order: list[str] = []
        connection.say = lambda event: order.append("said")  # type: ignore[method-assign]
        connection.deliver = lambda message: order.append("handed")  # type: ignore[method-assign]
        connection.do(c.Auth(ALICE, "a"))
        self.assertEqual(order, ["said", "handed"])

    def test_wrong(self) -> None:
        """A wrong password, token or uid would let somebody in, or be told apart."""
        for command in (
            c.Auth(ALICE, "b"),
            c.Auth(99, "b"),
            c.Auth(c.NO_UID, "a"),
            c.Auth(ALICE, token="nonsense"),
            c.Auth(ALICE, token=self.world.services.auth.tokens.issue(BOB, "b")),
            c.Auth(ALICE, token=self.world.services.auth.tokens.issue(ALICE, "old")),
        ):
            connection = self.connect()
            connection.do(command)
            self.assertRefused(connection, Problem.BAD_CREDENTIALS)
            self.assertEqual(self.world.online, {})
            self.assertNotIn("settled in", connection.noted)

    def test_token(self) -> None:
        """A token would not log its account in, or cost a password's hash."""
        connection = self.connect()
        connection.do(c.Auth(ALICE, token=self.world.services.auth.tokens.issue(ALICE, "a")))
        self.assertIsInstance(connection.said[0], e.LoggedIn)
        self.assertEqual(self.world.passwords.calls, [])

    def test_twice(self) -> None:
        """Somebody who is logged in could become another user."""
        connection = self.log_in()
        connection.do(c.Auth(BOB, "b", n=3))
        self.assertRefused(connection, Problem.ALREADY_LOGGED_IN, re=3)
        self.assertEqual(list(self.world.online), [ALICE])

    def test_needs_log_in(self) -> None:
        """Something would be done for somebody who is not logged in."""
        connection = self.connect()
        for command in (
            *(
                c.Send(BOB, "x"),
                c.Passwd("a", "b"),
                c.Renew("t"),
                c.Find("bob"),
                c.Logout(),
                c.Ack(1),
            ),
            *(c.Malformed(Problem.SEND_USAGE, c.Send), c.Malformed(Problem.PASSWD_USAGE, c.Passwd)),
        ):
            connection.do(command)
            (answer,) = connection.answers()
            assert isinstance(answer, e.Refused)
            self.assertIs(answer.problem, Problem.NOT_LOGGED_IN, command)
        self.assertEqual(self.world.inbox.calls, [])

    def test_needs_no_log_in(self) -> None:
        """Somebody who is not logged in would not get help, nor be told what is wrong."""
        connection = self.connect()
        connection.do(
            *(c.Help(), c.Ping(n=1), c.SetLang("zh"), c.Hello(lang="en", n=2)),
            *(c.Malformed(Problem.AUTH_USAGE, c.Auth), c.Malformed(Problem.UNKNOWN_COMMAND)),
        )
        self.assertEqual(
            connection.said,
            [
                *(e.HelpShown(), e.Pong(re=1), e.LangSet(), e.Welcome(True, re=2)),
                *(e.Refused(Problem.AUTH_USAGE), e.Refused(Problem.UNKNOWN_COMMAND)),
            ],
        )
        self.assertEqual(connection.noted, ["zh", "en"])

    def test_only_sending(self) -> None:
        """A program that only sends would take messages or the session from its user."""
        reading = self.log_in()
        self.world.inbox.store(ALICE, "x")
        sending = self.connect()
        sending.do(c.Auth(ALICE, "a", receive=False))
        (answer,) = sending.answers()
        assert isinstance(answer, e.LoggedIn)
        self.assertEqual((answer.epoch, answer.waiting), ("", 1))
        sending.do(c.Send(BOB, "y"), c.Ack(1))
        self.turn()
        self.assertIsInstance(sending.said[0], e.Sent)
        self.assertEqual((sending.delivered, reading.said), ([], []))
        sending.session.close("lost")
        self.assertEqual(list(self.world.online), [ALICE])

    def test_throttled(self) -> None:
        """Passwords could be guessed as fast as they can be sent."""
        connection = self.connect()
        for _ in range(6):
            connection.do(c.Auth(ALICE, "wrong"))
        connection.answers()
        connection.do(c.Auth(ALICE, "a", n=9))
        (answer,) = connection.answers()
        assert isinstance(answer, e.Refused)
        self.assertIs(answer.problem, Problem.THROTTLED)
        self.assertTrue(answer.retry_after)

    def test_store_away(self) -> None:
        """The absence of a store would pass for a wrong password, or cost a try."""
        for part in (self.world.accounts, self.world.inbox):
            for _ in range(30):
                part.away = True
                connection = self.connect()
                connection.do(c.Auth(ALICE, "a", n=1))
                self.assertRefused(connection, Problem.STORE_UNAVAILABLE, re=1)
                part.away = False
            connection.do(c.Auth(ALICE, "a", n=2))
            self.assertIsInstance(connection.answers()[-1], e.LoggedIn)
        self.assertEqual(self.log_ins("store-unavailable"), 60)
        self.assertEqual((self.log_ins("ok"), self.log_ins("bad-credentials")), (2, 0))

    def log_ins(self, result: str) -> float | None:
        """How many log-ins with a result were counted."""
        registry = self.world.services.metrics.registry
        return registry.get_sample_value("chatsvc_logins_total", {"result": result})

    def test_gone_in_line(self) -> None:
        """A client that hangs up would still have its password checked, at the cost of those who wait."""
        self.world.passwords.hold = {"check"}
        waiting = [self.connect() for _ in range(30)]
        for connection in waiting:
            connection.do(c.Auth(ALICE, "a"))
        self.assertEqual(len(self.world.passwords.held), 6)
        for connection in waiting[6:]:
            connection.session.close("lost")
        self.world.let_all()
        self.assertEqual(self.world.passwords.calls.count("check"), 6)
        self.world.clock.pump([1.0] * 10)  # one ends the other, more and more slowly
        said = [type(connection.said[-1]) for connection in waiting[:6]]
        self.assertEqual(sorted(kind.__name__ for kind in said), ["Kicked"] * 5 + ["LoggedIn"])

    def test_gone_while_checked(self) -> None:
        """A client that hangs up while its password is checked would log its user out elsewhere, or leave an error."""
        reading = self.log_in()
        self.world.passwords.hold = {"check"}
        connection = self.connect()
        connection.do(c.Auth(ALICE, "a"))
        connection.session.close("lost")
        self.world.let_all()
        self.assertEqual((reading.said, connection.said), ([], []))
        self.assertEqual(list(self.world.online), [ALICE])

    def test_token_waits_for_nobody(self) -> None:
        """A client that comes back by token would be held up by somebody who guesses behind the same address."""
        token = self.world.services.auth.tokens.issue(ALICE, "a")
        guessing = self.connect()
        for uid in range(30):
            guessing.do(c.Auth(uid, "wrong"))
        self.assertIs(guessing.said[-1].problem, Problem.THROTTLED)  # type: ignore[attr-defined]
        connection = self.connect()
        connection.do(c.Auth(ALICE, token=token))
        self.assertIsInstance(connection.said[-1], e.LoggedIn)
        connection = self.connect()
        connection.do(c.Auth(ALICE, token=token[:-1]))
        self.assertRefused(connection, Problem.THROTTLED, retry_after=1.0)

    def test_guesser_does_not_fill_the_log(self) -> None:
        """Anybody who may connect could fill the disk with lines about log-ins that were not even tried."""
        connection = self.connect()
        with capturedLogs() as said:
            for _ in range(100):
                connection.do(c.Auth(ALICE, "wrong"))
        noted = [(event["reason"], event["log_level"].name) for event in said]
        self.assertEqual(noted, [("bad-credentials", "info"), ("throttled", "warn")])

    def test_passwords_busy(self) -> None:
        """A server that is busy with passwords would call one wrong."""
        self.world.passwords.hold = {"check"}
        connection = self.connect()
        connection.do(c.Auth(ALICE, "a"))
        self.world.passwords.let(PasswordsBusy())
        self.assertRefused(connection, Problem.THROTTLED, retry_after=1.0)
        self.assertEqual(self.log_ins("throttled"), 1)

    def test_bug(self) -> None:
        """An exception in a handler would leave its connection without any more answers."""
        self.world.accounts.hold = {"get"}
        connection = self.connect()
        connection.do(c.Auth(ALICE, "a", n=1), c.Ping(n=2))
        self.world.accounts.let(ValueError("a bug"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(
            connection.said, [e.Refused(Problem.STORE_UNAVAILABLE, re=1), e.Pong(re=2)]
        )

    def test_connection_lost_during_the_log_in(self) -> None:
        """A connection that ended while it logged in would be online for ever, or be spoken to."""
        for name in ("get", "check", "claim"):
            self.setUp()
            self.hold(name)
            connection = self.connect()
            connection.do(c.Auth(ALICE, "a"))
            connection.session.close("lost")
            self.world.let_all()
            self.assertEqual((self.world.online, connection.said), ({}, []), name)
            self.log_in()

    def test_connection_lost_while_taking_over(self) -> None:
        """A connection that ended while it logged in would have logged out one that is there."""
        for name in ("get", "check", "claim"):
            self.setUp()
            older = self.log_in()
            self.hold(name)
            newer = self.connect()
            newer.do(c.Auth(ALICE, "a"))
            newer.session.close("lost")
            self.world.let_all()
            self.assertEqual((older.said, newer.said), ([], []), name)
            self.assertEqual(list(self.world.online), [ALICE])
            self.world.router.send(Draft(ALICE, BOB, "b", 0, "x"), lambda *_: None)
            self.turn()
            self.assertEqual(len(older.delivered), 1)
            older.do(c.Ack(1))
            for _ in range(5):
                self.world.clock.advance(REMOVAL_DELAY)
            self.assertEqual(self.world.inbox.waiting[ALICE], [], "it still can acknowledge")

    def hold(self, name: str) -> None:
        for part in (self.world.accounts, self.world.passwords, self.world.inbox):
            part.hold = {name}

    def test_take_over(self) -> None:
        """Two connections of one user would both read, or the older one not be told."""
        older = self.log_in()
        newer = self.log_in()
        self.assertEqual(older.said, [e.Kicked()])
        self.assertFalse(older.session.logged_in)
        self.world.inbox.store(ALICE, "x")
        self.world.online[ALICE][0].resync()
        self.assertEqual((len(older.delivered), len(newer.delivered)), (0, 1))
        older.answers()
        older.do(c.Send(BOB, "y"))
        self.assertRefused(older, Problem.NOT_LOGGED_IN, to=BOB)
        older.session.close("lost")
        self.assertEqual(list(self.world.online), [ALICE], "the entry is the newer one's")

    def ask_to_log_in(self, uid: int = ALICE) -> RecordingConnection:
        """Somebody who asks to log in, and may have to wait."""
        connection = self.connect()
        connection.do(c.Auth(uid, self.world.accounts.rows[uid][1]))
        return connection

    def test_ending_one_another(self) -> None:
        """Two programs that are started anew whenever they end would end each other some times a second, for ever."""
        self.log_in()
        holder = self.log_in()  # somebody who has moved to another machine
        for wait in (1, 2, 4, 8, 8):
            newer = self.ask_to_log_in()
            self.log_in(BOB).session.close("lost")
            self.world.clock.advance(wait - 0.1)
            self.assertEqual((holder.answers(), newer.said), ([], []))
            self.world.clock.advance(0.2)
            self.assertEqual(holder.answers(), [e.Kicked()])
            self.assertIsInstance(newer.answers()[-1], e.LoggedIn)
            holder = newer
        self.world.clock.advance(15.1)
        self.log_in()
        self.assertEqual(holder.answers(), [e.Kicked()])

    def test_back_where_nobody_is(self) -> None:
        """Whoever comes back, after the log-in that has ended theirs is over, would wait for nothing."""
        self.log_in()
        self.log_in().session.close("lost")
        self.turn()
        self.log_in()

    def test_ending_one_another_between_nodes(self) -> None:
        """Two programs that log in at different nodes would end each other without end."""
        self.log_in()
        self.world.router.taken_over(ALICE, 99)
        self.world.inbox.taken = {ALICE}
        back = self.ask_to_log_in()
        self.assertEqual(back.said, [])
        self.world.clock.advance(1.1)
        self.assertIsInstance(back.answers()[-1], e.LoggedIn)

    def test_gone_while_it_waits(self) -> None:
        """Whoever hangs up meanwhile would end the log-in of another, or leave an error."""
        self.log_in()
        holder = self.log_in()
        gone = self.ask_to_log_in()
        gone.session.close("lost")
        self.world.clock.advance(10)
        self.assertEqual((holder.answers(), gone.said), ([], []))
        self.assertTrue(holder.session.logged_in)

    def test_who_has_ended_it(self) -> None:
        """The log would not say where the other one is that ends a log-in, or not that two end each other."""
        with capturedLogs() as logged:
            self.log_in()
            self.log_in()
            self.ask_to_log_in()
            self.world.clock.advance(1.1)
            self.world.router.taken_over(ALICE, 99, "192.0.2.99")
            self.log_in()
            self.world.router.taken_over(ALICE, 199)
        ended = [event for event in logged if event["event"] == "logout"]
        self.assertEqual(
            [event["by"] for event in ended],
            ["192.0.2.1", "192.0.2.1", "192.0.2.99", "another node"],
        )
        self.assertTrue(formatEvent(ended[0]).endswith("logged-in-elsewhere, from 192.0.2.1"))
        (slowed,) = [event for event in logged if event["event"] == "take-over-slowed"]
        self.assertEqual((slowed["address"], slowed["seconds"]), ("192.0.2.1", 1.0))

    def test_take_over_leaves_nothing_twice(self) -> None:
        """Messages that the older session has received would come again to the newer one."""
        older = self.log_in()
        self.world.inbox.store(ALICE, "x")
        self.world.online[ALICE][0].resync()
        self.assertEqual(len(older.delivered), 1)
        newer = self.connect()
        newer.do(c.Auth(ALICE, "a"))
        self.turn()
        self.assertIsInstance(newer.said[0], e.LoggedIn)
        self.assertEqual(newer.delivered, [])

    def test_two_at_once(self) -> None:
        """Both or none of two log-ins at the same time would be online."""
        self.world.inbox.hold = {"claim"}
        first, second = self.connect(), self.connect()
        first.do(c.Auth(ALICE, "a"))
        second.do(c.Auth(ALICE, "a"))
        self.world.let_all()
        self.assertEqual([type(event) for event in first.said], [e.LoggedIn, e.Kicked])
        self.assertEqual([type(event) for event in second.said], [e.LoggedIn])
        self.assertTrue(second.session.logged_in)

    def test_log_out(self) -> None:
        """Somebody who logged out would still be online, or could not log in again."""
        connection = self.log_in()
        connection.do(c.Logout(n=2), c.Send(BOB, "x"))
        self.assertEqual(connection.answers()[0], e.LoggedOut(re=2))
        self.assertEqual(self.world.online, {})
        connection.do(c.Auth(BOB, "b"))
        self.assertIsInstance(connection.said[-1], e.LoggedIn)

    def test_quit(self) -> None:
        """`quit` would not say goodbye and close."""
        connection = self.log_in()
        connection.do(c.Quit())
        self.assertEqual((connection.said, self.world.online), ([e.Farewell()], {}))
        self.assertIn("closed", connection.noted)

    def test_nothing_after_quit(self) -> None:
        """Commands that waited behind `quit` would log in somebody who is going."""
        self.world.inbox.hold = {"commit"}
        connection = self.log_in()
        connection.do(c.Send(BOB, "x"), c.Quit(), c.Auth(BOB, "b"), c.Register("x", "y"))
        self.world.let_all()
        self.assertEqual(self.world.online, {})
        self.assertNotIn("register", self.world.accounts.calls)

    def test_epoch(self) -> None:
        """A reader would not be told that its ids no longer count."""
        connection = self.log_in()
        self.world.online[ALICE][0].inbox_restarted()
        self.assertIn("restarted", connection.noted)

    def test_paused_while_logging_in(self) -> None:
        """A connection that can take no more would be handed a whole inbox at its log-in."""
        self.world.inbox.store(ALICE, "x")
        connection = self.connect()
        connection.session.pause()
        connection.do(c.Auth(ALICE, "a"))
        self.assertEqual((connection.delivered, connection.held), ([], {"output"}))
        connection.session.resume()
        self.assertEqual((len(connection.delivered), connection.held), (1, set()))

    def test_pause(self) -> None:
        """A connection that can take no more would be handed more."""
        connection = self.log_in()
        connection.session.pause()
        self.world.inbox.store(ALICE, "x")
        self.world.online[ALICE][0].resync()
        self.assertEqual((connection.delivered, connection.held), ([], {"output"}))
        connection.session.resume()
        self.assertEqual(len(connection.delivered), 1)


class SendTests(SessionTests):
    """`msg`."""

    def test_answer_that_cannot_be_given(self) -> None:
        """A sender would wait for an answer that an error of ours has kept back, and for all that follow."""
        sender = self.log_in()

        def explode(event: e.Event) -> None:
            raise ValueError("a bug")

        sender.say = explode  # type: ignore[method-assign]
        sender.do(c.Send(BOB, "x"))
        self.world.clock.advance(0)
        self.assertIn("closed", sender.noted)
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_confirmation(self) -> None:
        """A sender would not learn what became of the message."""
        sender = self.log_in()
        sender.do(c.Hello(device=DEVICE), c.Send(BOB, "x", n=1))
        sender.answers()
        self.turn()
        at = 1_000_000
        message = e.Message(1, ALICE, "alice", at, "x")
        self.assertEqual(sender.said, [e.Sent(BOB, 1, message, False, 1, False, re=1)])
        self.assertEqual(
            self.world.inbox.batches[-1][0],
            [Draft(BOB, ALICE, "alice", at, "x", DEVICE, 1, generation=1, sending=1)],
        )

    def test_reader_is_online(self) -> None:
        """A sender would be told that a reader is away who is here, or the reader get nothing."""
        sender, reader = self.log_in(), self.log_in(BOB)
        sender.do(c.Send(BOB, "x"))
        self.turn()
        (answer,) = sender.said
        assert isinstance(answer, e.Sent)
        self.assertTrue(answer.online)
        self.assertEqual([message.text for message in reader.delivered], ["x"])

    def test_reader_at_another_node(self) -> None:
        """A sender would be told that a reader is away who is logged in at another node."""
        sender = self.log_in()
        self.world.inbox.outcomes = [Stored(1, 1, True), Duplicate(1, 1, True)]
        sender.do(c.Send(BOB, "x"), c.Send(BOB, "x"))
        self.turn()
        self.assertEqual([answer.online for answer in sender.said], [True, True])  # type: ignore[attr-defined]

    def test_to_oneself(self) -> None:
        """A message to oneself would not arrive."""
        connection = self.log_in()
        connection.do(c.Send(ALICE, "x"))
        self.turn()
        self.assertEqual((len(connection.said), len(connection.delivered)), (1, 1))

    def test_unknown_user(self) -> None:
        """A message to nobody would be stored, or use its number up."""
        connection = self.log_in()
        for uid in (99, c.NO_UID):
            connection.do(c.Send(uid, "x", n=4))
            self.assertRefused(connection, Problem.UNKNOWN_USER, to=uid, re=4)
        self.turn()
        self.assertEqual(self.world.inbox.batches, [])

    def test_outcomes(self) -> None:
        """A refusal by the inbox would be told wrongly."""
        message = e.Message(0, ALICE, "alice", 1_000_000, "x")
        table: list[tuple[Outcome, e.Event]] = [
            (Full(3, False), e.Refused(Problem.INBOX_FULL, to=BOB, waiting=3, re=7)),
            (Full(3, True), e.Refused(Problem.SHARE_FULL, to=BOB, waiting=3, re=7)),
            (Gap(5), e.Refused(Problem.GAP, to=BOB, expected=5, re=7)),
            (Duplicate(4, 2), e.Sent(BOB, 4, message, False, 2, True, re=7)),
            (Duplicate(None, 2), e.Sent(BOB, None, message, False, 2, True, re=7)),
        ]
        for outcome, answer in table:
            self.world.inbox.outcomes = [outcome]
            connection = self.log_in()
            connection.do(c.Send(BOB, "x", n=7))
            self.turn()
            self.assertEqual(connection.answers(), [answer])
            connection.session.close("lost")
            self.turn()

    def test_moved(self) -> None:
        """Somebody who hung at one node and logged in at another would not be told that nothing of this was stored."""
        connection = self.log_in()
        self.world.inbox.outcomes = [Moved()]
        connection.do(c.Send(BOB, "x", n=7))
        self.turn()
        refusal = e.Refused(Problem.NOT_LOGGED_IN, to=BOB, re=7)
        self.assertEqual(connection.answers(), [refusal, e.Kicked()])

    def test_device_that_logged_in_again(self) -> None:
        """A sender would not be told that another session has taken the device, and send on into nowhere."""
        older, newer = self.connect(), self.connect()
        for connection in (older, newer):
            connection.do(c.Hello(device=DEVICE), c.Auth(ALICE, "a", receive=False))
            connection.answers()
        older.do(c.Send(BOB, "A", n=1), c.Send(BOB, "B", n=2))
        self.turn()
        refused = [e.Refused(Problem.NOT_LOGGED_IN, to=BOB, re=n) for n in (1, 2)]
        self.assertEqual(older.answers(), [refused[0], e.Kicked(), refused[1]])
        newer.do(c.Send(BOB, "C", n=1))
        self.turn()
        self.assertEqual([m.text for m in self.world.inbox.waiting[BOB]], ["C"])

    def test_device_after_the_log_in(self) -> None:
        """A session that changes its device would have all that it says refused, or not take the device over."""
        older = self.connect()
        older.do(c.Hello(device=DEVICE), c.Auth(ALICE, "a", receive=False))
        changing = self.log_in()
        changing.do(c.Hello(device=DEVICE), c.Send(BOB, "new", n=1))
        older.do(c.Send(BOB, "old", n=1))
        self.turn()
        self.assertEqual([m.text for m in self.world.inbox.waiting[BOB]], ["new"])
        changing.do(c.Hello(device=DEVICE, lang="en"))
        self.assertEqual(self.world.inbox.calls.count("claim_device"), 2, "once for each change")
        changing.do(c.Hello(), c.Send(BOB, "without", n=1))
        self.turn()
        self.assertEqual(self.world.inbox.batches[-1][0][0].sending, None)

    def test_device_while_the_store_is_away(self) -> None:
        """A session would send as a device that it could not take over."""
        connection = self.log_in()
        self.world.inbox.away = True
        connection.do(c.Hello(device=DEVICE, n=4))
        self.assertRefused(connection, Problem.STORE_UNAVAILABLE, re=4)
        self.world.inbox.away = False
        # Under the numbers of the other device it could be a repetition, without any it could come twice.
        connection.do(c.Send(BOB, "x", n=1))
        self.assertRefused(connection, Problem.STORE_UNAVAILABLE, to=BOB, re=1)
        connection.do(c.Hello(device=DEVICE), c.Send(BOB, "x", n=1))
        self.turn()
        self.assertEqual(self.world.inbox.batches[-1][0][0].device, DEVICE)

    def test_gone_while_a_device_is_claimed(self) -> None:
        """A connection that is lost meanwhile would leave an error, or somebody logged in."""
        self.world.inbox.hold = {"claim_device"}
        connection = self.connect()
        connection.do(c.Hello(device=DEVICE), c.Auth(ALICE, "a", receive=False))
        connection.session.close("lost")
        self.world.let_all()
        self.assertFalse(connection.session.logged_in)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_number_without_a_device(self) -> None:
        """A client without a device that numbers its requests would lose messages as duplicates."""
        for _ in range(2):
            connection = self.log_in()
            connection.do(c.Send(BOB, "x", n=1), c.Send(CAROL, "y", n=2))
            self.turn()
            for answer, n in zip(connection.answers(), (1, 2), strict=True):
                assert isinstance(answer, e.Sent), answer
                self.assertFalse(answer.duplicate)
                self.assertEqual(answer.re, n)
        self.assertEqual(len(self.world.inbox.waiting[BOB]), 2)

    def test_asked_again_without_a_device(self) -> None:
        """A question for a message would be stored as a message."""
        connection = self.log_in()
        for _ in range(2):  # the second time, the recipient is known
            connection.do(c.Send(BOB, "x", again=True, n=1))
            self.turn()
            self.assertRefused(connection, Problem.BAD_FIELD, to=BOB, re=1)
            connection.do(c.Send(BOB, "y"))
            self.turn()
            connection.answers()
        self.assertEqual(len(self.world.inbox.waiting[BOB]), 2)

    def test_store_away(self) -> None:
        """A sender would take a message for stored, or for refused, whose outcome is unknown."""
        connection = self.log_in()
        self.world.inbox.away = True
        connection.do(c.Send(BOB, "x", n=7))
        self.turn()
        self.assertRefused(connection, Problem.MAYBE_NOT_STORED, to=BOB, re=7)

    def test_store_silent(self) -> None:
        """A sender would wait for ever for a store that does not answer."""
        connection = self.log_in()
        self.world.inbox.hold = {"commit"}
        connection.do(c.Send(BOB, "x", n=7))
        self.world.clock.advance(0)
        self.world.clock.advance(STORE_PATIENCE)
        self.assertRefused(connection, Problem.MAYBE_NOT_STORED, to=BOB, re=7)

    def test_order(self) -> None:
        """Answers would come in another order than the commands."""
        connection = self.log_in()
        self.world.accounts.cached = {BOB}
        numbers = range(1, 9)
        connection.do(
            *(c.Send(BOB, "a", n=1), c.Ping(n=2), c.Send(99, "b", n=3), c.Send(BOB, "c", n=4)),
            *(c.Send(CAROL, "d", n=5), c.Find("bob", n=6), c.Send(CAROL, "e", n=7), c.Ping(n=8)),
        )
        for _ in range(10):
            self.turn()
        self.assertEqual([event.re for event in connection.said], list(numbers))

    def test_commands_wait_for_a_look_up(self) -> None:
        """A message would overtake one before it whose recipient is still looked up."""
        connection = self.log_in()
        self.world.accounts.cached = {CAROL}
        self.world.accounts.hold = {"name"}
        connection.do(c.Send(BOB, "a", n=1), c.Send(CAROL, "b", n=2), c.Ping(n=3))
        self.turn()
        self.assertEqual((connection.said, self.world.inbox.batches), ([], []))
        self.world.let_all()
        self.assertEqual([event.re for event in connection.said], [1, 2, 3])
        texts = [draft.text for drafts, _ in self.world.inbox.batches for draft in drafts]
        self.assertEqual(texts, ["a", "b"])

    def test_messages_go_together(self) -> None:
        """Messages of one connection would cost a round trip each."""
        connection = self.log_in()
        self.world.accounts.cached = {BOB, CAROL}
        connection.do(*[c.Send(BOB, "a"), c.Send(CAROL, "b")] * 10)
        self.turn()
        self.assertEqual([len(drafts) for drafts, _ in self.world.inbox.batches], [20])

    def test_kicked_during_a_look_up(self) -> None:
        """A message of somebody who was logged out would be sent in nobody's name."""
        older = self.log_in()
        self.world.accounts.hold = {"name"}
        older.do(c.Send(BOB, "x", n=1))
        newer = self.log_in()
        self.world.let_all()
        self.assertEqual(older.said, [e.Kicked(), e.Refused(Problem.NOT_LOGGED_IN, to=BOB, re=1)])
        self.assertEqual(self.world.inbox.batches, [])
        self.assertEqual(newer.said, [])

    def test_kicked_during_a_batch(self) -> None:
        """Somebody who was logged out would not learn what became of a message before that."""
        older = self.log_in()
        self.world.accounts.cached = {BOB}
        self.world.inbox.hold = {"commit"}
        older.do(c.Send(BOB, "x", n=1))
        self.turn()
        self.log_in()
        self.world.let_all()
        self.assertEqual([type(event) for event in older.said], [e.Kicked, e.Sent])

    def test_connection_lost_during_a_batch(self) -> None:
        """A connection that is gone would be spoken to."""
        connection = self.log_in()
        self.world.accounts.cached = {BOB}
        self.world.inbox.hold = {"commit"}
        connection.do(c.Send(BOB, "x"), c.Ping())
        self.turn()
        connection.session.close("lost")
        self.world.let_all()
        self.assertEqual(connection.said, [])
        self.assertEqual(len(self.world.inbox.waiting[BOB]), 1)

    def test_name_look_up_fails(self) -> None:
        """The absence of the accounts would pass for an unknown user."""
        connection = self.log_in()
        self.world.accounts.hold = {"name"}
        connection.do(c.Send(BOB, "x", n=1), c.Ping(n=2))
        self.world.accounts.let(StoreUnavailable())
        self.assertEqual(
            connection.said, [e.Refused(Problem.STORE_UNAVAILABLE, to=BOB, re=1), e.Pong(re=2)]
        )

    def test_most_unanswered(self) -> None:
        """A client could fill the memory with commands, or would never be read again."""
        for kind in ("posted", "queued"):
            self.setUp()
            connection = self.log_in()
            self.world.accounts.cached = {BOB} if kind == "posted" else set()
            self.world.inbox.hold, self.world.accounts.hold = {"commit"}, {"name"}
            for i in range(MOST_UNANSWERED + 1):
                self.assertEqual(connection.held, set(), i)
                connection.do(c.Send(BOB, "x"))
                if connection.held:
                    break
            self.assertEqual(connection.held, {"unanswered"})
            self.world.let_all()
            self.assertEqual(connection.held, set())
            self.assertGreaterEqual(len(connection.said), MOST_UNANSWERED)

    def test_debts_add_up(self) -> None:
        """A sender past the rate behind a slow command would be read again when the first of the debts is paid."""
        self.world = World(Rate(2, 4))
        connection = self.log_in()
        self.world.accounts.cached = {BOB}
        self.world.accounts.hold = {"find"}
        connection.do(c.Find("bob"), *[c.Send(BOB, "x")] * 14)
        self.world.let_all()
        self.world.clock.advance(4.9)
        self.assertEqual(connection.held, {"message-rate"})
        self.world.clock.advance(0.2)
        self.assertEqual(connection.held, set())

    def test_log_ins_without_end(self) -> None:
        """Somebody who has a token could have the store do nothing but log-ins."""
        self.world = World(login_rate=Rate(1, 5))
        held = [self.log_in(receive=False).held for _ in range(7)]
        self.assertEqual(held, [set()] * 5 + [{"request-rate"}] * 2)

    def test_names_without_end(self) -> None:
        """One account could have the database do nothing but look names up, over any number of connections."""
        self.world = World(find_rate=Rate(1, 3))
        connection = self.log_in()
        connection.do(*[c.Find("bob")] * 3, c.Ping())
        self.assertEqual(connection.held, set())
        connection.do(c.Find("bob"))
        self.assertEqual(connection.held, {"find-rate"})
        self.world.clock.advance(1.1)
        self.assertEqual(connection.held, set())
        other = self.log_in()
        other.do(c.Find("bob"))
        self.assertEqual(other.held, {"find-rate"})
        self.assertEqual(sum(isinstance(one, e.Found) for one in connection.said), 4)

    def test_acks_do_not_wait(self) -> None:
        """An acknowledgement would wait behind a slow command."""
        connection = self.log_in()
        self.world.inbox.store(ALICE, "x")
        self.world.online[ALICE][0].resync()
        self.world.accounts.hold = {"find"}
        connection.do(c.Find("bob"), c.Ack(1))
        self.world.clock.advance(REMOVAL_DELAY)
        self.assertEqual(self.world.inbox.waiting[ALICE], [])

    def test_acks_keep_their_place(self) -> None:
        """An acknowledgement sent before a log-out and another log-in would remove the next account's messages."""
        self.world.accounts.cached = {ALICE, BOB}
        for uid in (ALICE, BOB):
            for text in "xyz":
                self.world.inbox.store(uid, text)
        connection = self.log_in(ALICE)
        self.world.inbox.hold = {"commit"}
        connection.do(
            *(c.Send(CAROL, "x"), c.Ack(1), c.Logout(), c.Auth(BOB, "b"), c.Ack(2), c.Ping(n=1))
        )
        self.world.let_all()
        self.world.clock.advance(REMOVAL_DELAY)
        self.assertEqual([m.text for m in self.world.inbox.waiting[ALICE]], ["y", "z"])
        self.assertEqual([m.text for m in self.world.inbox.waiting[BOB]], ["z"])
        self.assertEqual(connection.answers()[-1], e.Pong(re=1))
        self.assertEqual(connection.session._unanswered_bytes, 0)

    def test_ack_behind_a_log_in(self) -> None:
        """An acknowledgement behind a log-in that is under way would be refused, or acknowledge for nobody."""
        self.world.inbox.store(ALICE, "x")
        connection = self.connect()
        self.world.passwords.hold = {"check"}
        connection.do(c.Auth(ALICE, "a"), c.Ack(1), c.Logout(), c.Ack(1, n=7))
        self.world.let_all()
        self.world.clock.advance(REMOVAL_DELAY)
        said = connection.answers()
        self.assertEqual([type(event) for event in said], [e.LoggedIn, e.LoggedOut, e.Refused])
        self.assertEqual(said[-1], e.Refused(Problem.NOT_LOGGED_IN, re=7))
        self.assertEqual(self.world.inbox.waiting[ALICE], [])

    def test_rate(self) -> None:
        """An account could send faster than its rate for long, or would be stopped within it."""
        self.world = World(Rate(2, 4))
        connection = self.log_in()
        self.world.accounts.cached = {BOB}
        for _ in range(4):
            connection.do(c.Send(BOB, "x"))
            self.assertEqual(connection.held, set())
        connection.do(c.Send(BOB, "x"))
        self.assertEqual(connection.held, {"message-rate"})
        self.world.clock.advance(0.4)
        self.assertEqual(connection.held, {"message-rate"})
        self.world.clock.advance(0.2)
        self.assertEqual(connection.held, set())
        self.assertEqual(len(connection.said), 5, "slowed, not refused")


class AccountTests(SessionTests):
    """`register`, `passwd` and `find`."""

    def test_register(self) -> None:
        """A new account could not be made, or not be used."""
        connection = self.connect()
        connection.do(c.Register("dave", "secret", n=1))
        self.assertEqual(connection.answers(), [e.Registered(10004, re=1)])
        connection.do(c.Auth(10004, "secret"))
        self.assertIsInstance(connection.said[-1], e.LoggedIn)

    def test_register_refused(self) -> None:
        """A name or password that cannot be would become an account."""
        connection = self.connect()
        connection.do(c.Register("a|b", "x"))
        self.assertRefused(connection, Problem.BAD_NAME)
        for password in ("", "a\tb", "secret\n", "x\u200b"):
            connection.do(c.Register("a", password))
            problem = Problem.ODD_PASSWORD if password else Problem.BAD_PASSWORD
            self.assertRefused(connection, problem)
        self.world = World(registration=False)
        connection = self.connect()
        connection.do(c.Register("a", "x", n=1))
        self.assertRefused(connection, Problem.REGISTRATION_CLOSED, re=1)
        self.assertNotIn("register", self.world.accounts.calls)

    def test_change_of_password(self) -> None:
        """A password could be changed without the old one, or not at all."""
        connection = self.log_in()
        connection.do(c.Passwd("wrong", "new", n=1))
        self.assertRefused(connection, Problem.WRONG_OLD_PASSWORD, re=1)
        for password in ("", "new\n", "\x1bnew"):
            connection.do(c.Passwd("a", password, n=2))
            problem = Problem.ODD_PASSWORD if password else Problem.BAD_PASSWORD
            self.assertRefused(connection, problem, re=2)
        connection.do(c.Passwd("a", "new", n=3))
        self.assertEqual(connection.answers(), [e.PasswordChanged(re=3)])
        self.assertEqual(self.world.accounts.rows[ALICE], ("alice", "new"))

    def test_newer_token(self) -> None:
        """A log-in that lasts would outlive its token, or a token get another life that is not this user's."""
        connection, tokens = self.connect(), self.world.services.auth.tokens
        connection.do(c.Auth(ALICE, "a"))
        first = connection.answers()[-1]
        assert isinstance(first, e.LoggedIn)
        self.assertEqual(first.token_seconds, 7 * 86400)
        self.world.clock.advance(first.token_seconds - 1)
        connection.do(c.Renew(first.token, n=2))
        (second,) = connection.answers()
        assert isinstance(second, e.Renewed)
        self.world.clock.advance(2)
        claims = tokens.read(second.token)
        assert claims is not None
        self.assertTrue(claims.uid == ALICE and tokens.fits(claims, "a"))
        self.assertFalse(tokens.fits(claims, "changed"))
        for token in (first.token, tokens.issue(BOB, "b"), "", f"{second.token}x"):
            connection.do(c.Renew(token, n=3))
            self.assertRefused(connection, Problem.BAD_CREDENTIALS, re=3)
        connection.do(c.Logout(), c.Renew(second.token))
        self.assertEqual(connection.answers()[-1], e.Refused(Problem.NOT_LOGGED_IN))

    def test_password_changed_meanwhile(self) -> None:
        """The slower of two changes at once would win though its old password is no longer right."""
        connection = self.log_in()
        self.world.passwords.hold = {"hash"}
        connection.do(c.Passwd("a", "new"))
        self.world.accounts.rows[ALICE] = ("alice", "other")
        self.world.let_all()
        self.assertRefused(connection, Problem.WRONG_OLD_PASSWORD)
        self.assertEqual(self.world.accounts.rows[ALICE], ("alice", "other"))

    def test_find(self) -> None:
        """Somebody who looks for a name would not see whether its users are online."""
        connection = self.log_in()
        connection.do(c.Find("alice", n=1), c.Find("bob", n=2), c.Find("nobody", n=3))
        self.assertEqual(
            connection.said,
            [
                e.Found("alice", ((ALICE, True),), re=1),
                e.Found("bob", ((BOB, False),), re=2),
                e.Found("nobody", (), re=3),
            ],
        )
        self.world.inbox.taken = {BOB}
        connection.do(c.Find("bob", n=4))
        self.assertEqual(connection.said[-1], e.Found("bob", ((BOB, True),), re=4))


class AcknowledgementTests(SessionTests):
    """`ack`, and receipts."""

    def test_ack(self) -> None:
        """A message that a client has recorded would come again, or one that it was never handed be removed."""
        connection = self.log_in()
        for _ in range(3):
            self.world.inbox.store(ALICE, "x")
        self.world.online[ALICE][0].resync()
        connection.do(c.Ack(2))
        self.world.clock.advance(REMOVAL_DELAY)
        self.assertEqual([m.id for m in self.world.inbox.waiting[ALICE]], [3])
        self.assertEqual(connection.said, [])
        connection.do(c.Ack(2**53 - 1))
        self.world.clock.advance(REMOVAL_DELAY)
        self.assertEqual(self.world.inbox.waiting[ALICE], [])

    def test_receipts(self) -> None:
        """A reader that cannot acknowledge would get everything again at each log-in."""
        connection = self.log_in()
        self.world.inbox.store(ALICE, "x")
        self.world.online[ALICE][0].resync()
        assert connection.received is not None
        connection.received(1)
        self.world.clock.advance(REMOVAL_DELAY)
        self.assertEqual(self.world.inbox.waiting[ALICE], [])
        connection.do(c.Logout())
        self.assertIsNone(connection.received)
