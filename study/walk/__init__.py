"""The walk: from a text to attention, both sides, step by step."""
