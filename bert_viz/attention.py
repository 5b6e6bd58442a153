"""Attention weights of one text in one model, and what they came from.

Axes: `layer` and `head` count from 0; `query` and `key` are both the
tokens of the text: queries look, keys are looked at. In cross-attention
the keys are the tokens of another text.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from numpy_ref.attention import attention_scores
from numpy_ref.layers import Linear
from numpy_ref.masks import causal_mask

AS_GIVEN = "rows as the model gives them"
LEFT_OUT = "special tokens left out, rows not renormalised"
RENORMALISED = "special tokens left out, rows renormalised"
SPECIAL = {
    *("[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]"),
    *("<s>", "</s>", "<pad>", "<mask>", "<unk>", "<|endoftext|>"),
}
PADDING = {"[PAD]", "<pad>", "<|pad|>"}


@dataclass(frozen=True, eq=False, repr=False)
class Attention:
    """Attention weights of every layer and head for one text.

    `about` says whose weights they are, `rows` what was done to the rows.
    `queries`, `keys`, `values` and `outputs` (the output projections) are
    None where only weights are known, or where word pieces were joined.
    `segments` are 0 for the first text, 1 for the second. In
    cross-attention `cross_tokens` are the keys, and `cross_special` says
    which of them are special; else both are None.
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
    cross_tokens: tuple[str, ...] | None = None
    cross_special: Bool[Array, " key"] | None = None

    def __repr__(self) -> str:
        return (
            f"<Attention: {self.counts}, {self.layers} layers "
            f"of {self.heads} heads; {self.about}; {self.rows}>"
        )

    @property
    def counts(self) -> str:
        """How many tokens, in words: queries by keys in cross-attention."""
        count = len(self.tokens)
        if self.is_cross:
            return f"{count} queries by {len(self.key_tokens)} keys"
        return "1 token" if count == 1 else f"{count} tokens"

    @property
    def layers(self) -> int:
        return self.weights.shape[0]

    @property
    def heads(self) -> int:
        return self.weights.shape[1]

    @property
    def is_cross(self) -> bool:
        """Cross-attention: the keys are the tokens of another text."""
        return self.cross_tokens is not None

    @property
    def key_tokens(self) -> tuple[str, ...]:
        """The tokens that are looked at."""
        return self.cross_tokens if self.is_cross else self.tokens

    @property
    def key_special(self) -> Bool[Array, " key"]:
        """Which of the tokens that are looked at are special."""
        return self.cross_special if self.is_cross else self.special

    @cached_property
    def padding(self) -> Bool[Array, " key"]:
        """Padding: keys of that name to which no head gives any weight."""
        named = np.array([token in PADDING for token in self.key_tokens])
        if not named.any():
            return named
        return named & ~self.weights.any(axis=(0, 1, 2))

    @cached_property
    def mask(self) -> Bool[Array, "query key"]:
        """The mask: which keys each query may see.

        None that is later, if the model is causal, and no padding.
        """
        queries, keys = self.weights.shape[2:]
        earlier = (
            causal_mask(queries, keys)
            if self.causal
            else np.ones((queries, keys), bool)
        )
        return earlier & ~self.padding

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
        kept = kept_of(self.tokens, self.special)
        kept_keys = kept_of(self.key_tokens, self.key_special)
        weights = self.weights[..., kept[:, None], kept_keys]
        if renormalise:
            sums = weights.sum(axis=-1, keepdims=True)
            weights = weights / np.where(sums == 0, 1, sums)
        rows = RENORMALISED if renormalise else LEFT_OUT
        inner = {
            name: None if array is None else array[..., positions, :]
            for name, array, positions in (
                ("queries", self.queries, kept),
                ("keys", self.keys, kept_keys),
                ("values", self.values, kept_keys),
            )
        }
        key_tokens = tuple(self.key_tokens[key] for key in kept_keys)
        key_special = self.key_special[kept_keys]
        return replace(
            self,
            tokens=tuple(self.tokens[position] for position in kept),
            weights=weights,
            special=self.special[kept],
            segments=self.segments[kept],
            # Whatever else was done to the rows stays in the text.
            rows=self.rows.replace(AS_GIVEN, rows).replace(LEFT_OUT, rows),
            cross_tokens=key_tokens if self.is_cross else None,
            cross_special=key_special if self.is_cross else None,
            **inner,
        )

    def check_one_text(self, what: str, instead: str = "") -> None:
        """Raise ValueError for cross-attention, for what needs one text.

        The message may end with what can be had instead.
        """
        if self.is_cross:
            raise ValueError(
                f"expected attention of one text to itself for {what}, "
                f"got cross-attention, {self.counts}{instead}"
            )

    def check_has(self, *names: str) -> None:
        """Raise ValueError where any of these arrays is not known."""
        for name in names:
            if getattr(self, name) is None:
                raise ValueError(
                    f"expected {name} along with the weights, got none "
                    f"({self.about}; {self.rows})"
                )


def kept_of(
    tokens: tuple[str, ...], special: Bool[Array, " token"]
) -> Int[Array, " kept"]:
    """The positions of tokens that are not special.

    Raises ValueError where all are special.
    """
    if special.all():
        raise ValueError(
            f"expected a token that is not special, got {', '.join(tokens)}"
        )
    return np.flatnonzero(~special)
