"""The numbered SQL files of both databases."""
