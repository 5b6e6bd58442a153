"""Each column of scores sums to 1, where each row should.

Origin: PetrochukM/PyTorch-NLP issue 2, where, with one query, every weight
was 1.

Cause: softmax over the wrong axis
"""

import numpy as np


def softmax(scores):
    """Each row of scores as a distribution."""
    exponentials = np.exp(scores - scores.max(axis=0))
    return exponentials / exponentials.sum(axis=0)
