"""Values: small records that nobody changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """
    A dataclass with slots, frozen as far as mypy sees it.

    Python's own frozen ones take half a microsecond more to make, and a message makes seven values on its way.
    """
    return dataclass(slots=True)(cls)
