"""Inboxes: where messages wait for their readers. Nothing outside knows Redis."""
