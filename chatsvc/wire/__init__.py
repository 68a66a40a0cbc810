"""The wire: bytes of frames to commands, events to bytes of frames. No I/O, and no import of other packages."""
