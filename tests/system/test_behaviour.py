"""What users and programs see of a running server, the same on both kinds of store."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.wire.phrases import EN
from chatsvc.wire.problems import Problem as P
from tests.support.clients import StructuredClient, TextClient
from tests.support.processes import (
    PASSWORD,
    ChatServer,
    ServerStores,
    SQLiteStores,
    Stores,
    new_address,
    phc,
    shared,
    timeless,
)

GENEROUS = ("--rate", "0", "--inbox-share", "5000", "--inbox-limit", "5000")
OPEN = ("--registration", "open")

ZH_HELP = ("auth", "msg", "logout", "register", "passwd", "find", "lang", "help", "?", "quit")

_NUMBERS = count(1)

OLD_TABLE = {
    "SQLiteStores": "CREATE TABLE user (id integer primary key autoincrement,"
    " username varchar(255), password varchar(255))",
    "ServerStores": "CREATE TABLE user (id int auto_increment primary key,"
    " username varchar(255), password varchar(255)) DEFAULT CHARSET utf8mb4",
}


class World:
    """A deployment as the older server left it, and the new server on it."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        stores.sql(OLD_TABLE[type(stores).__name__])
        for uid, name, password in [(10001, "张三", "123456"), (10002, "李四", "654321")]:
            stores.sql("INSERT INTO user VALUES (?, ?, ?)", (uid, name, password))
        self.server = ChatServer(*stores.options, *GENEROUS, *OPEN).start()
        self._others: dict[tuple[str, ...], tuple[Stores, ChatServer]] = {}

    def other(self, *options: str) -> tuple[Stores, ChatServer]:
        """Give another server, with other options, on new stores of the same kind."""
        if options not in self._others:
            stores = type(self.stores)()
            self._others[options] = stores, ChatServer(*stores.options, *options).start()
        return self._others[options]

    def end(self) -> None:
        """End all servers."""
        for server in (self.server, *(server for _, server in self._others.values())):
            server.remove()


