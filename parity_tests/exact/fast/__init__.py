"""Exact values of the steps in `numpy_ref.fast`."""
