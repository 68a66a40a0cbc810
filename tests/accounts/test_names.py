"""Names: what may be registered, what counts as the same, what an old row shows."""

from __future__ import annotations

import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.accounts import names
from chatsvc.accounts.names import BadName, display_name, enforce, fold, possible_folds

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=80)


class EnforceTests(SynchronousTestCase):
    """What may be registered, and in which form it is stored."""

    def test_ordinary_names_pass(self) -> None:
        """People could not use their own names."""
        for name in (
            "张三",
            "Zoë",
            "O'Brien",
            "Ирина",
            "علي",
            "हिन्दी",
            "a",
            "李 雷",
            "🐼",
            "x" * 32,
        ):
            self.assertEqual(enforce(name), name)

    def test_one_form_is_stored(self) -> None:
        """Names that look the same would be stored as different ones."""
        self.assertEqual(enforce(" Ｔｏｍ　 Ｌｅｅ "), "Tom Lee")
        self.assertEqual(enforce("Zoe\u0308"), "Zoë")
        self.assertEqual(enforce("\u1100\u1161"), "가")

    def test_lengths(self) -> None:
        """A name could be empty, fill the screen, or keep the server busy."""
        for name in ("", " ", "\u3000", "x" * 33, "ﷺ" * 2, " " * 256 + "x"):
            self.assertRaises(BadName, enforce, name)

    def test_header_characters(self) -> None:
        """A name could pass for another sender's message header."""
        for character in "[]|［］｜﹇﹈":
            self.assertRaises(BadName, enforce, f"a{character}b")

    def test_unseen_characters(self) -> None:
        """Two users could have names that nobody can tell apart, or that drive a terminal."""
        unseen = (
            "\n\r\t\x00\x1b\x7f\x85\xad\u034f\u061c\u115f\u1160\u180e\u200b\u200c\u200d\u200e\u202e"
            "\u2028\u2029\u2060\u2066\u2800\u3164\ud800\udfff\ue000\ufe0f\ufeff\uffa0\uffff"
            "\u0378\u17b4\ufffc\U00016fe4\U0001d159\U0001d173\U000e0041\U000e0100\U0010ffff"
        )
        for character in unseen:
            for name in (character, f"a{character}b", f"क्{character}ष"):
                self.assertRaises(BadName, enforce, name)

    def test_lone_marks(self) -> None:
        """A name of marks alone would hang on the bracket before it."""
        for name in ("\u0301", "\u0301\u0308", "¨", " \u0301", "\u093e"):
            self.assertRaises(BadName, enforce, name)

    def test_piled_marks(self) -> None:
        """A name could run over the lines around it, or look like another one with a mark less."""
        self.assertEqual(enforce("ẽ̱̂ x̧̣̂"), "ẽ̱̂ x̧̣̂")
        for name in ("x\u0301\u0302\u0303\u0304\u0305", "x\u0323\u0323", "é\u0301"):
            self.assertRaises(BadName, enforce, name)

    def test_imitations(self) -> None:
        """A name could look like a header's end, or like what an old row's name is shown as."""
        for name in ("老板│UID:1 〕", "boss∣uid:1", "ǀＵＩＤ：7", "UID10001", "张三\ufffd"):
            self.assertRaises(BadName, enforce, name)
        for name in ("Druid", "uidentity", "张三..."):
            self.assertEqual(enforce(name), name)

    def test_the_problem_is_one_line(self) -> None:
        """What was refused would get into logs and answers with its control characters."""
        problem = self.assertRaises(BadName, enforce, "a\n[b\ud800")
        self.assertTrue(str(problem).isprintable())

    @given(ANY_TEXT)
    @example("a\u1680\u1680b")
    def test_stored_names_are_final(self, raw: str) -> None:
        """A stored name would be refused, or changed, when it is read back."""
        try:
            name = enforce(raw)
        except BadName:
            return
        self.assertEqual(enforce(name), name)
        self.assertTrue(name.isprintable())
        self.assertTrue(1 <= len(name) <= 32)
        self.assertLessEqual(len(name.encode()), 255)


