"""Rounding error bounds: how far two correct evaluations may differ."""
