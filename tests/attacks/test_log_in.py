"""Guessing: passwords, from one address and from many, one after another and at once; and who has an account."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event, Thread
from typing import Any

from chatsvc.accounts.tokens import Tokens
from tests.attacks.bystanders import AttackCase
from tests.attacks.floods import flood
from tests.support.clients import StructuredClient
from tests.support.processes import PASSWORD, new_address

ACCOUNT_TRIES, ADDRESS_TRIES = 5, 20
"""Failures that cost nothing (design section 6), of an account and from an address."""

LONGEST_WAIT = 60
"""Seconds that a throttled try is told to wait, at most."""

WRONG = "bad-credentials"


class Stopwatch:
    """The time since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def most_judged(self, free: int) -> int:
        """How many tries may have been judged by now: the free ones, one, and one after 1, 2, 4, … seconds."""
        seconds, judged, wait = time.monotonic() - self._began, free + 1, 1
        while seconds >= wait:
            seconds, judged, wait = seconds - wait, judged + 1, min(2 * wait, LONGEST_WAIT)
        return judged


def try_to_enter(client: StructuredClient, uid: int, password: str = "guess") -> str:
    """What becomes of a log-in: ``ok``, or the code of its refusal."""
    answer = client.ask(type="auth", n=1, uid=uid, password=password)
    return str(answer.get("code", answer["type"]))


