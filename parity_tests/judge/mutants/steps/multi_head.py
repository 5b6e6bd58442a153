"""Mutants of multi-head attention: heads split, attending, merged."""

from dataclasses import replace
from functools import partial

from numpy_ref.layers import linear
from numpy_ref.multi_head import merge_heads, split_heads, stacked_heads
from parity_tests.judge.mutants.attention_parts import Probe, attention
from parity_tests.judge.mutants.class_parts import (
    MUTANT_LAYERS,
    merge,
    merge_by_reshape,
    merge_interleaved,
    split,
    split_by_reshape,
    split_interleaved,
)
from parity_tests.judge.mutants.class_parts import finish as output_layer
from parity_tests.judge.mutants.class_parts import wired as as_named

from .pieces import Mutants
from .self_attention import PARTS_OF_A_TOKEN

SPLIT_HEADS: Mutants = {
    "the heads are split by reshape, without a transpose": split_by_reshape,
    "the heads take every other feature": split_interleaved,
    "the axes of heads and positions are not swapped": (
        lambda x, heads: split_heads(x, heads).swapaxes(-3, -2)
    ),
    "the axes of positions and features are swapped": (
        lambda x, heads: split_heads(x, heads).swapaxes(-2, -1)
    ),
}

MERGE_HEADS: Mutants = {
    "the heads are merged without transposing back": merge_by_reshape,
    "the heads are merged feature by feature": merge_interleaved,
    "the heads come in reverse order": (
        lambda x: merge_heads(x[..., ::-1, :, :])
    ),
}

STACKED_HEADS: Mutants = {
    "all heads have the weights of the first": (
        lambda x, params, *dropped: stacked_heads(
            x,
            replace(params, heads=params.heads[:1] * len(params.heads)),
            *dropped,
        )
    ),
}


def of_heads(
    x,
    params,
    mask,
    heads,
    split=split,
    merge=merge,
    wired=as_named,
    finish=output_layer,
    **parts,
):
    """A layer of heads, any part of which may be a wrong one."""
    layers = wired(params.query, params.key, params.value)
    projected = (split(linear(x, layer), heads) for layer in layers)
    probe = Probe(*projected, mask[..., None, :, :])
    output = params.output.weight, params.output.bias
    return finish(merge(attention(probe, **parts)), output, heads)


# One mask for all texts, as of a step, does not tell these.
OF_A_BATCH = ("along the batch, not the tokens", "[head by head]")
OF_LAYERS = {"sources", "joined", "scale", "one_for_all", "turning"}
OF_LAYERS |= {"biased", "residual", "not_normed"}
MUTANTS: dict[str, Mutants] = {
    "merge_heads": MERGE_HEADS,
    "multi_head_attention": {
        n: partial(of_heads, **p)
        for n, p in (PARTS_OF_A_TOKEN | MUTANT_LAYERS).items()
        if not n.endswith(OF_A_BATCH) and not {*p} & OF_LAYERS
    },
    "split_heads": SPLIT_HEADS,
    "stacked_heads": STACKED_HEADS,
}
