"""After a well-known tutorial: a mask of floats, whose 1.0 hides."""

import numpy as np


def scaled_dot_product_attention(q, k, v, mask):
    """Calculate the attention weights.

    q, k, v must have matching leading dimensions. The mask has 1.0 for
    padding or a token ahead and 0.0 elsewhere; it may be None.

    Returns:
      output, attention_weights
    """
    matmul_qk = np.matmul(q, np.swapaxes(k, -1, -2))
    dk = k.shape[-1]
    scaled_attention_logits = matmul_qk / np.sqrt(dk)
    if mask is not None:
        scaled_attention_logits += mask * -1e9
    shifted = scaled_attention_logits.max(axis=-1, keepdims=True)
    attention_weights = np.exp(scaled_attention_logits - shifted)
    attention_weights /= attention_weights.sum(axis=-1, keepdims=True)
    return np.matmul(attention_weights, v), attention_weights
