"""Several processes behind one port, as one server to everybody."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import stat
import time
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.tls.key_folder import KeyFolder
from tests.support.clients import StructuredClient, TextClient
from tests.support.processes import PASSWORD, ChatServer, Outcome, ServerStores, run_chat, shared
from tests.support.servers import free_port
from tests.support.watching import Watch

_NUMBERS = count(1)


class Crew:
    """A server of two workers."""

    def __init__(self) -> None:
        self.stores = ServerStores()
        self.watch = Watch()
        options = (*self.stores.options, "--workers", "2", *self.watch.options)
        self.server = ChatServer(*options)
        self.start()

    def start(self) -> None:
        """Start the server, if it does not run, and wait until all of it serves."""
        before = len(self.server.log())
        if self.server.start().log()[before:]:
            assert _soon(lambda: "2 workers serve" in self.server.log()[before:])

    def end(self) -> None:
        self.server.remove()

    def workers(self) -> list[int]:
        """The processes' ids."""
        assert self.server._process is not None
        parent = self.server._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return sorted(map(int, children))


def _soon(condition: Callable[[], object], patience: float = 20.0) -> bool:
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class WorkersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.crew = shared(type(self), Crew, Crew.end)
        self.crew.start()
        self.server, self.stores = self.crew.server, self.crew.stores
        self.logged = len(self.server.log())

    def program(self) -> StructuredClient:
        client = self.server.structured(device=f"{next(_NUMBERS):032x}")
        self.addCleanup(client.close)
        return client

    def crowd(self, least: int = 3) -> list[tuple[int, StructuredClient]]:
        """Users who are logged in, at least so many at each worker; the uid of each, and the client."""
        found: list[tuple[int, StructuredClient]] = []
        while min(self.crew_of(uid for uid, _ in found).values(), default=0) < least or not found:
            self.assertLess(len(found), 60, "one worker takes all")
            uid, client = self.stores.add_user(f"user{next(_NUMBERS)}"), self.program()
            client.log_in(uid, PASSWORD)
            found.append((uid, client))
        return found

    def crew_of(self, uids: Iterable[int]) -> dict[int, int]:
        """How many of these users are at each worker, by its process."""
        at = dict.fromkeys(self.crew.workers(), 0)
        for uid in uids:
            session = self.stores.redis("GET", f"chat:{{{uid}}}:session").split(b"\r\n")[1]
            at[int(session.split(b":")[1])] += 1
        return at

    def test_one_to_everybody(self) -> None:
        """Users of different workers could not talk, or those who watch would see a part of them."""
        before = self.crew.watch.value('chatsvc_messages_total{state="stored"}')
        crowd = self.crowd()
        for n, (uid, reader) in enumerate(crowd[1:], 1):
            answer = crowd[0][1].ask(type="msg", n=1, to=uid, text=str(n))
            self.assertEqual(answer["state"], "online")
            self.assertEqual(reader.await_type("msg")["text"], str(n))
        after = self.crew.watch.value('chatsvc_messages_total{state="stored"}')
        self.assertEqual(after - before, len(crowd) - 1)
        self.assertGreaterEqual(self.crew.watch.value("chatsvc_online_users"), len(crowd))
        self.assertEqual(self.crew.watch.value('chatsvc_store_up{store="inbox"}'), 1)
        self.assertEqual(self.crew.watch.value("chatsvc_connections_limit"), 20_000)
        self.assertEqual(self.crew.watch.get("health"), (200, "ok\n"))

    def test_worker_killed(self) -> None:
        """A worker that crashes would take the others along, stay away, or go unnoticed."""
        crowd = self.crowd()
        logins = 'chatsvc_logins_total{result="ok"}'
        before = self.crew.watch.value(logins)
        victim = self.crew.workers()[0]
        os.kill(victim, signal.SIGKILL)
        self.assertTrue(_soon(lambda: self.crew.watch.get("health")[0] == 503, 5))
        self.assertRegex(
            self.crew.watch.get("health")[1], r"worker \d(: it does not answer| does not serve)"
        )
        alive = [client for _, client in crowd if not client.closed(0.2)]
        self.assertGreaterEqual(len(alive), 3)
        for client in alive:
            self.assertEqual(client.ask(type="ping", n=9)["type"], "pong")
        self.assertGreaterEqual(self.crew.watch.value(logins), before)
        self.assertTrue(_soon(lambda: self.crew.watch.get("health")[0] == 200))
        self.assertGreaterEqual(self.crew.watch.value(logins), before, "counts do not fall")
        self.assertNotIn(victim, self.crew.workers())
        self.assertEqual(len(self.crew.workers()), 2)
        log = self.server.log()[self.logged :]
        self.assertRegex(log, r"error Worker \d was ended by SIGKILL; another takes its place")
        self.assertRegex(log, r"info  Worker \d serves again")
        self.crowd()

    def test_reload(self) -> None:
        """A new certificate would be shown by one worker only, or throw people out."""
        crowd = self.crowd()
        before = ssl.get_server_certificate(("127.0.0.1", self.server.port))
        fresh = KeyFolder(str(self.server.folder / "fresh"))
        fresh.ensure(["localhost"])
        for name in ("server.key", "server.crt"):
            shutil.copy(Path(fresh.path) / name, self.server.folder / "keys" / name)
        self.server.reload()
        said = "Reloaded: certificate"
        self.assertTrue(_soon(lambda: self.server.log()[self.logged :].count(said) == 2))
        place = ("127.0.0.1", self.server.port)
        self.assertNotIn(before, {ssl.get_server_certificate(place) for _ in range(20)})
        for _, client in crowd:
            self.assertEqual(client.ask(type="ping", n=9)["type"], "pong")

    def test_stop(self) -> None:
        """A stop would leave workers behind, or throw their users out without a word."""
        crowd = self.crowd()
        workers = self.crew.workers()
        self.server.terminate()
        self.assertTrue(all(client.await_type("bye") for _, client in crowd))
        for _, client in crowd:
            client.hang_up()
        self.assertEqual(self.server.wait(), -signal.SIGTERM)
        self.assertFalse(any(Path(f"/proc/{worker}").exists() for worker in workers))
        self.assertEqual(self.server.log()[self.logged :].count(" Stopped, after "), 2)
        self.assertEqual(self.server.tracebacks(), [])

    def test_supervisor_killed(self) -> None:
        """Workers would go on with nobody to stop or reload them, and keep the port from the next start."""
        workers = self.crew.workers()
        self.server.kill()
        gone = _soon(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
        self.assertTrue(gone)
        self.crew.start()
        self.crowd(1)

    def test_told_once(self) -> None:
        """What is wrong would be said by each worker, or each start anew for ever."""
        port = free_port()
        inbox = f"redis://127.0.0.1:{free_port()}/0"
        words = ("--accounts", self.stores.accounts, "--inbox", inbox, "--workers", "3")
        outcome = run_chat("--port", f"tcp:{port}:interface=127.0.0.1", *words)
        self.assertEqual(outcome.status, 1)
        self.assertRegex(outcome.stderr, rf"^chat: {inbox}: .*refused.*\n$")

    def test_port_in_use(self) -> None:
        """A port that another program has would be found out by workers, again and again."""
        outcome = self.run_workers("--port", f"tcp:{self.server.port}:interface=127.0.0.1")
        line = rf"^chat: cannot listen on 'tcp:{self.server.port}:.*in use\n$"
        self.assertRegex(outcome.stderr, line)

    def test_sqlite(self) -> None:
        """Several processes would write one file that has room for one, or the admin not learn why they do not."""
        outcome = run_chat("--workers", "2")
        self.assertEqual(outcome.status, 1)
        line = "chat: --workers 2: SQLite serves one process, and --accounts is sqlite:chat.db: "
        self.assertEqual(outcome.stderr, f"{line}name MySQL and Redis\n")

    def test_every_kind_of_port(self) -> None:
        """A Unix socket would be open to everybody, or gone with one worker; another kind of port not be served."""
        file = f"{self.server.folder}/chat.sock"
        places = [f"unix:{file}:mode=600", f"haproxy:tcp:{free_port()}:interface=127.0.0.1"]
        other = ChatServer(*self.stores.options, "--workers", "2", ports=places)
        self.addCleanup(other.remove)
        other.start()
        self.assertTrue(other.wait_for("2 workers serve"))
        self.assertEqual(stat.S_IMODE(os.stat(file).st_mode), 0o600)
        assert other._process is not None
        worker = Path(f"/proc/{other._process.pid}/task/{other._process.pid}/children").read_text()
        os.kill(int(worker.split()[0]), signal.SIGTERM)
        self.assertTrue(other.wait_for("serves again"))
        uid = self.stores.add_user(f"user{next(_NUMBERS)}")
        for _ in range(6):
            client = TextClient(file, None)
            client.log_in(uid, PASSWORD)
            client.close()
        other.stop()
        self.assertFalse(os.path.exists(file))
        self.assertEqual(other.log().count(" Stopped, after "), 3)
        self.assertNotIn("is away", other.log())

    def run_workers(self, *words: str) -> Outcome:
        outcome = run_chat(*words, *self.stores.options, "--workers", "2")
        self.assertEqual(outcome.status, 1)
        return outcome
