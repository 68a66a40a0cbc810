"""TLS: the server's keys and certificates, and the contexts made of them."""
