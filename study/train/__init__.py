"""`twice train`: a small model learns to write."""
