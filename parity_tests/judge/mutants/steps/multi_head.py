"""Mistakes in heads: split, attending and merged."""

from functools import partial

from numpy_ref.layers import linear
from numpy_ref.multi_head import merge_heads, split_heads
from parity_tests.judge.mutants.attention_parts import Question, attention
from parity_tests.judge.mutants.class_parts import (
    WRONG_LAYERS,
    merge,
    merge_by_reshape,
    merge_interleaved,
    split,
    split_by_reshape,
    split_interleaved,
)
from parity_tests.judge.mutants.class_parts import finish as output_layer
from parity_tests.judge.mutants.class_parts import wired as as_named

from .pieces import Wrong
from .self_attention import PARTS_OF_A_TOKEN

SPLIT_HEADS: Wrong = {
    "the heads are split by reshape, without a transpose": split_by_reshape,
    "the heads take every other feature": split_interleaved,
    "the axes of heads and positions are not swapped": (
        lambda x, heads: split_heads(x, heads).swapaxes(-3, -2)
    ),
    "the axes of positions and features are swapped": (
        lambda x, heads: split_heads(x, heads).swapaxes(-2, -1)
    ),
}

MERGE_HEADS: Wrong = {
    "the heads are merged without transposing back": merge_by_reshape,
    "the heads are merged feature by feature": merge_interleaved,
    "the heads come in reverse order": (
        lambda x: merge_heads(x[..., ::-1, :, :])
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
    """A layer of heads with some parts, perhaps, wrong ones."""
    layers = wired(params.query, params.key, params.value)
    projected = (split(linear(x, layer), heads) for layer in layers)
    question = Question(*projected, mask[..., None, :, :])
    output = params.output.weight, params.output.bias
    return finish(merge(attention(question, **parts)), output)


VARIANTS: dict[str, Wrong] = {
    "merge_heads": MERGE_HEADS,
    "multi_head_attention": {
        n: partial(of_heads, **p)
        for n, p in (PARTS_OF_A_TOKEN | WRONG_LAYERS).items()
        if "along the batch" not in n
    },
    "split_heads": SPLIT_HEADS,
}
