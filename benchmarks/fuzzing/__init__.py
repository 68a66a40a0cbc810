"""What ``benchmarks/fuzz.py`` is made of; ``tests/campaign/test_fuzz.py`` lets Hypothesis draw the same."""
