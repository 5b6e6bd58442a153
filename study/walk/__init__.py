"""The walk: from a text to attention, step by step, on both sides."""
