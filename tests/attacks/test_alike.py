"""Names that would forge a header, hide what they are, or look like somebody else's."""

from __future__ import annotations

from typing import Any

from tests.attacks.deceit import BREAKS, FORGED, MARK, SEQUENCES, DeceitCase
from tests.support.processes import PASSWORD, ServerStores, SQLiteStores

NAMES = (
    *(f"老{MARK}{control}板" for control in (*SEQUENCES[:24:4], "\u202e", "\u2066", *BREAKS[::2])),
    *(f"张三|UID:1 ]:{FORGED.format(line_break)}" for line_break in ("\n", "\u2028")),
    *("x]:", "[ 老板|UID:1 ]:", "［老板｜UID:1］", "x" + "\u0301" * 60, "\u0301x", "", " "),
    *("长" * 255, "\u2800", "\u3164", "\u200b\u200b", "\ufeff老板", "老板\U000e0041"),
)
"""Names that other programs may have stored."""

ALIKE = {
    "Tom Lee": ("TOM LEE", "Tom  Lee", " Tom Lee", "Tom\u00a0Lee", "Ｔｏｍ　Ｌｅｅ", "𝐓𝐨𝐦 𝐋𝐞𝐞"),
    "Zoë ﬁ": ("Zoe\u0308 fi", "ZOË FI"),
    "Việt": ("Vie\u0323\u0302t", "Vie\u0302\u0323t", "Viê\u0323t"),
    "アイ": ("ｱｲ",),
    "가나": ("\u1100\u1161\u1102\u1161",),
    "Å1": ("A\u030a1", "\u212b1", "å①"),
}
"""Names, and others that are the same by the PRECIS Nickname profile."""

UNSEEN = (
    *("\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u180b", "\u180e"),
    *("\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u202a", "\u202e", "\u2060", "\u2062"),
    *("\u2066", "\u2069", "\u206a", "\u2800", "\u3164", "\ufe00", "\ufe0f", "\ufeff", "\uffa0"),
    *("\ufff9", "\ufffb", "\ufffc", "\U0001d159", "\U0001d173", "\U0001bca0", "\U00016fe4"),
    *("\U000e0001", "\U000e0041", "\U000e007f", "\U000e0100", "\U000e01ef", "\0", "\x1b", "\x7f"),
    *("\x85", "\u2028", "\ue000", "\uffff", "\U0010fffd", "|", "[", "]", "］", "｜", "\ufffd"),
)
"""What shows nothing, orders others anew, or stands in a header: no name has it."""


class Both:
    class Names(DeceitCase):
        """The same on either kind of store."""

        options = (*DeceitCase.options, "--registration", "open", "--registration-rate", "0")

        def test_old_rows(self) -> None:
            """A name that another program stored would forge a header, or drive a terminal."""
            reader = self.user()
            uids = [self.user() for _ in NAMES]
            for uid, name in zip(uids, NAMES, strict=True):
                self.stores.sql("UPDATE user SET username = ? WHERE id = ?", (name, uid))
            with self.talk():
                reading = self.text(reader)
                client = self.structured()
                for uid, raw in zip(uids, NAMES, strict=True):
                    name = client.log_in(uid, PASSWORD)["name"]
                    self.assertTrue(name.isprintable() and 1 <= len(name) <= 32, ascii(raw))
                    self.assertNotRegex(name, r"[][|]")
                    client.say(type="msg", to=reader, text="x")
                    shown = reading.read()
                    self.harmless(shown, uid)
                    self.assertEqual(shown.count("\n"), 1)
                    self.assertTrue(shown.endswith(f"[ {name}|UID:{uid} ]:x"))
                    client.ask(type="logout", n=2)

        def test_alike(self) -> None:
            """Two users could have names that look the same."""
            with self.talk():
                client, seeker = self.structured(), self.structured(self.user("seeker"))
                for name, others in ALIKE.items():
                    answer = self.register(client, name)
                    self.assertEqual(answer["type"], "ok", name)
                    for other in others:
                        refusal = self.register(client, other)
                        self.assertEqual(refusal.get("code"), "bad-request", ascii(other))
                        self.assertIn("taken", refusal["text"], ascii(other))
                        found = seeker.ask(type="find", n=2, name=other)["users"]
                        self.assertEqual([user["uid"] for user in found], [answer["uid"]], other)

        def test_alike_at_once(self) -> None:
            """Two of those who register one name at the same moment would get it."""
            names = ("Änn", "ÄNN", "a\u0308nn", " änn", "Ä\uff4e\uff4e", "änn\u3000") * 4
            with self.talk():
                clients = [self.structured() for _ in names]
                for client, name in zip(clients, names, strict=True):
                    client.say(type="register", n=1, name=name, password="x")
                answers = [client.next()["type"] for client in clients]
                self.assertEqual(answers.count("ok"), 1)

        def test_unseen(self) -> None:
            """A name could differ from another one by what nobody sees, or hold a part of a header."""
            with self.talk():
                client = self.structured()
                for character in UNSEEN:
                    for form in ("李{}四", "{}李四", "李四{}", "{}", "क्{}ष"):
                        answer = self.register(client, form.format(character))
                        self.assertEqual(answer.get("code"), "bad-request", ascii(character))
                marks = "\u0301\u0302\u0303\u0304\u0305"
                for name in ("", " ", "\u3000", "x" * 33, f"x{marks}", "é\u0301", "老板│UID:1 〕"):
                    answer = self.register(client, name)
                    self.assertEqual(answer.get("code"), "bad-request", ascii(name))

        def test_like_an_old_row(self) -> None:
            """Somebody could register the name that another one's old row is shown as."""
            rows = ("王五\u200b", "Ａｎｎａ  Ｂ", "x" * 40, "", "C\u202eD", "é\u0301" * 3)
            with self.talk():
                client = self.structured()
                for raw in rows:
                    uid = self.user(raw)
                    shown = client.log_in(uid, PASSWORD)["name"]
                    client.ask(type="logout", n=2)
                    for name in (shown, raw):
                        self.assertEqual(self.register(client, name)["type"], "error", ascii(raw))

        def register(self, client: Any, name: str) -> dict[str, Any]:
            """What becomes of a registration."""
            answer: dict[str, Any] = client.ask(type="register", n=1, name=name, password="x")
            return answer


class NamesInSQLite(Both.Names):
    store = SQLiteStores


class NamesInMySQL(Both.Names):
    store = ServerStores
