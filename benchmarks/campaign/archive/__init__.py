"""The archive in the campaign of faults: what it has in the end, what is found wrong with it, and what strikes it."""
