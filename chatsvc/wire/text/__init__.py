"""The text dialect, for people and the older clients: what can be typed, and what is shown."""
