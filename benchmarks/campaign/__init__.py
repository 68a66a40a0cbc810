"""The campaign of faults: real processes that fail at random, and users who keep records of all that they were told."""
