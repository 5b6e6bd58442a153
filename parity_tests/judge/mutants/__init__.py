"""Mutants: known mistakes, with which the diagnosis compares."""
