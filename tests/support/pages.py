"""The project's pages in Markdown, taken apart: tables, fenced blocks, headings and links."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

CHECKOUT = Path(__file__).parents[2]

_PARSER = MarkdownIt("commonmark").enable("table")

_NOT_IN_AN_ANCHOR = re.compile(r"[^\w\- ]")


class Page:
    """One page, by its path below the checkout."""

    def __init__(self, path: str) -> None:
        self.path = CHECKOUT / path
        self.text = self.path.read_text()

    @cached_property
    def _tokens(self) -> list[Token]:
        return _PARSER.parse(self.text)

    def fences(self, info: str) -> list[str]:
        """The contents of the fenced blocks with this info string, in order."""
        return [token.content for token in self._tokens if token.info.strip() == info]

    def tables(self) -> list[list[list[str]]]:
        """All tables: rows of cells, each its source without the escapes of ``|``; the first row is the head."""
        found: list[list[list[str]]] = []
        for token, following in zip(self._tokens, [*self._tokens[1:], None], strict=True):
            if token.type == "table_open":
                found.append([])
            elif token.type == "tr_open":
                found[-1].append([])
            elif token.type in ("th_open", "td_open"):
                assert following is not None
                found[-1][-1].append(following.content.replace("\\|", "|"))
        return found

    def table(self, *head: str) -> list[list[str]]:
        """The rows of the only table with this head."""
        (rows,) = [rows for first, *rows in self.tables() if first == [*head]]
        return rows

    def anchors(self) -> set[str]:
        """What a link may have after ``#``: the headings, as hosting sites name them."""
        seen: Counter[str] = Counter()
        anchors = set()
        for token, following in zip(self._tokens, self._tokens[1:], strict=False):
            if token.type == "heading_open":
                words = "".join(child.content for child in following.children or [])
                slug = _NOT_IN_AN_ANCHOR.sub("", words.lower()).replace(" ", "-")
                anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
                seen[slug] += 1
        return anchors

    def links(self) -> Iterator[str]:
        """Where links and pictures lead."""
        for token in self._tokens:
            for child in token.children or []:
                target = child.attrGet("href") or child.attrGet("src")
                if target is not None:
                    yield str(target)


def pages() -> list[str]:
    """The paths of all pages."""
    folders = ("", "docs", "contrib", "changelog.d", "keys")
    found = [path for folder in folders for path in (CHECKOUT / folder).glob("*.md")]
    found += (CHECKOUT / "contrib").glob("*/*.md")
    return sorted(str(path.relative_to(CHECKOUT)) for path in found)
