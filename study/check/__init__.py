"""`twice check`: a submission in a process of its own, and its verdict."""
