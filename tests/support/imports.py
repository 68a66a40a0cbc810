"""Which file of a tree imports which, read from the source without running it."""

from __future__ import annotations

import ast
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

Node = TypeVar("Node", bound=Hashable)


class Import(NamedTuple):
    """``file`` imports ``module`` in this line; both are dotted names."""

    file: str
    line: int
    module: str


def python_files(root: Path, *folders: str) -> dict[str, Path]:
    """
    Find the Python files below these folders of ``root``.

    Links to folders are not followed, and hidden folders are left out. A package is known by its ``__init__.py``.

    :return: paths by dotted name, such as ``chatsvc.wire.uid`` or ``chatsvc.wire``
    """
    files = {}
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if any(part.startswith(".") for part in parts):
                continue
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


def imports_of(name: str, path: Path) -> Iterator[Import]:
    """
    Find all imports of a file, also those in functions and under ``TYPE_CHECKING``.

    ``from a import b`` counts as an import of ``a.b``: whether ``b`` is a module is for the caller to know.

    :param name: the file's dotted name
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            levels = package.split(".")[: 1 - node.level or None] if node.level else []
            module = ".".join([*levels, *filter(None, [node.module])])
            for alias in node.names:
                yield Import(name, node.lineno, f"{module}.{alias.name}")


def graph_of(files: Mapping[str, Path], aliases: Mapping[str, str] | None = None) -> list[Import]:
    """
    Find the imports among these files.

    :param files: paths by dotted name
    :param aliases: second names of packages, such as ``{"chatsvc.tap": "tap"}``
    :return: imports whose ``module`` is one of the files, each once
    """
    found: dict[Import, None] = {}
    for name, path in files.items():
        for one in imports_of(name, path):
            module = one.module
            for alias, real in (aliases or {}).items():
                if f"{module}.".startswith(f"{alias}."):
                    module = real + module.removeprefix(alias)
            if module not in files:
                module = module.rpartition(".")[0]
            if module in files and module != name:
                found[one._replace(module=module)] = None
    return list(found)


def circles(edges: Mapping[Node, set[Node]]) -> list[list[Node]]:
    """
    Find circles in a graph: the shortest one through each node that no circle found before goes through.

    :return: circles as lists of nodes that begin and end with the same one
    """
    found: list[list[Node]] = []
    done: set[Node] = set()
    for start in edges:
        if start not in done and (circle := _way_back(edges, start)):
            found.append(circle)
            done.update(circle)
    return found


def _way_back(edges: Mapping[Node, set[Node]], start: Node) -> list[Node] | None:
    seen: set[Node] = set()
    ways = [[start]]
    while ways:
        way = ways.pop(0)
        for node in sorted(edges.get(way[-1], ()), key=str):
            if node == start:
                return [*way, node]
            if node not in seen:
                seen.add(node)
                ways.append([*way, node])
    return None
