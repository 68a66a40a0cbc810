"""What a node knows of a store's data, and how it finds out that this is not what is there."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.inbox.rollback import DataMark, RollbackDetector


class RollbackDetectorTests(SynchronousTestCase):
    """What a node knows of the data in Redis."""

    def test_nothing_known(self) -> None:
        """A node that is new would take any data for data that has gone back."""
        detector = RollbackDetector()
        self.assertEqual(detector.script_arguments(), {})
        detector.observe(DataMark("e", "r", 7))
        arguments = detector.script_arguments()
        self.assertEqual((arguments["epoch"], arguments["known"]), ("e", ["r", 7]))

    def test_counts_grow(self) -> None:
        """Late news would make a node forget what it knows, or an older process's count pass for a newer one's."""
        detector = RollbackDetector(DataMark("e", "r", 7))
        detector.advance("other", 99)
        self.assertEqual(detector.mark, DataMark("e", "r", 7))
        detector.observe(DataMark("e", "other", 8))
        detector.advance("other", 10)
        detector.advance("other", 9)
        detector.advance("r", 11)
        self.assertEqual(detector.mark, DataMark("e", "other", 10))

    def test_data_that_is_gone(self) -> None:
        """A node would think that its readers know the new data before they have begun anew, or never."""
        detector = RollbackDetector(DataMark("e", "r", 7))
        detector.observe(DataMark("f", "r", 3))
        self.assertTrue(detector.is_replaced)
        self.assertEqual(detector.script_arguments()["epoch"], "e")
        detector.accept()
        self.assertFalse(detector.is_replaced)
        arguments = detector.script_arguments()
        self.assertEqual((arguments["epoch"], arguments["known"]), ("f", ["r", 3]))
