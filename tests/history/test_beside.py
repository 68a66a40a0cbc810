"""Questions about the history: answered when they are ready, and holding nothing up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.archive.message import ArchivedMessage
from chatsvc.archive.segmenter import query_of
from chatsvc.history.access import Conversation
from chatsvc.history.history import History, Page, Wanted
from chatsvc.limits.token_bucket import Rate
from chatsvc.rooms.room import PUBLIC, Room, RoomRefused
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire import history_events as h
from chatsvc.wire.problems import Problem, code_of
from tests.support.fakes import Turns
from tests.support.worlds import (
    ALICE,
    BOB,
    CAROL,
    MOST_UNANSWERED,
    UNLIMITED,
    RecordingConnection,
    World,
)

DEV = Room(7, "dev", PUBLIC, "", "all", 1, 1)


class FakeHistory(Turns):
    """
    What a :class:`~chatsvc.history.history.History` offers sessions; every question is held until a test lets it.

    ``asked`` has each question, ``cancelled`` how many of them were, ``refusal`` is raised by all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hold = {"page", "search", "conversations", "mark_read"}
        self.is_on = True
        self.asked: list[tuple[Any, ...]] = []
        self.cancelled = 0
        self.refusal: Exception | None = None
        self.listed: list[h.ListedConversation] = []

    async def _ask(self, *asked: Any) -> None:
        self.asked.append(asked)
        try:
            await self.turn(asked[0])
        except CancelledError:
            self.cancelled += 1
            raise
        if self.refusal is not None:
            raise self.refusal

    async def page(
        self, uid: int, where: Conversation, before: int | None, after: int | None, limit: int
    ) -> Page:
        await self._ask("page", uid, where, before, after, limit)
        room = DEV if where.room is not None else None
        return Page([message(uid)], True, room)

    async def search(self, uid: int, wanted: Wanted) -> h.Searched:
        asked = (wanted.query, wanted.where, wanted.sender, wanted.before, wanted.limit)
        await self._ask("search", uid, *asked, wanted.with_rooms)
        return h.Searched((h.Hit(message(uid), BOB),), 5, False)

    async def conversations(
        self, uid: int, before: int | None, limit: int, with_rooms: bool
    ) -> tuple[list[h.ListedConversation], bool]:
        await self._ask("conversations", uid, before, limit, with_rooms)
        return self.listed, True

    async def mark_read(
        self, uid: int, where: Conversation, serial: int
    ) -> tuple[int, bool] | None:
        await self._ask("mark_read", uid, where, serial)
        return serial, False


def message(uid: int) -> ArchivedMessage:
    """What the fake tells a user."""
    return ArchivedMessage(1, 10, uid, "x", 5, f"of {uid}")


class BesideCase(SynchronousTestCase):
    """A test with a history that waits."""

    def setUp(self) -> None:
        self.begin()

    def begin(self, **options: Any) -> None:
        """Have a world, and ALICE in it."""
        self.world = World(**options)
        self.history = FakeHistory()
        self.services = replace(self.world.services, history=cast(History, self.history))
        self.alice = self.log_in(ALICE)

    def log_in(self, uid: int) -> RecordingConnection:
        """Somebody who is logged in, and whose answers so far are forgotten."""
        connection = RecordingConnection(self.services)
        self.addCleanup(
            connection.session.close, "lost"
        )  # or what is held is never told that it ends
        connection.do(c.Auth(uid, self.world.accounts.rows[uid][1]))
        self.assertIsInstance(connection.answers()[-1], e.LoggedIn)
        return connection

    def numbers(self, connection: RecordingConnection | None = None) -> list[int | None]:
        """To which commands there were answers since this was last asked."""
        return [one.re for one in (connection or self.alice).answers()]


