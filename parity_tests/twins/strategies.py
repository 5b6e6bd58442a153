"""Strategies: inputs for any step, drawn from its own annotations.

Axes that bear different names get different sizes, so that a swapped one
cannot hide. Floats are small integers times a scale: they shrink well,
and the scale, a number without a short binary form, makes sums round.
Scales are drawn from a range that takes scores from nearly uniform to
nearly one-hot. Masks have fully masked rows; arrays have odd strides.
"""

import inspect
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from math import prod
from typing import get_args

import numpy as np
import torch
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jaxtyping import AbstractArray
from torch import nn

from numpy_ref.byte_pair_encoding import merge_table, without_overlap
from numpy_ref.fast.ring_attention import shard_mask
from numpy_ref.parameters import from_state_dict
from torch_impl.variants.qwen2 import with_biases

from .case import Case, laid_out
from .finding import Twin
from .replaying import to_numpy

# 1, -1, 2, -2 ... 16, -16, and 0: a failing input is made of what comes
# first.
SIZES_AND_SIGNS = [size * sign for size in range(1, 17) for sign in (1, -1)]
LATTICE = [*SIZES_AND_SIGNS, 0]
SEEDS = st.integers(0, 2**32 - 1)
# Powers of e, 0.02 to 0.8: what a query and a key are multiplied by when
# the scores' standard deviation is to be from about 0.05 to about 50.
LOG_SCALE = st.floats(-4, -0.2)
LAYOUTS = st.sampled_from(["plain", "strided", "transposed", "expanded"])
SPECIAL = ["<|unk|>", "<|endoftext|>"]
PIECES = [*"ab é|<>,.:;?_!\"()'\n\t", "--", "  ", *SPECIAL]
TEXT = st.lists(st.sampled_from(PIECES), max_size=20).map("".join)
WORDS = st.lists(TEXT, max_size=5)

# Sizes that must leave room for another: a table for its look-ups.
NESTED = {
    "positions": "position",
    "token": "context_length",
    "tokens": "context_length",
}
MOST_LAYERS = 2
MOST_BATCH_AXES = 2
NOT_NEGATIVE = ("normaliser", "probabilities", "square")
NOT_POSITIVE = ("log_decay",)
FROM_0_TO_1 = ("beta", "uniform")
IGNORED = -100
# Of keys so far: how many parts there are, and what is kept of no key.
PARTS = st.integers(1, 5)
UNSEEN = {
    "RunningSoftmax": (0, -np.inf, 0),
    "PartialAttention": (0, -np.inf),
}
# In which half a step is drawn that computes in one.
HALVES = {"float32": "bfloat16", "float64": "float16"}
# A rounded score in the tens says next to nothing of its weight.
SMALLER_IN_HALF = 4
# What is no array, by its name: sizes of axes, and all else.
SIZES = ("heads", "key_heads", "d_head", "context_length", "ranks", "rank")
OF_A_RANK = ("query", "key")
# In a shard of a text, in the order of the text.
IN_ORDER = ("key_positions", "last_visible")
PLAIN = {
    "base": st.sampled_from([10_000.0, 100_000.0, 3.0]),
    "betas": st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)),
    "batch_size": st.integers(1, 9),
    "bits": st.integers(1, 11),
    "block": st.integers(1, 9),
    "both_ways": st.booleans(),
    "buckets": st.sampled_from([4, 8, 32]),
    "cap": st.floats(-1, 4).map(np.exp),
    "chunk": st.integers(1, 5),
    "d_model": st.integers(1, 9),
    "decay": st.floats(0, 1),
    "depth": st.integers(1, MOST_LAYERS),
    "drop_last": st.booleans(),
    "epsilon": st.sampled_from([1e-12, 1e-5]),
    "first": st.integers(0, 4),
    "highest": st.floats(0.5, 1),
    "ignored": st.just(IGNORED),
    "is_causal": st.booleans(),
    "keys": st.integers(1, 7),
    "lowest": st.floats(0, 0.5),
    "max_distance": st.sampled_from([17, 40, 128]),
    "min_share": st.just(0.0) | st.floats(-5, 0).map(np.exp),
    "most": st.floats(-3, 3).map(np.exp),
    "p": st.floats(-3, 0).map(np.exp),
    "past": st.integers(0, 5),
    "penalty": st.floats(-1, 1).map(np.exp),
    "queries": st.integers(1, 7),
    "repeats": st.integers(1, 3),
    "rate": st.floats(0, 0.9) | st.floats(0, 0.9).map(np.float64),
    "smoothing": st.floats(0, 1),
    "step": st.integers(1, 12),
    "steps": st.integers(6, 12),
    "stride": st.integers(1, 9),
    "temperature": st.floats(-3, 3).map(np.exp),
    "text": TEXT,
    "texts": WORDS,
    "tokens": WORDS,
    "warm_up": st.integers(0, 5),
    "warm_up_steps": st.integers(1, 12),
    "window": st.integers(1, 9),
}


