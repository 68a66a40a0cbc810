"""The campaign of faults in short, and proof that it would notice a broken promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import TestCase

_CAMPAIGN = Path(__file__).parents[2] / "benchmarks" / "faults.py"


def campaign(*arguments: str) -> tuple[int, dict[str, int], str]:
    """Run one; its status, its counts, and all that it printed."""
    run = subprocess.run(
        [sys.executable, str(_CAMPAIGN), *arguments],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    counts = re.findall(
        r"^(confirmed|lost|shown twice|out of order|copies|misdirected|missed for no reason"
        r"|shown though refused|wrong frames|in rooms: [a-z ]+[a-z]|archive: [a-z ]+[a-z]) (\d+)\b",
        run.stdout,
        re.M,
    )
    return run.returncode, {name: int(count) for name, count in counts}, run.stdout + run.stderr


class Promise(TestCase):
    """Every confirmed message is shown once and in order."""

    timeout = 300

    of_devices = tuple(
        word
        for name in ("forgotten", "removed", "days away", "borrowed")
        for word in ("--only", f"device {name}")
    )

    def kept(self, *arguments: str) -> dict[str, int]:
        status, counts, output = campaign("--faults", "6", "--rate", "40", *arguments)
        self.assertEqual(status, 0, output)
        self.assertGreater(counts.get("confirmed", 0), 300, output)
        self.assertGreater(counts.get("archive: messages", 0), 300, output)
        for what in ("missing", "twice", "wrong", "out of order", "unindexed", "not found"):
            self.assertEqual(counts[f"archive: {what}"], 0, output)
        if "text" not in arguments:
            self.assertGreater(counts["archive: edits"], 0, output)
        return counts

    def test_sqlite(self) -> None:
        """On SQLite, faults of server, network and clients would lose, repeat or reorder messages."""
        self.kept("--store", "sqlite", "--seed", "11")

    def test_redis(self) -> None:
        """On Redis, faults of server, store, network and clients would lose, repeat or reorder messages."""
        self.kept("--store", "redis", "--seed", "12")

    def test_devices_on_sqlite(self) -> None:
        """On SQLite, a device that is forgotten, borrowed or away would lose, repeat or reorder what others have."""
        counts = self.kept("--store", "sqlite", "--devices", "2", "--seed", "15", *self.of_devices)
        self.assertGreater(counts["copies"], 300)

    def test_devices_on_nodes(self) -> None:
        """Between nodes, such a device would lose, repeat or reorder messages or copies."""
        counts = self.kept("--nodes", "2", "--devices", "2", "--seed", "16", *self.of_devices)
        self.assertGreater(counts["copies"], 300)

    def test_text(self) -> None:
        """A reader that cannot acknowledge would miss messages that were confirmed to their senders."""
        self.kept("--store", "redis", "--dialect", "text", "--seed", "13")

    def test_nodes(self) -> None:
        """Between nodes, their faults and those of their users would lose, repeat or reorder messages."""
        self.kept("--nodes", "2", "--seed", "14")

    def test_archiver(self) -> None:
        """What is said while archiving nodes die, or are replaced, would be missing in the archive, or there twice."""
        strikes = ("--only", "archiver killed", "--only", "archiver replaced")
        self.kept("--nodes", "2", "--seed", "19", *strikes)

    in_rooms = tuple(
        word
        for name in ("room changed", "room event logged", "room message stored", "server killed")
        for word in ("--only", name)
    )

    def rooms_kept(self, *arguments: str) -> None:
        few = ("--rooms", "4", "--users", "8", "--faults", "4")
        counts = self.kept(*few, *self.in_rooms, *arguments)
        self.assertGreater(counts["in rooms: confirmed"], 100)
        self.assertGreater(counts["in rooms: to be shown"], 500)

    def test_rooms_on_sqlite(self) -> None:
        """On SQLite, members who come and go would lose, repeat or leak what is said in rooms while servers die."""
        self.rooms_kept("--store", "sqlite", "--seed", "17")

    def test_rooms_on_nodes(self) -> None:
        """Between nodes, rooms would lose, repeat or leak messages or events while nodes die in the middle of them."""
        self.rooms_kept("--nodes", "2", "--seed", "18")

    def test_rooms_without_devices(self) -> None:
        """A campaign with rooms would begin in which nobody is shown any."""
        status, _, output = campaign("--rooms", "2", "--devices", "0")
        line = "--rooms: only registered devices are shown all of them, see --devices\n"
        self.assertEqual((status, output), (1, line))

    def test_nodes_on_sqlite(self) -> None:
        """A campaign of several nodes on SQLite would begin, and blame them for what nobody promised."""
        status, _, output = campaign("--nodes", "2", "--store", "sqlite")
        line = "--nodes 2: SQLite serves one node, several need --store redis\n"
        self.assertEqual((status, output), (1, line))


class RulesMatter(TestCase):
    """Without one of its rules the server breaks the promise, and the campaign says so."""

    timeout = 300

    senders_on_sqlite = ("--store", "sqlite", "--only", "senders set back")

    def broken(self, count: str, rule: str, *arguments: str) -> None:
        """Let the faults strike until the campaign complains, a dozen times at most."""
        more = ("--sabotage", rule, "--until", count, "--faults", "12", "--rate", "60")
        status, counts, output = campaign(*more, *arguments)
        self.assertEqual(status, 1, output)
        self.assertGreater(counts.get(count, 0), 0, output)

    def test_acknowledgement(self) -> None:
        """The campaign would not notice that messages are removed before they are acknowledged."""
        only = ("--only", "readers moved", "--only", "clients killed")
        self.broken("lost", "acknowledgement", *only)

    def test_cursor(self) -> None:
        """The campaign would not notice that a reader skips what was stored behind the server's back."""
        self.broken("lost", "cursor", "--only", "redis link cut")

    def test_news(self) -> None:
        """The campaign would not notice that what another node has stored, and nobody told, is passed over."""
        self.broken("lost", "cursor", "--nodes", "2", "--only", "news lost")

    def test_duplicates(self) -> None:
        """The campaign would not notice that a message which is sent again is stored again."""
        self.broken("shown twice", "duplicates", "--only", "redis link cut")

    def test_receipts(self) -> None:
        """The campaign would not notice that written is taken for received."""
        on = ("--dialect", "text", "--store", "sqlite")
        self.broken("lost", "receipts", *on, "--only", "readers moved")

    def test_generations(self) -> None:
        """The campaign would not notice that what was said in a session that ended is stored later."""
        self.broken("out of order", "generations", *self.senders_on_sqlite)

    def test_digests(self) -> None:
        """The campaign would not notice that another text under a used number is confirmed, and stored nowhere."""
        self.broken("lost", "digests", *self.senders_on_sqlite)

    def test_copies(self) -> None:
        """The campaign would not notice that a device is handed copies of what it has sent."""
        self.broken("misdirected", "copies", "--store", "sqlite", "--only", "connections cut")

    def test_positions(self) -> None:
        """The campaign would not notice that messages are removed which a device has not acknowledged."""
        self.broken("lost", "positions", "--store", "sqlite", "--only", "clients killed")

    def test_step_back(self) -> None:
        """The campaign would not notice that a device is not handed what has the ids of what a store has lost."""
        self.broken("lost", "step-back", "--only", "redis set back")

    def test_beginnings(self) -> None:
        """The campaign would not notice that a device comes back behind an id that means something else by now."""
        self.broken("lost", "beginnings", "--only", "redis set back")

    def test_serials(self) -> None:
        """The campaign would not notice that a client drops what has an id which it knows, and another serial."""
        self.broken("lost", "serials", "--only", "redis set back")

    def test_removals(self) -> None:
        """The campaign would not notice that an older session of a device acknowledges for a newer one."""
        late = ("--nodes", "2", "--only", "device acknowledged late")
        self.broken("missed for no reason", "removals", *late)

    # The other rules of rooms take longer: benchmarks/rules.py has them.
    in_rooms = ("--rooms", "3", "--users", "8")

    def test_room_members(self) -> None:
        """The campaign would not notice that rooms take messages from who is no member."""
        self.broken("in rooms: leaked", "room-members", *self.in_rooms, "--only", "clients killed")

    def test_room_sender(self) -> None:
        """The campaign would not notice that a device is handed what it has said in a room."""
        only = ("--store", "sqlite", "--only", "connections cut")
        self.broken("in rooms: misdirected", "room-sender", *self.in_rooms, *only)

    def test_archive_commit(self) -> None:
        """The campaign would not notice that messages leave the archive's queue before they are committed."""
        self.broken("archive: missing", "archive-commit", "--only", "archiver killed")

    def test_archive_twice(self) -> None:
        """The campaign would not notice that what is in the archive already is put there again."""
        self.broken("archive: twice", "archive-twice", "--only", "archiver killed")

    def test_rollback(self) -> None:
        """The campaign would not notice that readers drop what comes under the ids of what a store has lost."""
        self.broken("lost", "rollback", "--only", "redis set back")