class Guessing(AttackCase):
    options = ("--rate", "0")

    def held(self, outcomes: Sequence[str], stopwatch: Stopwatch, free: int) -> None:
        """Fail unless the budget was there, all past it was throttled, and nobody came in."""
        judged = outcomes.count(WRONG)
        self.assertGreaterEqual(judged, min(free + 1, len(outcomes)))
        self.assertLessEqual(judged, stopwatch.most_judged(free))
        self.assertEqual(set(outcomes), {WRONG, "throttled"})

    def enters(self, uid: int, source: str = "") -> None:
        """Fail unless the owner comes in with the right password, from there or from a new address."""
        client = self.structured(source=source or new_address())
        self.assertEqual(try_to_enter(client, uid, PASSWORD), "ok")

    def test_one_account_from_one_address(self) -> None:
        """A password could be guessed as fast as the server hashes, or its owner be kept out at home."""
        uid, home = self.user(), new_address()
        self.enters(uid, source=home)
        with self.talk():
            guesser, stopwatch = self.structured(), Stopwatch()
            outcomes = [try_to_enter(guesser, uid) for _ in range(30)]
            self.held(outcomes, stopwatch, ACCOUNT_TRIES)
            self.assertEqual(try_to_enter(guesser, uid, PASSWORD), "throttled")
            self.enters(uid, source=home)

    def test_many_accounts_from_one_address(self) -> None:
        """One address could try a common password on every account, or keep others from logging in."""
        uids = [self.user() for _ in range(ADDRESS_TRIES + 10)]
        with self.talk():
            guesser, stopwatch = self.structured(), Stopwatch()
            outcomes = [try_to_enter(guesser, uid) for uid in uids]
            self.held(outcomes, stopwatch, ADDRESS_TRIES)
            for uid in uids[::10]:
                self.enters(uid)

    def test_many_addresses(self) -> None:
        """A net of hijacked machines could guess at one account, or keep its owner out."""
        uid, home = self.user(), new_address()
        token = self.structured(source=home).log_in(uid, PASSWORD)["token"]
        with self.talk():
            stopwatch = Stopwatch()
            outcomes = [try_to_enter(self.structured(), uid) for _ in range(30)]
            self.held(outcomes, stopwatch, ACCOUNT_TRIES)
            self.enters(uid, source=home)
            elsewhere = self.structured().ask(type="auth", n=1, uid=uid, token=token)
            self.assertEqual(elsewhere["type"], "ok")
            # From where nobody has seen the owner, the right password looks like one more guess.
            refusal = self.structured().ask(type="auth", n=1, uid=uid, password=PASSWORD)
            self.assertEqual(refusal["code"], "throttled")
            self.assertTrue(0 < refusal["retry_after"] <= LONGEST_WAIT, refusal)

    def test_many_addresses_at_once(self) -> None:
        """Guesses side by side would all be judged before the first one counts as failed."""
        uid, home = self.user(), new_address()
        self.enters(uid, source=home)
        with self.talk():
            guessers = [self.structured() for _ in range(120)]
            owner, stopwatch = self.structured(source=home), Stopwatch()
            for guesser in guessers:
                guesser.say(type="auth", n=1, uid=uid, password="guess")
            self.assertEqual(try_to_enter(owner, uid, PASSWORD), "ok")
            outcomes = [guesser.next()["code"] for guesser in guessers]
            self.held(outcomes, stopwatch, ACCOUNT_TRIES)

    def test_one_address_at_once(self) -> None:
        """An address that guesses at many accounts side by side would be faster than one that does not."""
        uids, source = [self.user() for _ in range(60)], new_address()
        with self.talk():
            guessers = [self.structured(source=source) for _ in uids]
            stopwatch = Stopwatch()
            for guesser, uid in zip(guessers, uids, strict=True):
                guesser.say(type="auth", n=1, uid=uid, password="guess")
            outcomes = [guesser.next()["code"] for guesser in guessers]
            self.held(outcomes, stopwatch, ADDRESS_TRIES)
            self.enters(uids[0])

    def test_an_office_at_once(self) -> None:
        """Everybody behind one address, coming back at once after a power cut, would be taken for an attack."""
        uids, source = [self.user() for _ in range(60)], new_address()
        with self.talk():
            clients = [self.structured(source=source) for _ in uids]
            for client, uid in zip(clients, uids, strict=True):
                client.say(type="auth", n=1, uid=uid, password=PASSWORD)
            self.assertEqual([client.next()["type"] for client in clients], ["ok"] * len(uids))

    def test_afterwards(self) -> None:
        """An owner without a token, at a new address, would be kept out when the attack is long over."""
        uid = self.user()
        with self.talk():
            guesser = self.structured()
            while try_to_enter(guesser, uid) != "throttled":
                pass
            owner = self.structured()
            refusal = owner.ask(type="auth", n=1, uid=uid, password=PASSWORD)
            self.assertTrue(0 < refusal["retry_after"] <= 2, refusal)
            time.sleep(refusal["retry_after"])
            self.assertEqual(try_to_enter(owner, uid, PASSWORD), "ok")
            on_the_way = self.structured()
            mistyped = [try_to_enter(on_the_way, uid) for _ in range(ACCOUNT_TRIES)]
            self.assertEqual(mistyped, [WRONG] * ACCOUNT_TRIES)
            self.assertEqual(try_to_enter(on_the_way, uid, PASSWORD), "ok")

    def test_made_up_tokens(self) -> None:
        """Tokens could be guessed without end, or made-up ones keep an account's owner out."""
        uid = self.user()
        with self.talk():
            guesser, stopwatch, outcomes = self.structured(), Stopwatch(), []
            for number in range(40):
                answer = guesser.ask(type="auth", n=1, uid=uid, token=f"{number}.a.b")
                outcomes.append(answer["code"])
            self.held(outcomes, stopwatch, ADDRESS_TRIES)
            self.enters(uid)

    def test_an_office_with_dead_tokens(self) -> None:
        """Everybody behind one address would be kept out for minutes after the secret of tokens was replaced."""
        uids, source = [self.user() for _ in range(60)], new_address()
        dead = Tokens(b"of before" * 4)
        with self.talk():
            clients = [self.structured(source=source) for _ in uids]
            for client, uid in zip(clients, uids, strict=True):
                client.say(type="auth", n=1, uid=uid, token=dead.issue(uid, "as it was"))
            self.assertEqual({client.next()["code"] for client in clients}, {WRONG})
            outcomes = [
                try_to_enter(client, uid, PASSWORD)
                for client, uid in zip(clients, uids, strict=True)
            ]
            self.assertEqual(outcomes, ["ok"] * len(uids))

    def test_a_flood_of_dead_tokens(self) -> None:
        """Made-up tokens could be tried without end, cost hashes, or hold up passwords behind the same address."""
        uid, source = self.user(), new_address()
        made_up = Tokens(b"made up" * 5).issue(uid, "x")
        frame = json.dumps({"type": "auth", "n": 1, "uid": uid, "token": made_up})
        with self.talk():
            guesser = self.structured(source=source)
            answers = [json.loads(answer) for answer in flood(guesser, [frame] * 1500)]
            judged = [answer for answer in answers if answer["code"] == WRONG]
            self.assertTrue(1000 <= len(judged) < 1400, len(judged))
            throttled = [answer["retry_after"] for answer in answers if answer not in judged]
            self.assertLessEqual(max(throttled), 1)
            self.enters(uid, source=source)

    def test_old_password(self) -> None:
        """Somebody who sits down at a terminal that somebody left could guess the password by `passwd`."""
        uid = self.user()
        with self.talk():
            hijacked, stopwatch = self.structured(uid), Stopwatch()
            answers = [
                hijacked.ask(type="passwd", n=n, old="guess", new="mine") for n in range(1, 30)
            ]
            self.held([answer["code"] for answer in answers], stopwatch, ACCOUNT_TRIES)

    def test_registering_without_end(self) -> None:
        """One address could fill the table of accounts, or the processor with hashes."""
        with self.talk():
            client = self.structured()
            answers = [
                client.ask(type="register", n=n, name=f"{n}号", password="x") for n in range(1, 31)
            ]
            outcomes = [answer.get("code", "ok") for answer in answers]
            self.assertEqual(outcomes[:20], ["ok"] * 20)
            self.assertLessEqual(outcomes.count("ok"), 22)
            self.assertEqual(set(outcomes), {"ok", "throttled"})
            answer = self.structured().ask(type="register", n=1, name="从别处来", password="x")
            self.assertEqual(answer["type"], "ok")


