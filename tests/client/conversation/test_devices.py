"""A terminal as a registered device, against a server in memory that knows such devices."""

from __future__ import annotations

import shutil

from twisted.internet.defer import Deferred

from chatsvc.client.state.outbox import Outbox
from chatsvc.client.state.shown import Position
from tests.client.devices import DevicesCase, Terminal
from tests.client.peer import ME, SERVER, YOU


class LoggingIn(DevicesCase):
    """What a terminal says of itself, and of what it has shown."""

    def test_registered(self) -> None:
        """A terminal would go on throwing out the user's other programs."""
        listener = self.logged_in(devices=False)
        terminal = self.logged_in()
        self.server.store("a")
        self.settle()
        self.assertEqual((listener.texts, terminal.texts), (["a"], ["a"]))
        self.assertEqual(self.server.registered, [terminal.outbox.device])

    def test_where_it_goes_on(self) -> None:
        """What came while the terminal was away would be missing or come twice."""
        terminal = self.logged_in()
        self.server.store("a")
        self.settle()
        self.kill(terminal)
        self.server.store("b")
        again = self.logged_in()
        self.assertEqual(again.texts, ["b"])
        auth = self.server.auths[-1]
        self.assertEqual((auth["after"], auth["serial"]), (1, 10_010))

    def test_older_server(self) -> None:
        """A server that knows no devices would be asked for what it refuses, or be shown another client than before."""
        for features in (None, ()):
            self.server.features = features
            terminal = self.logged_in(f"state {features}")
            self.server.store("a")
            self.settle()
            self.assertEqual(terminal.texts[-1], "a")
            auth = self.server.auths[-1]
            self.assertEqual((auth["after"], auth.get("serial")), (0, None))
            self.assertEqual(self.server.hellos[-1]["device"], terminal.outbox.device)
            self.assertEqual(self.server.registered, [])
            self.kill(terminal)

    def test_programs_for_scripts(self) -> None:
        """``chatsvc send`` and ``listen`` would be other programs to the server than before."""
        self.logged_in(devices=False)
        self.assertNotIn("features", self.server.hellos[-1])
        self.logged_in(devices=False, receive=False)
        self.assertNotIn("features", self.server.hellos[-1])
        self.assertEqual(self.server.registered, [])

    def test_connection_lost(self) -> None:
        """A terminal would come back as another device, or as none."""
        terminal = self.logged_in()
        self.server.store("a")
        terminal.cut()
        self.server.store("b")
        self.settle()
        self.assertEqual(terminal.texts, ["a", "b"])
        self.assertEqual(self.server.registered, [terminal.outbox.device])
        self.assertEqual(terminal.view.said[-3], "已重新连接!")

    def test_lost_while_logging_in(self) -> None:
        """A log-in whose answer was lost would never be answered, or be no device's."""
        for lost_at in range(1, 5):
            terminal = self.terminal(f"state {lost_at}")
            typed = terminal.type(f"login {ME} pw")
            for _ in range(2 + 2 * lost_at):
                terminal.step()
            terminal.cut()
            self.settle()
            self.assertTrue(self.successResultOf(typed), lost_at)
            self.assertIn(terminal.outbox.device, self.server.registered)

    def test_another_account_on_the_same_connection(self) -> None:
        """After a log-out a log-in as somebody else would speak as the first one's device, or get no answer."""
        terminal = self.logged_in()
        typed = terminal.type("logout")
        self.settle()
        self.successResultOf(typed)
        typed = terminal.type("login 7 pw")
        self.settle()
        self.assertFalse(self.successResultOf(typed))
        self.assertEqual(self.server.hellos[-1]["device"], terminal.outboxes[1].device)
        self.log_in(terminal)
        self.assertEqual(self.server.hellos[-1]["device"], terminal.outbox.device)

    def test_language(self) -> None:
        """The server's own texts would stay in the language before, or the change be refused."""
        terminal = self.logged_in()
        said = len(terminal.view.said)
        typed = terminal.type("lang en")
        self.settle()
        self.successResultOf(typed)
        self.assertEqual(self.server.hellos[-1]["lang"], "en")
        self.assertTrue(terminal.conversation.connected and terminal.conversation.logged_in)
        self.assertEqual(terminal.view.said[said:], ["English it is!"])

    def test_by_name(self) -> None:
        """Who knows only the own name could not log in."""
        terminal = self.logged_in(line="login 张三 pw")
        self.assertEqual((terminal.conversation.uid, len(self.server.registered)), (ME, 1))
        first = self.server.auths[0]
        self.assertEqual((first["name"], first["receive"], "uid" in first), ("张三", False, False))
        self.assertEqual(terminal.view.said, ["请登陆!", "认证成功!"])

    def test_by_a_name_that_is_wrong(self) -> None:
        """A wrong name or password would look like success, or like the end."""
        terminal = self.terminal()
        for line in ("login 李四 pw", "login 张三 no"):
            typed = terminal.type(line)
            self.settle()
            self.assertFalse(self.successResultOf(typed))
            self.assertEqual(terminal.view.said[-2:], ["认证失败!", "请登陆!"])

    def test_by_name_at_an_older_server(self) -> None:
        """A server that takes no names would be sent one as a uid."""
        self.server.features = None
        terminal = self.terminal()
        typed = terminal.type("login 张三 pw")
        self.settle()
        self.assertFalse(self.successResultOf(typed))
        self.assertEqual(terminal.view.said[-1], "userid为整数!")
        self.assertEqual(self.server.auths, [])


