"""Heads are cut by one reshape, so that each gets a part of the tokens.

Origin: 649453932/Chinese-Text-Classification-Pytorch issue 53 (in the code
that it quotes), and hyunwoongko/transformer issue 15, where a reader
proposes it, and another shows why not.

Cause: heads split by reshape without transpose
"""


def split_heads(x, heads):
    """(..., position, d_model) to (..., head, position, d_head)."""
    *batch, positions, d_model = x.shape
    return x.reshape(*batch, heads, positions, d_model // heads)
