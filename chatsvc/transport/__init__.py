"""Transports: listeners, the layers below TLS, and what the kernel knows of a peer."""
