"""The pages lead where they say they lead, and the map of the house is the house's."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from twisted.trial.unittest import TestCase

from tests.pages import CHECKOUT, Page, pages


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

    def test_every_room_is_there(self) -> None:
        """The map would show what is gone or has another name."""
        known = {path.name for path in CHECKOUT.rglob("*.*") if ".venv" not in path.parts}
        named = re.findall(r"\b\w+\.(?:py|lua)\b", Page("docs/architecture.md").text)
        self.assertEqual(set(named) - known, set())
