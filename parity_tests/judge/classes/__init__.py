"""Attention with weights: classes, and functions of weights, judged."""
