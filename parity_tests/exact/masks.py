import numpy as np


def causal_mask(queries, keys, past):
    query_position = list(range(past, past + queries))
    key_position = list(range(keys))
    mask = np.tri(queries, keys, past, dtype=bool)
    return locals()


def padding_mask(lengths, keys):
    key_position = list(range(keys))
    mask = [[[key < length for key in key_position]] for length in lengths]
    return locals()
