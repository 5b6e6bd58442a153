"""The sinks are taken, and nothing is done with them: no row gives way.

Origin: sglang issue 11634, vllm-metal issue 550, and number 10519 of ROCm:
sinks left out, and no test that noticed; in the end an accuracy of 0.

Cause: the sinks are left out
"""

import numpy as np


def sink_attention(query, key, value, sinks, mask):
    """Attention in which each head has a sink, a score that is learned.

    The sink takes part in the softmax of every query, and has no value: so
    the weights of a query sum to less than 1. `query`, `key` and `value`
    are (batch, heads, tokens, d_head), `sinks` (heads,). `mask` is True
    where a query may attend to a key. As in GPT-OSS.
    """
    scores = query @ key.swapaxes(-2, -1) / query.shape[-1] ** 0.5
    scores = np.where(mask, scores, -np.inf)
    greatest = np.maximum(
        scores.max(axis=-1, keepdims=True), sinks[:, None, None]
    )
    powers = np.exp(scores - greatest)
    weights = powers / powers.sum(axis=-1, keepdims=True)
    return weights @ value
