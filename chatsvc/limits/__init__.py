"""Limits: how often and how much, by account, address, network and connection."""