class Refused(DevicesCase):
    """What a terminal is told that it cannot have, or no longer."""

    def test_too_many(self) -> None:
        """Who has too many devices would not learn what to do about it, or lose the remembered log-in."""
        self.server.full = True
        terminal = self.terminal()
        typed = terminal.type(f"login {ME} pw")
        self.settle()
        self.assertFalse(self.successResultOf(typed))
        self.assertIn("forget", terminal.view.said[-1])

    def test_missed(self) -> None:
        """Who was away for too long would not learn that something is missing."""
        terminal = self.logged_in()
        assert terminal.link is not None
        terminal.link.say(type="missed", after=12, until=40, serial=5)
        self.settle()
        self.assertIn("28", terminal.view.said[-1])

    def test_forgotten_by_the_server(self) -> None:
        """A terminal whose device the server forgot by itself would stay away, or show again what it has shown."""
        one, other = self.logged_in("one"), self.logged_in("two")
        self.server.store("a")
        self.settle()
        self.server.forget(other.outbox.device)
        self.server.store("b")
        self.settle()
        self.assertEqual((one.texts, other.texts), (["a", "b"], ["a", "b"]))
        self.assertEqual(len(self.server.registered), 2)

    def answer(self, terminal: Terminal, line: str) -> bool:
        typed: Deferred[bool] = terminal.type(line)
        self.settle()
        return self.successResultOf(typed)

    def test_what_to_forget(self) -> None:
        """A number that no list showed would forget some device or other."""
        terminal = self.logged_in()
        device = terminal.outbox.device
        for line in ("forget 1", "forget 0", f"forget {device[:9]}"):
            self.assertFalse(self.answer(terminal, line))
        self.assertTrue(self.answer(terminal, "devices"))
        self.assertIn("本设备", terminal.view.said[-1])
        for line in ("forget 2", "forget 0", "forget 00000000"):
            self.assertFalse(self.answer(terminal, line))
        self.assertEqual(self.server.registered, [device])
        self.assertTrue(self.answer(terminal, f"forget {device[:9]}"))

    def test_copied_state(self) -> None:
        """Two that use one state would throw each other out again and again, and not know why."""
        one = self.logged_in()
        self.server.store("a")
        self.settle()
        shutil.copytree(self.folder / "state", self.folder / "copy")
        other = self.logged_in("copy")
        self.assertIn("副本", one.view.said[-1])
        self.assertFalse(one.conversation.logged_in)
        self.log_in(one)
        self.server.store("b")
        self.settle()
        self.assertTrue(other.conversation.logged_in)
        self.assertEqual((one.texts, other.texts), (["a", "b"], ["b"]))
        self.assertNotEqual(one.outbox.device, other.outbox.device)


