"""Exact values: what every named step should be, from its definition.

A third writing of the steps, in files of the same names, in numbers that
carry their error bound (`bounds.Bounded`): in float64 where only the bound
is wanted, in mpmath's 50 digits where the exact value is. It takes other
ways than the twins where there are any: sums by einsum, softmax without
its intermediate steps, heads by slicing, frequencies as powers.

Each function returns its locals by name. Ids and masks are described in
plain Python, and must be the same.
"""

from . import (
    attention,
    bert,
    byte_pair_encoding,
    embeddings,
    generation,
    gpt2,
    gpt2_training,
    key_value_cache,
    layers,
    loss,
    masks,
    multi_head,
    optimizer,
    self_attention,
    sublayers,
    windows,
    word_tokenizer,
)
from .fast import (
    partial_attention,
    ring_attention,
    split_heads_over_ranks,
    tiled_attention,
    tiled_multi_head,
)
from .numbers import bounded
from .variants import (
    additive_bias,
    albert,
    alibi,
    cross_attention,
    distilbert,
    gated_delta,
    grouped_queries,
    half_precision,
    label_smoothing,
    latent_attention,
    linear_attention,
    llama,
    llama_cache,
    llama_training,
    packed,
    post_norm,
    prefix,
    projection,
    qk_norm,
    relative_positions,
    relu,
    ring_buffer,
    rms_norm,
    rotary,
    sinks,
    sliding_window,
    soft_cap,
    swiglu,
    transformer,
    transformer_training,
    warm_up,
)

DIGITS = 50
FILES = (
    word_tokenizer,
    byte_pair_encoding,
    windows,
    embeddings,
    masks,
    layers,
    attention,
    self_attention,
    multi_head,
    sublayers,
    bert,
    distilbert,
    albert,
    gpt2,
    gpt2_training,
    key_value_cache,
    generation,
    loss,
    optimizer,
    projection,
    rms_norm,
    swiglu,
    rotary,
    grouped_queries,
    llama,
    llama_cache,
    llama_training,
    sliding_window,
    prefix,
    packed,
    additive_bias,
    alibi,
    relative_positions,
    soft_cap,
    sinks,
    qk_norm,
    ring_buffer,
    latent_attention,
    linear_attention,
    gated_delta,
    cross_attention,
    relu,
    post_norm,
    transformer,
    label_smoothing,
    transformer_training,
    warm_up,
    half_precision,
    partial_attention,
    tiled_attention,
    tiled_multi_head,
    ring_attention,
    split_heads_over_ranks,
)


def exact_steps(
    name: str, arguments: dict, params=None, digits: bool = False
):
    """What the locals of step `name` should be, by their names.

    `arguments` and `params` hold NumPy arrays. With `digits` the values
    are exact to DIGITS digits; without, float64. Raises LookupError for
    a step that is described in none of FILES.
    """
    function = described(name)
    inputs = {
        key: bounded(value, digits) for key, value in arguments.items()
    }
    if params is not None:
        inputs["params"] = bounded(params, digits)
    if not digits:
        return _without(inputs, function(**inputs))
    import mpmath

    with mpmath.workdps(DIGITS):
        return _without(inputs, function(**inputs))


def described(name: str):
    """The description of step `name`, or of a gradient by hand."""
    for file in FILES:
        if hasattr(file, name):
            return getattr(file, name)
    raise LookupError(f"expected {name} to be described in {__name__}")


def _without(inputs: dict, named: dict) -> dict:
    """The named locals but for the inputs: the steps."""
    return {name: named[name] for name in named if name not in inputs}
