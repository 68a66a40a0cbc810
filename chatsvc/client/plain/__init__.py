"""Front ends that only have lines: plain terminals and pipes."""
