"""URLs of stores."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.storage.url import StoreMisconfigured, StoreURL, parse_store_url, without_password

ALL = ("sqlite", "mysql", "redis", "redis+unix")


class ParseTests(SynchronousTestCase):
    """URLs of all kinds of store."""

    def parse(self, url: str) -> StoreURL:
        """Parse a URL of any kind of store."""
        return parse_store_url(url, ALL)

    def test_sqlite(self) -> None:
        """A file would not be found under the path that was given."""
        for path in ("chat.db", "/var/lib/chat.db", "a b%20c?d#e.db", "x:y@z", "./文件.db"):
            url = self.parse(f"sqlite:{path}")
            self.assertEqual((url.scheme, url.path, str(url)), ("sqlite", path, f"sqlite:{path}"))

    def test_no_file(self) -> None:
        """A URL in the style of other programs would make a file of a strange name."""
        for url in ("sqlite:", "sqlite://chat.db", "sqlite:///chat.db"):
            problem = self.assertRaises(StoreMisconfigured, self.parse, url)
            self.assertIn(url, str(problem))

    def test_mysql(self) -> None:
        """A database would be looked for elsewhere, or with another password."""
        self.assertEqual(
            self.parse("mysql://user:p%40ss%20w%2Frd%3A%3F%23%25@db.example:3307/chat"),
            StoreURL(
                *("mysql", "chat", "db.example", 3307, "user", "p@ss w/rd:?#%", {}),
                "mysql://user:***@db.example:3307/chat",
            ),
        )

    def test_mysql_with_options(self) -> None:
        """A Unix socket or an option file would be ignored."""
        socket = self.parse("mysql://user@/chat?unix_socket=/run/my%20sql.sock")
        self.assertEqual(
            (socket.user, socket.host, socket.port, socket.path), ("user", "", 0, "chat")
        )
        self.assertEqual(socket.query, {"unix_socket": "/run/my sql.sock"})
        file = self.parse("mysql:///chat?read_default_file=~/.my.cnf")
        self.assertEqual((file.path, file.query), ("chat", {"read_default_file": "~/.my.cnf"}))

    def test_redis(self) -> None:
        """A Redis would be looked for elsewhere."""
        for url, parts in {
            "redis://localhost": ("", "localhost", 0, "", ""),
            "redis://[::1]:6380/5": ("5", "::1", 6380, "", ""),
            "redis://:pw@h/0": ("0", "h", 0, "", "pw"),
            "redis://me:pw@h:1/0": ("0", "h", 1, "me", "pw"),
        }.items():
            parsed = self.parse(url)
            self.assertEqual(
                (parsed.path, parsed.host, parsed.port, parsed.user, parsed.password), parts
            )

    def test_redis_socket(self) -> None:
        """A socket's path would lose its first slash, or its database number."""
        url = self.parse("redis+unix:///run/re%20dis.sock?db=3")
        self.assertEqual((url.path, url.query), ("/run/re dis.sock", {"db": "3"}))

    def test_wrong_scheme(self) -> None:
        """A store of another kind would be taken, or not be told what is possible."""
        for url in (
            "postgres://h/d",
            "chat.db",
            "",
            "sqlite",
            "SQLITE:x",
            "redis",
            "://",
            "mysql:h/d",
            "redis:h",
        ):
            problem = self.assertRaises(StoreMisconfigured, self.parse, url)
            self.assertEqual(len(str(problem).splitlines()), 1)
        self.assertRaises(StoreMisconfigured, parse_store_url, "mysql://h/d", ("sqlite",))

    def test_nonsense(self) -> None:
        """A slip of the pen would be a traceback."""
        for url in (
            "mysql://h:port/d",
            "mysql://h:99999/d",
            "mysql://[::1/d",
            "mysql://h/d?x",
            "redis://h:-1",
        ):
            problem = self.assertRaises(StoreMisconfigured, self.parse, url)
            self.assertEqual(len(str(problem).splitlines()), 1)

    def test_passwords_are_hidden(self) -> None:
        """A password would reach a log."""
        for url in (
            *("mysql://u:SECRET@h/d", "redis://:SECRET@h:1/0", "mysql:u:SECRET@h/d"),
            *("mysql://u:SEC@SECRET@h/d", "http://u:SECRET@h", "mysql://u:SECRET@h:x/d"),
            *("mysql//u:SECRET@h/d", "redis:/:SECRET@h", "mysql://u:SECRET/SECRET@h/d"),
            *("mysql://u:SECRET?SECRET@h/d", "mysql://u:SECRET#SECRET@h/d"),
        ):
            self.assertNotIn("SECRET", without_password(url), url)
            try:
                parsed = self.parse(url)
            except StoreMisconfigured as problem:
                self.assertNotIn("SECRET", str(problem), url)
            else:
                self.assertNotIn("SECRET", f"{parsed} {parsed!r}", url)

    def test_shown(self) -> None:
        """A URL without a password would not be shown as it is."""
        for url in ("mysql://u@h/d", "redis://h:1/0", "redis+unix:///a?db=1", "mysql:///d"):
            self.assertEqual(str(self.parse(url)), url)

    @given(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
        st.sampled_from(["", "mysql://", "redis://", "redis+unix://", "mysql://u:", "sqlite:"]),
    )
    def test_anything(self, text: str, start: str) -> None:
        """Some text would raise another exception."""
        with contextlib.suppress(StoreMisconfigured):
            self.assertIsInstance(self.parse(start + text), StoreURL)
