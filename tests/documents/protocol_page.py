"""The protocol's page, as tests compare it with the code."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from tests.support.pages import Page


@cache
def page() -> Page:
    """The page."""
    return Page("docs/protocol.md")


def quoted(cell: str) -> str:
    """What stands in a cell as code."""
    return cell.removeprefix("`").removesuffix("`")


def examples(*head: str) -> dict[str, dict[str, Any]]:
    """The example of each frame that a program sends, by its type, from the table with this head."""
    rows = page().table(*head)
    found = [json.loads(quoted(sent.partition("`, or")[0])) for sent, _ in rows]
    return {example["type"]: example for example in found}
