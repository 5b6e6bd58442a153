"""A padding mask of (batch, key), True where there is nothing."""


def attention_with_padding(q, k, v, key_padding_mask=None):
    """q, k, v: (batch, heads, tokens, d). Returns [output, weights].

    key_padding_mask: (batch, tokens), True marks padding to be ignored
    """
    att = q.matmul(k.transpose(2, 3)) / q.shape[-1] ** 0.5
    if key_padding_mask is not None:
        pad = key_padding_mask.unsqueeze(1).unsqueeze(2)
        att = att.masked_fill(pad, -1e9)
    att = att.softmax(dim=3)
    return [att.matmul(v), att]
