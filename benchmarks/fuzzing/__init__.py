"""What ``benchmarks/fuzz.py`` is made of; ``tests/test_fuzz.py`` lets Hypothesis draw the same."""
