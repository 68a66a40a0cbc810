"""Connections of the pool, with a backend that a test holds up."""

from __future__ import annotations

from threading import Event, Thread
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.storage.pool import PooledConnection
from chatsvc.storage.sql import SQLBackend
from chatsvc.storage.url import StoreUnavailable, StoreURL


class _HangingBackend:
    """A backend whose connections take as long to make as the test likes, and whose server never answers."""

    def __init__(self) -> None:
        self.making, self.made, self.aborted = Event(), Event(), Event()

    def new_connection(self) -> _HangingBackend:
        self.making.set()
        self.made.wait(60)
        return self

    def connect(self, connection: _HangingBackend) -> None:
        self.aborted.wait(60)
        raise OSError("connection lost")

    def abort(self, connection: _HangingBackend) -> None:
        self.aborted.set()

    def close(self) -> None:
        """Do nothing."""


class AbortTests(SynchronousTestCase):
    """A pool that is closed while its threads connect."""

    def setUp(self) -> None:
        self.backend = _HangingBackend()
        self.addCleanup(self.backend.made.set)
        self.addCleanup(self.backend.aborted.set)
        self.closing = Event()
        self.connection = PooledConnection(
            cast(SQLBackend, self.backend), StoreURL("mysql", "chat"), self.closing
        )

    def connect(self) -> None:
        """Connect in vain."""
        self.assertRaises(StoreUnavailable, self.connection.connect)

    def test_connection_that_is_being_made(self) -> None:
        """A stop would wait for a server that hangs if it came while a thread began to connect."""
        connecting = Thread(target=self.connect)
        connecting.start()
        self.assertTrue(self.backend.making.wait(60))
        self.closing.set()
        aborting = Thread(target=self.connection.abort)
        aborting.start()
        aborting.join(0.05)
        self.backend.made.set()
        aborting.join(60)
        self.assertTrue(self.backend.aborted.is_set())
        connecting.join(60)
        self.assertFalse(connecting.is_alive())

    def test_closed(self) -> None:
        """A thread could connect anew while the pool waits for it to end."""
        self.closing.set()
        self.backend.made.set()
        self.backend.aborted.set()
        self.connect()
        self.assertFalse(self.backend.making.is_set())
        self.connection.abort()
