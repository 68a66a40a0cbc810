"""
Which of the messages that arrive were shown before, and the record of it.

A registered device knows the last message that it has shown by its id and its serial, and drops a message when neither
is above those. Without one there are only ids, which are good for an epoch.

**A file from before its terminal was a registered device**, because client or server knew of none, has the id
``before`` of the last message shown, and its epoch. The first log-in as a registered device says nothing of it: the
server begins behind what was acknowledged. What comes is new to the user if the first id is above ``before``, which is
nearly always so. If it is not, either acknowledgements were lost, and this was shown; or the server has lost messages
and given their ids to others, and it was not. Only the epoch tells, and only the unnamed device has one: so the
messages wait, neither shown nor acknowledged, while the client logs in as that device, once, for its epoch. The same
epoch: all up to ``before`` was shown, and message ``before``, which is among those that came meanwhile, gives the
serial to go on from. Another one: nothing of it was. Where all that waited has come and message ``before`` is not
there, it is lost, and nobody needs to be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from chatsvc.client.state.shown import START, Position, ShownRecord
from chatsvc.wire.events import Message


class Reading(Protocol):
    """What one log-in has shown."""

    @property
    def last(self) -> int:
        """The id of the last message shown; 0: none, or it is not known yet what was."""

    def fresh(self, received: Sequence[Message], *, all_came: bool) -> list[Message]:
        """
        Those messages that are to be shown now.

        :param all_came: all that waited at the log-in has come
        """

    def mark(self, message: Message) -> None:
        """Record that messages up to this one have been shown; when this returns, that is on the disk."""


class ReadingByEpoch:
    """
    Of the unnamed device, in an epoch.

    :param at_terminal: by somebody whose terminal registers its device as soon as the server knows how
    """

    def __init__(self, shown: ShownRecord, epoch: str, *, at_terminal: bool) -> None:
        self._shown = shown
        self._epoch = epoch
        self._at_terminal = at_terminal

    @property
    def last(self) -> int:
        """The id of the last message shown in this epoch by any process."""
        return self._shown.last

    def fresh(self, received: Sequence[Message], *, all_came: bool) -> list[Message]:
        """Those above it."""
        last = self.last
        return [message for message in received if message.id > last]

    def mark(self, message: Message) -> None:
        """Record its id."""
        self._shown.mark(self._epoch, message.id, at_terminal=self._at_terminal)


class ReadingBySerial:
    """Of a registered device."""

    def __init__(self, shown: ShownRecord) -> None:
        self._shown = shown

    @property
    def last(self) -> int:
        """The id of the last message shown by this device."""
        return self._shown.position.id

    def fresh(self, received: Sequence[Message], *, all_came: bool) -> list[Message]:
        """Those whose id or serial is above that of the last one before them."""
        last, found = self._shown.position, []
        for message in received:
            if message.id > last.id or message.serial > last.serial:
                found.append(message)
                last = _place(message)
        return found

    def mark(self, message: Message) -> None:
        """Record its id and serial."""
        self._shown.move_to(_place(message))


class FirstReading:
    """
    Of a registered device whose file only has ``before``, until it is known what that stands for.

    :param ask_epoch: called once if only the epoch tells; with the place of message ``before``, as it came now
    """

    def __init__(self, shown: ShownRecord, ask_epoch: Callable[[Position], None]) -> None:
        self._known = ReadingBySerial(shown)
        self._shown = shown
        self._ask_epoch = ask_epoch
        self._held: list[Message] = []
        self._asked = False

    @property
    def last(self) -> int:
        """The id of the last message shown by this device."""
        return self._known.last

    def fresh(self, received: Sequence[Message], *, all_came: bool) -> list[Message]:
        """Nothing, until it is known what was shown."""
        before = self._shown.before
        if not before:
            return self._known.fresh(received, all_came=all_came)
        self._held += received
        last_shown = [message for message in self._held if message.id == before]
        if self._asked:
            return []
        if self._held and self._held[0].id <= before and last_shown:
            self._asked = True
            self._ask_epoch(_place(last_shown[-1]))
            return []
        if self._held and (self._held[0].id > before or all_came):
            self._shown.settle()
            held, self._held = self._held, []
            return self._known.fresh(held, all_came=all_came)
        return []

    def mark(self, message: Message) -> None:
        """Record its id and serial."""
        self._known.mark(message)


def reading_of_device(shown: ShownRecord, ask_epoch: Callable[[Position], None]) -> Reading:
    """The reading of a registered device that is logged in; ``ask_epoch``: see :class:`FirstReading`."""
    shown.begin()
    if shown.position == START and shown.before:
        return FirstReading(shown, ask_epoch)
    return ReadingBySerial(shown)


def _place(message: Message) -> Position:
    return Position(message.id, message.serial)
