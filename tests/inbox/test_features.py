"""Which features are granted, and what nodes say of them."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.inbox.features import DEVICES, FACTS, FEATURES, REFERENCES, FeatureGrants
from chatsvc.inbox.nodes import NodeFacts, differences, parse_facts
from chatsvc.storage.url import StoreUnavailable
from tests.support.fakes import MemoryInbox

OURS = NodeFacts("2", "s", FACTS).to_text()
OLDER = '{"version":"1","secret":"s"}'


class FeatureGrantsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.inbox = MemoryInbox()
        self.grants = FeatureGrants(self.inbox, self.clock.seconds)

    def ask(self, *words: str) -> Deferred[tuple[str, ...]]:
        """A client asks."""
        return Deferred.fromCoroutine(self.grants.grant(words))

    def granted(self, *words: str) -> tuple[str, ...]:
        """What a client gets that asks."""
        return self.successResultOf(self.ask(*words))

    def test_alone(self) -> None:
        """A server without other nodes would grant nothing, or what it does not know."""
        self.assertEqual(self.granted("typing", "devices", "", "devices"), ("devices",))
        self.inbox.alive = {"a": OURS}
        self.assertEqual(self.granted("devices"), ("devices",))

    def test_nothing_asked_that_we_know(self) -> None:
        """The store would be asked for a program that asks for what nobody has."""
        self.assertEqual((self.granted("typing"), self.granted(), self.inbox.calls), ((), (), []))

    def test_older_node(self) -> None:
        """An older node would work on devices that it does not know."""
        self.inbox.alive = {"a": OURS, "b": OLDER}
        with capturedLogs() as logged:
            self.assertEqual(self.granted("devices"), ())
            for _ in range(20):
                self.clock.advance(1.0)
                self.assertEqual(self.granted("devices"), ())
        (line,) = [event for event in logged if event["event"] == "older-node"]
        self.assertEqual(line["log_level"].name, "error")
        self.assertIn("(b)", formatEvent(line))
        self.clock.advance(60)
        with capturedLogs() as logged:
            self.granted("devices")
        self.assertEqual([event["count"] for event in logged], [21])

    def test_node_without_references(self) -> None:
        """A node that cannot read edits would lose them, or refuse all else for that."""
        self.inbox.alive = {"a": OURS, "b": NodeFacts("1", "s", FEATURES).to_text()}
        with capturedLogs() as logged:
            self.assertEqual(self.granted("devices", "rooms"), ("devices", "rooms"))
        (line,) = [event for event in logged if event["event"] == "older-node"]
        self.assertIn("no message is edited", formatEvent(line))
        self.assertFalse(self.grants.is_known(REFERENCES))
        self.inbox.alive = {"a": OURS}
        self.clock.advance(2.0)
        knows = self.grants.all_know(REFERENCES)
        self.assertTrue(self.successResultOf(Deferred.fromCoroutine(knows)))
        self.assertEqual(self.granted("references"), ())  # no client needs to ask for it

    def test_older_node_that_nobody_meets(self) -> None:
        """Nobody would hear of a node that was started by mistake, until a client asks for devices."""
        self.inbox.alive = {"b": OLDER}
        with capturedLogs() as logged:
            self.successResultOf(Deferred.fromCoroutine(self.grants.look()))
        self.assertEqual([event["event"] for event in logged], ["older-node"])
        self.inbox.hold = {"nodes"}
        looking = Deferred.fromCoroutine(self.grants.look())
        self.inbox.let(StoreUnavailable("away"))
        self.successResultOf(looking)

    def test_asked_once_a_second(self) -> None:
        """Clients that all come back at once would each have the store asked."""
        for _ in range(5):
            self.granted("devices")
            self.clock.advance(0.19)
        self.assertEqual(self.inbox.calls, ["nodes"])
        self.clock.advance(0.1)
        self.inbox.alive = {"a": OLDER}
        self.assertEqual(self.granted("devices"), ())
        self.assertEqual(self.inbox.calls, ["nodes"] * 2)

    def test_asked_together(self) -> None:
        """Whoever asks while another question is under way would be granted nothing, or ask again."""
        self.inbox.hold = {"nodes"}
        asking = [self.ask("devices") for _ in range(3)]
        self.inbox.let()
        results = [self.successResultOf(one) for one in asking]
        self.assertEqual((results, self.inbox.calls), ([("devices",)] * 3, ["nodes"]))

    def test_store_away(self) -> None:
        """A client would be granted, or refused for good, what nobody knows."""
        self.inbox.hold = {"nodes"}
        asking = [self.ask("devices") for _ in range(2)]
        self.inbox.let(StoreUnavailable("away"))
        for one in asking:
            self.failureResultOf(one, StoreUnavailable)
        self.inbox.hold = set()
        self.assertEqual(self.granted("devices"), ("devices",))


class NodeFactsTests(SynchronousTestCase):
    def test_features(self) -> None:
        """A node would not learn what another one knows, or take an older one's facts for none."""
        self.assertEqual(parse_facts(OURS), NodeFacts("2", "s", FACTS))
        self.assertEqual(parse_facts(OLDER), NodeFacts("1", "s"))
        for text in ("", "[]", "7", '{"version":"1","secret":"s","features":7}'):
            self.assertEqual(parse_facts(text).features, (), text)

    def test_read_by_older_nodes(self) -> None:
        """A node of the version before would say that the token secrets differ."""
        self.assertIn('"version":"2","secret":"s"', OURS)

    def test_other_histories(self) -> None:
        """What is said at a node that keeps no history would be missing, and nobody know why."""
        here, there = (
            NodeFacts("2", "s", FACTS, how).to_text()
            for how in ("kept for 365 days", "none is kept")
        )
        self.assertEqual(differences({"a": here, "b": here, "c": OURS}), [])
        (line,) = differences({"a": here, "b": there})
        self.assertIn("(kept for 365 days: a | none is kept: b)", line)

    def test_older_node_among_them(self) -> None:
        """`chatsvc check` would not say why no client gets a device."""
        self.assertEqual(differences({"a": OURS, "b": OURS}), [])
        self.assertEqual(differences({"a": OLDER, "b": OLDER}), [], "there is nothing to wait for")
        (line,) = differences({"a": OURS, "b": OLDER, "c": OURS, "d": OLDER})
        self.assertIn("older version", line)
        self.assertIn("(b, d)", line)
        self.assertIn("(devices, references, rooms)", line)
        before = NodeFacts("1", "s", (DEVICES,)).to_text()
        self.assertIn("(references, rooms)", differences({"a": OURS, "b": before})[0])
