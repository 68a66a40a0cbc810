"""The wire: frames' bytes to commands, events to frames' bytes. Knows nothing of the rest of the project."""
