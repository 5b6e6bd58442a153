import numpy as np


def sliding_window_mask(queries, keys, window, past):
    query_position = list(range(past, past + queries))
    mask = [
        [q - window < key <= q for key in range(keys)]
        for q in query_position
    ]
    mask = np.array(mask).reshape(queries, keys)
    return {"query_position": query_position, "mask": mask}


def streaming_mask(queries, keys, window, first, past):
    recent = sliding_window_mask(queries, keys, window, past)["mask"]
    causal = np.tri(queries, keys, past, dtype=bool)
    kept = causal.copy()
    kept[:, first:] = False
    mask = recent + kept
    return locals()
