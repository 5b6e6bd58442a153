"""Oracles: other implementations, which ours are held against."""
