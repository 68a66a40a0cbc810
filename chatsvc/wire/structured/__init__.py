"""The structured dialect, for programs: the server's half."""
