"""`twice transformer`: the transformer of 2017 learns a toy."""
