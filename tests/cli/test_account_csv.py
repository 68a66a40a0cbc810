"""Accounts listed in CSV files, as spreadsheets and people write them."""

from __future__ import annotations

from argon2 import PasswordHasher
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.cli.account_csv import AccountRow, BadCSV, parse_csv

PHC = PasswordHasher(1, 16, 1).hash("secret")


def problems(text: str | bytes) -> dict[int, str]:
    """What is wrong with a file, by line."""
    try:
        parse_csv(text if isinstance(text, bytes) else text.encode())
    except BadCSV as bad:
        return dict(bad.problems)
    raise AssertionError("it was taken")


class GoodTests(SynchronousTestCase):
    def test_plain(self) -> None:
        """The simplest file could not be read."""
        entries = parse_csv("name,password\n张三,secret\nBob,\n".encode())
        self.assertEqual(entries, [AccountRow(2, "张三", "secret"), AccountRow(3, "Bob", "")])

    def test_from_a_spreadsheet(self) -> None:
        """A file with a byte order mark, CRLF, quotes, another order of columns or empty lines could not be read."""
        text = '\ufeffUID,Password, Name \r\n\r\n20000,"a ""b"", c",Ann\r\n,,\r\n,x,Bob\r\n'
        entries = parse_csv(text.encode())
        self.assertEqual(
            entries, [AccountRow(3, "Ann", 'a "b", c', 20000), AccountRow(5, "Bob", "x")]
        )

    def test_names_as_they_are_stored(self) -> None:
        """A name would be stored in a form that `register` would not let pass."""
        (entry,) = parse_csv("name,password\n  Ａnn   B ,x\n".encode())
        self.assertEqual(entry.name, "Ann B")

    def test_hashes(self) -> None:
        """A hash that is moved over, or its lock, would be taken for a plain password."""
        entries = parse_csv(f'name,password\na,"{PHC}"\nb,"!{PHC}"\n'.encode())
        self.assertEqual([entry.password for entry in entries], [PHC, f"!{PHC}"])

    def test_nobody(self) -> None:
        """A file without accounts would be an error."""
        self.assertEqual(parse_csv(b"name,password"), [])

    def test_no_password_shows(self) -> None:
        """A password would show wherever an entry is printed."""
        self.assertNotIn("secret", repr(AccountRow(1, "a", "secret")))


class BadTests(SynchronousTestCase):
    def test_no_heading(self) -> None:
        """A file without a heading would lose its first account, or have a password quoted."""
        for text in ("", "\n", "张三,secret\n", "name\n", "name,password,secret\n", "name,name\n"):
            found = problems(text)
            self.assertEqual(list(found), [1], text)
            self.assertNotIn("secret", found[1])

    def test_all_lines(self) -> None:
        """An admin would hear of one bad line at a time, or of the wrong one."""
        lines = ["]a,x,", "b,x,secret", '"c', 'd",x,', ",x,", "e,x", "f,x,0", "g,x,2000000000"]
        found = problems("\n".join(["name,password,uid", *lines]))
        self.assertEqual(list(found), [2, 3, 4, 6, 7, 8, 9])
        self.assertIn("may not stand there", found[2])
        self.assertNotIn("secret", found[3])
        self.assertIn("the first line has 3", found[7])
        self.assertIn("from 1 to 1999999999", found[8])

    def test_repeated(self) -> None:
        """Two lines would make one account, or two whose names look the same."""
        found = problems("name,password,uid\nBob,,7\nann,,8\nＢＯＢ,,\nx,,8\n")
        self.assertEqual(
            found,
            {
                4: "the name 'BOB' stands in line 2 already",
                5: "the uid 8 stands in line 3 already",
            },
        )

    def test_passwords(self) -> None:
        """A hash that nobody can check would become the password itself, or a damaged one lock somebody out."""
        others = ["$2b$12$abc", "$6$salt$hash", "!$y$x$y", "$argon2id$v=19$m", "x" * 1025]
        found = problems("name,password\n" + "\n".join(f"u{i},{p}" for i, p in enumerate(others)))
        self.assertEqual(list(found), [2, 3, 4, 5, 6])
        for number, words in zip(found, ["looks like"] * 3 + ["damaged", "1024"], strict=True):
            self.assertIn(words, found[number])
            self.assertNotIn("abc", found[number])

    def test_passwords_that_nobody_can_type(self) -> None:
        """An account would be made that nobody can log in to, for a spreadsheet left a line end or a tab in a cell."""
        cells = ['"secret\n"', "sec\tret", "\x1bsecret", "secret\u200b"]
        found = problems("name,password\n" + "\n".join(f"u{i},{p}" for i, p in enumerate(cells)))
        self.assertEqual(list(found), [2, 4, 5, 6])
        for line in found.values():
            self.assertIn("leave it out", line)
            self.assertNotIn("secret", line)

    def test_too_dear(self) -> None:
        """A hash would be moved over with which a stranger's guess keeps the server busy for seconds."""
        salted = "$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"
        for costs, good in (
            ("m=65536,t=4,p=1", True),  # PHP
            ("m=102400,t=2,p=8", True),  # Django
            ("m=65536,t=3,p=4", True),  # argon2-cffi
            ("m=524288,t=3,p=4", False),
            ("m=8,t=40000,p=1", False),
            ("m=2048,t=1,p=64", False),
        ):
            for lock in ("", "!"):
                csv = f'name,password\nx,"{lock}$argon2id$v=19${costs}{salted}"\n'.encode()
                if good:
                    self.assertEqual(len(parse_csv(csv)), 1)
                else:
                    with self.assertRaises(BadCSV) as caught:
                        parse_csv(csv)
                    self.assertIn("costs too much", caught.exception.problems[0][1])

    def test_encodings(self) -> None:
        """A file in another encoding would be read with other names, or end in a traceback."""
        found = problems("name,password\na,x\n张三,y\n".encode("gbk"))
        self.assertEqual(found, {3: "this is not UTF-8"})
        self.assertEqual(list(problems("name,password\n".encode("utf-16"))), [1])

    def test_quotes(self) -> None:
        """A quotation mark that is never closed would swallow all that follows, in silence."""
        found = problems('name,password\na,x\nb,"y\nc,z\n')
        self.assertEqual(found, {3: "a quotation mark is missing or misplaced"})
        self.assertEqual(list(problems('name,password\n]a,x\nb,"y"z\n')), [2, 3])