class Both:
    """What holds on both kinds of store."""

    class Tests(SynchronousTestCase):
        make_stores: Callable[[], Stores]

        def setUp(self) -> None:
            make = type(self).make_stores
            self.world = shared(type(self), lambda: World(make()), World.end)
            self.server, self.stores = self.world.server.start(), self.world.stores

        # Who takes part

        def user(self, name: str = "") -> int:
            """Give a new user's uid."""
            return self.stores.add_user(name or f"user{next(_NUMBERS)}")

        def text(self, uid: int = 0, password: str = PASSWORD) -> TextClient:
            """Give a client of the text dialect, logged in if there is a uid."""
            client = self.server.text(source=new_address())
            self.addCleanup(client.close)
            if uid:
                client.log_in(uid, password)
            return client

        def structured(
            self, uid: int = 0, device: str = "", password: str = PASSWORD, **more: Any
        ) -> StructuredClient:
            """Give a client of the structured dialect, logged in if there is a uid."""
            client = self.server.structured(device=device, source=new_address())
            self.addCleanup(client.close)
            if uid:
                self.login = client.log_in(uid, password, **more)
            return client

        def device(self) -> str:
            """Give a device that no test has had."""
            return f"{next(_NUMBERS):032x}"

        def says(self, client: TextClient, *frames: str) -> None:
            """Fail unless these are the next frames, times aside."""
            for frame in frames:
                self.assertEqual(timeless(client.read()), frame)

        def nothing_left(self, uid: int, password: str = PASSWORD) -> None:
            """Fail unless the inbox of a user is empty."""
            deadline = time.monotonic() + 5
            while (waiting := self.waiting(uid, password)) and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertEqual(waiting, 0)

        def waiting(self, uid: int, password: str = PASSWORD) -> int:
            """Give how many messages wait for a user."""
            client = self.structured(uid, password=password, receive=False)
            client.close()
            return int(self.login["waiting"])

        def no_traceback(self) -> None:
            """Fail if the server's log has a traceback."""
            self.assertEqual(self.server.tracebacks(), [])

        # The project's first promise

        def zhang_san_and_li_si(self, meanwhile: Callable[[TextClient], None]) -> None:
            """The dialogue of the project's first goal; something happens before 李四 reads."""
            zhang_san = self.text()
            self.assertEqual(zhang_san.greeting, "请登陆!")
            zhang_san.send("auth 10001 123456")
            self.says(zhang_san, "认证成功!")
            zhang_san.send("msg 10002 你好,我是张三")
            self.says(zhang_san, "[离线消息]\nTIME\n[ 张三|UID:10001 ]:你好,我是张三")
            meanwhile(zhang_san)
            li_si = self.text()
            li_si.send("auth 10002 654321")
            self.says(li_si, "认证成功!", "TIME\n[ 张三|UID:10001 ]:你好,我是张三")
            if zhang_san.closed(0.05):
                zhang_san = self.text(10001, "123456")
            li_si.send("msg 10001 你好,我是李四")
            self.says(li_si, "TIME\n[ 李四|UID:10002 ]:你好,我是李四")
            self.says(zhang_san, "TIME\n[ 李四|UID:10002 ]:你好,我是李四")
            elsewhere = self.text()
            elsewhere.send("auth 10002 654321")
            self.says(elsewhere, "认证成功!")
            self.says(li_si, "有用户登录您的账号,您已被挤下线!")
            li_si.send("msg 10001 还在吗")
            self.says(li_si, "请登陆!")
            self.assertTrue(elsewhere.silent())
            self.assertTrue(zhang_san.silent(0.05))
            self.nothing_left(10001, "123456")
            self.nothing_left(10002, "654321")

        def test_dialogue(self) -> None:
            """Two people could not talk as the project's first goal says."""
            self.zhang_san_and_li_si(lambda zhang_san: None)

        def test_dialogue_over_a_crash(self) -> None:
            """A confirmed message would be lost when the server is killed before it is read."""
            self.zhang_san_and_li_si(lambda zhang_san: self.server.crash())

        def test_dialogue_over_a_restart(self) -> None:
            """A confirmed message would be lost, or SIGTERM would not end well, at a restart."""

            def restart(zhang_san: TextClient) -> None:
                self.server.terminate()
                bye = program.next()
                self.assertEqual(bye["type"], "bye")
                self.assertGreater(bye["retry_after"], 0)
                for client in (zhang_san, program):
                    self.assertTrue(client.closed())
                    client.hang_up()
                # twistd hands the signal on to itself once all is closed.
                self.assertEqual(self.server.wait(), -signal.SIGTERM)
                self.server.start()

            program = self.structured(self.user())
            self.zhang_san_and_li_si(restart)
            self.no_traceback()

        # The text dialect, to the letter

        def test_text_before_login(self) -> None:
            """A text client that is not logged in would read other words than the contract's."""
            uid = self.user()
            client = self.text()
            self.assertEqual(client.greeting, "请登陆!")
            for line, *answers in [
                (f"msg {uid} 你好", "请登陆!"),
                ("msg", "请登陆!"),
                ("msg abc 你好", "请登陆!"),
                ("logout", "请登陆!"),
                ("passwd a b", "请登陆!"),
                ("passwd", "请登陆!"),
                ("find x", "请登陆!"),
                ("auth", "提示:认证格式: [ auth userid pwd ]"),
                (f"auth {uid}", "提示:认证格式: [ auth userid pwd ]"),
                (f"auth {uid} a b", "提示:认证格式: [ auth userid pwd ]"),
                ("auth abc pw", "userid为整数!"),
                ("auth 1.5 pw", "userid为整数!"),
                ("auth ٣ pw", "userid为整数!"),
                (f"auth {uid} wrong", "认证失败!", "请登陆!"),
                ("auth 99999999 pw", "认证失败!", "请登陆!"),
                ("auth 999999999999999999999999999999 pw", "认证失败!", "请登陆!"),
                ("hello", "输入的命令不支持,请使用 help 或 ? 查看帮助!"),
                (" ", "输入的命令不支持,请使用 help 或 ? 查看帮助!"),
                ("AUTH 1 2", "输入的命令不支持,请使用 help 或 ? 查看帮助!"),
            ]:
                client.send(line)
                self.says(client, *answers)
            self.assertTrue(client.silent(0.1))

        def test_text_after_login(self) -> None:
            """A text client that is logged in would read other words than the contract's."""
            uid, other = self.user(), self.user()
            client = self.text()
            for line, *answers in [
                (f"auth {uid} {PASSWORD}", "认证成功!"),
                (f"auth {uid} {PASSWORD}", "您已登录!"),
                (f"auth {other} {PASSWORD}", "您已登录!"),
                ("auth", "提示:认证格式: [ auth userid pwd ]"),
                (f"auth {uid} a b", "提示:认证格式: [ auth userid pwd ]"),
                ("msg", "提示:消息格式: [ msg userid content ]"),
                (f"msg {other}", "提示:消息格式: [ msg userid content ]"),
                (f"msg {other} ", "提示:消息格式: [ msg userid content ]"),
                ("msg abc 你好", "userid为整数!"),
                ("msg +1 你好", "userid为整数!"),
                ("msg 1_000 你好", "userid为整数!"),
                ("msg 99999999 你好", "系统不存在该userid!"),
                ("msg -1 你好", "系统不存在该userid!"),
                ("msg 999999999999999999999999999999 你好", "系统不存在该userid!"),
                ("msgs", "输入的命令不支持,请使用 help 或 ? 查看帮助!"),
                ("logout", "您已退出登录!", "请登陆!"),
                ("logout", "请登陆!"),
                (f"auth {uid} {PASSWORD}", "认证成功!"),
                ("quit", "再见!"),
            ]:
                client.send(line)
                self.says(client, *answers)
            self.assertTrue(client.closed())

        def test_text_help(self) -> None:
            """Help would leave a command out, or differ between its two names."""
            client = self.text()
            shown = client.ask("help")
            self.assertEqual(client.ask("?"), shown)
            for word in ZH_HELP:
                self.assertIn(word, shown)
            self.assertTrue(client.silent(0.1))

        def english(self, client: TextClient) -> None:
            """All rows of the text dialect's table in English."""
            uid, other = self.user(), self.user()
            problems = EN.problems
            for line, *answers in [
                ("logout", EN.please_log_in),
                ("auth", problems[P.AUTH_USAGE]),
                ("auth abc pw", problems[P.UID_NOT_INTEGER]),
                (f"auth {uid} wrong", problems[P.BAD_CREDENTIALS], EN.please_log_in),
                (f"auth {uid} {PASSWORD}", EN.logged_in),
                (f"auth {uid} {PASSWORD}", problems[P.ALREADY_LOGGED_IN]),
                (f"msg {other}", problems[P.SEND_USAGE]),
                ("msg 99999999 hi", problems[P.UNKNOWN_USER]),
                (f"msg {other} hi", f"{EN.offline}\nTIME\n[ WHO|UID:{uid} ]:hi"),
                (f"msg {uid} hi", f"TIME\n[ WHO|UID:{uid} ]:hi"),
                ("hello", problems[P.UNKNOWN_COMMAND]),
                ("help", EN.help),
                (f"passwd {PASSWORD} new", EN.password_changed),
                ("find no-such-name", EN.found_nobody.format(name="no-such-name")),
                ("logout", EN.logged_out, EN.please_log_in),
                ("quit", EN.farewell),
            ]:
                client.send(line)
                for answer in answers:
                    said = timeless(client.read())
                    self.assertEqual(said, answer.replace("WHO", f"user{self.number_of(uid)}"))
            self.assertTrue(client.closed())

        def number_of(self, uid: int) -> str:
            ((name,),) = self.stores.sql("SELECT username FROM user WHERE id = ?", (uid,))
            return str(name).removeprefix("user")

        def test_english_on_request(self) -> None:
            """`lang en` would leave an answer in Chinese, or could not be taken back."""
            client = self.text()
            self.assertEqual(client.ask("lang en"), EN.lang_set)
            self.assertEqual(client.ask("lang zh"), "已切换为中文!")
            self.assertEqual(client.ask("auth"), "提示:认证格式: [ auth userid pwd ]")
            client.ask("lang fr")
            self.assertEqual(client.ask("lang en"), EN.lang_set)
            self.english(client)

        def test_english_by_option(self) -> None:
            """`--lang en` would leave the greeting or an answer in Chinese."""
            self.stores, self.server = self.world.other("--lang", "en")
            client = self.text()
            self.assertEqual(client.greeting, EN.please_log_in)
            self.english(client)

        def test_register_find_and_quit(self) -> None:
            """A new user could not register, be found with the right state, or leave."""
            name = f"王五{next(_NUMBERS)}"
            client = self.text()
            answer = client.ask(f"register {name} {PASSWORD}")
            self.assertRegex(answer, r"^注册成功! 您的UID: [0-9]+$")
            uid = int(answer.rpartition(" ")[2])
            self.assertGreater(uid, 10002)
            client.log_in(uid, PASSWORD)
            found = client.ask(f"find {name}")
            self.assertIn(str(uid), found)
            self.assertIn("在线", found)
            other = self.text(self.user())
            self.assertEqual(other.ask(f"find {name}"), found)
            client.send("quit")
            self.says(client, "再见!")
            self.assertTrue(client.closed())
            away = other.ask(f"find {name}")
            self.assertIn(str(uid), away)
            self.assertNotEqual(away, found)
            self.assertNotIn(str(uid), other.ask(f"find {name}x"))

        def test_registered_names_are_unique_and_harmless(self) -> None:
            """Two people could register under one name, or a name could forge a header."""
            client = self.text()
            first = client.ask(f"register Ａnna{next(_NUMBERS)} {PASSWORD}")
            self.assertRegex(first, "^注册成功!")
            number = next(_NUMBERS)
            self.assertRegex(client.ask(f"register Bob{number} {PASSWORD}"), "^注册成功!")
            for name in (f"Bob{number}", f"BOB{number}", f"Ｂob{number}", "a|UID:1", "x]:", "\x1b"):
                answer = client.ask(f"register {name} {PASSWORD}")
                self.assertNotRegex(answer, "^注册成功!")
                self.assertNotIn("\n", answer)

        def test_password_change(self) -> None:
            """A changed password would not count, or a wrong old one would let it be changed."""
            uid = self.user()
            client = self.text(uid)
            self.assertNotEqual(client.ask("passwd wrong new-1"), "密码已修改!")
            self.assertEqual(client.ask(f"passwd {PASSWORD} new-1"), "密码已修改!")
            other = self.text()
            other.send(f"auth {uid} {PASSWORD}")
            self.says(other, "认证失败!", "请登陆!")
            other.send(f"auth {uid} new-1")
            self.says(other, "认证成功!")
            self.says(client, "有用户登录您的账号,您已被挤下线!")

        def test_logged_out_means_away(self) -> None:
            """A user who logged out would still count as online, or lose what comes meanwhile."""
            uid, sender = self.user(), self.user()
            reader, writer = self.text(uid), self.text(sender)
            reader.send("logout")
            self.says(reader, "您已退出登录!", "请登陆!")
            self.assertTrue(writer.ask(f"msg {uid} later").startswith("[离线消息]\n"))
            self.assertTrue(reader.silent(0.1))
            reader.log_in(uid, PASSWORD)
            self.assertTrue(reader.read().endswith("]:later"))

        def test_message_to_oneself(self) -> None:
            """A message to oneself would be shown twice or not at all."""
            uid = self.user(name := f"自己{next(_NUMBERS)}")
            client = self.text(uid)
            client.send(f"msg {uid} 备忘")
            self.says(client, f"TIME\n[ {name}|UID:{uid} ]:备忘")
            self.assertTrue(client.silent(0.2))
            self.nothing_left(uid)

        def test_text_is_untouched(self) -> None:
            """Spaces or emoji of a message would change on the way."""
            uid = self.user()
            reader, writer = self.text(uid), self.text(self.user())
            for text in (
                "  two  spaces ",
                " ",
                "👩‍👩‍👧 é",
                "msg 1 2",
                "{}",
                "'; DROP TABLE user; --",
            ):
                self.assertTrue(writer.ask(f"msg {uid} {text}").endswith(f" ]:{text}"))
                self.assertTrue(reader.read().endswith(f" ]:{text}"))

        def test_text_cannot_forge_a_header(self) -> None:
            """A text could pass for another's message or drive the reader's terminal."""
            uid = self.user()
            reader, writer = self.text(uid), self.text(self.user())
            forged = "a\n2026-11-23 17:00:24\n[ 张三|UID:10001 ]:b\x1b[2J\rc\u2028d"
            expected = "a\n    2026-11-23 17:00:24\n    [ 张三|UID:10001 ]:b\u241b[2J\u240dc\n    d"
            writer.send(f"msg {uid} {forged}")
            self.assertTrue(reader.read().endswith(f" ]:{expected}"))
            self.assertTrue(writer.read().endswith(f" ]:{expected}"))

        def test_longest_text(self) -> None:
            """A text of 8,192 bytes would not arrive, or a longer one would."""
            uid = self.user()
            reader, writer = self.text(uid), self.text(self.user())
            text = "汉" * 2730 + "ab"
            self.assertTrue(writer.ask(f"msg {uid} {text}").endswith(f" ]:{text}"))
            self.assertTrue(reader.read().endswith(f" ]:{text}"))
            refusal = writer.ask(f"msg {uid} {text}c")
            self.assertIn("8192", refusal)
            self.assertNotIn("\n", refusal)
            self.assertTrue(reader.silent(0.1))

        def test_pipelined_text_messages_keep_their_order(self) -> None:
            """Messages or their confirmations would overtake each other."""
            uid = self.user()
            reader, writer = self.text(uid), self.text(self.user())
            writer.send_many(f"msg {uid} 第{i}条" for i in range(200))
            confirmed = [writer.read().rpartition("]:")[2] for _ in range(200)]
            received = [reader.read().rpartition("]:")[2] for _ in range(200)]
            self.assertEqual(confirmed, [f"第{i}条" for i in range(200)])
            self.assertEqual(received, confirmed)
            self.nothing_left(uid)

        def test_answers_keep_the_order_of_commands(self) -> None:
            """Answers of the text dialect would come in another order than the commands."""
            uid, unknown = self.user(), 99_999_999
            writer = self.text(self.user())
            lines, expected = [], []
            for i in range(20):
                lines += [f"msg {uid} {i}", f"msg {unknown} x", "find nobody-at-all", "nonsense"]
                expected += [str(i), "系统不存在该userid!"]
                expected += ["没有找到用户 nobody-at-all!"]
                expected += ["输入的命令不支持,请使用 help 或 ? 查看帮助!"]
            writer.send_many(lines)
            answers = [writer.read() for _ in lines]
            self.assertEqual([answer.rpartition("]:")[2] for answer in answers], expected)

        def test_offline_messages_come_in_order(self) -> None:
            """Messages that waited over many pages would be lost, doubled or out of order."""
            uid = self.user()
            writer = self.text(self.user())
            writer.send_many(f"msg {uid} {i}" for i in range(200))
            for _ in range(200):
                self.assertTrue(writer.read().startswith("[离线消息]\n"))
            reader = self.text(uid)
            received = [reader.read().rpartition("]:")[2] for _ in range(200)]
            self.assertEqual(received, [str(i) for i in range(200)])
            self.assertTrue(reader.silent(0.1))

        def test_text_reader_is_not_shown_messages_again(self) -> None:
            """Messages that a text reader was shown would come again after the next log-in."""
            uid = self.user()
            writer = self.text(self.user())
            for ending in ("takeover", "close", "logout"):
                reader = self.text(uid)
                for i in range(3):
                    writer.ask(f"msg {uid} {i}")
                    self.assertTrue(reader.read().endswith(f" ]:{i}"))
                time.sleep(0.1)
                if ending == "close":
                    reader.close()
                if ending == "logout":
                    reader.ask("logout")
                again = self.text(uid)
                self.assertTrue(again.silent(0.15), ending)
                again.close()

        def test_text_reader_that_vanished_gets_its_messages(self) -> None:
            """A message that never reached a reader who was thought to be online would be lost."""
            uid = self.user()
            reader, writer = self.text(uid), self.text(self.user())
            reader.close()
            for i in range(3):
                writer.ask(f"msg {uid} {i}")
            again = self.text(uid)
            received = [again.read().rpartition("]:")[2] for _ in range(3)]
            self.assertEqual(received, ["0", "1", "2"])

        # The structured dialect

        def test_welcome(self) -> None:
            """A program would not learn what it talks to."""
            client = self.structured()
            self.assertEqual(client.welcome["version"], 1)
            self.assertEqual(client.welcome["max_text"], 8192)
            self.assertEqual(client.welcome["registration"], "open")
            self.assertRegex(client.welcome["server"], r"^chatsvc/[0-9]")

        def test_login_by_password_and_token(self) -> None:
            """A program could not log in, or its token would not spare it the password."""
            uid = self.user(name := f"程序{next(_NUMBERS)}")
            client = self.structured()
            answer = client.ask(type="auth", n=5, uid=uid, password=PASSWORD)
            self.assertEqual(
                {field: answer[field] for field in ("type", "re", "uid", "name", "waiting")},
                {"type": "ok", "re": 5, "uid": uid, "name": name, "waiting": 0},
            )
            self.assertTrue(answer["epoch"])
            again = self.structured()
            taken = again.ask(type="auth", n=1, uid=uid, token=answer["token"])
            self.assertEqual((taken["type"], taken["uid"]), ("ok", uid))
            self.assertEqual(taken["epoch"], answer["epoch"])
            self.assertEqual(client.await_type("kicked"), {"type": "kicked"})
            changed = again.ask(type="passwd", n=2, old=PASSWORD, new="another")
            self.assertEqual(changed, {"type": "ok", "re": 2})
            renewed = again.ask(type="passwd", n=3, old="another", new="third", token=True)
            self.assertEqual(set(renewed), {"type", "re", "token"})
            third = self.structured()
            answer_again = third.ask(type="auth", n=1, uid=uid, token=renewed["token"])
            self.assertEqual((answer_again["type"], answer_again["uid"]), ("ok", uid))
            for token, bearer in [
                (answer["token"], uid),
                (taken["token"], uid),
                (taken["token"], self.user()),
                ("x", uid),
                ("", uid),
            ]:
                refused = self.structured().ask(type="auth", n=1, uid=bearer, token=token)
                self.assertEqual((refused["code"], refused["re"]), ("bad-credentials", 1))

        def test_token_outlives_a_restart(self) -> None:
            """Every program would have to ask for the password after each restart of the server."""
            uid = self.user()
            self.structured(uid)
            token = self.login["token"]
            self.server.crash()
            answer = self.structured().ask(type="auth", n=1, uid=uid, token=token)
            self.assertEqual(answer["type"], "ok")

        def test_sent_online_and_offline(self) -> None:
            """A program would not learn what became of its message."""
            uid, sender = self.user(), self.user(name := f"甲{next(_NUMBERS)}")
            writer = self.structured(sender, self.device())
            before = int(time.time() * 1000) - 1
            for i in (1, 2):
                sent = writer.ask(type="msg", n=i, to=uid, text=f"t{i}")
                at = sent.pop("at")
                self.assertGreater(at, before)
                self.assertEqual(
                    sent,
                    {
                        "type": "sent",
                        "re": i,
                        "to": uid,
                        "id": i,
                        "state": "offline",
                        "waiting": i,
                    },
                )
            reader = self.structured(uid)
            self.assertEqual(self.login["waiting"], 2)
            for i in (1, 2):
                message = reader.next()
                message.pop("at")
                self.assertEqual(
                    message,
                    {"type": "msg", "id": i, "from": sender, "name": name, "text": f"t{i}"},
                )
            sent = writer.ask(type="msg", n=3, to=uid, text="t3")
            self.assertEqual((sent["state"], sent["id"]), ("online", 3))
            self.assertNotIn("waiting", sent)
            self.assertEqual(reader.next()["at"], sent["at"])

        def test_acknowledged_and_unacknowledged(self) -> None:
            """Messages not yet acknowledged would be lost or get other ids; acknowledged ones would come again."""
            uid = self.user()
            writer = self.structured(self.user(), self.device())
            for i in range(1, 6):
                writer.ask(type="msg", n=i, to=uid, text=str(i))
            reader = self.structured(uid)
            self.assertEqual([reader.next()["id"] for _ in range(5)], [1, 2, 3, 4, 5])
            reader.say(type="ack", id=2)
            self.assertEqual(reader.ask(type="ping", n=2)["type"], "pong")
            reader.close()
            again = self.structured(uid)
            self.assertEqual(self.login["waiting"], 3)
            received = [again.next() for _ in range(3)]
            self.assertEqual(
                [(m["id"], m["text"]) for m in received], [(3, "3"), (4, "4"), (5, "5")]
            )
            again.say(type="ack", id=99)
            self.assertEqual(again.ask(type="ping", n=2)["type"], "pong")
            self.nothing_left(uid)
            sent = writer.ask(type="msg", n=6, to=uid, text="6")
            self.assertEqual(sent["id"], 6)

        def test_unacknowledged_over_a_crash(self) -> None:
            """Messages that a program had not recorded would be lost or renumbered when the server crashes."""
            uid = self.user()
            writer = self.structured(self.user(), self.device())
            reader = self.structured(uid)
            epoch = self.login["epoch"]
            for i in (1, 2):
                writer.ask(type="msg", n=i, to=uid, text=str(i))
                self.assertEqual(reader.next()["id"], i)
            self.server.crash()
            again = self.structured(uid, after=2)
            self.assertEqual(self.login["epoch"], epoch)
            self.assertEqual([again.next()["id"] for _ in range(2)], [1, 2])

        def test_duplicates_and_gaps(self) -> None:
            """A message that is sent again would be stored twice, or a missing one not be noticed."""
            uid, sender, device = self.user(), self.user(), self.device()
            writer = self.structured(sender, device)
            first = writer.ask(type="msg", n=1, to=uid, text="one")
            self.assertNotIn("duplicate", first)
            again = writer.ask(type="msg", n=1, to=uid, text="one")
            self.assertEqual((again["id"], again["duplicate"]), (first["id"], True))
            gap = writer.ask(type="msg", n=3, to=uid, text="three")
            self.assertEqual(
                (gap["type"], gap["code"], gap["expected"], gap["re"], gap["to"]),
                ("error", "gap", 2, 3, uid),
            )
            self.server.crash()
            writer = self.structured(sender, device)
            again = writer.ask(type="msg", n=1, to=uid, text="one")
            self.assertEqual((again["id"], again["duplicate"]), (first["id"], True))
            second = writer.ask(type="msg", n=2, to=uid, text="two")
            self.assertEqual((second["id"], second["waiting"]), (2, 2))
            elsewhere = self.structured(sender, self.device())
            other = elsewhere.ask(type="msg", n=1, to=uid, text="from another device")
            self.assertEqual(other["id"], 3)
            self.assertNotIn("duplicate", other)
            someone = elsewhere.ask(type="msg", n=1, to=self.user(), text="to another reader")
            self.assertEqual(someone["id"], 1)

        def test_message_without_a_number(self) -> None:
            """A simple program that numbers nothing could not send."""
            uid = self.user()
            writer = self.structured(self.user())
            for i in (1, 2):
                writer.say(type="msg", to=uid, text="same")
                sent = writer.next()
                self.assertEqual((sent["type"], sent["id"], sent["to"]), ("sent", i, uid))
                self.assertNotIn("re", sent)

        def test_only_sending(self) -> None:
            """A program that only sends would throw its own user's reader out."""
            uid = self.user()
            reader = self.text(uid)
            sender = self.structured(uid, self.device(), receive=False)
            sent = sender.ask(type="msg", n=1, to=uid, text="from the cron job")
            self.assertEqual(sent["state"], "online")
            self.assertTrue(reader.read().endswith(" ]:from the cron job"))
            self.assertTrue(reader.silent(0.1))
            self.assertTrue(sender.silent(0.1))

        def test_pipelined_structured_messages_keep_their_order(self) -> None:
            """Messages or confirmations of a program would overtake each other."""
            uid = self.user()
            writer, reader = self.structured(self.user(), self.device()), self.structured(uid)
            writer.say_many(
                {"type": "msg", "n": i, "to": uid, "text": str(i)} for i in range(1, 201)
            )
            confirmed = [writer.next() for _ in range(200)]
            received = [reader.next() for _ in range(200)]
            self.assertEqual(
                [(s["re"], s["id"]) for s in confirmed], [(i, i) for i in range(1, 201)]
            )
            self.assertEqual(
                [(m["id"], m["text"]) for m in received], [(i, str(i)) for i in range(1, 201)]
            )

        def test_structured_accounts(self) -> None:
            """A program could not register, change a password, find people, or log out."""
            client, name = self.structured(), f"机器{next(_NUMBERS)}"
            made = client.ask(type="register", n=1, name=name, password=PASSWORD)
            self.assertEqual((made["type"], made["re"]), ("ok", 1))
            uid = made["uid"]
            self.assertEqual(
                client.ask(type="register", n=2, name=name, password=PASSWORD)["type"], "error"
            )
            client.log_in(uid, PASSWORD)
            found = client.ask(type="find", n=3, name=name)
            self.assertEqual(
                found, {"type": "ok", "re": 3, "users": [{"uid": uid, "online": True}]}
            )
            wrong = client.ask(type="passwd", n=4, old="wrong", new="x")
            self.assertEqual((wrong["code"], wrong["re"]), ("bad-credentials", 4))
            self.assertEqual(
                client.ask(type="passwd", n=5, old=PASSWORD, new="x"), {"type": "ok", "re": 5}
            )
            self.assertEqual(client.ask(type="logout", n=6), {"type": "ok", "re": 6})
            refused = client.ask(type="find", n=7, name=name)
            self.assertEqual((refused["code"], refused["re"]), ("not-logged-in", 7))
            self.assertEqual(client.ask(type="ping", n=8), {"type": "pong", "re": 8})
            client.log_in(uid, "x")

        def test_structured_errors(self) -> None:
            """A program could not tell which request failed, or why."""
            uid = self.user()
            client = self.structured()
            refused = client.ask(type="msg", n=1, to=uid, text="x")
            self.assertEqual((refused["code"], refused["to"]), ("not-logged-in", uid))
            refused = client.ask(type="auth", n=2, uid=uid, password="wrong")
            self.assertEqual(refused["code"], "bad-credentials")
            self.assertTrue(refused["text"])
            client.log_in(uid, PASSWORD)
            requests: list[tuple[dict[str, Any], str]] = [
                ({"type": "msg", "to": 99_999_999, "text": "x"}, "unknown-user"),
                ({"type": "msg", "to": uid, "text": "x" * 8193}, "too-long"),
                ({"type": "msg", "to": uid, "text": ""}, "bad-request"),
                ({"type": "msg", "to": uid}, "bad-request"),
                ({"type": "auth", "uid": uid, "password": PASSWORD}, "bad-request"),
                ({"type": "nonsense"}, "bad-request"),
                ({}, "bad-request"),
            ]
            for request, code in requests:
                refused = client.ask(n=9, **request)
                self.assertEqual((refused["type"], refused["code"]), ("error", code), request)
                self.assertEqual(refused.get("to"), request.get("to"), request)
            self.assertEqual(
                client.ask(type="msg", n=1, to=uid, text="x" * 8192, unheard="of")["type"], "sent"
            )

        def test_definite_refusals_use_no_number_up(self) -> None:
            """After a refusal a program's next message would be a gap."""
            uid = self.user()
            client = self.structured(self.user(), self.device())
            refused = client.ask(type="msg", n=1, to=uid, text="x" * 8193)
            self.assertEqual(refused["code"], "too-long")
            self.assertEqual(client.ask(type="msg", n=1, to=uid, text="x")["type"], "sent")

        # Both dialects together

        def test_dialects_talk_to_each_other(self) -> None:
            """A person and a program could not talk, or each would see the other's form."""
            person = self.user(alice := f"爱丽丝{next(_NUMBERS)}")
            program = self.user(bot := f"机器人{next(_NUMBERS)}")
            text, structured = self.text(person), self.structured(program, self.device())
            text.send(f"msg {program} 你好\t机器人")
            self.says(text, f"TIME\n[ {alice}|UID:{person} ]:你好\u2409机器人")
            message = structured.next()
            self.assertEqual(
                (message["from"], message["name"], message["text"]),
                (person, alice, "你好\t机器人"),
            )
            structured.say(type="msg", n=1, to=person, text="你好,\n人类")
            self.says(text, f"TIME\n[ {bot}|UID:{program} ]:你好,\n    人类")
            self.assertEqual(structured.next()["state"], "online")

        def test_takeover_between_dialects(self) -> None:
            """A second log-in in the other dialect would leave two readers, or lose messages."""
            uid = self.user()
            writer = self.structured(self.user(), self.device())
            program = self.structured(uid)
            writer.ask(type="msg", n=1, to=uid, text="one")
            self.assertEqual(program.next()["text"], "one")
            person = self.text(uid)
            self.assertEqual(program.next(), {"type": "kicked"})
            self.assertTrue(person.read().endswith(" ]:one"))  # it was not acknowledged
            refused = program.ask(type="msg", n=2, to=uid, text="x")
            self.assertEqual(refused["code"], "not-logged-in")
            writer.ask(type="msg", n=2, to=uid, text="two")
            self.assertTrue(person.read().endswith(" ]:two"))
            time.sleep(0.1)  # a kernel may take 40 ms to acknowledge
            again = self.structured(uid)
            self.says(person, "有用户登录您的账号,您已被挤下线!")
            person.send("logout")
            self.says(person, "请登陆!")
            writer.ask(type="msg", n=3, to=uid, text="three")
            self.assertEqual(again.next()["text"], "three")
            self.assertTrue(program.silent(0.1))
            self.assertTrue(person.silent(0.05))

        def test_logged_in_text_stays_text(self) -> None:
            """A person who types a brace would find the dialect changed."""
            uid = self.user()
            client = self.text(uid)
            self.assertEqual(client.ask("{"), "输入的命令不支持,请使用 help 或 ? 查看帮助!")

        # What older deployments have

        def test_old_passwords_are_upgraded(self) -> None:
            """Plain passwords of the older server would be refused, or stay plain."""
            for uid, password in [(10001, "123456"), (10002, "654321")]:
                self.text(uid, password)
                ((stored,),) = self.stores.sql("SELECT password FROM user WHERE id = ?", (uid,))
                self.assertRegex(stored, r"^\$argon2id\$v=19\$m=19456,t=2,p=1\$")
                self.text(uid, password)
            uid = self.stores.add_user("老用户", "plain")
            wrong = self.text()
            wrong.send(f"auth {uid} Plain")
            self.says(wrong, "认证失败!", "请登陆!")
            ((stored,),) = self.stores.sql("SELECT password FROM user WHERE id = ?", (uid,))
            self.assertEqual(stored, "plain")

        def test_locked_account(self) -> None:
            """A locked account could be logged in to, by its password or by its hash."""
            locked = "!" + phc(PASSWORD)
            uid = self.stores.add_user("被锁定", locked)
            client = self.text()
            for password in (PASSWORD, locked, phc(PASSWORD)):
                client.send(f"auth {uid} {password}")
                self.says(client, "认证失败!", "请登陆!")
            self.stores.sql("UPDATE user SET password = ? WHERE id = ?", (phc(PASSWORD), uid))
            client.send(f"auth {uid} {PASSWORD}")
            self.says(client, "认证成功!")

        # Limits

        def test_guessing_passwords_is_throttled(self) -> None:
            """Passwords could be guessed without end, or a program not learn when to come back."""
            uid = self.user()
            program = self.structured()
            answers = [
                program.ask(type="auth", n=n, uid=uid, password="guess") for n in range(1, 9)
            ]
            self.assertEqual({a["code"] for a in answers[:6]}, {"bad-credentials"})
            self.assertEqual((answers[-1]["code"], answers[-1]["re"]), ("throttled", 8))
            self.assertGreater(answers[-1]["retry_after"], 0)
            said = self.text().ask(f"auth {uid} {PASSWORD}")
            self.assertRegex(said, "^尝试太频繁, 请在 [0-9]+ 秒后重试!$")
            self.text(self.user())

        def test_inbox_limits_refuse_and_lose_nothing(self) -> None:
            """A full inbox would drop messages, or take more than it may, or say nothing."""
            self.stores, self.server = self.world.other("--inbox-limit", "5", "--inbox-share", "3")
            uid, name = self.user(), f"满{next(_NUMBERS)}"
            first, second = self.text(self.user(name)), self.structured(self.user(), self.device())
            for i in range(3):
                self.assertTrue(first.ask(f"msg {uid} a{i}").endswith(f" ]:a{i}"))
            refused = first.ask(f"msg {uid} a3")
            self.assertRegex(refused, "^消息未发送")
            self.assertNotIn("\n", refused)
            for i in (1, 2):
                self.assertEqual(second.ask(type="msg", n=i, to=uid, text="b")["type"], "sent")
            full = second.ask(type="msg", n=3, to=uid, text="b")
            self.assertEqual(
                (full["code"], full["re"], full["to"], full["waiting"]), ("inbox-full", 3, uid, 5)
            )
            reader = self.text(uid)
            received = [reader.read().rpartition("]:")[2] for _ in range(5)]
            self.assertEqual(received, ["a0", "a1", "a2", "b", "b"])
            self.nothing_left(uid)
            self.assertEqual(second.ask(type="msg", n=3, to=uid, text="c")["state"], "online")
            self.assertTrue(reader.read().endswith(" ]:c"))
            self.assertTrue(first.ask(f"msg {uid} a4").endswith(" ]:a4"))
            self.assertTrue(reader.read().endswith(" ]:a4"))

        def test_registration_closed(self) -> None:
            """Strangers could make accounts though the admin closed registration."""
            self.stores, self.server = self.world.other("--registration", "closed")
            client = self.text()
            self.assertEqual(client.ask("register x y"), "本服务器不开放注册, 请联系管理员!")
            program = self.structured()
            self.assertEqual(program.welcome["registration"], "closed")
            refused = program.ask(type="register", n=1, name="x", password="y")
            self.assertEqual(refused["code"], "registration-closed")
            self.assertEqual(self.stores.sql("SELECT COUNT(*) FROM user"), [(0,)])

        def test_zz_log_is_clean(self) -> None:
            """Something that users did all along would be an error inside, or a secret be logged."""
            self.no_traceback()
            log = self.server.log()
            for secret in (PASSWORD, "123456", "你好", "from the cron job"):
                self.assertNotIn(secret, log)