class AnswerTests(BesideCase):
    """What is answered."""

    def test_page(self) -> None:
        """A page would be another one than was asked for, or be said of another conversation."""
        self.alice.do(c.ReadHistory(BOB, before=9, limit=3, n=1))
        self.alice.do(c.ReadHistory(room="dev", after=0, n=2))
        self.history.let_all()
        self.assertEqual(
            self.history.asked,
            [
                ("page", ALICE, Conversation(BOB, None), 9, None, 3),
                ("page", ALICE, Conversation(None, "dev"), None, 0, 50),
            ],
        )
        shown = (message(ALICE),)
        self.assertEqual(
            self.alice.answers(),
            [
                h.HistoryShown(shown, True, BOB, re=1),
                h.HistoryShown(shown, True, None, 7, "dev", True, re=2),
            ],
        )

    def test_search(self) -> None:
        """Something else would be looked for, or elsewhere, also in rooms for who does not know of rooms."""
        self.alice.do(c.Search("预算 会议", n=1), c.Search("x", BOB, None, CAROL, 9, 3, n=2))
        self.history.let_all()
        self.alice.rooms = False
        self.alice.do(c.Search("y", n=3))
        self.history.let_all()
        self.assertEqual(
            self.history.asked,
            [
                ("search", ALICE, query_of("预算 会议"), None, None, None, 50, True),
                ("search", ALICE, query_of("x"), Conversation(BOB, None), CAROL, 9, 3, True),
                ("search", ALICE, query_of("y"), None, None, None, 50, False),
            ],
        )
        hits = (h.Hit(message(ALICE), BOB),)
        answers = [h.Searched(hits, 5, False, re=n) for n in (1, 2, 3)]
        self.assertEqual(self.alice.answers(), answers)

    def test_nothing_to_search(self) -> None:
        """A search for nothing would look at all messages."""
        self.alice.do(c.Search(" ... ", n=1))
        self.assertEqual(self.alice.answers(), [e.Refused(Problem.NOTHING_TO_SEARCH, re=1)])
        self.assertEqual(self.history.asked, [])

    def test_conversations(self) -> None:
        """The list would be another one than was asked for, or have rooms for who does not know of rooms."""
        self.history.listed = [h.ListedConversation(message(ALICE), BOB, None, "bob", 0, 1)]
        self.alice.do(c.ListConversations(9, 3, n=1))
        self.alice.rooms = False
        self.alice.do(c.ListConversations(n=2))
        self.history.let_all()
        self.assertEqual(
            self.history.asked,
            [("conversations", ALICE, 9, 3, True), ("conversations", ALICE, None, 50, False)],
        )
        listed = tuple(self.history.listed)
        self.assertEqual(
            self.alice.answers(), [h.ConversationsListed(listed, True, re=n) for n in (1, 2)]
        )

    def test_mark_read(self) -> None:
        """Something else would be marked as read."""
        self.alice.do(c.MarkRead(30, BOB, n=1), c.MarkRead(40, None, 7, n=2))
        self.history.let_all()
        self.assertEqual(
            self.history.asked,
            [
                ("mark_read", ALICE, Conversation(BOB, None), 30),
                ("mark_read", ALICE, Conversation(None, 7), 40),
            ],
        )
        self.assertEqual(self.numbers(), [1, 2])

    def test_without_rooms(self) -> None:
        """A client that does not know of rooms would be told of them."""
        self.alice.rooms = False
        self.alice.do(
            c.ReadHistory(room=7, n=1), c.Search("x", room=7, n=2), c.MarkRead(5, None, 7, n=3)
        )
        self.assertEqual(
            self.alice.answers(), [e.Refused(Problem.UNKNOWN_COMMAND, re=n) for n in (1, 2, 3)]
        )
        self.assertEqual(self.history.asked, [])

    def test_refusals(self) -> None:
        """Who may not read would be told nothing, or something else than why."""
        self.history.hold = set()
        for refusal, problem in (
            (RoomRefused(Problem.NOT_A_MEMBER), Problem.NOT_A_MEMBER),
            (RoomRefused(Problem.UNKNOWN_ROOM), Problem.UNKNOWN_ROOM),
            (StoreUnavailable("behind"), Problem.STORE_UNAVAILABLE),
        ):
            self.history.refusal = refusal
            self.alice.do(c.ReadHistory(room=8, n=1))
            self.assertEqual(self.alice.answers(), [e.Refused(problem, re=1)])

    def test_refused_later(self) -> None:
        """The same, of a question that has waited."""
        self.alice.do(c.ReadHistory(BOB, n=1))
        self.history.let(StoreUnavailable("behind"))
        self.assertEqual(self.alice.answers(), [e.Refused(Problem.STORE_UNAVAILABLE, re=1)])

    def test_error(self) -> None:
        """A fault of ours would leave a question without an answer for ever, and count for ever."""
        self.alice.do(c.ReadHistory(BOB, n=1))
        self.history.let(ZeroDivisionError())
        self.assertEqual(self.alice.answers(), [e.Refused(Problem.STORE_UNAVAILABLE, re=1)])
        self.assertTrue(self.alice.session.answered)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_off(self) -> None:
        """With the history off a question would have no answer, or another one than that it is off."""
        self.history.is_on = False
        self.alice.do(
            c.ReadHistory(BOB, n=1),
            c.Search("x", n=2),
            c.Search("", n=3),
            c.ListConversations(n=4),
            c.MarkRead(5, BOB, n=5),
        )
        answers = self.alice.answers()
        self.assertEqual(answers, [e.Refused(Problem.HISTORY_OFF, re=n) for n in range(1, 6)])
        self.assertEqual(code_of(Problem.HISTORY_OFF), "forbidden")
        self.assertEqual(self.history.asked, [])
        self.assertTrue(self.alice.session.answered)

    def test_not_logged_in(self) -> None:
        """Somebody who is not logged in could read the history."""
        connection = RecordingConnection(self.services)
        for command in (
            c.ReadHistory(BOB, n=1),
            c.Search("x", n=1),
            c.ListConversations(n=1),
            c.MarkRead(5, BOB, n=1),
        ):
            connection.do(command)
            self.assertEqual(connection.answers(), [e.Refused(Problem.NOT_LOGGED_IN, re=1)])
        self.assertEqual(self.history.asked, [])

    def test_rates(self) -> None:
        """Searches and lists would cost nothing, or a page as much as they do."""
        for command, slow in (
            (c.Search("x"), True),
            (c.ListConversations(), True),
            (c.ReadHistory(BOB), False),
            (c.MarkRead(5, BOB), False),
        ):
            self.begin(find_rate=Rate(1, 1))
            self.alice.do(command)
            self.assertEqual(self.alice.held, set())
            self.alice.do(command)
            self.assertEqual(self.alice.held, {"find-rate"} if slow else set(), command)
        self.begin(request_rate=Rate(1, 2), find_rate=UNLIMITED)
        self.alice.do(*[c.ReadHistory(BOB)] * 3)
        self.assertEqual(self.alice.held, {"request-rate"}, "every question is one request")