class Polling(AttackCase):
    """Guessers who ask all the time, and an owner who comes when told to."""

    options = ("--rate", "0", "--request-rate", "0", "--login-tries", "1/1000")

    def test_owner_who_waits(self) -> None:
        """Guessers who never wait would have each turn as it opens, and the owner none."""
        uid, over = self.user(), Event()
        source = new_address()
        self.closed(uid, source, failures=4)

        def poll(address: str) -> None:
            client = self.structured(source=address)
            while not over.is_set():
                try_to_enter(client, uid)

        def reconnect() -> None:
            while not over.is_set():
                client = self.server.structured(source=source)
                try_to_enter(client, uid)
                client.close()

        polls = [partial(poll, address) for address in (source, source, new_address())]
        attacks: list[Callable[[], None]] = [*polls, reconnect]
        threads = [Thread(target=attack, daemon=True) for attack in attacks]
        with self.talk():
            for thread in threads:
                thread.start()
            try:
                self.assertEqual(self.comes_as_told(uid, new_address()), "ok")
                self.closed(uid, source, failures=4)
                self.assertEqual(self.comes_as_told(uid, source), "ok")
            finally:
                over.set()
                for thread in threads:
                    thread.join()

    def closed(self, uid: int, source: str, failures: int) -> None:
        """Fail so often, each time as soon as may be."""
        client = self.structured(source=source)
        for _ in range(failures):
            answer = client.ask(type="auth", n=1, uid=uid, password="guess")
            if answer["code"] == "throttled":
                time.sleep(answer["retry_after"])

    def comes_as_told(self, uid: int, source: str) -> str:
        """What becomes of an owner who comes back when told to, at most twice."""
        owner = self.structured(source=source)
        for _ in range(3):
            answer = owner.ask(type="auth", n=1, uid=uid, password=PASSWORD)
            if answer["type"] == "ok":
                return "ok"
            time.sleep(answer["retry_after"])
        return str(answer["code"])


class WhoIsThere(AttackCase):
    """What a stranger can find out about accounts: nothing."""

    options = ("--rate", "0")

    def test_uids_one_after_another(self) -> None:
        """A stranger could find out which accounts there are, or try as many as there are numbers."""
        there = [self.user() for _ in range(15)]
        self.stores.sql("UPDATE user SET password = 'old plain' WHERE id = ?", (there[1],))
        self.stores.sql("UPDATE user SET password = NULL WHERE id = ?", (there[2],))
        self.stores.sql("UPDATE user SET password = '!' || password WHERE id = ?", (there[3],))
        nobody = range(there[-1] + 1_000_000, there[-1] + 1_000_015)
        with self.talk():
            prober, stopwatch = self.structured(), Stopwatch()
            answers: dict[bool, list[object]] = {True: [], False: []}
            outcomes = []
            for pair in zip(there, nobody, strict=True):
                for uid in pair:
                    answer = prober.ask(type="auth", n=1, uid=uid, password="guess")
                    outcomes.append(answer["code"])
                    if answer["code"] == WRONG:
                        answers[uid in there].append(answer)
            self.assertEqual(answers[True][:10], answers[False][:10])
            self.assertEqual(len(answers[True][:10]), 10)
            judged = outcomes.count(WRONG)
            self.assertTrue(ADDRESS_TRIES < judged <= stopwatch.most_judged(ADDRESS_TRIES))

    def test_words_for_people(self) -> None:
        """The text dialect would say which accounts there are."""
        uid = self.user()
        locked = self.user()
        self.stores.sql("UPDATE user SET password = '!' || password WHERE id = ?", (locked,))
        with self.talk():
            client = self.text()
            for asked in (uid, locked, uid + 1_000_000, 0, -1, 2**63 - 1, 10**30):
                for password in ("guess", "!", "", "$argon2id$"):
                    client.send(f"auth {asked} {password}")
                    answers = [client.read(), client.read()]
                    self.assertEqual(answers, ["认证失败!", "请登陆!"], asked)
                client = self.text()

    def test_before_a_log_in(self) -> None:
        """A stranger could ask who is there, or who is online, without an account."""
        uid = self.user("张三")
        reader = self.text(uid)
        with self.talk():
            client = self.text()
            for line in (
                f"msg {uid} x",
                f"msg {uid + 9} x",
                "find 张三",
                "find 李四",
                "passwd a b",
            ):
                self.assertEqual(client.ask(line), "请登陆!", line)
            program = self.structured()
            requests: list[dict[str, Any]] = [
                {"type": "msg", "to": uid, "text": "x"},
                {"type": "msg", "to": uid + 9, "text": "x"},
                {"type": "find", "name": "张三"},
                {"type": "passwd", "old": "a", "new": "b"},
                {"type": "logout"},
            ]
            for n, request in enumerate(requests, 1):
                self.assertEqual(program.ask(n=n, **request)["code"], "not-logged-in", request)
            self.assertTrue(reader.silent(0.1))
