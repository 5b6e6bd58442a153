"""Wrong: the sines have the other sign, so that it turns backwards."""


def apply_rope(x, cos, sin):
    """x: (batch, tokens, heads, d); cos, sin: (tokens, d / 2)"""
    half = x.shape[-1] // 2
    out = x.clone()
    a, b = x[..., :half], x[..., half:]
    cos, sin = cos[:, None], sin[:, None]
    out[..., :half] = a * cos + b * sin
    out[..., half:] = b * cos - a * sin
    return out
