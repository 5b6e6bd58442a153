"""Claims of the field about attention, measured, with their limits."""
