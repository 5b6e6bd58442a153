"""The verdict: one loop and one diagnosis for whatever is judged."""
