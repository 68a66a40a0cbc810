"""How far a store was, kept in a file."""

from __future__ import annotations

from pathlib import Path

from twisted.internet import reactor
from twisted.logger import capturedLogs
from twisted.trial.unittest import TestCase

from chatsvc.inbox.rollback import DataMark
from chatsvc.inbox.watermark import Watermark
from tests.inbox.fixtures import until


class WatermarkTests(TestCase):
    """A watermark in a folder of the test's own."""

    def setUp(self) -> None:
        """Name a file that is not there yet."""
        self.path = Path(self.mktemp()) / "inbox.watermark"
        self.path.parent.mkdir()

    def kept(self, *marks: DataMark) -> DataMark | None:
        """What the next process knows, after one that heard of these."""
        heard: list[DataMark | None] = [None]
        watermark = Watermark(reactor, str(self.path))
        watermark.follow(lambda: heard[0])
        for mark in marks:
            heard[0] = mark
        watermark.close()
        return Watermark(reactor, str(self.path)).known

    def test_kept(self) -> None:
        """A process would not know how far the store was when the one before it ended."""
        self.assertIsNone(self.kept())
        self.assertEqual(
            self.kept(DataMark("e", "r", 1), DataMark("e", "r", 2)), DataMark("e", "r", 2)
        )
        self.assertEqual(self.kept(), DataMark("e", "r", 2))

    def test_workers(self) -> None:
        """A worker that has heard less than another would take back what that one has written down."""
        self.kept(DataMark("e", "r", 9))
        self.assertEqual(self.kept(DataMark("e", "r", 3)), DataMark("e", "r", 9))
        self.assertEqual(self.kept(DataMark("e", "other", 3)), DataMark("e", "other", 3))
        self.assertEqual(self.kept(DataMark("f", "other", 1)), DataMark("f", "other", 1))

    def test_damaged(self) -> None:
        """A file that a power cut left empty, or somebody edited, would keep the server from starting."""
        for content in (b"", b"{", b"[]", b'{"epoch":1}', b'{"epoch":"e","run":"r","batches":"x"}'):
            self.path.write_bytes(content)
            self.assertIsNone(Watermark(reactor, str(self.path)).known)

    def test_unwritable(self) -> None:
        """A key folder that cannot be written would end the server, or be said each second."""
        watermark = Watermark(reactor, str(self.path.parent / "missing" / "file"))
        count = iter(range(1, 9))
        watermark.follow(lambda: DataMark("e", "r", next(count)))
        with capturedLogs() as logged:
            watermark._write(DataMark("e", "r", 0))
            watermark.close()
        said = [event for event in logged if event.get("event") == "watermark-not-kept"]
        self.assertEqual(len(said), 1)

    async def test_while_it_runs(self) -> None:
        """After a crash nobody would know how far the store was a second before."""
        watermark = Watermark(reactor, str(self.path))
        watermark.follow(lambda: DataMark("e", "r", 5))
        self.addCleanup(watermark.close)
        await until(self.path.exists)
        self.assertEqual(Watermark(reactor, str(self.path)).known, DataMark("e", "r", 5))
