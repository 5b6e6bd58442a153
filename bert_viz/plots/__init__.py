"""Plots of attention, each with its description in words."""
