"""Hides what is typed where it may be a password."""

from __future__ import annotations

from prompt_toolkit.layout.processors import (
    Processor,
    Transformation,
    TransformationInput,
)
from prompt_toolkit.layout.utils import explode_text_fragments

from chatsvc.client.input.secrecy import discreet, may_be_secret


class Asterisks(Processor):
    """Hides a password that is typed after a command; ``before`` is what was typed before this line."""

    def __init__(self, before: str = "") -> None:
        self._before = before

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        fragments = explode_text_fragments(transformation_input.fragments)
        if may_be_secret(self._before + transformation_input.document.text):
            # A line break would be one that was pasted into the line or stood in the history.
            whole = discreet(self._before + transformation_input.document.text)
            shown = whole[len(self._before) :].split("\n")[transformation_input.lineno]
            for i, character in enumerate(shown):
                fragments[i] = (fragments[i][0], character)
        return Transformation(fragments)


class Nothing(Processor):
    """Shows nothing, not even how much there is."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        return Transformation([], lambda position: 0, lambda position: 0)
