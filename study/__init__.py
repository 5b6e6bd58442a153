"""The learning path: the `twice` command, and what it shows."""
