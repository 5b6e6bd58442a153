"""`twice bench`: timings beside the peers."""
