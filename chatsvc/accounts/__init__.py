"""Accounts: who exists, under which name, and how somebody proves to be it."""
