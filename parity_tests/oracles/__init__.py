"""Oracles: reference implementations that ours are compared with."""
