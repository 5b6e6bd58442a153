"""From a submitted file to verdicts, in a process of its own."""
