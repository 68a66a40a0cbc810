"""What may happen while a log-in finds out where its user's rooms begin."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from tests.support.worlds import ALICE, RecordingConnection, World


class WhileRoomsAreOpenedTests(SynchronousTestCase):
    """The inbox is claimed already, and nobody is logged in yet."""

    def setUp(self) -> None:
        self.world = World()
        self.first = self.person()
        self.world.rooms.hold = {"of_user"}
        self.first.do(c.Auth(ALICE, "a", n=1))

    def person(self) -> RecordingConnection:
        """A connection of somebody at the text dialect."""
        connection = RecordingConnection(self.world.services)
        connection.is_for_people = True
        return connection

    def test_gone(self) -> None:
        """Somebody whose connection is gone would seem to be online for ever, and messages go to nobody."""
        self.assertIn(ALICE, self.world.online)
        self.first.session.close("closed-by-client")
        self.world.let_all()
        self.assertNotIn(ALICE, self.world.online)

    def test_taken_over(self) -> None:
        """Two sessions of one device would be logged in, and the older one never know that it reads nothing."""
        second = self.person()
        second.do(c.Auth(ALICE, "a", n=2))
        self.world.let_all()
        self.assertEqual([type(one) for one in self.first.said], [e.LoggedIn, e.Kicked])
        self.assertFalse(self.first.session.logged_in)
        self.assertEqual([type(one) for one in second.said], [e.LoggedIn])
        self.assertEqual([one.is_live for one in self.world.online.readers()], [True])

    def test_forgotten(self) -> None:
        """A session whose device was forgotten meanwhile would seem to be logged in, and be handed nothing."""
        (reader,) = self.world.online.readers()
        reader.forgotten(on_request=True)
        self.world.let_all()
        self.assertEqual(self.first.said[1:], [e.Bye(1.0, True)])
        self.assertFalse(self.first.session.logged_in)

    def test_what_ended_one_log_in_ends_no_other(self) -> None:
        """A log-in would be ended by what had ended an earlier one on its connection."""
        (reader,) = self.world.online.readers()
        reader.taken_over()
        self.world.let_all()
        self.first.answers()
        self.first.do(c.Auth(ALICE, "a", n=2))
        self.world.let_all()
        self.assertEqual([type(one) for one in self.first.said], [e.LoggedIn])
        self.assertTrue(self.first.session.logged_in)
