"""Keys that every typed line has: they move and erase by visible characters, and bound its length."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.application.current import get_app
from prompt_toolkit.filters import Condition, has_selection
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent, merge_key_bindings
from prompt_toolkit.key_binding.key_bindings import KeyBindingsBase
from prompt_toolkit.keys import Keys

from chatsvc.client.input.graphemes import begin_before, end_after
from chatsvc.client.input.parser import LONGEST


def line_keys(pasted: Callable[[KeyPressEvent, list[str]], None]) -> KeyBindings:
    """Return the bindings; ``pasted`` takes the lines of what was pasted."""
    keys = KeyBindings()

    @keys.add("c-h", filter=~has_selection)
    def _(event: KeyPressEvent) -> None:
        for _ in range(event.arg):
            buffer = event.current_buffer
            position = buffer.cursor_position
            buffer.delete_before_cursor(position - begin_before(buffer.text, position))

    @keys.add("delete", filter=~has_selection)
    @keys.add("c-d", filter=~has_selection & _some_text)
    def _(event: KeyPressEvent) -> None:
        for _ in range(event.arg):
            buffer = event.current_buffer
            position = buffer.cursor_position
            buffer.delete(end_after(buffer.text, position) - position)

    @keys.add("left")
    @keys.add("c-b")
    def _(event: KeyPressEvent) -> None:
        for _ in range(event.arg):
            buffer = event.current_buffer
            buffer.cursor_position = begin_before(buffer.text, buffer.cursor_position)

    @keys.add("right")
    @keys.add("c-f")
    def _(event: KeyPressEvent) -> None:
        for _ in range(event.arg):
            buffer = event.current_buffer
            buffer.cursor_position = end_after(buffer.text, buffer.cursor_position)

    @keys.add(Keys.Any, filter=_full)
    def _(event: KeyPressEvent) -> None:
        event.app.output.bell()

    @keys.add(Keys.BracketedPaste)
    def _(event: KeyPressEvent) -> None:
        pasted(event, pasted_lines(event.data))

    return keys


def with_line_keys(
    pasted: Callable[[KeyPressEvent, list[str]], None], *more: KeyBindings
) -> KeyBindingsBase:
    """Return the bindings of every line, and others that come before them."""
    return merge_key_bindings([line_keys(pasted), *more])


def pasted_lines(text: str) -> list[str]:
    """Return the lines of what was pasted, without empty ones at both ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip("\n").split("\n")


@Condition
def _some_text() -> bool:
    return bool(get_app().current_buffer.text)


@Condition
def _full() -> bool:
    return len(get_app().current_buffer.text) >= LONGEST