class BesideTests(BesideCase):
    """What goes on while a question waits."""

    def test_in_any_order(self) -> None:
        """A slow search would hold up a page that is ready."""
        self.alice.do(c.Search("x", n=1), c.ReadHistory(BOB, n=2), c.ListConversations(n=3))
        (_, first), (_, second), (_, third) = self.history.held
        second.callback(None)
        self.assertEqual(self.numbers(), [2])
        third.callback(None)
        first.callback(None)
        self.assertEqual(self.numbers(), [3, 1])

    def test_holds_nothing_up(self) -> None:
        """Messages, acknowledgements and other commands would wait for a search."""
        self.world.inbox.store(ALICE, "hello")
        alice = self.log_in(ALICE)
        self.turn()
        alice.do(
            c.Search("x", n=1), c.Send(BOB, "hi", n=2), c.Find("bob", n=3), c.Send(99, "x", n=4)
        )
        self.turn()
        self.assertEqual(sorted(n or 0 for n in self.numbers(alice)), [2, 3, 4])
        self.assertEqual([one.text for one in self.world.inbox.waiting[BOB]], ["hi"])
        alice.do(c.Ack(1))
        self.world.clock.pump([1, 1, 1])
        self.assertEqual(self.world.inbox.waiting[ALICE], [])
        self.history.let_all()
        self.assertEqual(self.numbers(alice), [1])

    def turn(self) -> None:
        """Let the router store what it was given."""
        for _ in range(5):
            self.world.clock.advance(0.01)

    def test_behind_another_command(self) -> None:
        """A question behind a command that takes a while would not be answered, or overtake it."""
        self.world.accounts.hold = {"find"}
        self.alice.do(c.Find("bob", n=1), c.ReadHistory(BOB, n=2), c.ListConversations(n=3))
        self.assertEqual(self.history.asked, [])
        self.world.let_all()
        self.assertEqual(len(self.history.asked), 2)
        self.assertEqual(self.numbers(), [1])
        self.history.let_all()
        self.assertEqual(self.numbers(), [2, 3])
        self.assertTrue(self.alice.session.answered)

    def test_ready_at_once(self) -> None:
        """A question that is answered at once would count as unanswered for ever."""
        self.history.hold = set()
        for n in range(3 * MOST_UNANSWERED):
            self.alice.do(c.ReadHistory(BOB, n=n))
        self.assertEqual(len(self.numbers()), 3 * MOST_UNANSWERED)
        self.assertEqual(self.alice.held, set())
        self.assertEqual(self.alice.session._unanswered_bytes, 0)

    def test_connection_lost(self) -> None:
        """A connection that is gone would be written to, or its searches go on."""
        self.alice.do(c.Search("x", n=1), c.ReadHistory(BOB, n=2))
        self.alice.session.close("lost")
        self.assertEqual(self.history.cancelled, 2)
        self.assertEqual(self.alice.answers(), [])
        self.assertEqual(self.alice.session._beside, set())
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_ready_after_the_end(self) -> None:
        """The same, where the answer cannot be stopped any more."""
        self.alice.do(c.ReadHistory(BOB, n=1))
        (_, turn), *_ = self.history.held
        turn._canceller = lambda _: turn.callback(None)
        self.alice.session.close("lost")
        self.assertEqual(self.alice.answers(), [])
        self.assertEqual(self.alice.session._beside, set())

    def test_answered_only_with_all(self) -> None:
        """A connection that is to be closed once all is answered would be closed before a question is."""
        self.alice.do(c.ReadHistory(BOB, n=1), c.ReadHistory(BOB, n=2))
        done: list[int] = []
        self.assertFalse(self.alice.session.answered)
        self.alice.session.when_answered(lambda: done.append(len(self.numbers())))
        self.history.let()
        self.assertEqual(done, [])
        self.history.let()
        self.assertEqual(done, [2])


