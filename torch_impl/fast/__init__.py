"""Fast: the same files as in `numpy_ref.fast`, in PyTorch."""
