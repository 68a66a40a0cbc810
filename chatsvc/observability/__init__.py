"""Logs, metrics and health: what somebody who runs the server sees of it."""
