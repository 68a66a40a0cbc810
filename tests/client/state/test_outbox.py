"""What a client keeps on disk."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.client.state.outbox import Outbox, StateUnusable

SERVER = "[::1]:10000"


class OutboxCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chatsvc-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def open(self, uid: int = 10001, **more: Any) -> Outbox:
        return Outbox(self.folder, SERVER, uid, **more)

    def numbered(self, outbox: Outbox, to: int = 7) -> list[tuple[int, str]]:
        return [(entry.n, entry.text) for entry in outbox.unconfirmed(to)]


class Numbers(OutboxCase):
    def test_each_recipient_has_its_own(self) -> None:
        """The server would answer a second recipient's first message with a gap."""
        outbox = self.open()
        self.assertEqual([outbox.add(to, "x").n for to in (7, 8, 7, 8, 7)], [1, 1, 2, 2, 3])
        self.assertEqual(outbox.recipients(), [7, 8])

    def test_survive_reopening(self) -> None:
        """After a crash, a new message would take a number that is used, and count as a repeat."""
        outbox = self.open()
        outbox.confirm(outbox.add(7, "a").key)
        outbox.add(7, "b")
        outbox.close()
        again = self.open()
        self.assertEqual(self.numbered(again), [(2, "b")])
        self.assertEqual(again.add(7, "c").n, 3)

    def test_refusal_gives_the_number_back(self) -> None:
        """All that follow a refused message would meet a gap that nothing fills."""
        outbox = self.open()
        entries = [outbox.add(7, text) for text in "abc"]
        outbox.refuse(entries[1].key)
        outbox.refuse(entries[1].key)
        self.assertEqual(self.numbered(outbox), [(1, "a"), (2, "c")])
        self.assertEqual(outbox.add(7, "d").n, 3)

    def test_gap_below(self) -> None:
        """A server that forgot this device would never accept anything from it again."""
        outbox = self.open()
        for text in "abc":
            outbox.confirm(outbox.add(7, text).key)
        outbox.add(7, "d")
        outbox.add(7, "e")
        outbox.renumber(7, 1)
        self.assertEqual(self.numbered(outbox), [(1, "d"), (2, "e")])
        self.assertEqual(outbox.add(7, "f").n, 3)

    def test_gap_past_what_was_accepted(self) -> None:
        """A message whose confirmation was lost would be stored a second time under a new number."""
        outbox = self.open()
        for text in "abc":
            outbox.add(7, text)
        outbox.renumber(7, 2)
        self.assertEqual(self.numbered(outbox), [(1, "a"), (2, "b"), (3, "c")])

    def test_gap_when_nothing_is_left(self) -> None:
        """The next message would keep a number that the server does not expect."""
        outbox = self.open()
        outbox.confirm(outbox.add(7, "a").key)
        outbox.renumber(7, 1)
        self.assertEqual(outbox.add(7, "b").n, 1)


class Readings(OutboxCase):
    def test_cursor(self) -> None:
        """After a restart, messages would be shown again, or new ones taken for old."""
        outbox = self.open()
        self.assertEqual(outbox.last_shown, 0)
        outbox.logged_in("e1")
        outbox.mark_shown("e1", 41)
        outbox.mark_shown("e1", 7)
        outbox.close()
        again = self.open()
        self.assertEqual(again.last_shown, 41)
        again.logged_in("e1")
        self.assertEqual(again.last_shown, 41)

    def test_new_epoch(self) -> None:
        """After the server was restored, its new messages would be dropped as old ones."""
        outbox = self.open()
        outbox.logged_in("e1")
        outbox.mark_shown("e1", 41)
        outbox.logged_in("e2")
        self.assertEqual(outbox.last_shown, 0)
        outbox.mark_shown("e1", 42)
        self.assertEqual(outbox.last_shown, 0)

    def test_token_of_an_older_client(self) -> None:
        """A token that an older client kept unasked would lie on the disk for ever, or the file be of no use."""
        outbox = self.open()
        outbox.add(7, "a")
        outbox.close()
        with closing(sqlite3.connect(outbox.path)) as database, database:
            database.execute("ALTER TABLE reading ADD COLUMN token TEXT NOT NULL DEFAULT ''")
            database.execute("UPDATE reading SET epoch = 'e1', last = 41, token = 'SECRET-TOKEN'")
        again = self.open()
        self.assertEqual((again.last_shown, self.numbered(again)), (41, [(1, "a")]))
        again.close()
        for path in outbox.path.parent.iterdir():
            self.assertNotIn(b"SECRET-TOKEN", path.read_bytes(), path)


