"""A notice to a user's registered devices that are logged in; it is kept for nobody."""

from __future__ import annotations

from chatsvc.wire.history_events import ReadElsewhere, Receipt
from chatsvc.wire.record import record


@record
class Notice:
    """``event`` is for all registered devices of ``uid`` that are logged in, at any node, but for ``device``."""

    uid: int
    event: ReadElsewhere | Receipt
    device: str = ""
