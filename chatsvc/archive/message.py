"""A message in the archive, under the name that it has in the wire's frames."""

from __future__ import annotations

from chatsvc.wire.entries import ArchivedMessage as ArchivedMessage
