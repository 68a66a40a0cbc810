"""What the client says, in each language."""
