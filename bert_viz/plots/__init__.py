"""Plots of attention, each with an alternative text."""
