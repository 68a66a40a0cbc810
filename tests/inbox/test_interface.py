"""Whether every store is one, and everything that watches a store can."""

from __future__ import annotations

import inspect

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.delivery.router import MessageRouter
from chatsvc.inbox.interface import Inbox, NullWatcher, StoreWatcher
from chatsvc.inbox.redis.inbox import RedisInbox
from chatsvc.inbox.sqlite.inbox import SQLiteInbox
from tests.inbox.fixtures import RecordingWatcher
from tests.support.fakes import MemoryInbox

# mypy compares the types of these with those of the protocols.
STORES: tuple[type[Inbox], ...] = (RedisInbox, SQLiteInbox, MemoryInbox)
WATCHERS: tuple[type[StoreWatcher], ...] = (MessageRouter, NullWatcher, RecordingWatcher)


class InterfaceTests(SynchronousTestCase):
    """Implementations of the protocols."""

    def test_stores(self) -> None:
        """A kind of store would lack something, or take it under another name, and nobody notice before it is used."""
        for store in STORES:
            self.assert_implements(store, Inbox)

    def test_watchers(self) -> None:
        """A store would call what its watcher does not have."""
        for watcher in WATCHERS:
            self.assert_implements(watcher, StoreWatcher)

    def assert_implements(self, kind: type, protocol: type) -> None:
        """Fail unless ``kind`` has all methods of ``protocol``, with the same names of arguments."""
        members = {name: one for name, one in vars(protocol).items() if name[0] != "_"}
        methods = {name: one for name, one in members.items() if callable(one)}
        self.assertTrue(methods)
        for name, method in methods.items():
            expected = list(inspect.signature(method).parameters)
            self.assertEqual(
                list(inspect.signature(getattr(kind, name)).parameters), expected, name
            )
