"""A conversation with the server, without I/O: what was asked, sent, answered and shown."""
