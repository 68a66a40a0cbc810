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
from prompt_toolkit.filters import is_searching
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import DummyHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style
from twisted.internet.defer import Deferred

from chatsvc.client.input.contacts import Contacts
from chatsvc.client.screen.completion import InputCompleter
from chatsvc.client.screen.history import DiscreetHistory
from chatsvc.client.screen.keyboard import Keyboard
from chatsvc.client.screen.line_keys import pasted_lines, with_line_keys
from chatsvc.client.screen.masking import Asterisks, Nothing
from chatsvc.client.screen.stand_ins import OneCellEach
from chatsvc.client.screen.terminal import Terminal
from chatsvc.client.screen.typed_ahead import Question, TypedAhead

_STYLE = Style.from_dict({"status": "reverse", "aside": "italic", "prompt": "bold"})

_A_WHILE = 0.5
"""Seconds for which the prompt may be away without a word."""


class GivenUp(Exception):
    """The user broke this input off."""


class Interrupted(Exception):
    """Ctrl-C on an empty line. Unlike KeyboardInterrupt, asyncio lets it stay in its task."""


class _Aside(Exception):
    """Something else is to be asked first."""


Prompt = Callable[[], StyleAndTextTuples]
PasteQuestion = Callable[[list[str]], tuple[Prompt, str]]
"""What to ask of pasted lines, and the choices: ``s`` they are wanted, ``o`` as one, ``n`` not."""