class AnotherUserTests(BesideCase):
    """Another user on the same connection, before a question was answered."""

    def ask_all(self) -> None:
        """Ask all that can be asked."""
        self.alice.do(
            c.ReadHistory(BOB, n=1),
            c.Search("x", n=2),
            c.ListConversations(n=3),
            c.MarkRead(5, BOB, n=4),
        )

    def test_another_user(self) -> None:
        """Somebody would be shown what another one may read, who was logged in there before."""
        self.history.listed = [h.ListedConversation(message(ALICE), BOB, None, "bob", 0, 1)]
        self.ask_all()
        self.alice.do(c.Logout(n=5), c.Auth(BOB, "b", n=6))
        self.assertEqual(self.numbers(), [5, 6])
        self.history.let_all()
        self.assertEqual(
            self.alice.answers(), [e.Refused(Problem.NOT_LOGGED_IN, re=n) for n in (1, 2, 3, 4)]
        )

    def test_nobody(self) -> None:
        """Who has logged out would be shown messages."""
        self.ask_all()
        self.alice.do(c.Logout(n=5))
        self.assertEqual(self.numbers(), [5])
        self.history.let_all()
        self.assertEqual(
            self.alice.answers(), [e.Refused(Problem.NOT_LOGGED_IN, re=n) for n in (1, 2, 3, 4)]
        )

    def test_taken_over(self) -> None:
        """Who was logged out by another log-in would be shown messages."""
        self.ask_all()
        self.log_in(ALICE)
        self.assertIsInstance(self.alice.answers()[-1], e.Kicked)
        self.history.let_all()
        self.assertEqual(
            self.alice.answers(), [e.Refused(Problem.NOT_LOGGED_IN, re=n) for n in (1, 2, 3, 4)]
        )


