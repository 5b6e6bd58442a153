"""Mutants of attention: three parts, of which each mutant replaces one.

The parts are a factor for the scores, what is visible, and how weights are
made of the two. Each of `MUTANTS` has a wrong part in place of a right one.
"""

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import accumulate
from math import sqrt

import numpy as np


@dataclass(frozen=True, eq=False)
class Probe:
    """Probe: one input on which a subject and the mutants are compared.

    `mask` is None for no mask, `second_mask` for no other one beside it;
    `causal` asks for the causal form, and `past` counts the keys before
    the first query, which came in these `calls`. What is asked with a
    cache has `parts`: how many tokens are new, call by call.
    """

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    mask: np.ndarray | None = None
    causal: bool = False
    past: int = 0
    second_mask: np.ndarray | None = None
    calls: tuple[int, ...] = ()
    parts: tuple[int, ...] = ()

    def in_parts(self) -> Iterator["Probe"]:
        """One for each call, with the keys and values up to then."""
        for index, end in enumerate(accumulate(self.parts)):
            calls = self.parts[:index]
            yield replace(
                self,
                query=self.query[..., sum(calls) : end, :],
                key=self.key[..., :end, :],
                value=self.value[..., :end, :],
                past=sum(calls),
                calls=calls,
                parts=(),
            )

    @property
    def masks(self) -> tuple[np.ndarray, ...]:
        both = self.mask, self.second_mask
        return tuple(mask for mask in both if mask is not None)

    @property
    def hides(self) -> bool:
        """Whether a mask that is passed hides a key."""
        return not all(np.all(mask) for mask in self.masks)

    @property
    def has_fewer_key_heads(self) -> bool:
        axes = self.query.ndim
        return axes > 2 and self.key.shape[-3] < self.query.shape[-3]

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.query.shape[:-1], self.key.shape[-2])


def root(probe: Probe) -> float:
    return 1 / sqrt(probe.query.shape[-1])


def visible(probe: Probe) -> np.ndarray:
    return own_mask(probe) & triangle(probe)


def own_mask(probe: Probe) -> np.ndarray:
    mask = joined(probe.masks)
    return np.broadcast_to(True if mask is None else mask, probe.shape)


def joined(masks: tuple, join=np.logical_and) -> np.ndarray | None:
    """What all masks allow; None for no mask."""
    return reduce(join, masks) if masks else None


def triangle(probe: Probe, extra: int = 0) -> np.ndarray:
    """The keys that a causal query sees, and `extra` more."""
    tokens = probe.shape[-1]
    visible = np.tri(*probe.shape[-2:], probe.past + extra, dtype=bool)
    return visible if probe.causal else np.ones((tokens,), bool)


def weigh(scores, visible, axis: int = -1) -> np.ndarray:
    return normalised(np.where(visible, scores, -np.inf), axis)


