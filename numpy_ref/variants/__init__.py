"""Variants: what later models changed, each as steps of its own."""
