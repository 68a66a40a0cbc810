"""The lines kept between runs."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.client.screen.history import DiscreetHistory


class History(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "history"

    def lines(self) -> list[str]:
        """What a client that starts finds, the last line first."""
        return DiscreetHistory(self.path).load_history_strings()

    def test_no_passwords(self) -> None:
        """A glance over the shoulder, or the up key, would show a password."""
        history = DiscreetHistory(self.path)
        secret = ("auth 1 pw", "  register x pw", "passwd pw new", "/login 1 pw", "/auth 1 pw")
        for line in (*secret, "auth\tpw", "msg 1 auth", "find x", ""):
            history.append_string(line)
        self.assertEqual(history.get_strings(), ["msg 1 auth", "find x", ""])
        self.assertNotIn("pw", self.path.read_text())
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_kept(self) -> None:
        """The next run would not know the lines, or know them as other ones."""
        lines = ["你好 🎉", "#1", "+1", "two\nlines", "  indented"]
        history = DiscreetHistory(self.path)
        for line in lines:
            history.append_string(line)
        self.assertEqual(self.lines(), lines[::-1])

    def test_shortened(self) -> None:
        """The file would grow for ever, the last lines be forgotten, or half a line be found."""
        history = DiscreetHistory(self.path)
        for number in range(2000):
            history.store_string(f"{number} " + "#" * 200)
        found = self.lines()
        self.assertLess(self.path.stat().st_size, 200_000)
        self.assertGreater(len(found), 500)
        expected = [f"{1999 - i} " + "#" * 200 for i in range(len(found))]
        self.assertEqual(found, expected)

    def test_unusable(self) -> None:
        """Who cannot write the state folder could not talk either."""
        self.path.parent.mkdir()
        for path in (self.path.parent, Path("/dev/null/history")):
            history = DiscreetHistory(path)
            history.append_string("x")
            self.assertEqual(history.load_history_strings(), [])
            self.assertEqual(history.get_strings(), ["x"])
