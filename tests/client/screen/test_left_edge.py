"""Where a terminal takes other columns than were reckoned: the cursor goes to its place from the left edge."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.client.screen.terminal import Terminal


class LeftEdge(SynchronousTestCase):
    def test_moves(self) -> None:
        """After a flag that the terminal draws wider, what is erased would begin in the midst of the line."""
        with TemporaryDirectory() as folder, (Path(folder) / "out").open("w+") as stream:
            terminal = Terminal(stream)
            terminal.write(terminal.stand_ins.put_in("a🇨🇳b"))
            for step in (-1, 3):
                (terminal.cursor_backward if step < 0 else terminal.cursor_forward)(abs(step))
            terminal.cursor_backward(6)
            terminal.erase_down()
            terminal.write("x")
            terminal.cursor_backward(0)
            terminal.flush()
            os.fsync(stream.fileno())
            written = Path(stream.name).read_bytes().decode()
        self.assertEqual(written, "a🇨🇳b\r\x1b[3C\r\x1b[6C\r\x1b[Jx\r\x1b[C")
