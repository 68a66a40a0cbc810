"""The layout of the code: who may import whom, and how much fits into a file and a folder."""

from __future__ import annotations

import ast
import configparser
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.imports import Import, circles, graph_of, python_files

ROOT = Path(__file__).parents[1]

MOST_LINES = 400
MOST_FILES = 15

FLOORS = {
    # What knows nothing of chat.
    "chatsvc": 0,  # __version__ alone
    "chatsvc.waiters": 0,
    "chatsvc.wire": 1,
    "chatsvc.wire.text": 2,
    "chatsvc.wire.structured": 3,
    "chatsvc.storage": 1,
    "chatsvc.limits": 1,
    "chatsvc.tls": 2,
    "chatsvc.observability": 2,
    "chatsvc.transport": 3,
    # What is kept where.
    "chatsvc.archive": 2,
    "chatsvc.accounts": 3,
    "chatsvc.inbox": 3,
    "chatsvc.inbox.redis": 5,
    "chatsvc.inbox.redis.transport": 4,
    "chatsvc.inbox.sqlite": 4,
    "chatsvc.backends": 6,
    "chatsvc.rooms": 6,
    "chatsvc.history": 7,
    # The core: a message's way, from the bottom up.
    "chatsvc.config": 8,
    "chatsvc.delivery": 7,
    "chatsvc.logged_in": 8,
    "chatsvc.services": 9,
    "chatsvc.pipeline": 9,
    "chatsvc.session": 10,
    "chatsvc.handlers": 11,
    "chatsvc.entry_frames": 11,
    "chatsvc.protocol": 12,
    "chatsvc.factory": 13,
    "chatsvc.gauges": 14,
    # Beside the core.
    "chatsvc.check": 9,
    "chatsvc.supervision": 9,
    # The server as a whole.
    "chatsvc.assembly": 15,
    "chatsvc.server": 16,
    # The client knows nothing of the server.
    "chatsvc.client.state": 3,
    "chatsvc.client.transport": 4,
    "chatsvc.client.i18n": 5,
    "chatsvc.client.conversation": 6,
    "chatsvc.client.input": 7,
    "chatsvc.client.plain": 8,
    "chatsvc.client.screen": 9,
    "chatsvc.client": 10,
    "chatsvc.client.script": 11,
    # Who reads options.
    "tap": 17,
    "chatsvc.cli": 18,
}
"""
How high a package stands, or a file that lies in ``chatsvc`` itself: it imports what stands lower only.

A package is the files of one folder. Those of a folder in it are another package.
"""


def package_of(file: str) -> str:
    """The line of ``FLOORS`` that speaks of a file."""
    path = FILES[file].relative_to(ROOT)
    lies_in_the_core = path.parent.name == "chatsvc" and path.name != "__init__.py"
    return file if lies_in_the_core else ".".join(path.parent.parts)


def shown(file: str) -> str:
    """The path of a file, given its dotted name."""
    return str(FILES[file].relative_to(ROOT))


FILES = python_files(ROOT, "chatsvc", "tap")
IMPORTS = graph_of(FILES, {"chatsvc.tap": "tap"})


class LayoutCase(SynchronousTestCase):
    def assert_none(self, wrong: list[str]) -> None:
        """Fail with all that is wrong, a line each."""
        if wrong:
            self.fail("\n" + "\n".join(wrong))


class ImportTests(LayoutCase):
    """Whether imports point downwards."""

    def test_floors(self) -> None:
        """A lower part would need a higher one: neither could be understood, tested or changed alone."""
        self.assert_none([line for one in IMPORTS if (line := self.trouble(one))])

    def trouble(self, one: Import) -> str:
        """What is wrong with an import, and what to do about it; empty: nothing is."""
        user, used = package_of(one.file), package_of(one.module)
        if user == used or not {user, used} <= set(FLOORS) or FLOORS[user] > FLOORS[used]:
            return ""
        return (
            f"{shown(one.file)}:{one.line} imports {one.module}, floor {FLOORS[used]}, from floor {FLOORS[user]}: "
            "hand it in, or move what both need further down"
        )

    def test_every_package_has_a_floor(self) -> None:
        """The table of floors would say nothing of a package, or speak of one that is not there."""
        here = {package_of(file) for file in FILES}
        self.assert_none(
            [f"{package} has no floor: give it a line in FLOORS" for package in here - set(FLOORS)]
            + [
                f"{package} is not there: take its line out of FLOORS"
                for package in set(FLOORS) - here
            ]
        )

    def test_no_circle_of_files(self) -> None:
        """Two files would need each other: they are one thing in two places, or hide a third."""
        self.assert_no_circle(str, shown)

    def test_no_circle_of_packages(self) -> None:
        """Two packages would need each other, each import by itself looking harmless."""
        self.assert_no_circle(package_of, str)

    def assert_no_circle(self, node: Callable[[str], str], name: Callable[[str], str]) -> None:
        """Fail if there is a way back along imports, between what ``node`` makes of files."""
        edges: dict[str, set[str]] = {node(file): set() for file in FILES}
        for one in IMPORTS:
            if node(one.file) != node(one.module):
                edges[node(one.file)].add(node(one.module))
        self.assert_none(
            [
                " imports ".join(map(name, circle)) + ": move what they share below them"
                for circle in circles(edges)
            ]
        )


