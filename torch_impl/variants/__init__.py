"""Variants: the same files as in `numpy_ref.variants`, in PyTorch."""