class SeveralTerminals(DevicesCase):
    """Terminals that share a state folder, or not."""

    def test_two(self) -> None:
        """The second terminal would end the first, or show other things."""
        one, two, far = self.logged_in(), self.logged_in(), self.logged_in("elsewhere")
        for text in ("a", "b"):
            self.server.store(text)
        self.settle()
        self.assertEqual([one.texts, two.texts, far.texts], [["a", "b"]] * 3)
        self.assertEqual(len({*self.server.registered}), 3)

    def test_copies(self) -> None:
        """What one has said at one terminal would be missing at the other, or stand there twice."""
        one, two = self.logged_in(), self.logged_in()
        result = one.conversation.send(YOU, "hi")
        self.settle()
        self.successResultOf(result)
        self.assertEqual((one.texts, two.texts), ([], ["hi"]))

    def test_devices_do_not_pile_up(self) -> None:
        """Each new second terminal would be one more device, and the oldest be forgotten for it."""
        one = self.logged_in()
        for _ in range(3):
            two = self.logged_in()
            self.kill(two)
        self.kill(one)
        self.logged_in()
        self.assertEqual(len(self.server.registered), 2)

    def test_a_terminal_comes_back_to_a_terminals_device(self) -> None:
        """A terminal would begin as a new device while a script sends, and miss what came meanwhile."""
        first = self.logged_in()
        device = first.outbox.device
        self.kill(first)
        self.logged_in(devices=False, receive=False)
        self.assertEqual(self.logged_in().outbox.device, device)

    def test_what_others_left(self) -> None:
        """Unsent messages of a terminal that is gone would wait until as many are open again."""
        one, two = self.logged_in(), self.logged_in()
        self.server.features = ("devices",)
        for terminal, text in ((one, "x"), (two, "y")):
            assert terminal.link is not None
            terminal.link.cut = True
            terminal.conversation.send(YOU, text)
        self.settle_asked()
        self.kill(two)
        self.kill(one)
        only = self.logged_in()
        self.settle()
        self.assertEqual(sorted(self.server.ledger.stored), ["x", "y"])
        self.assertEqual(len(self.server.registered), 2)
        self.assertEqual(only.conversation.unconfirmed, 0)
        self.assertEqual(self.logged_in().conversation.unconfirmed, 0)

    def settle_asked(self) -> None:
        for terminal in self.terminals:
            while terminal.asked:
                terminal.step()

    def test_left_and_stored(self) -> None:
        """What a terminal left, and the server has, would be stored once more."""
        two = self.logged_in("state"), self.logged_in("state")
        result = two[1].conversation.send(YOU, "y")
        two[1].step()
        assert two[1].link is not None
        self.assertEqual(self.server.ledger.stored, ["y"])
        self.assertNoResult(result)
        for terminal in two:
            self.kill(terminal)
        self.logged_in()
        self.assertEqual(self.server.ledger.stored, ["y"])
        self.assertEqual(self.left_in("state"), 0)

    def left_in(self, state: str) -> int:
        outbox = Outbox(self.folder / state, SERVER, ME)
        self.addCleanup(outbox.close)
        return sum(other.count() for other in outbox.left()) + outbox.count()


class GivenUp(DevicesCase):
    """A device whose numbers somebody else uses."""

    def older_state(self) -> Terminal:
        terminal = self.logged_in()
        self.send(terminal, "a")
        self.kill(terminal)
        shutil.copytree(self.folder / "state", self.folder / "copy")
        terminal = self.logged_in()
        self.send(terminal, "b", "c")
        self.kill(terminal)
        shutil.rmtree(self.folder / "state")
        shutil.copytree(self.folder / "copy", self.folder / "state")
        return self.logged_in()

    def send(self, terminal: Terminal, *texts: str) -> None:
        results = [terminal.conversation.send(YOU, text) for text in texts]
        self.settle()
        for result in results:
            self.successResultOf(result)

    def test_goes_on_as_another(self) -> None:
        """Who chats with a state that was put back would see messages sent that nobody gets, or be stuck for ever."""
        terminal = self.older_state()
        before = terminal.outbox.device
        said = len(terminal.view.said)
        self.send(terminal, "d", "e", "f")
        self.assertEqual(self.server.ledger.stored, list("abcdef"))
        self.assertNotEqual(terminal.outbox.device, before)
        self.assertEqual(self.server.registered, [before, terminal.outbox.device])
        self.assertNotIn("已重新连接!", terminal.view.said[said:])
        self.server.store("z")
        self.settle()
        self.assertEqual(terminal.texts[-1], "z")

    def test_undecided_over_a_crash(self) -> None:
        """What may have been stored under the old device would be stored again under the new one, or be lost."""
        terminal = self.older_state()
        for text in ("d", "e"):
            terminal.conversation.send(YOU, text)
        terminal.conversation.send(77, "x")
        for _ in range(3):  # the first to each is answered; the answers are lost
            terminal.step()
        terminal.cut()
        self.kill(terminal)
        again = self.logged_in()
        self.settle()
        self.assertEqual(sorted(self.server.ledger.stored), sorted("abcdex"))
        self.assertEqual(again.conversation.unconfirmed, 0)

    def test_two_ask_about_the_same(self) -> None:
        """Of two machines with one state, one would be thrown out while it finds out what was stored."""
        for steps in range(1, 20):
            self.setUp()
            terminal = self.older_state()
            for text in ("d", "e"):
                terminal.conversation.send(YOU, text)
            terminal.conversation.send(77, "x")
            for _ in range(3):
                terminal.step()
            terminal.cut()
            self.kill(terminal)
            shutil.copytree(self.folder / "state", self.folder / "clone")
            one, two = self.terminal(), self.terminal("clone")
            typed = [each.type(f"login {ME} pw") for each in (one, two)]
            for _ in range(steps):
                one.step()
            while two.step():
                pass
            self.settle()
            for each, entered in zip((one, two), typed, strict=True):
                self.assertTrue(self.successResultOf(entered), each.view.said)
                self.assertNotIn("有用户登录您的账号,您已被挤下线!", each.view.said)


