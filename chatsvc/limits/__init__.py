"""Limits: how often and how much, by account, address and network."""
