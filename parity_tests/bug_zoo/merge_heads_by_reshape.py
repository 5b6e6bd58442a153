"""Heads are put together by one reshape, which mixes up the tokens.

Origin: jadore801120/attention-is-all-you-need-pytorch issue 7 and
649453932/Chinese-Text-Classification-Pytorch issue 10.

Cause: heads merged without transposing back
"""


def merge_heads(x):
    """(..., head, position, d_head) to (..., position, d_model)."""
    *batch, heads, positions, d_head = x.shape
    return x.reshape(*batch, positions, heads * d_head)