def half_of(dtype: np.dtype) -> np.dtype:
    """The half precision that a step is drawn in for this dtype."""
    import ml_dtypes  # which makes bfloat16 a name that NumPy knows

    assert ml_dtypes.bfloat16
    return np.dtype(HALVES[np.dtype(dtype).name])


def precision_of(twin: Twin, dtype: str) -> str:
    """What the floats of a step are drawn in for this dtype, by name."""
    kinds = [
        annotation.__name__.split("[")[0]
        for annotation in _annotations(twin.reference).values()
        if _is_array(annotation)
    ]
    return HALVES[dtype] if "Half" in kinds else dtype


@cache
def lattice(shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    """Arrays of whole numbers up to 16, all alike, drawn at once as bytes.

    One by one they would take most of the time of a test.
    """
    count, numbers = prod(shape), np.array(LATTICE)

    def from_bytes(data: bytes) -> np.ndarray:
        places = np.frombuffer(data, np.uint8) % len(numbers)
        return numbers[places].reshape(shape)

    return st.binary(min_size=count, max_size=count).map(from_bytes)


@st.composite
def cases(
    draw,
    twin: Twin,
    dtype: str,
    equal: bool = False,
    batch_axes: int = MOST_BATCH_AXES,
    wanted: Callable[[dict], bool] = lambda arguments: True,
) -> Case:
    """Arguments and parameters for `twin`, with floats of `dtype`, or of
    the half that goes with it (`HALVES`).

    All axes have one size where they are to be `equal`; those of a batch
    are `batch_axes` at most. Arguments that are not `wanted` are rejected
    before parameters are drawn, which takes longer.
    """
    drawer = _Drawer(draw, twin, np.dtype(dtype), equal, batch_axes)
    arguments = {
        name: drawer.value(name, annotation)
        for name, annotation in _annotations(twin.reference).items()
        if name != "params"
    }
    if "log_sum_exp" in arguments:
        arguments["log_sum_exp"] = above_the_scores(
            **open_shards(arguments)
        )
    assume(wanted(arguments))
    if not _is_module(twin):
        return Case(twin, arguments)
    module = drawer.module()
    kind = _annotations(twin.reference)["params"]
    state = to_numpy(module.state_dict())
    return Case(twin, arguments, from_state_dict(kind, state), module)


class _Drawer:
    """One draw: the sizes of all axes, then a value for each argument."""

    def __init__(
        self,
        draw,
        twin: Twin,
        dtype: np.dtype,
        equal: bool,
        batch_axes: int,
    ):
        self.draw, self.twin, self.dtype = draw, twin, dtype
        self.sizes = self._sizes(equal, batch_axes)
        self.byte_pairs = draw(byte_pairs()) if _has_pairs(twin) else {}

    def _sizes(self, equal: bool, batch_axes: int) -> dict[str, int]:
        names = sorted(_axis_names(self.twin))
        drawn = self.draw(_different_sizes(len(names)))
        drawn = drawn[:1] * len(names) if equal else drawn
        sizes = dict(zip(names, drawn, strict=True))
        if "heads" in _parameter_names(self.twin):
            sizes["heads"] = sizes["head"] = self.draw(st.integers(1, 3))
            sizes["d_model"] = sizes["heads"] * self.draw(st.integers(1, 3))
            assume(sizes["d_model"] != sizes.get("position"))
        if {"past", "d_head", "d_model"} <= {*names}:
            # What came before; there may be nothing.
            sizes["past"] = self.draw(st.integers(0, 4))
            sizes["d_head"] = sizes["d_model"] // sizes["heads"]
            sizes["key"] = sizes["past"] + sizes["position"]
            sizes["positions"] = sizes.get("positions", 0) + sizes["past"]
        if _has_rotation(self.twin):
            sizes |= self._sizes_of_groups(sizes)
        if "d_rotary" in names and "pair" in names:
            sizes["pair"] = self.draw(st.integers(1, 2))
            sizes["d_rotary"] = 2 * sizes["pair"]
        sizes["layers"] = min(sizes.get("layers", 1), MOST_LAYERS)
        if {"arrivals", "ranks"} & {*names}:
            sizes |= self._sizes_of_ranks(sizes)
        for larger, smaller in NESTED.items():
            if larger in sizes and smaller in sizes:
                sizes[larger] += sizes[smaller]
        batch = self.draw(_batches(batch_axes))
        return sizes | {"*batch": batch, "*shape": [sizes["heads"], *batch]}

    def _sizes_of_ranks(self, sizes: dict[str, int]) -> dict[str, int]:
        """Ranks, one of them, and a token for each at least."""
        ranks = self.draw(st.integers(1, 4))
        longer = {
            name: sizes[name] + ranks
            for name in ("position", "tokens")
            if name in sizes
        }
        if "heads" in _parameter_names(self.twin):  # as many for each
            heads = ranks * self.draw(st.integers(1, 2))
            d_model = heads * self.draw(st.integers(1, 2))
            longer |= {"heads": heads, "head": heads, "d_model": d_model}
            assume(d_model != longer["position"])
        rank = self.draw(st.integers(0, ranks - 1))
        return {"ranks": ranks, "rank": rank} | longer

    def _sizes_of_groups(self, sizes: dict[str, int]) -> dict[str, int]:
        """Heads in groups of equal size, with features in pairs."""
        key_heads, repeats, pairs = (
            self.draw(st.integers(1, most)) for most in (2, 3, 2)
        )
        heads = {"heads": repeats * key_heads, "key_heads": key_heads}
        sizes |= heads | {"head": heads["heads"], "key_head": key_heads}
        queries = repeats * sizes.get("position", 1)
        return sizes | {
            "pair": pairs,
            "d_head": 2 * pairs,
            "folded": queries,
        }

    def value(self, name: str, annotation):
        """An argument, by what it is annotated as and how it is called."""
        if self.byte_pairs:
            return self.byte_pairs[name]
        if name == "gradients":
            return self._floats(name, (2, 3)), self._floats(name, (2, 3))
        if hasattr(annotation, "_fields"):
            fields = annotation.__annotations__.items()
            drawn = annotation(*(self.value(*field) for field in fields))
            return self._some_unseen(drawn)
        kind, *rest = get_args(annotation) or [None]
        if rest == [...] and hasattr(kind, "_fields"):
            layers = self.sizes["layers"]
            count = self.draw(PARTS) if name == "partials" else layers
            return tuple(self.value(name, kind) for _ in range(count))
        if not rest and hasattr(kind, "_fields"):
            return self._of_each_rank(name, kind)
        if not _is_array(annotation):
            return self.draw(self._plain(name, annotation))
        shape = self._shape(annotation.dim_str.split())
        kind = annotation.__name__.split("[")[0]
        if kind == "Float":
            return self._floats(name, shape)
        if kind == "Half":
            half, smaller = half_of(self.dtype), 1 / SMALLER_IN_HALF
            return self._floats(name, shape, half, smaller)
        if kind == "Bool":
            return self._mask(name, shape)
        return self._integers(name, shape)

    def _of_each_rank(self, name: str, kind: type) -> list:
        """A list: no two ranks have as many queries, or as many keys."""
        sizes, drawn = self.sizes, []
        for rank in range(sizes["ranks"]):
            own = {axis: sizes.get(axis, 1) + rank for axis in OF_A_RANK}
            self.sizes = sizes | own
            drawn.append(self.value(name, kind))
        self.sizes = sizes
        return drawn

    def _some_unseen(self, drawn: tuple) -> tuple:
        """What is kept of the keys so far, and of no key by some queries.

        Any total of exponentials is 1 at least, that of the maximum.
        """
        nothing = UNSEEN.get(type(drawn).__name__)
        if nothing is None:
            return drawn
        generator = np.random.default_rng(self.draw(SEEDS))
        is_seen = generator.uniform(size=drawn[1].shape) < 0.7
        columns = (is_seen[..., None], is_seen, is_seen)
        totals = [1 + abs(total) for total in drawn[2:]]
        return drawn._make(
            np.where(column, field, number)
            for column, field, number in zip(
                columns, [*drawn[:2], *totals], nothing, strict=False
            )
        )

    def module(self) -> nn.Module:
        """The twin's module, its parameters drawn like any other floats."""
        names = list(inspect.signature(self.twin.torch).parameters)
        module = self.twin.torch(
            **{name: self.sizes[name] for name in names}
        )
        if _has_rotation(self.twin) and self.draw(st.booleans()):
            module = with_biases(module)  # a Qwen 2
        module = module.to(getattr(torch, self.dtype.name))
        for parameter in module.parameters():
            drawn = self._floats("weight", tuple(parameter.shape))
            parameter.data.copy_(torch.from_numpy(drawn.copy()))
        return module

    def _shape(self, axes: list[str]) -> tuple[int, ...]:
        shape = []
        for axis in axes:
            name = axis.replace("#", "")
            known = [int(name)] if name.isdigit() else self.sizes[name]
            sizes = known if isinstance(known, list) else [known]
            if "#" in axis:
                # One in four is broadcast: then a mask has one column.
                sizes = [
                    self.draw(st.sampled_from([n, n, n, 1])) for n in sizes
                ]
            if "#" in axis and "*" in axis and not shape:
                sizes = sizes[self.draw(st.integers(0, len(sizes))) :]
            shape += sizes
        return tuple(shape)

    def _floats(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: np.dtype | None = None,
        factor: float = 1.0,
    ) -> np.ndarray:
        if name.endswith("positions"):
            return self._drawn(self.dtype, shape, st.integers(0, 512))
        if name in FROM_0_TO_1:
            # What Hypothesis draws itself would hit upon borders.
            generator = np.random.default_rng(self.draw(SEEDS))
            return np.asarray(generator.uniform(size=shape), self.dtype)
        whole = self.draw(lattice(shape))
        whole = abs(whole) if name in NOT_NEGATIVE else whole
        whole = -abs(whole) if name in NOT_POSITIVE else whole
        scale = factor * float(np.exp(self.draw(LOG_SCALE)))
        array = np.asarray(whole * scale, dtype or self.dtype)
        if name == "key" and _is_corrected(self.twin):
            length = np.linalg.norm(array, axis=-1, keepdims=True)
            array = array / np.maximum(length, 1)
        return laid_out(array, self.draw(LAYOUTS))

    def _mask(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        # By a generator: what Hypothesis draws itself is mostly all alike.
        generator = np.random.default_rng(self.draw(SEEDS))
        mask = np.asarray(generator.uniform(size=shape) < 0.6)
        has_rows = name == "mask" and len(shape) > 1 and shape[-2] > 1
        if has_rows and self.draw(st.booleans()):
            mask[..., self.draw(st.integers(0, shape[-2] - 1)), :] = False
        return laid_out(mask, self.draw(LAYOUTS))

    def _integers(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        below = {
            "bucket": "buckets",
            "documents": "documents",
            "ids": "vocabulary",
            "source_ids": "vocabulary",
            "target_ids": "vocabulary",
            "positions": "positions",
            "segments": "segments",
            "lengths": "keys",
            "starts": "token",
            "permutation": "window",
            "targets": "vocabulary",
        }
        if name in IN_ORDER:
            return np.sort(self._drawn(np.int64, shape, st.integers(0, 12)))
        if name == "documents":  # one after the other
            return np.sort(self._drawn(np.int64, shape, st.integers(0, 3)))
        if name == "permutation":
            order = self.draw(st.permutations(range(shape[0])))
            return np.array(order, dtype=np.int64)
        count = self.sizes.get(below[name], 5)
        if name == "starts":
            count -= self.sizes["context_length"]
        if name == "targets":
            drawn = self._drawn(np.int64, shape, st.integers(0, count - 1))
            counts = self._mask(name, shape)
            counts.flat[0] = True
            return np.where(counts, drawn, IGNORED)
        return self._drawn(np.int64, shape, st.integers(0, count - 1))

    def _drawn(self, dtype, shape, elements) -> np.ndarray:
        return self.draw(
            hnp.arrays(dtype, shape, elements=elements, fill=st.nothing())
        )

    def _plain(self, name: str, annotation) -> st.SearchStrategy:
        size = self.sizes.get(name)
        if name in SIZES or (name == "tokens" and annotation is int):
            return st.just(size)
        if name == "k":
            return st.integers(1, self.sizes.get("vocabulary", 1))
        if name == "vocabulary":
            return WORDS.map(lambda words: vocabulary_of(words, size))
        return PLAIN[name]


def open_shards(arguments: dict) -> dict:
    """Arguments, and for those of a ring the mask between its shards."""
    if "arrival" not in arguments:
        return arguments
    queries, arrival = arguments["queries"], arguments["arrival"]
    mask = shard_mask(queries.last_visible, *arrival[:1:-1])
    inner = queries._asdict() | arrival._asdict()
    return arguments | inner | {"mask": mask}


def above_the_scores(log_sum_exp, query, key, mask, **others) -> np.ndarray:
    """A log-sum-exp that a row may have: no score is greater than it."""
    scores = query @ key.swapaxes(-2, -1) / np.sqrt(query.shape[-1])
    greatest = np.where(mask, scores, -np.inf).max(axis=-1)
    return (greatest + abs(log_sum_exp)).astype(log_sum_exp.dtype)


@cache
def _different_sizes(count: int) -> st.SearchStrategy[list[int]]:
    """As many sizes, no two alike."""
    sizes = st.integers(1, count + 2)
    return st.lists(sizes, min_size=count, max_size=count, unique=True)


@cache
def _batches(most_axes: int) -> st.SearchStrategy[list[int]]:
    """The sizes of a batch: none, or some of 1 to 3; of more axes there
    are more. One choice, so that small inputs have them, too."""
    shapes = [[], []]
    for axes in range(1, most_axes + 1):
        shapes += map(list, product(range(1, 4), repeat=axes))
    return st.sampled_from(shapes)


@st.composite
def byte_pairs(draw) -> dict[str, object]:
    """What the steps of byte-pair encoding take, by their names.

    Few different ids, so that pairs repeat and overlap; one at least is
    a known pair.
    """
    few = st.integers(0, 3)
    pairs = draw(st.lists(st.tuples(few, few), min_size=1, unique=True))
    around = st.lists(few | st.integers(256, 258), max_size=9)
    ids = [*draw(around), *pairs[0], *draw(around)]
    places = st.booleans()
    matches = draw(st.lists(places, min_size=len(ids), max_size=len(ids)))
    return {
        "data": draw(st.binary(max_size=9)),
        "merges": np.array(pairs),
        "table": merge_table(np.array(pairs)),
        "ids": np.array(ids),
        "matches": np.array(matches),
        "chosen": without_overlap(np.array(matches[1:])),
        "rank": np.array([256]),
    }


def vocabulary_of(tokens: list[str], least: int) -> dict[str, int]:
    """Tokens and the two special ones, `least` or more, ids in order."""
    more = [f"word{index}" for index in range(least)]
    known = dict.fromkeys([*tokens, "<|endoftext|>", "<|unk|>", *more])
    return {token: index for index, token in enumerate(known)}


def _has_pairs(twin: Twin) -> bool:
    """Whether a step is one of byte-pair encoding."""
    return twin.reference.__module__.endswith("byte_pair_encoding")


def _is_corrected(twin: Twin) -> bool:
    """Whether a step wants keys that are no longer than 1."""
    return twin.reference.__module__.endswith("gated_delta")


def _has_rotation(twin: Twin) -> bool:
    """Whether a step has grouped heads, or features in pairs."""
    file = twin.reference.__module__.split(".")[-1]
    return file in ("rotary", "grouped_queries") or file.startswith("llama")


@cache
def _annotations(function) -> dict[str, object]:
    signature = inspect.signature(function)
    return {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
    }


@cache
def _axis_names(twin: Twin) -> set[str]:
    """The named axes of all arguments, and what the module is made from."""
    axes = {"head", "heads", *_parameter_names(twin)}
    for annotation in _annotations(twin.reference).values():
        for array in _arrays_in(annotation):
            axes |= set(array.dim_str.replace("#", "").split())
    return {axis for axis in axes if axis.isidentifier()}


def _arrays_in(annotation) -> Iterator:
    """The array types of an annotation, inside of named tuples, too."""
    if _is_array(annotation):
        yield annotation
    if hasattr(annotation, "_fields"):
        for kind in annotation.__annotations__.values():
            yield from _arrays_in(kind)
    for kind in get_args(annotation):
        yield from _arrays_in(kind)


def _parameter_names(twin: Twin) -> set[str]:
    made_from = (
        inspect.signature(twin.torch).parameters if _is_module(twin) else ()
    )
    return {*_annotations(twin.reference), *made_from}


def _is_module(twin: Twin) -> bool:
    return inspect.isclass(twin.torch)


def _is_array(annotation) -> bool:
    return inspect.isclass(annotation) and issubclass(
        annotation, AbstractArray
    )