class Editor:
    """
    Reads lines, secrets and single keys.

    :param pressed: called at every key
    :param resized: called when the terminal has another size and is empty
    :param too_long: called with the number of characters of what was pasted and cannot be taken
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
        too_long: Callable[[int], None],
    ) -> None:
        self._input = Keyboard(source)
        self._output = output
        self._depth = None if coloured else ColorDepth.DEPTH_1_BIT
        self._pressed = pressed
        self._resized = resized
        self._ahead = TypedAhead(too_long)
        self._laid_out_for = output.get_size()
        self._questions: deque[tuple[Prompt, str, Deferred[str]]] = deque()
        self._current: PromptSession[str] | None = None
        self._reading: asyncio.Future[str] | None = None
        self._lines = self._session(
            history=DiscreetHistory(history),
            completer=InputCompleter(contacts),
            complete_while_typing=False,
            reserve_space_for_menu=4,
            input_processors=[Asterisks(), OneCellEach(output.stand_ins)],
            key_bindings=with_line_keys(self._paste, self._keys()),
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
        if self._output.stand_ins.used:
            # The terminal may have taken more or fewer columns for what they stand for: nothing there is built on.
            self._output.stand_ins.used = False
            with self._output.unflushed():
                app.renderer.erase(leave_alternate_screen=False)
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
    def empty(self) -> bool:
        """Whether nothing stands in the line yet."""
        return not self._lines.default_buffer.text

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
            self._output.write_lines(lines)
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
            self._ahead.settle()
            if self._ahead.pasted:
                return await self._wanted(paste_question)
            draft = self._ahead.take_draft()
            try:
                return [await self._run(self._lines, prompt, default=draft)]
            except _Aside:
                self._ahead.draft = self._lines.default_buffer.document

    async def secret(self, prompt: Prompt) -> str:
        """
        Read a line that is not shown.

        :raise GivenUp: the user broke off
        """
        session = self._session(
            history=DummyHistory(),
            input_processors=[Nothing()],
            key_bindings=with_line_keys(self._paste_secret, _secret_keys()),
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
                try:
                    await self.choose(prompt, "")
                except GivenUp:
                    future.cancel()
                    raise
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

        The user may be in the middle of a line when the question comes: whatever else is typed, or was begun before the
        question could be read, was meant for that line, and goes there.
        """
        while True:
            before = self._ahead.draft.text
            session = self._session(
                history=DummyHistory(),
                input_processors=[Asterisks(before), OneCellEach(self._output.stand_ins)],
                key_bindings=with_line_keys(self._ahead.paste),
                interrupt_exception=GivenUp,
                eof_exception=GivenUp,
            )
            question = Question(session)
            try:
                typed = await self._run(session, prompt)
            except GivenUp:
                return choices[-1]
            except _Aside:
                self.go_on_with(session.default_buffer.text)
                raise
            if len(typed) == 1 and typed in choices and question.first_key_answers:
                return typed
            self.go_on_with(typed)

    def go_on_with(self, text: str) -> None:
        """More of the line that is typed next."""
        self._ahead.go_on_with(text)

    async def _wanted(self, question: PasteQuestion) -> list[str]:
        key = ""
        while not key:
            with suppress(_Aside):  # more of it has come
                try:
                    key = await self.choose(*question(self._ahead.pasted), grows=True)
                except GivenUp:
                    self._ahead.take_pasted()
                    raise
        lines = self._ahead.take_pasted()
        return lines if key == "s" else ["\n".join(lines)]

    async def choose(self, prompt: Prompt, choices: str, grows: bool = False) -> str:
        """
        Read a key of ``choices``, of which the last one means no, as breaking off does.

        Keys that come too early to be an answer, or with others, are kept for the next line. When more is pasted and
        the question ``grows`` with it, it has to be asked again.

        :raise GivenUp: no
        """
        keys = KeyBindings()
        session = self._session(history=DummyHistory(), key_bindings=keys)
        question = Question(session)

        def choose(event: KeyPressEvent, key: str) -> None:
            if not question.answerable or event.app.key_processor.input_queue:
                self._ahead.key(event)
            elif key == choices[-1]:
                event.app.exit(exception=GivenUp())
            else:
                event.app.exit(result=key)

        def other(event: KeyPressEvent) -> None:
            if not (choices and question.answerable):
                self._ahead.key(event)

        def paste(event: KeyPressEvent) -> None:
            self._ahead.paste(event, pasted_lines(event.data))
            if grows:
                self._step_aside()

        for choice in choices:
            keys.add(choice)(lambda event, choice=choice: choose(event, choice))
        for ending in ("c-c", "c-d", "escape", "<sigint>"):
            keys.add(ending)(lambda event: event.app.exit(exception=GivenUp()))
        for key in (Keys.Any, "enter", "c-j", "c-h"):
            keys.add(key)(other)
        keys.add(Keys.BracketedPaste)(paste)
        return await self._run(session, prompt)

    def _paste(self, event: KeyPressEvent, lines: list[str]) -> None:
        if len(lines) == 1:
            self._ahead.paste_into(event.current_buffer, event, lines[0])
        elif not self._ahead.is_too_long(event, lines):
            self._ahead.pasted = lines
            self._step_aside()

    def _paste_secret(self, event: KeyPressEvent, lines: list[str]) -> None:
        """Keep a secret to one line: what is copied from a file brings a line break along."""
        self._ahead.paste_into(event.current_buffer, event, lines[0])

    async def _run(self, session: PromptSession[str], prompt: Prompt, **more: Any) -> str:
        self._current = session
        self._reading = asyncio.ensure_future(session.prompt_async(self._drawn(prompt), **more))
        try:
            return await Deferred.fromFuture(self._reading)
        finally:
            self._current = self._reading = None

    def _drawn(self, prompt: Prompt) -> Prompt:
        put_in = self._output.stand_ins.put_in
        return lambda: [(style, put_in(text)) for style, text, *_ in prompt()]

    def _step_aside(self) -> None:
        if self._app and not self._app.is_done:
            self._app.exit(exception=_Aside())

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c", filter=~is_searching)  # else it ends the search
        def _(event: KeyPressEvent) -> None:
            event.app.exit(exception=GivenUp() if event.current_buffer.text else Interrupted())

        return keys


def _secret_keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("c-z")
    def _(event: KeyPressEvent) -> None:
        """Would put itself into the secret."""

    return keys
