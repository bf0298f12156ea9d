"""Measurements: one command, `python -m benchmarks`, prints them as a table."""
