"""Whatever is lost, and whenever: each terminal shows each message once, in order, and sends each once."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.client.devices import DevicesCase, Terminal
from tests.client.peer import ME, YOU

NUMBER = st.integers(0, 12)

EVENTS = st.one_of(
    st.tuples(st.just("store"), NUMBER),
    st.tuples(st.just("steps"), NUMBER),
    st.tuples(st.just("cut"), NUMBER),
    st.tuples(st.just("kill"), NUMBER),
    st.tuples(st.just("lose"), st.integers(1, 3)),
    st.tuples(st.just("send"), NUMBER),
    st.tuples(st.just("forget"), NUMBER),
)
"""What happens, and to whom, or how often."""


class _World:
    """A user with up to two terminals on one machine and one on another."""

    def __init__(self, case: DevicesCase) -> None:
        self.case = case
        self.server = case.server
        self.shown: dict[str, list[str]] = {}
        self.terminals: dict[str, Terminal] = {}
        self.count = 0
        self.said: list[str] = []
        self.begins: dict[str, int] = {}

    def start(self, state: str) -> None:
        """The process of a terminal begins, and its user logs in."""
        terminal = self.terminals[state] = self.case.terminal(state)
        terminal.texts = self.shown.setdefault(state, [])
        terminal.type(f"login {ME} pw")

    def chosen(self, number: int) -> tuple[str, Terminal]:
        """One of the terminals."""
        state = sorted(self.terminals)[number % len(self.terminals)]
        return state, self.terminals[state]

    def has_serial(self, terminal: Terminal) -> bool:
        """Whether a terminal knows the serial of what it has shown."""
        return bool(terminal.outboxes and terminal.outbox.shown.position.serial)

    def happen(self, event: str, number: int) -> None:
        """Something happens."""
        state, terminal = self.chosen(number)
        if event == "store":
            self.count += 1
            self.server.store(f"in {self.count}", serial=None if self.server.features else 0)
        elif event == "steps":
            for _ in range(number):
                terminal.step()
        elif event == "cut":
            terminal.cut()
        elif event == "kill":
            self.case.kill(terminal)
            self.start(state)
        elif event == "lose" and all(self.has_serial(one) for one in self.terminals.values()):
            # Without a serial, what was shown and not acknowledged comes once more under another epoch.
            self.server.lose(number)
        elif event == "send" and terminal.conversation.logged_in:
            self.count += 1
            self.said.append(f"out {self.count} {state}")
            terminal.conversation.send(YOU, self.said[-1])
        elif event == "forget" and self.has_serial(terminal):
            # One that has shown nothing yet begins as a new one would: behind what was acknowledged.
            self.server.forget(terminal.outbox.present_device)


class WhateverIsLost(DevicesCase):
    """Random lives of a user's terminals."""

    @settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
    @given(
        before=st.lists(EVENTS, max_size=12),
        after=st.lists(EVENTS, max_size=40),
        again=st.lists(EVENTS, max_size=12),
    )
    def test_shown_once_and_in_order(
        self,
        before: list[tuple[str, int]],
        after: list[tuple[str, int]],
        again: list[tuple[str, int]],
    ) -> None:
        """A message would be missing at one of the user's terminals, stand there twice, or at the wrong place."""
        self.setUp()
        world = _World(self)
        self.server.features = None
        world.start("one")
        for event in before:  # at a server that knows no devices
            world.happen(*event)
        self.server.features = ("devices",)
        for event in after:  # the server was upgraded
            world.happen(*event)
        self.finish(world, "one")
        world.start("two")
        self.settle()
        begin = self.server.last
        for event in again:
            world.happen(*event)
        self.finish(world, "one", "two")
        self.judge(world, "one", 0)
        self.judge(world, "two", begin)
        stored = self.server.ledger.stored
        self.assertEqual(sorted(stored), sorted(world.said))
        for state in world.shown:
            own = [text for text in stored if text.endswith(state)]
            self.assertEqual(own, [text for text in world.said if text.endswith(state)])
        self._kill_all()

    def finish(self, world: _World, *states: str) -> None:
        """All connections are lost once more, and everything happens that is on its way."""
        for state in states:
            world.terminals[state].cut()
        for _ in range(20):
            self.settle()
            for state in states:
                world.terminals[state].clock.advance(20)
        for state in states:
            terminal = world.terminals[state]
            self.assertTrue(terminal.conversation.logged_in, terminal.view.said)
            self.assertEqual(terminal.view.failures, [])

    def judge(self, world: _World, state: str, begin: int) -> None:
        """Compare what a terminal has shown with what is in the inbox."""
        shown, device = world.shown[state], world.terminals[state].outbox.device
        what = f"{state} has shown {shown} of {self.server.log}"
        self.assertEqual(len(shown), len({*shown}), what)
        self.assertEqual(shown, sorted(shown, key=self.server.stored.index), what)
        kept = [
            entry.text
            for entry in self.server.log
            if entry.id > begin and not entry.text.endswith(state) and entry.device != device
        ]
        self.assertEqual([text for text in kept if text not in shown], [], what)
