"""Submissions: from a file to verdicts, in a process of its own."""
