"""What of a conversation somebody may read."""

from __future__ import annotations

from chatsvc.wire.record import record


@record
class Scope:
    """The messages of ``conversation`` whose serials are not below ``since``."""

    conversation: int
    since: int = 0
