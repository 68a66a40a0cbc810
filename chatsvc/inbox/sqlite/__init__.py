"""Inboxes in SQLite."""
