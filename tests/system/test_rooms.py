"""Rooms, at one server and at two nodes."""

from __future__ import annotations

from tests.system import rooms

_FEW = ("--room-window", "10")


class OneServerTests(rooms.EveryStore):
    nodes = 1
    options = _FEW


class TwoNodesTests(rooms.EveryStore, rooms.TwoNodes):
    nodes = 2
    options = _FEW
