import numpy as np


def prefix_mask(lengths, keys):
    causal = np.tri(keys, dtype=bool)
    in_prefix = [
        [[key < length for key in range(keys)]] for length in lengths
    ]
    mask = [
        [[j < max(i + 1, length) for j in range(keys)] for i in range(keys)]
        for length in lengths
    ]
    return locals()
