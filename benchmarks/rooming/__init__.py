"""The parts of ``fanout.py`` and ``rooms.py``."""
