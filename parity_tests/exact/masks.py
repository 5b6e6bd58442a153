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


def causal_padding_mask(attention_mask):
    positions = attention_mask.shape[-1]
    causal = np.tri(positions, dtype=bool)
    mask = np.einsum("qk,...k->...qk", causal, attention_mask)
    return locals()


def positions_of_mask(attention_mask):
    tokens_so_far = np.zeros(attention_mask.shape, int)
    for end in range(attention_mask.shape[-1]):
        tokens_so_far[..., end] = attention_mask[..., : end + 1].sum(-1)
    positions = np.where(tokens_so_far > 0, tokens_so_far - 1, 0)
    return locals()
