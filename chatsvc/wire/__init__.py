"""The wire: bytes of frames to commands, events to bytes of frames. No I/O, and no import from outside this folder."""