class FoldTests(SynchronousTestCase):
    """Which names are the same."""

    def test_same_names(self) -> None:
        """Somebody could register a name that only differs in case, width or spaces."""
        for other in ("TOM LEE", " tom  lee", "Ｔｏｍ Ｌｅｅ", "tom\u00a0lee"):
            self.assertEqual(fold(other), fold("Tom Lee"))

    def test_different_names(self) -> None:
        """People with different names could not both register."""
        self.assertNotEqual(fold("张三"), fold("张三丰"))
        self.assertNotEqual(fold("Zoe"), fold("Zoë"))

    @given(ANY_TEXT)
    @example("\u03f9")
    def test_any_old_name_has_a_key(self, raw: str) -> None:
        """One odd row would break every look-up by name."""
        key = fold(raw)
        try:
            self.assertEqual(fold(enforce(raw)), key)
        except BadName:
            self.assertEqual(fold(raw), key)

    @given(ANY_TEXT)
    @example("Straße")
    @example("ΟΔΟΣ")
    @example("\u03f9")
    @example("a\tß")
    @example("\u00adß")
    @example("\ufdfa" * 20 + "ß")
    def test_possible(self, raw: str) -> None:
        """Somebody could not be mentioned, because what is said folds to another key than their name."""
        self.assertIn(fold(raw), possible_folds(raw))

    def test_possible_is_exact(self) -> None:
        """Each name in a message would take the whole profile: seconds for a batch of them."""
        for raw in ("annq hello", "Zoë", "李四 WANG", "Ирина", "علي", "Ｔｏｍ", "x" * 32):
            self.assertEqual(possible_folds(raw), [fold(raw)])
        self.assertEqual(possible_folds("Straße"), ["straße", "strasse"])


class CostTests(SynchronousTestCase):
    """What a name may cost."""

    def test_long_names(self) -> None:
        """A name of characters that become eighteen each would keep the server busy for milliseconds."""
        asked: list[str] = []
        for profile in (names._STORED, names._COMPARED):
            self.patch(profile, "enforce", asked.append)
        for name in ("ﷺ" * 85, "a" * 255, "a" * 70_000, "ﷺ b" * 20):
            self.assertRaises(names.BadName, names.enforce, name)
            names.fold(name)
        self.assertEqual(asked, [])


class ShownTests(SynchronousTestCase):
    """What an old row's name looks like on a screen."""

    def test_good_name(self) -> None:
        """Old users would see their names changed."""
        self.assertEqual(display_name("张三", 10001), "张三")

    def test_missing_name(self) -> None:
        """A message would come from nobody."""
        for raw in (None, "", "  ", "\u3000"):
            self.assertEqual(display_name(raw, 10001), "UID10001")

    def test_harmful_characters(self) -> None:
        """An old row could forge a header or a line, or drive a terminal."""
        self.assertEqual(display_name("a\n[b｜\u202ec", 1), "a\ufffd\ufffdb\ufffd\ufffdc")
        self.assertEqual(display_name("\u0301a", 1), "\ufffda")

    def test_long_name(self) -> None:
        """An old row of 255 characters would fill the screen at each message, or look like one of 32."""
        self.assertEqual(display_name("长" * 255, 1), "长" * 31 + "…")
        self.assertEqual(display_name("x" * 30 + " yy", 1), "x" * 30 + "…")

    @given(ANY_TEXT, st.integers(1, 2**31 - 1))
    @example("0" * 30 + " ...", 1)
    @example("x" * 31 + " y", 1)
    @example("[" + "\u1680" * 40, 1)
    @example("x" + "\u0301" * 40, 1)
    @example("\u0301" * 40, 1)
    @example("UID 5", 1)
    def test_always_harmless(self, raw: str, uid: int) -> None:
        """Some row's name would drive a terminal, break a header, hide or run over what stands beside it."""
        name = display_name(raw, uid)
        self.assertTrue(name.isprintable() and 1 <= len(name) <= 32, ascii(name))
        self.assertNotRegex(name, r"[\[\]|]|^ | $|  ")
        self.assertNotIn(unicodedata.category(name[0])[0], "MC")
        marks = "".join("x" if unicodedata.category(ch) in ("Mn", "Me") else " " for ch in name)
        self.assertNotIn("x" * 5, marks)
        self.assertEqual(display_name(name, uid), name)

    @given(ANY_TEXT, st.integers(1, 2**31 - 1))
    @example("x" * 40, 1)
    @example("张三\u200b", 1)
    @example("", 1)
    @example("\u3000" * 90 + "x", 1)
    def test_never_another_name(self, raw: str, uid: int) -> None:
        """Somebody could register the name that another one's old row is shown as."""
        name = display_name(raw, uid)
        try:
            enforce(name)
        except BadName:
            return
        self.assertEqual(fold(name), fold(raw))
