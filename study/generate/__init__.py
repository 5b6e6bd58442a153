"""Generating text: `twice generate` and `twice chat`."""
