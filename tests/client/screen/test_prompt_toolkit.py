"""What we lean on in prompt_toolkit that it does not promise."""

from __future__ import annotations

import inspect

from prompt_toolkit.application import Application
from twisted.trial.unittest import SynchronousTestCase


class InternalsTests(SynchronousTestCase):
    def test_redraw(self) -> None:
        """A release without `_redraw` would leave a terminal without its line after each message."""
        parameters = inspect.signature(Application._redraw).parameters.values()
        wanted = [p.name for p in parameters if p.default is inspect.Parameter.empty]
        self.assertEqual(wanted, ["self"])
