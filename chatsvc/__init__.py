"""A TLS chat service: what was confirmed to a sender is shown to the reader once, in order."""

__version__ = "0.1.0"
