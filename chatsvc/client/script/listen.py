"""``chatsvc listen``: each message is written out, then recorded, then acknowledged."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import orjson
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatsvc.client.conversation.account import LoginIntent
from chatsvc.client.conversation.receiver import MessageQuota, ShownInPart
from chatsvc.client.script.fd_writer import FDWriter, WriterClosed
from chatsvc.client.script.job import FAILED, JobContext, ScriptJob
from chatsvc.client.transport.retry import Patience
from chatsvc.wire import events as e
from chatsvc.wire.phrases import ZH
from chatsvc.wire.sanitize import sanitized_lines
from chatsvc.wire.structured.dialect import message_fields
from chatsvc.wire.text.dialect import show

FIRST_PATIENCE = 30.0
"""Seconds without a server before the first connection; once there was one, tries go on."""

_GOODBYE_PATIENCE = 3.0

_ESCAPED = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb]")
"""Characters that JSON leaves as they are, but that end a line or drive a terminal somewhere."""


@dataclass(frozen=True)
class ListenOptions:
    """
    What is wanted.

    ``encoding`` is for messages as text. ``count``: end after so many messages; ``timeout``: end after so many seconds;
    None: go on.
    """

    as_json: bool
    encoding: str
    count: int | None
    timeout: float | None


class ListenJob(ScriptJob):
    """
    Writes messages to ``descriptor``.

    :param warn: called with what is wrong with the connection
    """

    def __init__(
        self,
        reactor: Any,
        context: JobContext,
        options: ListenOptions,
        descriptor: int,
        warn: Callable[[str], None],
        finish: Callable[[int, str], None],
    ) -> None:
        self._quota = MessageQuota() if options.count is None else MessageQuota(options.count)
        intent = LoginIntent(quota=self._quota)
        super().__init__(reactor, context, intent, Patience(first=FIRST_PATIENCE), finish)
        self._options = options
        self._warn = warn
        self._warned = False
        self._output = FDWriter(reactor, descriptor, self._unwritable)

    def start(self) -> None:
        super().start()
        self._output.start()
        if self._options.timeout is not None:
            self._reactor.callLater(self._options.timeout, self._late)

    async def do(self) -> None:
        """Say that the server is there, if it was not: messages come by themselves."""
        self.logged_in_again()

    def logged_in_again(self) -> None:
        if self._warned:
            self._warned = False
            self._warn(self.client_messages.back)

    def give_up(self, status: int, reason: str) -> None:
        self.end(status, reason)
        self._output.close()

    async def _leave(self) -> None:
        goodbye = Deferred.fromCoroutine(self._conversation.log_out_quietly())
        goodbye.addTimeout(_GOODBYE_PATIENCE, self._reactor).addErrback(lambda _: None)
        await goodbye
        self._output.close()
        await super()._leave()

    def _late(self) -> None:
        if self._options.count is not None:
            self.give_up(FAILED, self.script_messages.too_few.format(count=self._quota.left))
        elif not self._logged_in:
            no_answer = self.script_messages.no_answer.format(seconds=self._options.timeout)
            self.give_up(FAILED, self._problem or no_answer)
        else:
            self.end(0)

    def _unwritable(self, number: int) -> None:
        self.give_up(FAILED, self.unwritable(number))

    # Messages

    def show(self, messages: Sequence[e.Message]) -> Deferred[None]:
        form = as_json if self._options.as_json else self._as_text
        pieces = list(map(form, messages))
        return self._output.write(b"".join(pieces)).addErrback(_cut, pieces)

    def _as_text(self, message: e.Message) -> bytes:
        return f"{sanitized_lines(show(message, ZH))}\n".encode(self._options.encoding, "replace")

    def recorded(self, messages: Sequence[e.Message]) -> None:
        if not self._quota.left:
            self.end(0)  # as soon as they are acknowledged, too

    # What becomes of the connection

    def lost(self, reason: str, delay: float) -> None:
        super().lost(reason, delay)
        self._warn_of_problem()

    def not_found(self, reason: str) -> None:
        super().not_found(reason)
        self._warn_of_problem()

    def _warn_of_problem(self) -> None:
        if not self._warned:
            self._warned = True
            self._warn(self._problem)


def _cut(failure: Failure, pieces: list[bytes]) -> None:
    """Say how many messages were written before the end."""
    failure.trap(WriterClosed)
    written: int = failure.value.written  # type: ignore[union-attr]
    raise ShownInPart(sum(end <= written for end in accumulate(map(len, pieces))))


def as_json(message: e.Message) -> bytes:
    """Encode a message as one line of JSON."""
    line = orjson.dumps(message_fields(message)).decode()
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", line).encode() + b"\n"
