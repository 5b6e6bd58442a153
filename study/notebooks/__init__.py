"""`twice notebooks`: the notebooks, and the functions their cells call."""
