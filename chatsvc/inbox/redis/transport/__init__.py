"""The way to Redis: which one, and one ordered connection to it."""
