"""The online-user map."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.delivery.online import OnlineUsers, holders_of, reader_of
from tests.delivery.recording import RecordingListener


class OnlineUsersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.online: OnlineUsers[RecordingListener] = OnlineUsers()
        self.phone, self.desk = RecordingListener(0, "p" * 16), RecordingListener(0, "d" * 16)
        self.text = RecordingListener(0, "", speaks_as="e" * 16)

    def test_a_user_with_devices(self) -> None:
        """A user would count as several, or be away as soon as one device has gone."""
        for reader in (self.phone, self.desk):
            self.online.add(2, reader)
        self.assertEqual((len(self.online), self.online[2]), (1, (self.phone, self.desk)))
        self.online.discard(2, self.phone)
        self.assertEqual(self.online[2], (self.desk,))
        self.online.discard(2, self.phone)
        self.online.discard(3, self.desk)
        self.assertIn(2, self.online)
        self.online.discard(2, self.desk)
        self.assertEqual(self.online, {})

    def test_changed_while_it_is_gone_through(self) -> None:
        """A reader that goes while a message is handed out would keep it from the next one."""
        for reader in (self.phone, self.desk, self.text):
            self.online.add(2, reader)
        seen = []
        for reader in self.online[2]:
            self.online.discard(2, reader)
            seen.append(reader)
        self.assertEqual(seen, [self.phone, self.desk, self.text])

    def test_by_device(self) -> None:
        """What is meant for one device would reach another."""
        readers = (self.phone, self.text, self.desk)
        self.assertIs(reader_of(readers, "d" * 16), self.desk)
        self.assertIs(reader_of(readers, ""), self.text)
        self.assertIsNone(reader_of(readers, "e" * 16), "a name to send under is no registered one")
        self.assertIsNone(reader_of((), ""))

    def test_who_is_taken_over(self) -> None:
        """A log-in would end another device's session, or leave one that numbers the same messages."""
        readers = (self.phone, self.text, self.desk)
        self.assertEqual(holders_of(readers, "p" * 16, "p" * 16), [self.phone])
        self.assertEqual(holders_of(readers, "", ""), [self.text])
        self.assertEqual(holders_of(readers, "", "d" * 16), [self.text, self.desk])
        self.assertEqual(holders_of(readers, "e" * 16, "e" * 16), [self.text])
        self.assertEqual(holders_of(readers, "f" * 16, "f" * 16), [])

    def test_all_readers(self) -> None:
        """The gauge of devices would leave some out."""
        self.online.add(2, self.phone)
        self.online.add(3, self.desk)
        self.assertEqual(list(self.online.readers()), [self.phone, self.desk])
