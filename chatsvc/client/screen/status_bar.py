"""The status line and the terminal's title: connected or since when not, who I am, what is unread and unconfirmed."""

from __future__ import annotations

import time
from dataclasses import dataclass

from chatsvc.client.i18n.labels import LABELS, Labels


@dataclass
class StatusBar:
    """
    What the line shows.

    ``since``: when the connection was lost, in seconds since 1970; None while there was none yet. ``me``: who is logged
    in.
    """

    server: str
    connected: bool = False
    since: float | None = None
    me: str = ""
    unread: int = 0
    unconfirmed: int = 0

    def notice(self, connected: bool, now: float) -> None:
        """Take whether there is a connection; ``now`` is in seconds since 1970."""
        if self.connected and not connected:
            self.since = now
        self.connected = connected

    def line(self, lang: str) -> str:
        """One line; what may be cut off in a narrow terminal comes last."""
        labels = LABELS[lang]
        parts = [self._connection(labels)]
        if self.unread:
            parts.append(labels.unread.format(count=self.unread))
        if self.unconfirmed:
            parts.append(labels.unconfirmed.format(count=self.unconfirmed))
        return " " + " │ ".join([*parts, self.me or labels.nobody, self.server])

    def title(self) -> str:
        """The terminal's title."""
        unread = f"({self.unread}) " if self.unread else ""
        return f"{unread}{self.me or 'chatsvc'} @ {self.server}"

    def _connection(self, labels: Labels) -> str:
        if self.connected:
            return f"● {labels.connected}"
        if self.since is None:
            return f"○ {labels.connecting}"
        since = time.strftime("%H:%M:%S", time.localtime(self.since))
        return f"○ {labels.away_since.format(since=since)}"
