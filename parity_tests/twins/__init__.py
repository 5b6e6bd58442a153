"""Twins: found by name, recorded, replayed, and compared step by step."""