def normalised(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    """Softmax; zeros in a fully masked row."""
    greatest = scores.max(axis=axis, keepdims=True)
    powers = np.exp(scores - np.where(np.isfinite(greatest), greatest, 0))
    total = powers.sum(axis=axis, keepdims=True)
    return powers / np.where(total == 0, 1, total)


def next_to_each_other(array: np.ndarray, heads: int) -> np.ndarray:
    """Fewer heads of keys: each is repeated next to itself."""
    return np.repeat(array, heads // array.shape[-3], axis=-3)


def one_after_the_other(array: np.ndarray, heads: int) -> np.ndarray:
    """All heads of keys, and then all of them again."""
    return np.concatenate([array] * (heads // array.shape[-3]), axis=-3)


def products(query: np.ndarray, key: np.ndarray) -> np.ndarray:
    return query @ key.swapaxes(-2, -1)


def reshaped_products(query: np.ndarray, key: np.ndarray) -> np.ndarray:
    *batch, tokens, width = key.shape
    return query @ key.reshape(*batch, width, tokens)


def biased(weigh: Callable, bias: np.ndarray, factor) -> Callable:
    """Weights of scores to which numbers are added, once they are
    multiplied by the factor."""
    return lambda scores, visible: weigh(scores + bias, visible)


def attention(
    probe: Probe,
    factor: Callable = root,
    visible: Callable = visible,
    weigh: Callable = weigh,
    dtype=np.float64,
    repeat: Callable = next_to_each_other,
    repeat_values: Callable | None = None,
    similar: Callable = products,
    kept: Callable | None = None,
    bias: np.ndarray | None = None,
    biased: Callable = biased,
) -> np.ndarray:
    """Attention of three parts, any of which may be a wrong one; so may
    be what is `kept` in a cache, and how a `bias` joins the scores."""
    probe = kept(probe) if kept else probe
    if probe.has_fewer_key_heads:
        heads = probe.query.shape[-3]
        key = repeat(probe.key, heads)
        value = (repeat_values or repeat)(probe.value, heads)
        probe = replace(probe, key=key, value=value)
    query, key, value = (
        array.astype(dtype)
        for array in (probe.query, probe.key, probe.value)
    )
    similarity = similar(query, key)
    number = dtype(factor(probe))
    if bias is not None:
        weigh = biased(weigh, bias, number)
    return weigh(similarity * number, visible(probe)) @ value


def in_parts(mutant: Callable, probe: Probe) -> np.ndarray:
    """What it gives call by call, where a probe has parts."""
    parts = [*probe.in_parts()] or [probe]
    return np.concatenate([mutant(part) for part in parts], axis=-2)


def over_queries_and_keys(scores, visible):
    masked = np.where(visible, scores, -np.inf)
    flat = normalised(masked.reshape(*scores.shape[:-2], -1))
    return flat.reshape(scores.shape)


def over_everything(scores, visible):
    masked = np.where(visible, scores, -np.inf)
    return normalised(masked.reshape(-1)).reshape(scores.shape)


def filled(fill: float, axis: int = -1):
    return lambda scores, visible: normalised(
        np.where(visible, scores, fill), axis
    )


def shifted_by(shift: float, axis: int = -1):
    return lambda scores, visible: normalised(
        scores + shift * ~visible, axis
    )


def capped_after_the_mask(cap: float):
    def weights(scores, visible):
        masked = np.where(visible, scores, -np.inf)
        return normalised(cap * np.tanh(masked / cap))

    return weights


def without_a_shift(scores, visible):
    with np.errstate(over="ignore", invalid="ignore"):
        powers = np.where(visible, np.exp(scores), 0)
        return powers / powers.sum(axis=-1, keepdims=True)


def shifted_by_all(scores, visible):
    """Shifted by the maximum of all scores, masked ones included."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    powers = np.where(visible, np.exp(shifted), 0)
    total = powers.sum(axis=-1, keepdims=True)
    return powers / np.where(total == 0, 1, total)


def or_nothing(scores, visible):
    """NaN for a fully masked row, as a plain softmax gives it."""
    sees_any = visible.any(axis=-1, keepdims=True)
    return np.where(sees_any, weigh(scores, visible), np.nan)


def exponentials_only(scores, visible):
    masked = np.where(visible, scores, -np.inf)
    return np.exp(masked - masked.max(axis=-1, keepdims=True))


def sums_on_columns(greatest: Callable, aligned: Callable) -> Callable:
    """Exponentials, of which each column is divided by the sum of a row:
    of matrices with as many columns as rows, or else it raises."""

    def weights(scores, visible=True):
        masked = np.where(visible, scores, -np.inf)
        powers = np.exp(masked - greatest(masked))
        return powers / aligned(powers.sum(axis=-1))

    return weights


def in_each_matrix(sums: np.ndarray) -> np.ndarray:
    return sums[..., None, :]


def one_key_more(probe):
    """Of a length: <= where < was meant."""
    mask = own_mask(probe)
    before = np.roll(mask, 1, axis=-1)
    before[..., 0] = True
    return (mask | before) & triangle(probe)


def one_key_less(probe):
    mask = own_mask(probe)
    after = np.roll(mask, -1, axis=-1)
    after[..., -1] = mask.all(axis=-1)
    return mask & after & triangle(probe)


def transposed(mask: np.ndarray) -> np.ndarray:
    """The mask with queries for keys, where there are as many."""
    is_square = mask.shape[-1] == mask.shape[-2]
    return mask.swapaxes(-2, -1) if is_square else mask


def on_queries(mask: np.ndarray) -> np.ndarray:
    """The padding mask of a text's keys, applied to its queries."""
    same = (mask == mask[..., :1, :]).all()
    return transposed(mask) if same else mask


def of_own_mask(change: Callable) -> Callable:
    return lambda probe: change(own_mask(probe)) & triangle(probe)


def causal_alone(probe):
    return np.broadcast_to(triangle(probe), probe.shape)


def one_less(probe):
    return own_mask(probe) & triangle(probe, -1)


def one_less_but_some(probe):
    """The same, but a fully masked token sees itself."""
    less = one_less(probe)
    return np.where(less.any(-1, keepdims=True), less, visible(probe))


def inverted(probe):
    if probe.mask is None:
        return visible(probe)
    return ~own_mask(probe) & triangle(probe)


def triangle_inverted(probe):
    visible = triangle(probe)
    return own_mask(probe) & (~visible if probe.causal else visible)


def future_only(probe):
    """The upper triangle, with the token itself."""
    tokens = probe.shape[-2:]
    upper = np.tri(*tokens, dtype=bool).T
    return own_mask(probe) & (upper if probe.causal else True)


def either(probe):
    if probe.mask is None or not probe.causal:
        return visible(probe)
    return own_mask(probe) | triangle(probe)


NUMBERS = (2, 4, 8, 16)  # that are written in place of a root
FACTORS = {
    "the scale is missing": lambda probe: 1,
    "the scale is 1/d, not 1/√d, as if applied twice": lambda probe: (
        root(probe) ** 2
    ),
    "the scale is 1/(2 d), not 1/√d: d ** 1 / 2 is the half of d": (
        lambda probe: root(probe) ** 2 / 2
    ),
    "the scores are multiplied by √d": lambda probe: 1 / root(probe),
    "the scores are multiplied by d": lambda probe: root(probe) ** -2,
    "the scale is 1/√(number of keys), not 1/√d": (
        lambda probe: probe.shape[-1] ** -0.5
    ),
    "the scale is 1/√(number of queries), not 1/√d": (
        lambda probe: probe.shape[-2] ** -0.5
    ),
    "the scale is 1/√(width of the values), not 1/√d": (
        lambda probe: probe.value.shape[-1] ** -0.5
    ),
    "the scale is 1/d², not 1/√d": lambda probe: root(probe) ** 4,
    "the scale is 1/⁴√d, not 1/√d": lambda probe: root(probe) ** 0.5,
} | {
    f"the scale is 1/{number}, whatever the width": (
        lambda probe, number=number: 1 / number
    )
    for number in NUMBERS
}
NOT_KEPT = (
    "the sums of rows divide columns: the axis of the sum is not kept"
)
# What is subtracted counts here: it is not the same above and below. And
# matrices may come one by one, or at once, if a batch can be broadcast.
SUMS_NOT_KEPT = {
    f"{NOT_KEPT} [{maximum} is subtracted, of {which}]": sums_on_columns(
        greatest, aligned
    )
    for maximum, greatest in {
        "one maximum": np.max,
        "a maximum of each row": partial(np.max, axis=-1, keepdims=True),
    }.items()
    for which, aligned in {
        "all at once": np.asarray,
        "each matrix": in_each_matrix,
    }.items()
}
OVER_QUERIES = "the softmax runs over the queries, not the keys"
WEIGHINGS = {
    **SUMS_NOT_KEPT,
    "the weights are transposed": (
        lambda scores, visible: weigh(scores, visible).swapaxes(-2, -1)
    ),
    OVER_QUERIES: partial(weigh, axis=-2),
    "the softmax runs over queries and keys together": (
        over_queries_and_keys
    ),
    "the softmax runs over everything, the batch included": over_everything,
    "the softmax runs over the batch": partial(weigh, axis=0),
    "the softmax is applied twice": (
        lambda scores, visible: normalised(weigh(scores, visible))
    ),
    "the softmax is missing": (
        lambda scores, visible: np.where(visible, scores, 0)
    ),
    "the weights are not normalised": exponentials_only,
    "the maximum is not subtracted: exp overflows": without_a_shift,
    "the maximum is taken over masked keys, too: the rest underflows": (
        shifted_by_all
    ),
    "the mask is added as 0 and 1": (
        lambda scores, visible: normalised(scores + visible)
    ),
    "masked scores become 0, or nearly so, in place of -inf": (
        lambda scores, visible: normalised(scores * visible)
    ),
    "the mask comes after the softmax, with no renormalisation": (
        lambda scores, visible: normalised(scores) * visible
    ),
    "the mask is added after the softmax, as -inf": (
        lambda scores, visible: (
            normalised(scores) + np.where(visible, 0, -np.inf)
        )
    ),
    "masked scores get -1e4 in place of -inf": filled(-1e4),
    "masked scores have 1e4 subtracted": shifted_by(-1e4),
    "masked scores get -1e3 in place of -inf": filled(-1e3),
    "masked scores get -100 in place of -inf": filled(-100.0),
} | {
    f"scores are capped at {cap} after the mask": capped_after_the_mask(cap)
    for cap in (5, 10, 20, 30, 50)
}
ON_QUERIES = "the mask of the keys acts on the queries"
FROM_THE_FIRST = (
    "the cache is forgotten: the last queries are taken for the first"
)
VISIBLE_KEYS = {
    "the mask is transposed": of_own_mask(transposed),
    ON_QUERIES: of_own_mask(on_queries),
    "the mask is ignored": causal_alone,
    "the causal mask is missing": own_mask,
    "causal is dropped when another mask is given": lambda probe: (
        own_mask(probe) if probe.mask is not None else visible(probe)
    ),
    "another mask is dropped when causal is on": lambda probe: (
        causal_alone(probe) if probe.causal else own_mask(probe)
    ),
    "neither causal nor another mask has an effect": (
        lambda probe: np.ones(probe.shape, bool)
    ),
    "causal acts only when another mask is given": lambda probe: (
        visible(probe) if probe.mask is not None else own_mask(probe)
    ),
    "one future position is visible": lambda probe: (
        own_mask(probe) & triangle(probe, 1)
    ),
    "a token does not see itself": one_less,
    "a token does not see itself, the first one excepted": (
        one_less_but_some
    ),
    "the mask is inverted": inverted,
    "the mask hides one key too few": one_key_more,
    "the mask hides one key too many": one_key_less,
    "the mask and the causal mask are inverted": lambda probe: (
        ~visible(probe)
    ),
    "the causal mask is inverted": triangle_inverted,
    "the causal mask shows the future, not the past": future_only,
    "masks are joined with or, not and": either,
    FROM_THE_FIRST: lambda probe: visible(replace(probe, past=0)),
    f"{FROM_THE_FIRST} [where there are several]": lambda probe: (
        visible(replace(probe, past=0))
        if probe.query.shape[-2] > 1
        else visible(probe)
    ),
}


# --- what is kept of earlier tokens --------------------------------------


def kept_by(extended: Callable) -> Callable:
    """Keys and values that are kept, extended so by what a call brings."""

    def kept(probe: Probe) -> Probe:
        if not probe.calls:
            return probe
        ends = np.cumsum(probe.calls)
        keys, values = (
            np.split(array, ends, axis=-2)
            for array in (probe.key, probe.value)
        )
        key, value = reduce(extended, zip(keys, values, strict=True))
        past = key.shape[-2] - keys[-1].shape[-2]
        return replace(probe, key=key, value=value, past=past)

    return kept


def after(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    return np.concatenate([old, new], axis=-2)


def last_alone(probe: Probe) -> Probe:
    """Of what was kept, only what the last call has brought is there."""
    begin = sum(probe.calls[:-1])
    key, value = (x[..., begin:, :] for x in (probe.key, probe.value))
    return replace(probe, key=key, value=value, past=probe.past - begin)


def not_yet(probe: Probe) -> Probe:
    """What is new is kept, but not yet there."""
    if not probe.calls:
        return probe
    key, value = (x[..., : probe.past, :] for x in (probe.key, probe.value))
    return replace(probe, key=key, value=value)


def counted_back(probe: Probe) -> Probe:
    """The last query is taken to stand at the last key there is."""
    past = probe.key.shape[-2] - probe.query.shape[-2]
    return replace(probe, past=past) if probe.calls else probe


TOO_LATE = (
    "a new token does not see itself: it comes into the cache too late"
)
CACHES = {
    "the cache is not looked at": kept_by(lambda old, new: new),
    "new keys and values go before those of the cache": kept_by(
        lambda old, new: (after(new[0], old[0]), after(new[1], old[1]))
    ),
    "new keys go before those of the cache, new values after": kept_by(
        lambda old, new: (after(new[0], old[0]), after(old[1], new[1]))
    ),
    "new values go before those of the cache, new keys after": kept_by(
        lambda old, new: (after(old[0], new[0]), after(new[1], old[1]))
    ),
    "cached keys serve for cached values, too": kept_by(
        lambda old, new: (after(old[0], new[0]), after(old[0], new[1]))
    ),
    "cached values serve for cached keys, too": kept_by(
        lambda old, new: (after(old[1], new[0]), after(old[1], new[1]))
    ),
    "cached keys and values are swapped": kept_by(
        lambda old, new: (after(old[1], new[0]), after(old[0], new[1]))
    ),
    "the cache keeps the last call's keys and values only": last_alone,
    TOO_LATE: not_yet,
}
MUTANT_PARTS = (
    {name: {"factor": part} for name, part in FACTORS.items()}
    | {name: {"weigh": part} for name, part in WEIGHINGS.items()}
    | {name: {"visible": part} for name, part in VISIBLE_KEYS.items()}
    | {name: {"kept": part} for name, part in CACHES.items()}
    | {
        f"{TOO_LATE} [and the mask is of the keys there are]": {
            "kept": lambda probe: counted_back(not_yet(probe)),
            "weigh": or_nothing,
        },
        "a token does not see itself; the first, fully masked, gets NaN": {
            "visible": one_less,
            "weigh": or_nothing,
        },
        "a token does not see itself [and the first one sees all]": {
            "visible": one_less,
            "weigh": shifted_by(-1e9),
        },
        "a token does not see itself [and the first gets the mean]": {
            "visible": one_less,
            "weigh": filled(-1e9),
        },
        f"{OVER_QUERIES} [and a hidden key gets equal weights]": {
            "weigh": filled(-1e9, axis=-2)
        },
        f"{OVER_QUERIES} [and a hidden key is seen]": {
            "weigh": shifted_by(-1e9, axis=-2)
        },
        "the mask is inverted [and a row of none gets the mean]": {
            "visible": inverted,
            "weigh": filled(-1e9),
        },
        "the mask is inverted [and a row of none sees all]": {
            "visible": inverted,
            "weigh": shifted_by(-1e9),
        },
        "the mask is inverted [and a row of none gets NaN]": {
            "visible": inverted,
            "weigh": or_nothing,
        },
        f"{ON_QUERIES} [and a hidden one gets the mean]": {
            "visible": of_own_mask(on_queries),
            "weigh": filled(-1e9),
        },
        f"{ON_QUERIES} [and a hidden one gets NaN]": {
            "visible": of_own_mask(on_queries),
            "weigh": or_nothing,
        },
        "the keys are reshaped, not transposed": {
            "similar": reshaped_products
        },
        "key heads are repeated all in turn, not each next to itself": {
            "repeat": one_after_the_other
        },
        "key heads are repeated each next to itself, and those of values "
        "all in turn": {
            "repeat": next_to_each_other,
            "repeat_values": one_after_the_other,
        },
        "key heads are repeated all in turn, and those of values each next "
        "to itself": {
            "repeat": one_after_the_other,
            "repeat_values": next_to_each_other,
        },
    }
)


# Of functions and of layers with two masks: how these are joined.
JOINED_MASKS = {
    "with two masks, the second overwrites the first": partial(
        joined, join=lambda first, second: second
    ),
    "with two masks, only the first counts": partial(
        joined, join=lambda first, second: first
    ),
    "two masks are joined with or, not and": partial(
        joined, join=np.logical_or
    ),
}


# What may be wrong with one of several masks alone; and how a query to
# which nothing is left comes out.
OF_ONE_MASK = {
    "is inverted": np.logical_not,
    "acts on the queries, not the keys": on_queries,
    "is transposed": transposed,
    "is ignored": np.ones_like,
}
ROWS_OF_NONE = {
    "": {},
    " [and a row of none gets the mean]": {"weigh": filled(-1e9)},
    " [and a row of none gets NaN]": {"weigh": or_nothing},
}


def mutants_of_one_mask(
    masks: dict[str, bool], alone: Container[str]
) -> Iterator[tuple[str, dict, Callable]]:
    """Causes, each with other parts of attention, and with what it makes
    of masks by their names. `masks` tells which are of keys only: such a
    one acts on the queries where it is transposed. Those that probes never
    have `alone` may be ignored beside the other only."""
    for mask, of_keys in masks.items() if len(masks) > 1 else ():
        for wrong, change in OF_ONE_MASK.items():
            if change is (transposed if of_keys else on_queries):
                continue
            if change is np.ones_like and mask not in alone:
                continue
            for rows, parts in ROWS_OF_NONE.items():
                cause = f"of its masks, {mask} {wrong}{rows}"
                yield cause, parts, partial(with_changed, mask, change)


def with_changed(mask: str, change: Callable, masks: dict) -> dict:
    """The masks, of which one is changed where it is there."""
    return masks | {n: change(m) for n, m in masks.items() if n == mask}


def masks_joined_by(joined: Callable, probe: Probe) -> np.ndarray:
    """The masks are made one in some way, and that one is applied."""
    mask = joined(probe.masks)
    return attention(replace(probe, mask=mask, second_mask=None))


def swapped(probe: Probe) -> np.ndarray:
    """Keys for values and values for keys, if they are equally wide."""
    return attention(replace(probe, key=probe.value, value=probe.key))


def scaled_at_last(probe: Probe) -> np.ndarray:
    """The weights are divided by √d, not the scores."""
    return attention(probe, factor=lambda probe: 1) * root(probe)


def keys_averaged(probe: Probe) -> np.ndarray:
    """The keys are averaged, not the values."""
    return attention(replace(probe, value=probe.key))


def queries_swapped(probe: Probe) -> np.ndarray:
    """K Qᵀ in place of Q Kᵀ, if there are as many of each."""
    return attention(replace(probe, query=probe.key, key=probe.query))


def after_whole_tiles(size: int, of: str) -> Callable:
    """Queries, keys or features after the last whole tile are lost."""

    def lost(probe: Probe) -> np.ndarray:
        if of == "queries":
            output = attention(probe)
            whole = output.shape[-2] // size * size
            if output.shape[-2] > size:
                output[..., whole:, :] = 0
            return output
        axis = -2 if of == "keys" else -1
        whole = probe.key.shape[axis] // size * size
        if probe.key.shape[axis] <= size:
            return attention(probe)
        seen = np.arange(probe.key.shape[axis]) < whole
        if of == "keys":
            return attention(replace(probe, mask=own_mask(probe) & seen))
        query = np.where(seen, probe.query, 0)
        return attention(replace(probe, query=query))

    return lost


def after_the_first(size: int) -> Callable:
    """No key after the first ones is looked at."""

    def lost(probe: Probe) -> np.ndarray:
        seen = np.arange(probe.key.shape[-2]) < size
        return attention(replace(probe, mask=own_mask(probe) & seen))

    return lost


def never_rescaled(size: int) -> Callable:
    """Keys come in tiles; the sum of weights is rescaled where a larger
    score comes, what was summed of the values is not."""

    def summed(probe: Probe) -> np.ndarray:
        scores = products(probe.query, probe.key) * root(probe)
        scores = np.where(visible(probe), scores, -np.inf)
        greatest = np.maximum.accumulate(scores, axis=-1)
        ends = [*range(size, scores.shape[-1], size), scores.shape[-1]]
        before = np.concatenate(
            [
                np.repeat(greatest[..., [end - 1]], size, axis=-1)
                for end in ends
            ],
            axis=-1,
        )[..., : scores.shape[-1]]
        powers = np.exp(scores - before)
        total = np.exp(scores - greatest[..., -1:]).sum(-1, keepdims=True)
        return powers @ probe.value / total

    return summed


TILES = (8, 16, 32, 64, 128)
SMALL_TILES = (1, 2, 3, 4, 5)
BEYOND_TILES: dict[str, Callable] = (
    {
        f"{of} after the last whole tile of {size} are lost": (
            after_whole_tiles(size, of)
        )
        for of in ("queries", "keys", "features")
        for size in TILES
    }
    | {
        f"keys after the first {size} are not looked at": after_the_first(
            size
        )
        for size in TILES
    }
    | {
        f"with tiles of {size} keys, earlier sums are not rescaled when a "
        "larger score comes": never_rescaled(size)
        for size in (*SMALL_TILES, *TILES)
    }
)

MUTANTS: dict[str, Callable] = {
    name: partial(attention, **parts)
    for name, parts in MUTANT_PARTS.items()
} | {
    "keys and values are swapped": swapped,
    "queries and keys are swapped": queries_swapped,
    "the keys are averaged, not the values": keys_averaged,
    "the scale comes after the softmax, not before": scaled_at_last,
    **{n: partial(masks_joined_by, j) for n, j in JOINED_MASKS.items()},
}
