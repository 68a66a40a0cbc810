"""Rooms in the campaign of faults: who is in them, what their members do, and what is found wrong in the end."""
