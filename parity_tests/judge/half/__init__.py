"""Kernels in half precision: inputs, profiles, and what finds them out."""
