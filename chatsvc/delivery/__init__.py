"""Delivery: messages into inboxes, and on to the readers who are here."""
