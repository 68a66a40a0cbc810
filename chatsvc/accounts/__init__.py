"""Accounts: their names and passwords, and how a log-in is checked."""
