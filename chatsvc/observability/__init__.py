"""Logs, metrics and health: what an admin sees of a running server."""
