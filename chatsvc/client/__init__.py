"""The terminal client, and the commands for scripts."""
