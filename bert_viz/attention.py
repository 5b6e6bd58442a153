"""Attention weights of one text in one model, and what they came from.

Axes: `layer` and `head` count from 0; `query` and `key` are both the
tokens of the text: queries look, keys are looked at.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from numpy_ref.attention import attention_scores
from numpy_ref.layers import Linear

AS_GIVEN = "rows as the model gives them"
LEFT_OUT = "special tokens left out, rows not renormalised"
RENORMALISED = "special tokens left out, rows renormalised"
SPECIAL = {
    *("[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]"),
    *("<s>", "</s>", "<pad>", "<mask>", "<unk>", "<|endoftext|>"),
}
ROW_SUM = 1e-3  # how far a row's sum may be from 1: float16 is within it


@dataclass(frozen=True, eq=False, repr=False)
class Attention:
    """Attention weights of every layer and head for one text.

    `about` says whose weights they are, `rows` what was done to the rows.
    `queries`, `keys`, `values` and `outputs` (the output projections) are
    None where only weights are known, or where word pieces were joined.
    `segments` are 0 for the first text, 1 for the second.
    """

    tokens: tuple[str, ...]
    weights: Float[Array, "layer head query key"]
    special: Bool[Array, " token"]
    segments: Int[Array, " token"]
    causal: bool
    about: str
    rows: str = AS_GIVEN
    queries: Float[Array, "layer head query d_head"] | None = None
    keys: Float[Array, "layer head key d_head"] | None = None
    values: Float[Array, "layer head key d_head"] | None = None
    outputs: tuple[Linear, ...] | None = None

    def __repr__(self) -> str:
        return (
            f"<Attention: {len(self.tokens)} tokens, {self.layers} layers "
            f"of {self.heads} heads; {self.about}; {self.rows}>"
        )

    @property
    def layers(self) -> int:
        return self.weights.shape[0]

    @property
    def heads(self) -> int:
        return self.weights.shape[1]

    @property
    def scores(self) -> Float[Array, "layer head query key"]:
        r"""$QK^\top / \sqrt{d_\text{head}}$, before any mask.

        Raises ValueError where there are no queries and keys.
        """
        self.check_has("queries", "keys")
        return attention_scores(self.queries, self.keys)

    def transformed(self, layer: int) -> Float[Array, "head key d_model"]:
        """Transformed values f_h(x_j) of a layer: what each token can give.

        The value, projected to the model's width by the head's part of
        the output projection. Raises ValueError where values or output
        projections are not known.
        """
        self.check_has("values", "outputs")
        values = self.values[layer]
        heads, _, d_head = values.shape
        weight = self.outputs[layer].weight
        parts = weight.reshape(len(weight), heads, d_head)
        return np.einsum("hkd,mhd->hkm", values, parts, optimize=True)

    @cached_property
    def value_norms(self) -> Float[Array, "layer head key"]:
        r"""$\lVert f_h(x_j) \rVert$ of all layers and heads."""
        return np.stack(
            [
                np.linalg.norm(self.transformed(layer), axis=-1)
                for layer in range(self.layers)
            ]
        )

    def head(self, layer: int, head: int) -> Float[Array, "query key"]:
        """The weights of one head. Raises ValueError for no such head."""
        for name, index, count in (
            ("layer", layer, self.layers),
            ("head", head, self.heads),
        ):
            if not 0 <= index < count:
                raise ValueError(
                    f"expected {name} from 0 to {count - 1}, got {index}"
                )
        return self.weights[layer, head]

    def without_special(self, renormalise: bool = False) -> "Attention":
        """Special tokens left out: none has a row or a column.

        A row that gave everything to special tokens stays zero. Raises
        ValueError when no other tokens are left.
        """
        kept = np.flatnonzero(~self.special)
        if not kept.size:
            raise ValueError(
                "expected a token that is not special, got "
                f"{', '.join(self.tokens)}"
            )
        weights = self.weights[..., kept[:, None], kept]
        if renormalise:
            sums = weights.sum(axis=-1, keepdims=True)
            weights = weights / np.where(sums == 0, 1, sums)
        rows = RENORMALISED if renormalise else LEFT_OUT
        inner = {
            name: None if array is None else array[..., kept, :]
            for name, array in (
                ("queries", self.queries),
                ("keys", self.keys),
                ("values", self.values),
            )
        }
        return replace(
            self,
            tokens=tuple(self.tokens[position] for position in kept),
            weights=weights,
            special=self.special[kept],
            segments=self.segments[kept],
            # Whatever else was done to the rows stays in the text.
            rows=self.rows.replace(AS_GIVEN, rows).replace(LEFT_OUT, rows),
            **inner,
        )

    def check_has(self, *names: str) -> None:
        """Raise ValueError where any of these arrays is not known."""
        for name in names:
            if getattr(self, name) is None:
                raise ValueError(
                    f"expected {name} along with the weights, got none "
                    f"({self.about}; {self.rows})"
                )


def from_arrays(
    tokens: list[str],
    weights: Float[Array, "layer head query key"],
    about: str = "weights passed as arrays",
    special: Bool[Array, " token"] | None = None,
    segments: Int[Array, " token"] | None = None,
    queries: Float[Array, "layer head query d_head"] | None = None,
    keys: Float[Array, "layer head key d_head"] | None = None,
    values: Float[Array, "layer head key d_head"] | None = None,
    outputs: tuple[Linear, ...] | None = None,
) -> Attention:
    """Attention of any model, from its weights as arrays.

    `weights` may be a list with an array for each layer. Unless `special`
    is passed, special tokens are recognised by their usual names; a model
    is taken to be causal when no token looks at a later one. Raises
    ValueError for weights of another shape, for a batch of texts, and for
    rows that are NaN, negative, or do not sum to 1.
    """
    weights = np.asarray(weights)
    if weights.dtype.kind != "f":
        raise ValueError(
            f"expected floating-point weights, got {weights.dtype}"
        )
    count = len(tokens)
    check_shape(weights, count)
    check_rows(weights)
    arrays = queries, keys, values = [
        None if array is None else np.asarray(array)
        for array in (queries, keys, values)
    ]
    for name, array in zip(
        ("queries", "keys", "values"), arrays, strict=True
    ):
        if array is not None and array.shape[:3] != weights.shape[:3]:
            raise ValueError(
                f"expected {name} of shape {(*weights.shape[:3], 'd_head')}"
                f", got {array.shape}"
            )
    if special is None:
        special = np.array([token in SPECIAL for token in tokens], bool)
    if segments is None:
        segments = np.zeros(count, np.int64)
    special, segments = np.asarray(special, bool), np.asarray(segments)
    for name, array in (("special", special), ("segments", segments)):
        if array.shape != (count,):
            raise ValueError(
                f"expected {name} of shape {(count,)}, got {array.shape}"
            )
    later = np.triu(np.ones((count, count), bool), 1)
    return Attention(
        tuple(tokens),
        weights,
        special,
        segments,
        causal=count > 1 and not weights[..., later].any(),
        about=about,
        queries=queries,
        keys=keys,
        values=values,
        outputs=outputs,
    )


def check_shape(weights: Array, tokens: int) -> None:
    """Raise ValueError unless the weights are those of one text."""
    expected = f"(layers, heads, {tokens}, {tokens})"
    if weights.ndim == 5:
        raise ValueError(
            f"expected the weights of one text, {expected}, got a batch of "
            f"shape {weights.shape}; take one of them"
        )
    if weights.ndim != 4 or weights.shape[2:] != (tokens, tokens):
        raise ValueError(
            f"expected weights of shape {expected} for {tokens} tokens, "
            f"got {weights.shape}"
        )
    if 0 in weights.shape:
        raise ValueError(
            f"expected at least one layer, head and token, "
            f"got {weights.shape}"
        )


def check_rows(weights: Array) -> None:
    """Raise ValueError unless each row is a distribution."""
    sums = weights.sum(axis=-1, dtype=np.float64)
    wrong = ~(abs(sums - 1) <= ROW_SUM) | (weights < 0).any(axis=-1)
    if wrong.any():
        layer, head, query = np.argwhere(wrong)[0]
        row = weights[layer, head, query]
        raise ValueError(
            "expected rows of non-negative weights that sum to 1, got a "
            f"sum of {row.sum():.6g} and a minimum of {row.min():.3g} in "
            f"layer {layer}, head {head}, query {query}; wrong rows: "
            f"{wrong.sum()}"
        )
