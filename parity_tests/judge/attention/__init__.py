"""Attention functions: how they are called, and their properties."""