class SQLite(Both.Tests):
    make_stores = SQLiteStores


class MySQLAndRedis(Both.Tests):
    make_stores = ServerStores

    OLD = "2026-11-23 17:00:24\n[ 张三|UID:10001 ]:你好"

    def leave(self, uid: int, *entries: str) -> None:
        """Leave messages as the older server did."""
        assert isinstance(self.stores, ServerStores)
        self.stores.redis("RPUSH", f"list_usermessages_of_userid:userid:{uid}", *entries)

    def test_old_messages_to_a_person(self) -> None:
        """Messages that the older server left would be lost, changed, doubled, or come last."""
        uid = self.user()
        self.leave(uid, self.OLD, "无头的消息")
        writer = self.text(self.user())
        writer.ask(f"msg {uid} new")
        reader = self.text(uid)
        self.assertEqual([reader.read(), reader.read()], [self.OLD, "无头的消息"])
        self.assertTrue(reader.read().endswith(" ]:new"))
        time.sleep(0.1)
        reader.close()
        self.assertTrue(self.text(uid).silent())

    def test_old_messages_to_a_program(self) -> None:
        """A program could not tell who wrote a message that the older server left."""
        uid = self.user()
        self.leave(uid, self.OLD, "无头的消息")
        reader = self.structured(uid)
        self.assertEqual(self.login["waiting"], 2)
        at = int(time.mktime((2026, 11, 23, 17, 0, 24, 0, 0, -1))) * 1000
        self.assertEqual(
            reader.next(),
            {"type": "msg", "id": 1, "from": 10001, "name": "张三", "at": at, "text": "你好"},
        )
        other = reader.next()
        self.assertEqual((other["id"], other["from"], other["text"]), (2, 0, "无头的消息"))
        reader.say(type="ack", id=2)
        self.nothing_left(uid)

    def test_old_messages_are_not_lost_to_a_crash(self) -> None:
        """Messages that the older server left would be lost when the server crashes in the middle."""
        uid = self.user()
        self.leave(uid, self.OLD)
        reader = self.structured(uid)
        reader.next()
        self.server.crash()
        self.assertEqual(self.structured(uid).next()["text"], "你好")
