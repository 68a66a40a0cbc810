"""Stores: their URLs, whether they answer, and SQL databases with transactions and numbered schemas."""