class LimitTests(BesideCase):
    """How many questions may wait at one connection."""

    def test_many(self) -> None:
        """One connection could have any number of questions wait, or would not be read any more afterwards."""
        self.assertEqual(MOST_UNANSWERED, 64)
        for n in range(MOST_UNANSWERED - 1):
            self.alice.do(c.MarkRead(5, BOB, n=n))
        self.assertEqual(self.alice.held, set())
        self.alice.do(c.MarkRead(5, BOB, n=63))
        self.assertEqual(self.alice.held, {"unanswered"})
        for _ in range(MOST_UNANSWERED // 2 - 1):
            self.history.let()
        self.assertEqual(self.alice.held, {"unanswered"})
        self.history.let()
        self.assertEqual(self.alice.held, set())
        self.history.let_all()
        self.assertEqual(len(self.numbers()), 64)
        self.assertTrue(self.alice.session.answered)

    def test_with_others(self) -> None:
        """Questions would count apart from messages: a connection could have twice as much wait."""
        self.world.inbox.hold = {"commit"}
        self.alice.do(*[c.Send(BOB, "x", n=n) for n in range(1, 33)])
        self.alice.do(*[c.MarkRead(5, BOB, n=100 + n) for n in range(31)])
        self.assertEqual(self.alice.held, set())
        self.alice.do(c.MarkRead(5, BOB, n=200))
        self.assertEqual(self.alice.held, {"unanswered"})
        self.history.let_all()
        self.assertEqual(self.alice.held, set())

    def test_bytes(self) -> None:
        """Questions from long frames would not count with their bytes, or count for ever."""
        self.begin(unanswered_bytes=1000)
        self.alice.session.command(c.Search("x", n=1), 600)
        self.assertEqual(self.alice.held, set())
        self.alice.session.command(c.Search("x", n=2), 400)
        self.assertEqual(self.alice.held, {"unanswered"})
        self.history.let()
        self.assertEqual(self.alice.held, set())
        self.history.let()
        self.assertEqual(self.alice.session._unanswered_bytes, 0)

    def test_others_go_on(self) -> None:
        """One user's questions would hold up another user's connection."""
        bob = self.log_in(BOB)
        self.alice.do(*[c.Search("x", n=n) for n in range(MOST_UNANSWERED)])
        self.assertEqual((self.alice.held, bob.held), ({"unanswered"}, set()))
        self.history.hold = set()
        bob.do(c.ReadHistory(ALICE, n=1))
        self.assertEqual(self.numbers(bob), [1])

    def test_one_large_answer(self) -> None:
        """Pages that nobody takes would fill the memory: so many as can be asked for at once (P8)."""
        self.alice.do(*[c.ReadHistory(BOB, n=n) for n in (1, 2, 3)], *[c.Search("x", n=4)] * 2)
        self.assertEqual([name for name, *_ in self.history.asked], ["page", "search"])
        self.history.let()
        self.assertEqual(self.numbers(), [1])
        self.alice.session.pause()
        self.history.let_all()
        self.assertEqual(self.numbers(), [4, 2])
        self.assertEqual([name for name, *_ in self.history.asked][2:], ["page"])
        self.alice.session.resume()
        self.history.let_all()
        self.assertEqual(self.numbers(), [4, 3])
        self.assertTrue(self.alice.session.answered)

    def test_lost_while_paused(self) -> None:
        """A connection that ends before it took its answers would leave questions that wait for ever."""
        self.alice.session.pause()
        self.alice.do(*[c.ReadHistory(BOB, n=n) for n in (1, 2)])
        self.assertEqual(self.history.asked, [])
        self.alice.session.close("lost")
        self.assertEqual(self.alice.session._beside, set())
        self.alice.session.resume()
        self.assertEqual((self.history.asked, self.flushLoggedErrors()), ([], []))
