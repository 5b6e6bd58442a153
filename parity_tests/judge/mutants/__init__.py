"""Mutants: known wrong implementations, to name a cause by."""
