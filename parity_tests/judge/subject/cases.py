"""Cases: inputs for any attention, as query, key, value and mask.

Axes have different sizes, so that a swapped one cannot hide. Floats are
small integers times a scale, which shrink well; the scale makes the
scores' standard deviation anything from 0.05 (nearly uniform weights) to
30 (nearly one-hot). Every number comes from Hypothesis, so that it can
shrink a failing input.
"""

from dataclasses import dataclass, replace
from math import log, sqrt

import numpy as np
from hypothesis import strategies as st

from numpy_ref.masks import causal_mask
from parity_tests.judge.subject.forms import LENGTHS, OF_KEYS
from parity_tests.twins.case import laid_out
from parity_tests.twins.strategies import LAYOUTS, SEEDS, lattice

LOG_DEVIATION = st.floats(log(0.05), log(30))
ROOT_MEAN_SQUARE = 9.4  # of a number from the lattice
# Queries, keys, d_head, d_value.
FEW_SIZES = ((1, 3, 2, 4), (3, 3, 2, 2), (5, 7, 4, 6), (6, 2, 5, 5))
MASKS = ("open", "causal", "padding", "random", "fully masked")


@dataclass(frozen=True, eq=False)
class AttentionCase:
    """One input; `seed` is for what a property chooses by itself."""

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    mask: np.ndarray
    seed: int = 0

    @property
    def qkv(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.query, self.key, self.value

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        names = ("query", "key", "value", "mask")
        return {name: getattr(self, name) for name in names}

    @property
    def rows(self) -> np.ndarray:
        """The mask, broadcast to all axes of the scores."""
        shape = (*self.query.shape[:-1], self.key.shape[-2])
        return np.broadcast_to(self.mask, shape)

    def random(self) -> np.random.Generator:
        """A generator that gives the same numbers each time."""
        return np.random.default_rng(self.seed)

    def size(self) -> tuple[int, float]:
        """How large it is: what a reader sees should be small."""
        arrays = self.arrays.values()
        magnitudes = (np.abs(a.astype(float)).sum() for a in arrays)
        return sum(a.size for a in arrays), float(sum(magnitudes))


@dataclass(frozen=True)
class Range:
    """Which inputs an implementation accepts.

    `batch_axes`: how many axes may stand before the last two. `masks`:
    the kinds of mask; `mask_axes`: along which axes they differ
    (`forms.py`). With `square`, there are as many keys as queries; with
    `one_width`, values are as wide as keys. `narrow` is a type of 16 bits
    in which numbers are computed. With `few_sizes`, no others than those
    of FEW_SIZES: JAX compiles each operation anew for each.
    """

    batch_axes: tuple[int, ...] = (0, 1, 2)
    dtypes: tuple[str, ...] = ("float32", "float64")
    masks: tuple[str, ...] = MASKS
    square: bool = False
    one_width: bool = False
    mask_axes: str = "any"
    narrow: str = ""
    few_sizes: bool = False


@st.composite
def attention_cases(draw, limits: Range = Range()) -> AttentionCase:
    """Any input within the limits; half of them with equal sizes, which
    are what people use."""
    queries, keys, d_head, d_value = draw(sizes(limits))
    axes = draw(st.sampled_from(limits.batch_axes))
    batch = (2, 3)[:axes]
    if not limits.few_sizes:
        batch = tuple(draw(st.sampled_from([1, 2, 3])) for _ in batch)
    dtype = np.dtype(draw(st.sampled_from(limits.dtypes)))
    deviation = float(np.exp(draw(LOG_DEVIATION)))
    scale = sqrt(deviation) / ROOT_MEAN_SQUARE
    query, key = (
        draw(floats((*batch, tokens, d_head), scale, dtype))
        for tokens in (queries, keys)
    )
    value = draw(floats((*batch, keys, d_value), 0.37, dtype))
    seed = draw(SEEDS)
    kind = draw(st.sampled_from(limits.masks))
    shape = mask_shape(limits.mask_axes, (*batch, queries, keys))
    mask = mask_of(kind, shape, np.random.default_rng(seed))
    return AttentionCase(query, key, value, mask, seed)


def normal_arrays(
    generator: np.random.Generator,
    batch: tuple[int, ...],
    sizes: tuple[int, int, int, int],
    dtype: str,
) -> list[np.ndarray]:
    """Query, key and value of normal numbers; `sizes` as in `sizes`."""
    queries, keys, d_head, d_value = sizes
    shapes = (queries, d_head), (keys, d_head), (keys, d_value)
    return [
        generator.normal(size=(*batch, *shape)).astype(dtype)
        for shape in shapes
    ]


def mask_shape(axes: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a mask that differs along these axes only."""
    if axes == "query, key":
        return shape[-2:]
    if axes in ("any", "all axes") or len(shape) < 4:
        return shape
    return (shape[0], 1, *shape[-2:])  # the same for all heads


@st.composite
def sizes(draw, limits: Range) -> tuple[int, int, int, int]:
    """Queries, keys, d_head, d_value: four sizes that differ, but for
    tokens or widths that are to be equal."""
    equal = "none"
    if limits.few_sizes:
        queries, keys, d_head, d_value = draw(st.sampled_from(FEW_SIZES))
    else:
        queries, keys, d_head, d_value = draw(
            st.lists(st.integers(1, 7), min_size=4, max_size=4, unique=True)
        )
        equal = draw(st.sampled_from(["none", "tokens", "widths", "both"]))
    if limits.square or equal in ("tokens", "both"):
        keys = queries
    if limits.one_width or equal in ("widths", "both"):
        d_value = d_head
    return queries, keys, d_head, d_value


def floats(shape, scale: float, dtype: np.dtype):
    """Arrays of whole numbers times a scale, in any layout."""
    return st.builds(
        lambda numbers, layout: laid_out(
            (numbers * scale).astype(dtype), layout
        ),
        lattice(shape),
        LAYOUTS,
    )


def mask_of(
    kind: str, shape: tuple[int, ...], generator: np.random.Generator
) -> np.ndarray:
    """A mask that broadcasts to `shape`, of one of the kinds in MASKS."""
    *batch, queries, keys = shape
    if kind == "open":
        return np.ones((queries, keys), bool)
    if kind == "causal":
        return causal_mask(queries, keys, max(0, keys - queries))
    if kind == "padding":
        lengths = generator.integers(1, keys + 1, (*batch, 1, 1))
        return np.arange(keys) < lengths
    mask = generator.uniform(size=shape) < 0.6
    # Each query sees a key, unless its row is to be fully masked.
    np.put_along_axis(
        mask, generator.integers(keys, size=(*batch, queries, 1)), True, -1
    )
    if kind == "fully masked":
        mask[..., generator.integers(queries), :] = False
    return mask


def mask_along(
    axes: str, shape: tuple[int, ...], generator: np.random.Generator
) -> np.ndarray:
    """A random mask that differs along these axes only, and that shows
    the first key to every query."""
    kind = "padding" if axes in (*OF_KEYS, LENGTHS) else "random"
    mask = mask_of(kind, mask_shape(axes, shape), generator)
    return mask | (np.arange(shape[-1]) == 0)


# Queries, keys, d_head, d_value: on both sides of the sizes of tiles.
BEYOND_A_TILE = (
    (33, 31, 5, 3),
    (31, 65, 4, 4),
    (64, 64, 64, 64),
    (129, 127, 3, 5),
    (1, 130, 65, 2),
    (65, 33, 127, 1),
    (5, 5, 128, 128),
    (32, 128, 1, 63),
)


def beyond_a_tile(limits: Range) -> list[AttentionCase]:
    """Inputs of sizes beyond a tile, few and directed, within limits."""
    random, cases = np.random.default_rng(0), []
    for index, (queries, keys, d_head, d_value) in enumerate(BEYOND_A_TILE):
        keys = queries if limits.square else keys
        d_value = d_head if limits.one_width else d_value
        axes = limits.batch_axes[index % len(limits.batch_axes)]
        batch = ((), (2,), (1, 2))[axes]
        dtype = limits.dtypes[index % len(limits.dtypes)]
        widths = queries, keys, d_head, d_value
        arrays = normal_arrays(random, batch, widths, dtype)
        kind = limits.masks[index % len(limits.masks)]
        shape = mask_shape(limits.mask_axes, (*batch, queries, keys))
        mask = mask_of(kind, shape, random)
        cases.append(AttentionCase(*arrays, mask, index))
    return cases


def causal(case: AttentionCase) -> AttentionCase:
    """The same case with as many keys as queries, and a causal mask."""
    tokens = min(case.query.shape[-2], case.key.shape[-2])
    arrays = (array[..., :tokens, :] for array in case.qkv)
    mask = causal_mask(tokens, tokens)
    return AttentionCase(*arrays, mask, case.seed)


def opened(case: AttentionCase) -> AttentionCase:
    """The same case, in which every query may attend to every key."""
    return replace(case, mask=np.ones_like(case.mask))
