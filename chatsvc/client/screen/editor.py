"""The line editor: lines, secrets and single keys from a terminal, one thing at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Size
from prompt_toolkit.document import Document
from prompt_toolkit.filters import is_searching
from prompt_toolkit.formatted_text import AnyFormattedText
from prompt_toolkit.history import DummyHistory
from prompt_toolkit.input import create_input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style
from twisted.internet.defer import Deferred

from chatsvc.client.input.contacts import Contacts
from chatsvc.client.screen.completion import InputCompleter
from chatsvc.client.screen.history import DiscreetHistory
from chatsvc.client.screen.masking import Asterisks, Nothing
from chatsvc.client.screen.terminal import Terminal

_STYLE = Style.from_dict({"status": "reverse", "aside": "italic", "prompt": "bold"})

_A_WHILE = 0.5
"""Seconds for which the prompt may be away without a word."""


class GivenUp(Exception):
    """The user broke this input off."""


class Interrupted(Exception):
    """Ctrl-C on an empty line. Unlike KeyboardInterrupt, asyncio lets it stay in its task."""


class _Aside(Exception):
    """Something else is to be asked first."""


Prompt = Callable[[], AnyFormattedText]
PasteQuestion = Callable[[list[str]], tuple[Prompt, str]]
"""What to ask of pasted lines, and the choices: ``s`` they are wanted, ``o`` as one, ``n`` not."""


class Editor:
    """
    Reads lines, secrets and single keys.

    :param pressed: called at every key
    :param resized: called when the terminal has another size and is empty
    """

    def __init__(
        self,
        source: TextIO,
        output: Terminal,
        history: Path,
        coloured: bool,
        contacts: Contacts,
        pressed: Callable[[], None],
        resized: Callable[[], None],
    ) -> None:
        self._input = create_input(source)
        self._output = output
        self._depth = None if coloured else ColorDepth.DEPTH_1_BIT
        self._pressed = pressed
        self._resized = resized
        self._laid_out_for = output.get_size()
        self._draft = Document()
        self._pasted: list[str] = []
        self._questions: deque[tuple[Prompt, str, Deferred[str]]] = deque()
        self._current: PromptSession[str] | None = None
        self._reading: asyncio.Future[str] | None = None
        self._lines = self._session(
            history=DiscreetHistory(history),
            completer=InputCompleter(contacts),
            complete_while_typing=False,
            reserve_space_for_menu=4,
            input_processors=[Asterisks()],
            key_bindings=self._keys(),
            interrupt_exception=Interrupted,
            enable_suspend=True,
        )

    def _session(self, **more: Any) -> PromptSession[str]:
        session: PromptSession[str] = PromptSession(
            input=self._input,
            output=self._output,
            style=_STYLE,
            color_depth=self._depth,
            erase_when_done=True,
            **more,
        )
        session.app.key_processor.before_key_press += lambda _: self._pressed()
        session.app.before_render += self._before_render
        return session

    def _before_render(self, app: Application[str]) -> None:
        """
        Begin with an empty screen when the terminal's size has changed.

        Some terminals wrap what stands there anew and some do not, so nobody can tell where the prompt has got to.
        """
        if self._laid_out_for != self.size:
            self._laid_out_for = self.size
            app.renderer.clear()
            self._resized()

    def raw(self) -> AbstractContextManager[None]:
        """Take every key, even between two lines; none is echoed and Ctrl-C is no signal."""
        return self._input.raw_mode()

    @property
    def busy(self) -> bool:
        """Whether something is being typed."""
        return self._app is not None

    @property
    def _app(self) -> Application[str] | None:
        """The prompt that is on the screen."""
        app = self._current.app if self._current else None
        return app if app and app.is_running else None

    def stop(self) -> None:
        """Read no more: a pending :meth:`read` or :meth:`secret` raises ``CancelledError``."""
        if self._reading is not None:
            self._reading.cancel()

    @property
    def size(self) -> Size:
        """The terminal's rows and columns."""
        return self._output.get_size()

    def redraw(self) -> None:
        """Draw what stands around the line anew."""
        if self._app:
            self._app.invalidate()

    def above(self, lines: str) -> None:
        """
        Write lines above the one that is being typed.

        Not by ``run_in_terminal``, which lets the terminal echo, and make signals, for as long as it takes.
        """
        app = self._app
        with self._output.whole():
            if app:
                app.renderer.erase()
            self._output.write_raw(lines)
            if app:
                app._redraw()  # the public invalidate() draws later: until then, no line would be there

    def bell(self) -> None:
        """Ring the terminal's bell."""
        self._output.bell()
        self._output.flush()

    def title(self, text: str) -> None:
        """Name the terminal's window."""
        self._output.set_title(text)
        self._output.flush()

    async def read(
        self,
        prompt: Prompt,
        paste_question: PasteQuestion,
    ) -> list[str]:
        """
        Read the line that is typed, or the lines that were pasted and are wanted.

        :raise EOFError: Ctrl-D, or the terminal is gone
        :raise Interrupted: Ctrl-C on an empty line
        :raise GivenUp: what was pasted is not wanted
        """
        while True:
            while self._questions:
                await self._answer(*self._questions.popleft())
            if self._pasted:
                return await self._wanted(paste_question)
            draft, self._draft = self._draft, Document()
            try:
                return [await self._run(self._lines, prompt, default=draft)]
            except _Aside:
                self._draft = self._lines.default_buffer.document

    async def secret(self, prompt: Prompt) -> str:
        """
        Read a line that is not shown.

        :raise GivenUp: the user broke off
        """
        session = self._session(
            history=DummyHistory(),
            input_processors=[Nothing()],
            key_bindings=_secret_keys(),
            interrupt_exception=GivenUp,
            eof_exception=GivenUp,
        )
        return await self._run(session, prompt)

    async def attend(self, waiting: Deferred[None], prompt: Prompt) -> None:
        """
        Wait, and say so with ``prompt`` when it takes a while.

        :raise GivenUp: the user broke off
        """
        future = waiting.asFuture(asyncio.get_running_loop())
        a_while = asyncio.ensure_future(asyncio.wait([future], timeout=_A_WHILE))
        await Deferred.fromFuture(a_while)
        if not future.done():
            future.add_done_callback(lambda _: self._step_aside())
            with suppress(_Aside):
                await self._key(prompt, "")
                future.cancel()
                raise GivenUp
        future.result()

    def ask(self, prompt: Prompt, choices: str) -> Deferred[str]:
        """Ask for one letter of ``choices``; breaking off means the last one. What is being typed is kept for later."""
        answer: Deferred[str] = Deferred(lambda _: self._step_aside())
        self._questions.append((prompt, choices, answer))
        if self._current is self._lines:
            self._step_aside()
        return answer

    async def _answer(self, prompt: Prompt, choices: str, answer: Deferred[str]) -> None:
        if answer.called:
            return
        with suppress(_Aside):
            letter = await self._letter(prompt, choices)
            if not answer.called:
                answer.callback(letter)

    async def _letter(self, prompt: Prompt, choices: str) -> str:
        """
        Read one letter of ``choices`` and Enter.

        The user may be in the middle of a line when the question comes: whatever else is typed was meant for that line,
        and goes there.
        """
        while True:
            session = self._session(
                history=DummyHistory(),
                input_processors=[Asterisks(self._draft.text)],
                interrupt_exception=GivenUp,
                eof_exception=GivenUp,
            )
            try:
                typed = await self._run(session, prompt)
            except GivenUp:
                return choices[-1]
            except _Aside:
                self._go_on_with(session.default_buffer.text)
                raise
            if len(typed) == 1 and typed in choices:
                return typed
            self._go_on_with(typed)

    def _go_on_with(self, text: str) -> None:
        """More of the line that is being typed."""
        self._draft = Document(self._draft.text + text)

    async def _wanted(self, question: PasteQuestion) -> list[str]:
        lines, self._pasted = self._pasted, []
        key = await self._key(*question(lines))
        if key == "n":
            raise GivenUp
        return lines if key == "s" else ["\n".join(lines)]

    async def _key(self, prompt: Prompt, choices: str) -> str:
        keys = KeyBindings()

        def choose(event: KeyPressEvent, key: str) -> None:
            event.app.exit(result=key)

        for choice in choices:
            keys.add(choice)(lambda event, choice=choice: choose(event, choice))
        for ending in ("c-c", "c-d", "escape", "<sigint>"):
            keys.add(ending)(lambda event: choose(event, choices[-1:]))
        for other in (Keys.Any, Keys.BracketedPaste, "enter"):
            keys.add(other)(lambda event: None if choices else self._typed_ahead(event))
        session = self._session(history=DummyHistory(), key_bindings=keys)
        return await self._run(session, prompt)

    def _typed_ahead(self, event: KeyPressEvent) -> None:
        """Keep what is typed for the next line: nobody was asked anything."""
        text = " ".join(event.data.split("\r"))
        if text.isprintable():
            self._go_on_with(text)

    async def _run(self, session: PromptSession[str], prompt: Prompt, **more: Any) -> str:
        self._current = session
        self._reading = asyncio.ensure_future(session.prompt_async(prompt, **more))
        try:
            return await Deferred.fromFuture(self._reading)
        finally:
            self._current = self._reading = None

    def _step_aside(self) -> None:
        if self._app and not self._app.is_done:
            self._app.exit(exception=_Aside())

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c", filter=~is_searching)  # else it ends the search
        def _(event: KeyPressEvent) -> None:
            event.app.exit(exception=GivenUp() if event.current_buffer.text else Interrupted())

        @keys.add(Keys.BracketedPaste)
        def _(event: KeyPressEvent) -> None:
            lines = event.data.replace("\r\n", "\n").replace("\r", "\n").strip("\n").split("\n")
            if len(lines) == 1:
                event.current_buffer.insert_text(lines[0])
            else:
                self._pasted = lines
                self._step_aside()

        return keys


def _secret_keys() -> KeyBindings:
    """Bindings that keep a secret to one line: what is copied from a file brings a line break along."""
    keys = KeyBindings()

    @keys.add(Keys.BracketedPaste)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("".join(event.data.splitlines()[:1]))

    @keys.add("c-z")
    def _(event: KeyPressEvent) -> None:
        """Would put itself into the secret."""

    return keys
