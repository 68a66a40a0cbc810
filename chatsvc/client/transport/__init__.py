"""Reaching a server, and knowing that it is the right one."""
