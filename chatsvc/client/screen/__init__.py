"""The front end at a terminal."""
