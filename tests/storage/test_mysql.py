"""What chatsvc.storage.mysql leans on in PyMySQL without a promise."""

from __future__ import annotations

import socket

import pymysql
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.storage.mysql import MySQL
from chatsvc.storage.url import parse_store_url
from tests.support.servers import mariadb


class PrivateAttributeTests(SynchronousTestCase):
    """``Connection._sock``: the socket of a connection, None while there is none."""

    def test_socket(self) -> None:
        """A PyMySQL that keeps its socket elsewhere would let a stop wait for a server that hangs."""
        backend = MySQL(parse_store_url(mariadb().url("mysql"), ("mysql",)), 5)
        connection = backend.new_connection()
        self.assertIsNone(connection._sock)
        backend.connect(connection)
        self.addCleanup(connection.close)
        self.assertIsInstance(connection._sock, socket.socket)
        backend.abort(connection)
        with self.assertRaises(pymysql.OperationalError):
            connection.ping(reconnect=False)
