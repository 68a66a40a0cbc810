"""Input that a careless server would run as SQL, as Redis commands, as Lua, as a format or as a shell's line."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

from tests.attacks.bystanders import AttackCase
from tests.support.clients import StructuredClient, TextClient
from tests.support.processes import PASSWORD, ServerStores, SQLiteStores, phc

STRINGS = (
    *("'", '"', "`", "\\", "\\'", "''", "%", "%s", "%(x)s", "%n%n%n", "%", "_", ":x", "@@version"),
    *("{0}", "{}", "{0.__class__}", "{name}", "{", "}", "${7*7}", "$(reboot)", "`reboot`"),
    *("; reboot", "| reboot", "../../etc/passwd", "-", "--", "/*", "#", "\\N", "NULL", "0x31"),
    *("' OR '1'='1", "' OR 1=1 -- ", '" OR ""="', "\\' OR 1=1 #", "') OR ('1'='1"),
    *("'; DROP TABLE user; --", '"; DROP TABLE user; --', "`; DROP TABLE user; --"),
    *("1; DELETE FROM user", "'||(SELECT password FROM user)||'", "' UNION SELECT 1,2,3 -- "),
    *("\0", "a\0b", "\0' OR 1=1 -- ", "\x1a", "\b", "\ufeff'", "ʼ", "＇ OR 1=1", "你'好"),
    *("]] redis.call('FLUSHALL') --[[", "'..redis.call('FLUSHALL')..'", "\r\nFLUSHALL\r\n"),
    *("*1\r\n$8\r\nFLUSHALL\r\n", "1}:inbox", '"}]; FLUSHALL', "\\u0000", "\\ud800", "~" * 300),
)

_NO_ROOM = "提示:聊天室消息格式: [ msg #name content ]"

HASHED = (
    *(
        "'",
        '"',
        "\\",
        "%s",
        "{0}",
        "' OR '1'='1",
        "'; DROP TABLE user; --",
        "a\0b",
        "\0' OR 1=1 --",
    ),
    *("'..redis.call('FLUSHALL')..'", "$(reboot)"),
)
"""Those for fields that cost the server an argon2 hash."""

KINDS: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.0, 1.5, -0.0, 1e308, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63)),
    *(10**40, "", "1", "1e3", [], [1], [[]], {}, {"$gt": ""}, {"type": "msg"}),
)
"""Values of every kind that JSON knows; most are of the wrong one wherever they stand."""

NUMBERS = ("n", "uid", "to", "id", "after", "version")
"""Fields that take whole numbers only."""

NO_JSON = (
    *("NaN", "-Infinity", "Infinity", "1e999", "-1e999", "01", "0x10", "1_000", "+1", "'1'", "1."),
    *('"\\ud800"', '"\\udfff\\ud800"', '"\\u12"', '"\\x41"', '"\n"', '"\x00"', "undefined", ""),
)
"""What JSON does not know, or cannot say."""

REQUESTS: tuple[dict[str, Any], ...] = (
    {"type": "hello", "version": 1, "client": "x/1", "device": "ab" * 10, "lang": "en"},
    {"type": "auth", "uid": 0, "password": "x", "after": 0, "receive": True},
    {"type": "auth", "uid": 0, "token": "x"},
    {"type": "msg", "to": 0, "text": "x"},
    {"type": "ack", "id": 0},
    {"type": "register", "name": "[", "password": "x"},
    {"type": "passwd", "old": "x", "new": "y"},
    {"type": "find", "name": "nobody"},
)
"""A request of each type that changes nothing."""

CALM = {
    *("welcome", "pong", "ok", "bad-request", "bad-credentials", "not-logged-in", "unknown-user"),
    *("too-long", "registration-closed"),
}
"""Answers of a server to which nothing has happened."""

ODD_NAMES = (
    *("O'Brien", '"Bob"', "x';DROP/**/TABLE/**/user;--", "Robert');--", "%", "100%s"),
    *("{0}", "{name}", "`id`", "$(id)", "\\", "a_b", "a?b", "NULL", "<script>"),
)
"""Names that may be registered."""


class Both:
    class Tests(AttackCase):
        """The same on either kind of store."""

        options = (
            *("--registration", "open", "--registration-rate", "0"),
            *(
                "--login-tries",
                "99999/99999",
                "--rate",
                "0",
                "--request-rate",
                "0",
                "--find-rate",
                "0",
            ),
            *("--inbox-share", "1000"),
        )
        tables: str

        def rows(self) -> tuple[Any, ...]:
            """All tables, and what they hold of accounts."""
            accounts = self.stores.sql("SELECT id, username, password FROM user ORDER BY id")
            names = self.stores.sql("SELECT uid, folded FROM chat_name ORDER BY uid")
            # Names are indexed when somebody first looks for one.
            return self.stores.sql(self.tables), accounts, names[: len(accounts)]

        def settled_rows(self) -> tuple[Any, ...]:
            """The same, once every name is indexed."""
            asker = self.text(self.user("asker"))
            asker.ask("find asker")
            return self.rows()

        def said(self, client: TextClient, line: str) -> list[str]:
            """Everything that is said to a line."""
            client.send_many([line, "?"])
            answers = [client.read()]
            while not answers[-1].startswith("命令使用说明"):
                answers.append(client.read())
            return answers[:-1]

        def test_text_dialect(self) -> None:
            """A word that somebody types would be run as SQL, change what others have, or find no answer."""
            me, victim = self.user(), self.user("victim")
            with self.talk():
                client, stranger, before = self.text(me), self.text(), self.settled_rows()
                for string in STRINGS:
                    word = string.replace(" ", "/**/")
                    for asked, line, answers in (
                        (stranger, f"auth {word} x", ["userid为整数!"]),
                        (stranger, f"auth {victim}{word} x", ["userid为整数!"]),
                        (stranger, f"lang {string}", ["提示:语言格式: [ lang zh|en ]"]),
                        (stranger, f"register {word}", ["提示:注册格式: [ register name pwd ]"]),
                        (stranger, f"find {string}", ["请登陆!"]),
                        (client, string, ["输入的命令不支持,请使用 help 或 ? 查看帮助!"]),
                        (client, f"msg {word} x", [_NO_ROOM if word == "#" else "userid为整数!"]),
                        (client, f"msg {victim}{word} x", ["userid为整数!"]),
                    ):
                        self.assertEqual(self.said(asked, line), answers, ascii(line))
                    (found,) = self.said(client, f"find {string}")
                    if string not in ODD_NAMES:  # which another test may have registered
                        self.assertTrue(found.startswith("没有找到用户"), ascii(string))
                for string in HASHED:
                    word = string.replace(" ", "/**/")
                    failed = self.said(stranger, f"auth {victim} {word}")
                    self.assertEqual(failed, ["认证失败!", "请登陆!"], ascii(word))
                    self.assertEqual(self.said(client, f"passwd {word} new"), ["旧密码不正确!"])
                self.assertEqual(self.rows(), before)

        def test_texts(self) -> None:
            """A message would be run as SQL or as a command of Redis, or arrive otherwise than it was sent."""
            me, reader = self.user(), self.user()
            with self.talk():
                client, before = self.text(me), self.settled_rows()
                for string in STRINGS:
                    self.assertTrue(client.ask(f"msg {reader} {string}").startswith("[离线消息]"))
                program = self.structured(me)
                for n, string in enumerate(STRINGS, 1):
                    answer = program.ask(type="msg", n=n, to=reader, text=string)
                    self.assertEqual(answer["type"], "sent", ascii(string))
                reading = self.structured(reader)
                got = [reading.await_type("msg") for _ in STRINGS * 2]
                self.assertEqual([message["text"] for message in got], [*STRINGS, *STRINGS])
                self.assertEqual({message["from"] for message in got}, {me})
                self.assertEqual(self.rows(), before)

        def test_names_and_passwords(self) -> None:
            """A name or a password would be run as SQL, cut at a NUL, or let somebody else in."""
            with self.talk():
                client, before = self.text(), self.settled_rows()
                kept = []
                for number, string in enumerate(HASHED):
                    word = string.replace(" ", "/**/")
                    if any(unicodedata.category(one) == "Cc" for one in word):
                        answer = client.ask(f"register {number}号 {word}")
                        self.assertRegex(answer, "^密码", ascii(word))
                        continue
                    kept.append(f"{number}号")
                    uid = self.registered(client, f"{number}号", word)
                    for wrong in (word + "x", f"{word}\0", f"{word}\0c"):
                        answers = self.said(client, f"auth {uid} {wrong}")
                        self.assertEqual(answers[0], "认证失败!", ascii(wrong))
                    self.assertEqual(self.said(client, f"auth {uid} {word}"), ["认证成功!"])
                    client.ask("logout"), client.read()
                tables, accounts, _ = self.rows()
                self.assertEqual(tables, before[0])
                self.assertEqual(accounts[: len(before[1])], before[1])
                names = [name for _, name, _ in accounts[len(before[1]) :]]
                self.assertEqual(names, kept)
                self.assertGreater(len(kept), len(HASHED) // 2)

        def registered(self, client: TextClient, name: str, password: str) -> int:
            """The uid of a new account."""
            answer = client.ask(f"register {name} {password}")
            self.assertRegex(answer, "^注册成功", ascii((name, password)))
            return int(answer.rpartition(" ")[2])

        def test_odd_names(self) -> None:
            """A name that is SQL would be run when it is registered, looked for or shown."""
            reader = self.user("reader")
            with self.talk():
                client, before = self.text(), self.settled_rows()
                for name in ODD_NAMES:
                    uid = self.registered(client, name, PASSWORD)
                    client.log_in(uid, PASSWORD)
                    self.assertEqual(client.ask(f"find {name}"), f"{name}: {uid} (在线)")
                    shown = client.ask(f"msg {reader} x")
                    self.assertTrue(shown.endswith(f"\n[ {name}|UID:{uid} ]:x"), shown)
                    client.ask("logout"), client.read()
                    taken = client.ask(f"register {name} x")
                    self.assertEqual(taken, "用户名已被使用, 请换一个!", name)
                tables, accounts, _ = self.rows()
                self.assertEqual((tables, accounts[: len(before[1])]), before[:2])
                self.assertEqual([row[1] for row in accounts[len(before[1]) :]], list(ODD_NAMES))

        def test_old_rows(self) -> None:
            """SQL that another program stored as somebody's name or plain password would be run as SQL."""
            rows = [(f"{string}号", f"{string}密") for string in HASHED]
            uids = [self.user() for _ in rows]
            for uid, (name, stored) in zip(uids, rows, strict=True):
                change = "UPDATE user SET username = ?, password = ? WHERE id = ?"
                self.stores.sql(change, (name, stored, uid))
            with self.talk():
                client = self.text()
                for uid, (name, stored) in zip(uids, rows, strict=True):
                    if " " not in stored:
                        self.assertEqual(self.said(client, f"auth {uid} {stored}"), ["认证成功!"])
                        self.assertIn(str(uid), client.ask(f"find {name}"), ascii(name))
                        client.ask("logout"), client.read()
                kept = dict(self.stores.sql("SELECT id, username FROM user"))
                self.assertEqual([kept[uid] for uid in uids], [name for name, _ in rows])
                hashed = dict(self.stores.sql("SELECT id, password FROM user"))
                for uid, (_, stored) in zip(uids, rows, strict=True):
                    expected = re.escape(stored) if " " in stored else r"\$argon2id\$"
                    self.assertRegex(hashed[uid], f"^{expected}")

        def test_every_field(self) -> None:
            """A field of a program's request would be run as SQL, or a value of another kind end in an exception."""
            me = self.user()
            with self.talk():
                stranger, member, before = (
                    self.structured(),
                    self.structured(me),
                    self.settled_rows(),
                )
                for request in REQUESTS:
                    costs = "password" in request or "old" in request
                    values = (*(HASHED if costs else STRINGS), *KINDS)
                    for field in (*request, "n", *(() if costs else ("other",))):
                        changed = [{**request, field: value} for value in values]
                        if (request["type"], field) == ("register", "name"):
                            changed = [{**one, "name": f"[{one['name']}"} for one in changed]
                        self.calm(stranger, field, changed)
                        # A member's device would be another one from then on.
                        if request["type"] != "hello":
                            self.calm(member, field, changed)
                self.assertEqual(self.rows(), before)

        def calm(
            self, client: StructuredClient, field: str, requests: list[dict[str, Any]]
        ) -> None:
            """Fail unless each request has one answer, or none, that says that nothing has happened."""
            last = 2**53 - 1
            for request in requests:
                client.say_many([request, {"type": "ping", "n": last}])
            for request in requests:
                answers = []
                while (answer := client.next()) != {"type": "pong", "re": last}:
                    answers.append(answer.get("code", answer["type"]))
                about = f"{ascii(request)[:200]} {answers}"
                self.assertLessEqual(set(answers), CALM, about)
                self.assertEqual(
                    len(answers), 1 if answers or request["type"] != "ack" else 0, about
                )
                if request["type"] in ("auth", "register", "passwd"):
                    self.assertNotIn("ok", answers, about)
                # 1e308 is as good as an integer of 308 digits: nobody's uid.
                whole = isinstance(request.get(field), int | None) or request[field] == 1e308
                if field in NUMBERS and not whole:
                    self.assertEqual(answers, ["bad-request"], about)

        def test_what_json_does_not_know(self) -> None:
            """A value that is no JSON, such as NaN or half a surrogate pair, would be taken for something."""
            with self.talk():
                client, before = self.structured(self.user()), self.settled_rows()
                for request in REQUESTS:
                    for field in (*request, "n", "other"):
                        for value in NO_JSON:
                            pairs = {**{k: json.dumps(v) for k, v in request.items()}, field: value}
                            client.send(
                                "{" + ",".join(f'"{k}":{v}' for k, v in pairs.items()) + "}"
                            )
                            answer = client.next()
                            self.assertEqual(answer.get("code"), "bad-request", (pairs, answer))
                            self.assertNotIn("re", answer)
                self.assertEqual(client.ask(type="ping", n=7), {"type": "pong", "re": 7})
                self.assertEqual(self.rows(), before)

        def test_fields_twice(self) -> None:
            """The server would check one value of a field that stands there twice, and use the other."""
            me, other, third = self.user(), self.user(), self.user()
            self.stores.sql("UPDATE user SET password = ? WHERE id = ?", (phc("其他"), other))
            with self.talk():
                client = self.structured()
                right, wrong = f'"uid":{me}', f'"uid":{other}'
                for first, last, answer in ((right, wrong, "error"), (wrong, right, "ok")):
                    client.send(f'{{"type":"auth","n":1,{first},{last},"password":"{PASSWORD}"}}')
                    said = client.next()
                    self.assertEqual(said["type"], answer, said)
                    self.assertEqual(said.get("uid", me), me)
                client.send(f'{{"type":"msg","n":2,"n":3,"to":{other},"to":{third},"text":"x"}}')
                sent = client.next()
                self.assertEqual((sent["re"], sent["to"]), (3, third))
                self.assertEqual(self.structured(third).next()["from"], me)
                counts = [self.waiting(uid) for uid in (other, third)]
                self.assertEqual(counts, [0, 1])

        def waiting(self, uid: int) -> int:
            """How many messages wait for somebody."""
            self.stores.sql("UPDATE user SET password = ? WHERE id = ?", (phc(PASSWORD), uid))
            client = self.structured()
            return int(client.log_in(uid, PASSWORD)["waiting"])


class SQLite(Both.Tests):
    store = SQLiteStores
    tables = "SELECT name, sql FROM sqlite_master ORDER BY name"


class MySQLAndRedis(Both.Tests):
    store = ServerStores
    tables = (
        "SELECT table_name, column_name, column_type FROM information_schema.columns"
        " WHERE table_schema = DATABASE() ORDER BY 1, 2"
    )

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.no_other_keys)

    def no_other_keys(self) -> None:
        """Fail if a key of Redis is none of those that the server makes, or all are gone."""
        assert isinstance(self.stores, ServerStores)
        reply = self.stores.redis("KEYS", "*")
        keys = re.findall(rb"\$[0-9]+\r\n([^\r]*)\r\n", reply)
        self.assertIn(b"chat:epoch", keys)
        for key in keys:
            self.assertRegex(
                key,
                rb"^chat:(archive(r|:refused)?|epochs?|serial|waiting|nodes|(node|order):[^{}]+|life|lives"
                rb"|\{[0-9]+\}:(inbox|from|session|epoch|generations|devices))$",
            )
