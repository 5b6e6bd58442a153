"""What is judged: its signature, its conventions, and inputs for it."""
