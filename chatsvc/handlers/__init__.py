"""Handlers: what a session does for each kind of command but the way of a message."""
