"""The pages lead where they say they lead, and the map of the house is the house's."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from twisted.trial.unittest import TestCase

from chatsvc.storage.monitor import StoreMonitor
from chatsvc.storage.url import StoreURL
from chatsvc.tap import client, server
from tests.support.pages import CHECKOUT, Page, pages

_OTHERS_SAY = {
    *("OOM command not allowed", "NOREPLICAS Not enough good replicas", "NOPERM"),
    *("Can't recover from AOF write error", "AOF-loading-client"),
    *("database or disk is full", "disk I/O error", "Address already in use"),
    *("Traceback", "/health", "--workers"),
}
"""What the stores, the system and Python say, of what the page of operation quotes."""


class LinkTests(TestCase):
    def test_within_the_project(self) -> None:
        """A link would lead to a page, a heading or a file that is not there."""
        for path in pages():
            page = Page(path)
            for link in page.links():
                place, _, anchor = link.partition("#")
                if urlsplit(link).scheme:
                    continue
                target = (page.path.parent / unquote(place)).resolve() if place else page.path
                self.assertTrue(target.exists(), f"{path}: {link}")
                self.assertTrue(target.is_relative_to(CHECKOUT), f"{path}: {link}")
                if anchor:
                    there = Page(str(target.relative_to(CHECKOUT)))
                    self.assertIn(unquote(anchor), there.anchors(), f"{path}: {link}")

    def test_elsewhere(self) -> None:
        """A link to another site would be mistyped, or not be over TLS."""
        for path in pages():
            for link in Page(path).links():
                if urlsplit(link).scheme:
                    self.assertRegex(link, r"^https://[a-z0-9.-]+\.[a-z]+(/\S*)?$", path)

    def test_every_page_is_found(self) -> None:
        """A page that no other leads to would be read by nobody."""
        linked = {
            (Page(path).path.parent / link.partition("#")[0]).resolve()
            for path in pages()
            for link in Page(path).links()
        }
        for path in pages():
            if path.startswith("docs/"):
                self.assertTrue(CHECKOUT / path in linked, path)

    def test_no_secrets(self) -> None:
        """Somebody's password or key would stand in a page."""
        for path in pages():
            found = re.search(r"BEGIN [A-Z ]*PRIVATE KEY|\$argon2id\$v=", Page(path).text)
            self.assertIsNone(found, path)


class ArchitectureTests(TestCase):
    def test_every_room_is_on_the_map(self) -> None:
        """A file or folder of the code would be in the house but not on its map."""
        text = Page("docs/architecture.md").text
        for place in (*(CHECKOUT / "chatsvc").iterdir(), *(CHECKOUT / "tap").iterdir()):
            if place.is_dir() and place.name != "__pycache__":
                self.assertTrue(re.search(rf"\b{place.name}/", text), place)
            elif place.suffix == ".py" and not place.name.startswith("__"):
                self.assertTrue(re.search(rf"\b{place.name}\b", text), place)

    def test_every_corner_of_a_room(self) -> None:
        """A file of a folder of the code would not stand below it on the map."""
        text = Page("docs/architecture.md").text
        top = {"tap", "schema"}  # links to folders that stand at the top of the map
        folders = [one for one in (CHECKOUT / "chatsvc").iterdir() if one.is_dir()]
        for folder in folders:
            if folder.name in top or folder.name == "__pycache__":
                continue
            below = re.split(r"\n {0,2}(?=\S)", text.partition(f"\n  {folder.name}/")[2])[0]
            files = folder.rglob("[!_]*.py")
            missing = [path.name for path in files if not re.search(rf"\b{path.name}\b", below)]
            self.assertEqual(missing, [], folder.name)

    def test_every_room_is_there(self) -> None:
        """The map would show what is gone or has another name."""
        known = {path.name for path in CHECKOUT.rglob("*.*") if ".venv" not in path.parts}
        named = re.findall(r"\b\w+\.(?:py|lua)\b", Page("docs/architecture.md").text)
        self.assertEqual(set(named) - known, set())


class OptionsTests(TestCase):
    def rows(self, first: str) -> list[list[str]]:
        """The rows of a table of options, by the first of them."""
        (found,) = (rows for _, *rows in Page("README.md").tables() if f"--{first} " in rows[0][0])
        return found

    def test_all_options(self) -> None:
        """An option would not be in the README, or be gone from the program."""
        for options in (server.Options, client.Options):
            names = [option.name for option in options.table]
            rows = self.rows(names[0])
            said = [name for row in rows for name in re.findall(r"`--([\w-]+)", row[0])]
            self.assertEqual(sorted(said), sorted(names))

    def test_defaults(self) -> None:
        """The README would say another default than the server has."""
        defaults = {option.name: option.default for option in server.Options.table}
        for name, default, _ in self.rows("port"):
            names = re.findall(r"--([\w-]+)", name)
            said = default.replace("`", "").split(", ") if len(names) > 1 else [default.strip("`")]
            for one, value in zip(names, said, strict=True):
                if defaults[one]:  # others have a rule, or are off
                    self.assertEqual(value, defaults[one], name)


class OperationTests(TestCase):
    def test_what_the_server_says(self) -> None:
        """An admin would look up a line of the log, or of /health, and not find what it means."""
        folders = (CHECKOUT / "chatsvc", CHECKOUT / "tap")
        texts = [path.read_text() for folder in folders for path in folder.rglob("*.py")]
        texts += [StoreMonitor(StoreURL("", ""), store).silent for store in ("accounts", "inbox")]
        said = "".join(texts)
        for seen, *_ in Page("docs/operation.md").table("you see", "it means", "do"):
            for quoted in set(re.findall(r"`([^`]+)`", seen)) - _OTHERS_SAY:
                for piece in quoted.split("…"):
                    self.assertTrue(piece.strip() in said, seen)

    def test_places(self) -> None:
        """The units would look for files and programs elsewhere than the page of operation puts them."""
        page = Page("docs/operation.md").text.replace("chatsvc@10001", "chatsvc@%i")
        for unit in (CHECKOUT / "contrib" / "systemd").iterdir():
            for place in re.findall(r"/(?:etc|opt)/[\w/.%@]*\w", unit.read_text()):
                self.assertIn(place.removesuffix("/twistd"), page, unit.name)
