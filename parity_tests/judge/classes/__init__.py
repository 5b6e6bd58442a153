"""Attention with weights, judged: classes, and functions of weights."""