class FirstTime(DevicesCase):
    """The first log-in as a registered device, of a terminal that has shown messages without."""

    def old_terminal(self, *, acknowledges: bool, upgrade: bool = True) -> None:
        """A terminal, at a server without devices, has shown a, b and c; perhaps its acknowledgements were lost."""
        self.server.features = None
        terminal = self.logged_in()
        for number, text in enumerate("abc"):
            self.server.store(text, serial=0)
            if number and not acknowledges:
                self.hand_over(terminal)
        self.settle() if acknowledges else None
        self.assertEqual(terminal.texts, list("abc"))
        self.kill(terminal)
        if upgrade:
            self.server.features = ("devices",)

    def hand_over(self, terminal: Terminal) -> None:
        """All messages arrive, and nothing that the client says."""
        while terminal.arriving:
            asked, terminal.asked = terminal.asked, type(terminal.asked)()
            terminal.step()
            terminal.asked = asked
        terminal.asked.clear()

    def test_all_acknowledged(self) -> None:
        """Each change to the new version would show old messages again, or lose new ones."""
        self.old_terminal(acknowledges=True)
        self.server.store("d")
        self.assertEqual(self.logged_in().texts, ["d"])
        self.assertNotIn("after", self.server.auths[-1])
        self.assertEqual(len(self.server.registered), 1)

    def test_not_acknowledged(self) -> None:
        """What was shown and not acknowledged would be shown again."""
        self.old_terminal(acknowledges=False)
        self.server.store("d")
        terminal = self.logged_in()
        self.assertEqual(terminal.texts, ["d"])
        self.assertEqual(self.server.acknowledged, 4)
        self.assertNotIn("已重新连接!", terminal.view.said)
        self.kill(terminal)
        self.server.store("e")
        self.assertEqual(self.logged_in().texts, ["e"])

    def test_store_lost_some(self) -> None:
        """New messages under ids that were shown would be dropped."""
        self.old_terminal(acknowledges=False)
        self.server.lose(2)
        for text in "BCD":
            self.server.store(text)
        self.assertEqual(self.logged_in().texts, [*"aBCD"])

    def test_store_lost_the_last(self) -> None:
        """New messages under ids that were shown would wait for one that never comes."""
        self.old_terminal(acknowledges=False)
        self.server.lose(3)
        self.server.store("A")
        self.assertEqual(self.logged_in().texts, ["A"])

    def test_nobody_else_is_disturbed(self) -> None:
        """The change would end a program that listens, although nothing is in doubt."""
        self.old_terminal(acknowledges=True)
        listener = self.logged_in("other state", devices=False)
        self.server.store("d")
        self.settle()
        self.assertEqual(self.logged_in().texts, [])
        self.assertTrue(listener.conversation.logged_in)

    def test_crash_in_between(self) -> None:
        """A client that is killed while it finds out would show what was shown, or nothing any more."""
        for steps in range(1, 40):
            self.setUp()
            self.old_terminal(acknowledges=False)
            self.server.store("d")
            terminal = self.terminal()
            terminal.type(f"login {ME} pw")
            for _ in range(steps):
                terminal.step()
            self.kill(terminal)
            again = self.logged_in()
            self.assertEqual(terminal.texts + again.texts, ["d"], steps)
            self.kill(again)

    def test_first_message_without_a_serial(self) -> None:
        """Messages from before there were serials would be passed over with the first of them."""
        self.server.features = None
        for text in "abcd":
            self.server.store(text, serial=0)
        self.server.features = ("devices",)
        terminal = self.terminal()
        terminal.type(f"login {ME} pw")
        while not terminal.texts:
            terminal.step()
        self.kill(terminal)
        self.server.log = self.server.log[1:]
        again = self.logged_in()
        self.assertEqual(terminal.texts + again.texts, list("abcd"))

    def test_position(self) -> None:
        """After the change the terminal would not know what it has shown by now."""
        self.old_terminal(acknowledges=True)
        self.server.store("d")
        terminal = self.logged_in()
        self.assertEqual(terminal.outbox.shown.position, Position(4, self.server.log[-1].serial))
