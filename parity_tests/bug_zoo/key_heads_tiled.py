"""Key heads are tiled, 0 1 0 1, where each should be repeated, 0 0 1 1.

Origin: onnx/onnx issue 7274 (the reference itself), jxiw/M1 issue 4.

Cause: key heads tiled, not repeated
"""

import numpy as np


def repeat_kv(x, n_rep):
    """Heads of (batch, heads, positions, features), for n_rep queries."""
    return np.tile(x, (1, n_rep, 1, 1))
