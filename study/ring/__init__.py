"""`twice ring`: ring attention over processes, round by round."""
