"""`twice train` and `twice generate`: a small GPT-2 learns, then writes."""
