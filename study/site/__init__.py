"""The study site: equation, NumPy and PyTorch side by side."""