class Devices(OutboxCase):
    def test_stays(self) -> None:
        """The server could not tell a repeat after a restart."""
        outbox = self.open()
        device = outbox.device
        outbox.close()
        self.assertEqual(self.open().device, device)
        self.assertTrue(re.fullmatch("[0-9a-f]{32}", device))

    def test_one_process_at_a_time(self) -> None:
        """Two processes would number their messages alike, and one's would be lost as repeats."""
        first, second = self.open(), self.open()
        self.assertNotEqual(first.device, second.device)
        first.add(7, "a")
        second.add(7, "b")
        self.assertEqual(self.numbered(first), [(1, "a")])
        self.assertEqual(self.numbered(second), [(1, "b")])
        first.logged_in("e1")
        first.mark_shown("e1", 5)
        self.assertEqual(second.last_shown, 5)

    def test_what_a_second_process_left(self) -> None:
        """Messages of a second process that crashed would wait until two run at once again."""
        first, second = self.open(), self.open()
        second.add(7, "left")
        first.close()
        second.close()
        self.assertEqual(self.numbered(self.open()), [(1, "left")])

    def test_left_for_others(self) -> None:
        """A program that sends one message would send along what another left, and its retry send it again."""
        first, second = self.open(), self.open()
        first.add(7, "a")
        first.add(7, "b")
        second.add(8, "c")
        devices = [first.device, second.device]
        first.close()
        second.close()
        for suits, device in (
            (lambda entry: (entry.to, entry.text) == (8, "c"), devices[1]),
            (lambda entry: (entry.to, entry.text) == (7, "a"), devices[0]),
            (lambda entry: True, devices[0]),
        ):
            again = self.open(suits=suits)
            self.assertEqual(again.device, device)
            again.close()
        for text in ("b", "z"):
            stranger = self.open(suits=lambda entry, text=text: entry.text == text)  # type: ignore[misc]
            self.assertNotIn(stranger.device, devices)
            self.assertEqual(stranger.recipients(), [])
            stranger.close()

    def test_given_up(self) -> None:
        """What may have been stored under a device that is given up would be sent under another one, too."""
        outbox = self.open()
        keys = [outbox.add(to, text).key for to, text in ((7, "a"), (7, "b"), (8, "c"), (7, "d"))]
        old = outbox.device
        outbox.change_device([keys[1], keys[3]])
        new = outbox.present_device
        self.assertEqual((outbox.device, outbox.add(7, "e").n), (old, 3))
        outbox.close()
        again = self.open()
        self.assertEqual((again.device, again.present_device), (old, new))
        kept = [(entry.n, entry.text) for to in (7, 8) for entry in again.numbered(old, to)]
        self.assertEqual(kept, [(1, "a"), (1, "c")])
        again.refuse(keys[2])
        again.move(keys[0])
        moved = [(entry.n, entry.text) for entry in again.numbered(new, 7)]
        self.assertEqual(moved, [(1, "a"), (2, "b"), (3, "d"), (4, "e")])
        self.assertEqual((again.device, again.add(7, "f").n, again.add(8, "g").n), (new, 5, 1))

    def test_file_of_an_older_client(self) -> None:
        """What a client of the version before has left would never be sent, or be taken for another device's."""
        outbox = self.open()
        outbox.add(7, "a")
        device = outbox.device
        outbox.close()
        with closing(sqlite3.connect(outbox.path)) as database, database:
            database.execute("ALTER TABLE unconfirmed DROP COLUMN device")
        again = self.open()
        self.assertEqual([entry.text for entry in again.numbered(device, 7)], ["a"])
        self.assertEqual((again.device, again.is_new), (device, False))

    def test_accounts_apart(self) -> None:
        """One account's messages would be sent in another's name."""
        self.open(1).add(7, "a")
        self.assertEqual(self.open(2).recipients(), [])

    def test_private(self) -> None:
        """Others on the machine could read unsent messages, or log in with the token."""
        outbox = self.open()
        outbox.add(7, "secret")
        for path in [outbox.path, *outbox.path.parent.iterdir()]:
            self.assertEqual(stat.S_IMODE(path.stat().st_mode) & 0o077, 0, path)


class Trouble(OutboxCase):
    def test_folder_is_a_file(self) -> None:
        """A wrong --state would end in a traceback."""
        file = self.folder / "file"
        file.touch()
        with self.assertRaises(StateUnusable) as caught:
            Outbox(file, SERVER, 1)
        self.assertIn(str(file), str(caught.exception))

    def test_damaged(self) -> None:
        """A damaged file would end in a traceback."""
        outbox = self.open()
        outbox.close()
        outbox.path.write_bytes(b"no database at all" * 100)
        for more in ("-wal", "-shm"):
            Path(f"{outbox.path}{more}").unlink(missing_ok=True)
        with self.assertRaises(StateUnusable):
            self.open()

    def test_killed(self) -> None:
        """A message that was recorded would not survive SIGKILL, or its device would stay locked."""
        program = (
            "import os, signal, sys; from pathlib import Path;"
            "from chatsvc.client.state.outbox import Outbox;"
            "o = Outbox(Path(sys.argv[1]), sys.argv[2], 10001);"
            "o.add(7, 'a'); o.logged_in('e'); o.mark_shown('e', 3);"
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(self.folder), SERVER],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.assertEqual(done.returncode, -signal.SIGKILL)
        outbox = self.open()
        self.assertEqual(self.numbered(outbox), [(1, "a")])
        self.assertEqual(outbox.last_shown, 3)

    def test_flushed(self) -> None:
        """A power cut could take back what was acknowledged."""
        outbox = self.open()
        database = outbox._database
        self.assertIsInstance(database, sqlite3.Connection)
        self.assertEqual(database.execute("PRAGMA synchronous").fetchone(), (2,))
