"""`twice notebooks`: the notebooks, and what their cells call."""
