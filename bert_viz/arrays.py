"""Attention from arrays: the weights of any model, as people have them.

    from_arrays(tokens, model(**inputs, output_attentions=True).attentions)

Tensors may require gradients, be on any device, and be of half precision,
which is widened to float32, exactly. None of their libraries is imported:
what is asked of a tensor is only `detach`, `cpu` and `float`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from numpy_ref.layers import Linear

from .attention import SPECIAL, Attention
from .checking import check_rows, check_scores

HALVES = ("float16", "bfloat16")
EAGER = (
    "fused attention returns no weights: load the model with "
    'attn_implementation="eager" and pass output_attentions=True'
)


def from_arrays(
    tokens: Sequence[str],
    weights: Float[Array, "layer head query key"],
    about: str = "weights passed as arrays",
    special: Bool[Array, " token"] | None = None,
    segments: Int[Array, " token"] | None = None,
    queries: Float[Array, "layer head query d_head"] | None = None,
    keys: Float[Array, "layer head key d_head"] | None = None,
    values: Float[Array, "layer head key d_head"] | None = None,
    outputs: tuple[Linear, ...] | None = None,
    key_tokens: Sequence[str] | None = None,
    key_special: Bool[Array, " key"] | None = None,
    batch: int | None = None,
    attention_mask: Bool[Array, " token"] | None = None,
    key_attention_mask: Bool[Array, " key"] | None = None,
) -> Attention:
    """Attention of any model, from its weights as arrays.

    `weights` may be a list with an array for each layer, as in
    `outputs.attentions`, or a single head (query, key). Of a batch of
    several texts, `batch` says which. `attention_mask` is 1 for tokens
    and 0 for padding, which is cut off. For cross-attention, `tokens` are
    those of the queries and `key_tokens` those of the keys, which have a
    `key_attention_mask` of their own.

    Unless `special` is passed, special tokens are recognised by their
    usual names; a model is taken to be causal when no token looks at a
    later one. Raises ValueError for weights of another shape, for rows
    that are NaN, negative, or do not sum to 1, and for queries and keys
    that do not give the weights.
    """
    weights = layers_of("weights", weights, batch)
    if weights.dtype.kind != "f":
        raise ValueError(
            f"expected floating-point weights, got {weights.dtype}"
        )
    rows = side_of("attention_mask", tokens, attention_mask, batch)
    columns = rows
    if key_tokens is not None:
        columns = side_of(
            "key_attention_mask", key_tokens, key_attention_mask, batch
        )
    elif key_attention_mask is not None or key_special is not None:
        raise ValueError(
            "expected key_tokens with key_special or key_attention_mask, "
            "got none"
        )
    weights = columns.cut(rows.cut(weights, -2), -1)
    check_shape(weights, rows, columns)
    check_rows(weights)
    before = weights.shape[:2]
    queries, keys, values = (
        inner_of(name, array, before, side, batch)
        for name, array, side in (
            ("queries", queries, rows),
            ("keys", keys, columns),
            ("values", values, columns),
        )
    )
    count = len(rows.tokens)
    later = np.triu(np.ones(weights.shape[2:], bool), 1)
    is_cross = key_tokens is not None
    attention = Attention(
        rows.tokens,
        weights,
        special_of("special", special, rows, batch),
        np.zeros(count, np.int64)
        if segments is None
        else per_token("segments", segments, rows, batch),
        causal=not is_cross and count > 1 and not weights[..., later].any(),
        about=about,
        queries=queries,
        keys=keys,
        values=values,
        outputs=outputs,
        cross_tokens=columns.tokens if is_cross else None,
        cross_special=special_of("key_special", key_special, columns, batch)
        if is_cross
        else None,
    )
    if queries is not None and keys is not None:
        widths = queries.shape[-1], keys.shape[-1]
        if widths[0] != widths[1]:
            raise ValueError(
                "expected queries and keys of the same width, got "
                f"{widths[0]} and {widths[1]}"
            )
        check_scores(weights, queries, keys, attention.mask)
    return attention


# --- arrays, whatever holds them ------------------------------------------


def array_of(data) -> Array:
    """The NumPy array of a tensor: detached, on the CPU, no half."""
    if hasattr(data, "detach"):
        data = data.detach().cpu()
        # NumPy knows no bfloat16, and no other way out of a tensor.
        if str(data.dtype).endswith(HALVES):
            data = data.float()
    array = np.asarray(data)
    return array.astype(np.float32) if array.dtype.name in HALVES else array


def layers_of(
    name: str, data, batch: int | None
) -> Float[Array, "layer head row column"]:
    """An array of one text, with an axis for layers and one for heads.

    Raises ValueError for None, for layers of several shapes, for a batch
    of several texts without `batch`, and for three axes, of which none
    says whether the first counts layers or heads.
    """
    if isinstance(data, list | tuple):
        array = stacked(name, data)
    else:
        check_is_array(name, data)
        array = array_of(data)
    if array.ndim == 5:
        return array[:, text_of(name, array.shape, 1, batch)]
    if batch is not None:
        raise ValueError(
            f"expected {name} of several texts, (layers, texts, heads, …), "
            f"with batch={batch}, got shape {array.shape}"
        )
    if array.ndim == 3 and len(array) > 1:
        raise ValueError(
            f"expected {name} with an axis for layers and one for heads, "
            f"got shape {array.shape}; pass [array] if it is one layer, "
            "array[:, None] if its layers have one head each"
        )
    return (
        array[(None,) * (4 - array.ndim)] if array.ndim in (2, 3) else array
    )


def stacked(name: str, layers: Sequence) -> Array:
    """Layers as one array. Raises ValueError where they do not match."""
    for layer in layers:
        check_is_array(name, layer)
    arrays = [array_of(layer) for layer in layers]
    shapes = list(dict.fromkeys(array.shape for array in arrays))
    if len(shapes) != 1:
        listed = " and ".join(map(str, shapes)) or "no layer"
        raise ValueError(
            f"expected {name} of one shape in every layer, got {listed}"
        )
    return np.stack(arrays)


def check_is_array(name: str, data) -> None:
    """Raise ValueError for None, and for tensors where one is expected."""
    if data is None:
        raise ValueError(
            f"expected {name} of every layer, got None; {EAGER}"
        )
    parts = data if isinstance(data, list | tuple) else ()
    if any(hasattr(part, "detach") or part is None for part in parts):
        raise ValueError(
            f"expected {name} with one array for each layer, got a "
            f"{type(data).__name__} of {len(parts)} in a layer's place; "
            "generate(…) returns one for each step: pass those of one step"
        )


def text_of(
    name: str, shape: tuple[int, ...], axis: int, batch: int | None
) -> int:
    """Which text of a batch: the one there is, or the one asked for."""
    texts = shape[axis]
    if batch is None and texts == 1:
        return 0
    if batch is None or not 0 <= batch < texts:
        raise ValueError(
            f"expected batch=INDEX, from 0 to {texts - 1}, for {name} of a "
            f"batch of shape {shape}, got batch={batch}"
        )
    return batch


# --- tokens, and what is padding ------------------------------------------


class Side(NamedTuple):
    """The tokens of an axis, and which positions of it they are.

    `length` is that of the axis with its padding; `mask` the name of the
    argument that would cut padding off.
    """

    tokens: tuple[str, ...]
    positions: Int[Array, " kept"]
    length: int
    mask: str

    def cut(self, array: Array, axis: int) -> Array:
        """An array without what is padding along an axis."""
        if not -array.ndim <= axis or array.shape[axis] != self.length:
            return array  # has its shape checked, and named
        return np.take(array, self.positions, axis)


def side_of(
    name: str, tokens: Sequence[str], mask, batch: int | None
) -> Side:
    """The tokens of an axis, without those that the mask says are padding.

    The tokens may be those of the axis, or only those that are kept.
    """
    tokens = tuple(tokens)
    for token in tokens:
        if not isinstance(token, str):
            raise ValueError(
                "expected tokens as text, got "
                f"{type(token).__name__} {token!r}"
            )
    if mask is None:
        return Side(tokens, np.arange(len(tokens)), len(tokens), name)
    kept = one_text(name, mask, batch).astype(bool)
    positions = np.flatnonzero(kept)
    if len(tokens) == len(kept):
        tokens = tuple(tokens[position] for position in positions)
    if len(tokens) != len(positions):
        raise ValueError(
            f"expected {len(kept)} tokens, as many as {name} has entries, "
            f"or the {len(positions)} that it keeps, got {len(tokens)}"
        )
    return Side(tokens, positions, len(kept), name)


def one_text(name: str, data, batch: int | None) -> Array:
    """One number for each token of one text, of a batch or alone."""
    array = array_of(data)
    if array.ndim == 2:
        array = array[text_of(name, array.shape, 0, batch)]
    return array


def per_token(name: str, data, side: Side, batch: int | None) -> Array:
    """One number for each token. Raises ValueError for other shapes."""
    array = side.cut(one_text(name, data, batch), 0)
    expected = (len(side.tokens),)
    if array.shape != expected:
        raise ValueError(
            f"expected {name} of shape {expected}, got {array.shape}"
        )
    return array


def special_of(
    name: str, data, side: Side, batch: int | None
) -> Bool[Array, " token"]:
    """Which tokens are special: as passed, or by their usual names."""
    if data is None:
        return np.array([token in SPECIAL for token in side.tokens], bool)
    return per_token(name, data, side, batch).astype(bool)


def inner_of(
    name: str,
    data,
    layers_and_heads: tuple[int, int],
    side: Side,
    batch: int | None,
) -> Float[Array, "layer head token d_head"] | None:
    """Queries, keys or values. Raises ValueError for another shape."""
    if data is None:
        return None
    array = side.cut(layers_of(name, data, batch), -2)
    expected = *layers_and_heads, len(side.tokens)
    if array.shape[:-1] != expected:
        raise ValueError(
            f"expected {name} of shape {(*expected, 'd_head')}, got "
            f"{array.shape}"
        )
    return array


def check_shape(weights: Array, rows: Side, columns: Side) -> None:
    """Raise ValueError unless the weights are those of these tokens."""
    queries, keys = len(rows.tokens), len(columns.tokens)
    expected = f"(layers, heads, {queries}, {keys})"
    counts = f"{queries} tokens"
    if columns is not rows:
        counts = f"{queries} tokens and {keys} key_tokens"
    if weights.ndim != 4 or weights.shape[2:] != (queries, keys):
        raise ValueError(
            f"expected weights of shape {expected} for {counts}, got "
            f"{weights.shape}{way_out(weights, rows, columns)}"
        )
    if 0 in weights.shape:
        raise ValueError(
            f"expected at least one layer, head and token, "
            f"got {weights.shape}"
        )


def way_out(weights: Array, rows: Side, columns: Side) -> str:
    """What to pass with weights of such a shape."""
    if weights.ndim != 4:
        return ""
    sizes = zip(weights.shape[2:], (rows, columns), strict=True)
    longer = [side.mask for size, side in sizes if size > len(side.tokens)]
    names = " and ".join(dict.fromkeys(longer))
    if columns is rows and weights.shape[2] != weights.shape[3]:
        return "; for cross-attention pass the keys' tokens as key_tokens"
    return f"; where the others are padding, pass {names}" if names else ""
