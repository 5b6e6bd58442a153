import numpy as np


def packed_mask(documents):
    positions = documents.shape[-1]
    causal = np.tri(positions, dtype=bool)
    same = np.zeros((*documents.shape, positions), bool)
    for document in np.unique(documents):
        there = documents == document
        same |= there[..., :, None] & there[..., None, :]
    mask = np.einsum("qk,...qk->...qk", causal, same)
    return locals()


def packed_positions(documents):
    positions = np.zeros_like(documents)
    for place in range(1, documents.shape[-1]):
        goes_on = documents[..., place] == documents[..., place - 1]
        after = positions[..., place - 1] + 1
        positions[..., place] = np.where(goes_on, after, 0)
    mask = packed_mask(documents)["mask"]
    return {"mask": mask, "positions": positions}
