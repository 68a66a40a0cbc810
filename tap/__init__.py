"""Options and environment in, a tree of services out. Nothing else of the project reads options."""
