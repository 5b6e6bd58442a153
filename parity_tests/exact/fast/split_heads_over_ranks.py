from functools import reduce
from operator import add

from parity_tests.bounds.gradients import along_paths

from ..multi_head import (
    multi_head_attention,
    multi_head_attention_backward,
)
from ..numbers import parameters


def split_heads_over_ranks(x, params, mask, heads):
    ranks = len(params.ranks)
    parts = [
        multi_head_attention(x, rank, mask, heads // ranks)["y"]
        for rank in params.ranks
    ]
    y = reduce(add, parts)
    return locals()


def split_heads_over_ranks_backward(d_y, x, params, mask, heads):
    """What comes back to x comes along three paths on each rank."""
    ranks = len(params.ranks)
    results = [
        multi_head_attention_backward(d_y, x, rank, mask, heads // ranks)
        for rank in params.ranks
    ]
    d_x = along_paths(
        *(path for result in results for path in result["inner"]["paths"])
    )
    d_params = parameters(
        ranks=tuple(result["d_params"] for result in results)
    )
    return {"d_x": d_x, "d_params": d_params}
