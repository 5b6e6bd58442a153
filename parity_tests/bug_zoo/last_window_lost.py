"""The last window of a text is left out, although it is whole.

Origin: karpathy/minGPT pull request 31, len(data) - (block_size + 1), an
off-by-one in the character data set.

Cause: the last window is lost
"""

import numpy as np


def window_starts(tokens, context_length, stride):
    """Where each window of tokens begins, one every `stride`.

    With its targets, a window needs context_length + 1 tokens.
    """
    if tokens < context_length + 1:
        raise ValueError(
            f"expected at least {context_length + 1} tokens, got {tokens}"
        )
    return np.arange(0, tokens - (context_length + 1), stride)
