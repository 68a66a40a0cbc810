"""
Stand-ins: one character for each visible character that is several to Python.

The line editor lays a line out character by character. It is given a character of the same width that nobody writes,
of the private use area or an unassigned one of plane 3, and `Terminal` writes what that stands for.
"""

from __future__ import annotations

from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.layout.utils import explode_text_fragments

from chatsvc.client.input.graphemes import graphemes, width_of

_NARROW = range(0xE000, 0xF900)
"""The private use area: one column each."""

_WIDE = range(0x3F000, 0x3FFFE)
"""Not assigned, in a plane that is for ideographs: two columns each (UAX #11, section 5)."""


class StandIns:
    """Gives out stand-ins, and knows what they stand for."""

    def __init__(self) -> None:
        self._free = {1: iter(_NARROW), 2: iter(_WIDE)}
        self._known: dict[str, str] = {}
        self._meant: dict[int, str] = {}
        self.used = False
        """Whether one was given out since somebody has made this false."""

    def of(self, grapheme: str) -> str:
        """Return a character for a visible character: itself, or a stand-in."""
        if len(grapheme) == 1 and ord(grapheme) not in _NARROW and ord(grapheme) not in _WIDE:
            return grapheme
        self.used = True
        known = self._known.get(grapheme)
        return known or self._new(grapheme)

    def put_in(self, text: str) -> str:
        """Replace by stand-ins in a text."""
        return text if text.isascii() else "".join(map(self.of, graphemes(text)))

    def written(self, text: str) -> str:
        """Return a text with what is meant instead of the stand-ins."""
        return text if text.isascii() or not self._meant else text.translate(self._meant)

    def _new(self, grapheme: str) -> str:
        code = next(self._free[max(1, width_of(grapheme))], None)
        if code is None:  # thousands of them were seen: what is left is not drawn as it is
            return "\ufffd"
        self._known[grapheme] = chr(code)
        self._meant[code] = grapheme
        return chr(code)


class OneCellEach(Processor):
    """Lays visible characters out, one cell or two each."""

    def __init__(self, stand_ins: StandIns) -> None:
        self._stand_ins = stand_ins

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        fragments = explode_text_fragments(transformation_input.fragments)
        text = "".join(fragment[1] for fragment in fragments)
        if text.isascii():
            return Transformation(fragments)
        shown: StyleAndTextTuples = []
        displayed: list[int] = []  # for each position of the source, where it is shown
        sources: list[int] = []  # the other way round
        at = 0
        for grapheme in graphemes(text):
            displayed += [len(shown)] * len(grapheme)
            sources.append(at)
            shown.append((fragments[at][0], self._stand_ins.of(grapheme)))
            at += len(grapheme)
        return Transformation(
            shown,
            lambda i: displayed[i] if i < at else len(shown) + i - at,
            lambda i: sources[i] if i < len(sources) else at + i - len(sources),
        )
