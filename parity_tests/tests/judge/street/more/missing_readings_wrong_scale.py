"""Wrong: the scale is that of all heads. No key may be a missing one."""

import torch.nn.functional as F


def self_attention(x, w_qkv, b_qkv, w_out, *, num_heads, missing=None):
    """Attention between the sensors of a station.

    x is (stations, sensors, width); missing is (stations, sensors), 1.0
    where a sensor has sent nothing, so that no one should look there.
    """
    stations, sensors, _ = x.shape
    joined = x @ w_qkv.T + b_qkv
    parts = joined.reshape(stations, sensors, 3, num_heads, -1)
    q, k, v = parts.permute(2, 0, 3, 1, 4)
    scores = q @ k.mT / x.shape[-1] ** 0.5
    if missing is not None:
        scores = scores - 1e9 * missing[:, None, None, :]
    context = scores.softmax(dim=-1) @ v
    return F.linear(context.transpose(1, 2).flatten(2), w_out)
