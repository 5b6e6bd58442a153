"""`twice check`: a submission, judged in a process of its own."""
