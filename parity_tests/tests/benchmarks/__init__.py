"""Benchmarks: what they print follows from what was measured."""
