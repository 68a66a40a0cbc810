"""What Tab completes: commands, and the names and uids of people seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from chatsvc.client.input.contacts import Contacts
from chatsvc.client.input.parser import WORDS
from chatsvc.wire.phrases import LANGUAGES


class InputCompleter(Completer):
    """Completes the word before the cursor, by what stands before it."""

    def __init__(self, contacts: Contacts) -> None:
        self._contacts = contacts

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        before = document.text_before_cursor
        first, space, rest = before.removeprefix("/").partition(" ")
        if not space:
            for word in WORDS:
                if word.startswith(first):
                    yield Completion(word + " ", -len(first), display=word)
        elif first in _COMPLETERS:
            yield from _COMPLETERS[first](self, rest)

    def _person(self, begun: str) -> Iterator[Completion]:
        """A uid, found by its beginning or that of its name."""
        for uid, name in self._contacts.all():
            if str(uid).startswith(begun) or name.startswith(begun):
                yield Completion(f"{uid} ", -len(begun), display=str(uid), display_meta=name)

    def _name(self, begun: str) -> Iterator[Completion]:
        for uid, name in self._contacts.all():
            if name.startswith(begun):
                yield Completion(name, -len(begun), display_meta=str(uid))

    def _language(self, begun: str) -> Iterator[Completion]:
        for lang in LANGUAGES:
            if lang.startswith(begun):
                yield Completion(lang, -len(begun))


_COMPLETERS: dict[str, Callable[[InputCompleter, str], Iterator[Completion]]] = {
    "to": InputCompleter._person,
    "msg": InputCompleter._person,
    "find": InputCompleter._name,
    "lang": InputCompleter._language,
}
