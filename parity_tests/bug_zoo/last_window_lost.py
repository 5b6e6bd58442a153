"""The last window of a text is left out, although it is whole.

Origin: karpathy/minGPT pull request 31, len(data) - (block_size + 1), an
off-by-one in the character data set.

Cause: the last window is lost
"""

import numpy as np


def window_starts(tokens, length, stride):
    """Where each window of `length` tokens begins, one every `stride`.

    A window needs its targets, too: length + 1 tokens.
    """
    if tokens < length + 1:
        raise ValueError(
            f"expected at least {length + 1} tokens, got {tokens}"
        )
    return np.arange(0, tokens - (length + 1), stride)
