"""Inboxes in Redis."""
