"""Rooms in SQL: which there are, who belongs to them, who may do what; and how what changes gets into their logs."""
