"""Events about the history: what the server answers to who asks for it."""

from __future__ import annotations

from chatsvc.wire.entries import ArchivedMessage
from chatsvc.wire.events import Event
from chatsvc.wire.record import record


@record
class HistoryShown(Event):
    """
    The answer to ``ReadHistory``: messages with the user ``other``, or in ``room`` (called ``name``), ascending.

    ``complete``: nothing lies beyond them in the direction that was asked for, which is that of time if ``forwards``.
    """

    messages: tuple[ArchivedMessage, ...]
    complete: bool
    other: int | None = None
    room: int | None = None
    name: str = ""
    forwards: bool = False


@record
class Hit:
    """
    A message that was found: with the user ``other``, or in ``room``, which is called ``name``.

    ``found``: where its text has the words, from and to which code point.
    """

    message: ArchivedMessage
    other: int | None = None
    room: int | None = None
    name: str = ""
    found: tuple[tuple[int, int], ...] = ()


@record
class Searched(Event):
    """
    The answer to ``Search``: what was found, the newest first.

    All was looked at down to the serial ``until``; ``complete``: nothing lies below.
    """

    hits: tuple[Hit, ...]
    until: int
    complete: bool


@record
class ListedConversation:
    """
    A conversation in a list: with the user ``other``, or in ``room``; ``name`` is theirs.

    ``last`` is its newest message. ``read`` is the serial up to which the user has read it, ``unread`` how many
    messages of others are above that, 100 at the most; ``mentioned``: one of those says the user's name. ``seen`` is
    how far the other has read it, None if that is not told.
    """

    last: ArchivedMessage
    other: int | None
    room: int | None
    name: str
    read: int
    unread: int
    mentioned: bool = False
    muted: bool = False
    seen: int | None = None


@record
class ConversationsListed(Event):
    """The answer to ``ListConversations``; ``complete``: there are no older ones."""

    conversations: tuple[ListedConversation, ...]
    complete: bool


@record
class ReadNoted(Event):
    """The answer to ``MarkRead``."""


@record
class ReadElsewhere(Event):
    """Another device of the user has read what was said with ``other``, or in ``room``, up to ``serial``."""

    serial: int
    other: int | None = None
    room: int | None = None


@record
class HelpOnHistoryShown(Event):
    """The answer to ``HelpOnHistory``."""


@record
class Changed(Event):
    """The answer to ``Edit`` and ``Retract``."""


@record
class Receipt(Event):
    """The user ``other`` has read what was said between the two up to the serial ``seen``."""

    other: int
    seen: int


@record
class SettingsShown(Event):
    """
    The answer to ``ChangeSettings``: how all is set.

    ``muted`` is about the conversation with ``other``, or in ``room``, None if none was named.
    """

    receipts: bool
    other: int | None = None
    room: int | None = None
    muted: bool | None = None
