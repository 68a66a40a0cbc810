"""Options and environment become services and commands. Only this package and ``cli/`` read them."""
