"""Claims as pages: each measured while the site is built, and drawn."""
