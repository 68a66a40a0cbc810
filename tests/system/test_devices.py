"""Several devices of one account, at one server and at two nodes."""

from __future__ import annotations

import time

import orjson

from tests.support.clients import StructuredClient
from tests.support.processes import PASSWORD, ChatServer, ServerStores
from tests.system import devices
from tests.system.devices import PHONE


class OneServerTests(devices.EveryStore):
    nodes = 1


class TwoNodesTests(devices.EveryStore):
    nodes = 2

    def test_older_node(self) -> None:
        """A node of the version before would work on devices that it does not know, or nobody see that it is there."""
        stores = self.world.stores
        assert isinstance(stores, ServerStores)
        facts = orjson.dumps({"version": "0.0", "secret": "x"}).decode()
        stores.redis("SET", "chat:node:older", facts, "EX", "30")
        stores.redis("SADD", "chat:nodes", "older")
        for server in (self.a, self.b):
            client = self.welcomed(server, [])
            client.log_in(self.me, PASSWORD)
            self.assertTrue(server.wait_for("Nodes of an older version are running"))
        stores.redis("DEL", "chat:node:older")
        stores.redis("SREM", "chat:nodes", "older")
        for server in (self.a, self.b):
            self.welcomed(server, ["devices"])

    def welcomed(self, server: ChatServer, features: list[str]) -> StructuredClient:
        """A client that is granted this, as soon as the server has looked again."""
        for _ in range(40):
            client = server.structured(device=PHONE, features=["devices"])
            self.addCleanup(client.close)
            if client.welcome["features"] == features:
                return client
            time.sleep(0.1)
        raise self.failureException(f"not granted within some seconds: {features}")


class OneServerWithFewDevicesTests(devices.EveryStoreWithFewDevices):
    nodes = 1


class TwoNodesWithFewDevicesTests(devices.EveryStoreWithFewDevices):
    nodes = 2
