"""Frozen values that the whole system speaks in. No I/O, no clock, no randomness."""
