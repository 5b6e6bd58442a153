"""Padding is masked as queries, and attended to as keys.

Origin: hyunwoongko/transformer pull request 40, unsqueeze(1).unsqueeze(3)
makes the mask (batch, 1, queries, 1).

Cause: padding on the query axis
"""

import numpy as np


def padding_mask(lengths, keys):
    """True for the tokens of each text, False for its padding."""
    position = np.arange(keys)[:, None]
    return position < lengths[:, None, None]
