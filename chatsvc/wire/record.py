"""Records: small values that nobody changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """
    Make a class a dataclass with slots that mypy takes for frozen.

    Python's own frozen dataclasses take half a microsecond more to create, and a message creates seven records.
    """
    return dataclass(slots=True)(cls)
