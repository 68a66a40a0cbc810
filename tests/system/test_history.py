"""The history, at one server and at two nodes."""

from __future__ import annotations

from tests.system import history


class OneServerTests(history.EveryStore):
    nodes = 1


class TwoNodesTests(history.EveryStore):
    nodes = 2


class OneServerAtLengthTests(history.EveryStoreAtLength):
    nodes = 1


class TwoNodesAtLengthTests(history.EveryStoreAtLength):
    nodes = 2