class DocstringTests(LayoutCase):
    """What ruff's D rules cannot tell: a method that overrides another needs no docstring of its own."""

    OF_LIBRARIES = frozenset(
        {
            *("append_string", "load_history_strings", "store_string", "get_completions"),
            *("apply_transformation", "get_timestamp", "recv", "listen"),
        }
    )
    """Methods of prompt_toolkit's, itsdangerous's, OpenSSL's and Twisted's classes that we override."""

    def test_methods(self) -> None:
        """A method of ours would be explained nowhere: neither where it stands nor in the contract that it keeps."""
        methods = [
            (path, kind.name, method)
            for path in FILES.values()
            for kind in ast.walk(ast.parse(path.read_text()))
            if isinstance(kind, ast.ClassDef)
            for method in kind.body
            if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        explained = {method.name for _, _, method in methods if ast.get_docstring(method)}
        self.assert_none(
            [
                f"{path.relative_to(ROOT)}:{method.lineno} {kind}.{method.name} has no docstring: say what it is for"
                for path, kind, method in methods
                if not kind.startswith("_") and not method.name.startswith("_")
                if method.name.islower() and method.name not in explained | self.OF_LIBRARIES
            ]
        )


class SizeTests(LayoutCase):
    """Whether a file is one idea, and a folder one shelf."""

    def test_lines(self) -> None:
        """A file would hold more than one idea, and nobody find the second."""
        sources = [*FILES.values(), *(ROOT / "chatsvc").rglob("*.lua")]
        lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources}
        self.assert_none(
            [
                f"{path.relative_to(ROOT)} has {count} lines, more than {MOST_LINES}: split it by its ideas"
                for path, count in lines.items()
                if count > MOST_LINES
            ]
        )

    def test_files_in_a_folder(self) -> None:
        """A folder would hold more names than a reader takes in at a look."""
        folders: dict[Path, int] = {}
        for path in FILES.values():
            folders[path.parent] = folders.get(path.parent, 0) + 1
        self.assert_none(
            [
                f"{folder.relative_to(ROOT)} holds {count} files, more than {MOST_FILES}: make a package of some"
                for folder, count in folders.items()
                if count > MOST_FILES
            ]
        )


class PackagesTests(LayoutCase):
    def test_packages_are_installed(self) -> None:
        """A package would be missing from the wheel, although it is there in a checkout."""
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg")
        listed = setup["options"]["packages"].split()
        folders = {path.parent.relative_to(ROOT).parts for path in FILES.values()}
        here = {".".join(parts) for parts in folders if parts[0] == "chatsvc"}
        here |= {"chatsvc.schema", "chatsvc.tap"}
        listed_ours = {package for package in listed if package.split(".")[0] == "chatsvc"}
        self.assert_none(
            [f"setup.cfg: add {package} to packages" for package in sorted(here - listed_ours)]
            + [f"setup.cfg: take {package} out of packages" for package in listed_ours - here]
        )


class TestModulesTests(LayoutCase):
    def test_names_in_the_contract(self) -> None:
        """Of two tests with one name, in mixins of one class, the second would never run."""
        names = Counter(
            node.name
            for path in (ROOT / "tests" / "inbox" / "contract").glob("*.py")
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        )
        tests = [name for name in names if name.startswith("test_")]
        self.assertGreater(len(tests), 100)
        self.assert_none([f"{name}: several" for name in tests if names[name] > 1])

    def test_test_modules_stand_alone(self) -> None:
        """A test could not be moved, or changed, without others that have nothing to do with it."""
        tests = python_files(ROOT, "tests")
        wrong = [
            one for one in graph_of(tests) if one.module.rpartition(".")[2].startswith("test_")
        ]
        self.assert_none(
            [
                f"{tests[one.file].relative_to(ROOT)}:{one.line} imports from {one.module}: "
                "move what both use to tests/support, or beside them to a file that is no test"
                for one in wrong
            ]
        )
