"""Hides what is typed where it may be a password."""

from __future__ import annotations

import re

from prompt_toolkit.layout.processors import (
    Processor,
    Transformation,
    TransformationInput,
)
from prompt_toolkit.layout.utils import explode_text_fragments

_BEFORE_SECRET = re.compile(r"\s*/?(?:(?:auth|login|register)\s+\S+\s|passwd\s)")


def discreet(line: str) -> str:
    """Replace each character of what may be a password by an asterisk."""
    found = _BEFORE_SECRET.match(line)
    return line if found is None else line[: found.end()] + "*" * (len(line) - found.end())


class Asterisks(Processor):
    """Hides a password that is typed after a command; ``before`` is what was typed before this line."""

    def __init__(self, before: str = "") -> None:
        self._before = before

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        fragments = explode_text_fragments(transformation_input.fragments)
        if transformation_input.lineno == 0:
            shown = discreet(self._before + transformation_input.document.lines[0])
            shown = shown[len(self._before) :]
            for i, character in enumerate(shown):
                fragments[i] = (fragments[i][0], character)
        return Transformation(fragments)


class Nothing(Processor):
    """Shows nothing, not even how much there is."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        return Transformation([], lambda position: 0, lambda position: 0)
