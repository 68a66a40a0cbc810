"""The history of what was said: every confirmed message in SQL, and the search of it."""
