"""Right: heads after the positions, expanded and reshaped."""


def repeat_kv(x, n_rep: int):
    """x: (batch, tokens, key heads, d)"""
    b, t, h, d = x.shape
    return x[:, :, :, None].expand(b, t, h, n_rep, d).reshape(b, t, -1, d)
