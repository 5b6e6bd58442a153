"""Cases: tokens for a layer, the seed of its weights, and masks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import accumulate

import numpy as np
from hypothesis import strategies as st

from parity_tests.judge.mutants.class_parts import Tokens
from parity_tests.judge.subject.forms import (
    AT_ONCE,
    IN_TURN,
    KEY,
    LENGTHS,
    OF_KEYS,
    MaskForm,
    expressible,
)
from parity_tests.twins.strategies import SEEDS, lattice

SIZE_OF_X = 0.11  # what whole numbers up to 16 are multiplied with
FEW_TOKENS = (1, 2, 5)  # for JAX, which compiles anew for each size
LOUD = np.float32(256)  # float32 stays float32


@dataclass(frozen=True, eq=False)
class LayerCase:
    """One input of a layer: tokens, and the seed of its weights.

    `key` and `value` are the tokens attended to, where they are not `x`
    themselves; `built` is the index of the sizes it is built with;
    `causal` asks for the layer's causal form; `parts` for its cache: so
    many tokens are new, call by call. Where it takes a rotary table, each
    token is at position 0, unless they are `turned`: then they stand one
    after the other, the first at `begin`. A token sees itself whatever a
    mask says that is among those with `self_loops`; rows that are `blank`
    come out as zeros.
    """

    x: np.ndarray
    seed: int
    built: int = 0
    key: np.ndarray | None = None
    value: np.ndarray | None = None
    masks: dict[str, np.ndarray] = field(default_factory=dict)
    causal: bool = False
    parts: tuple[int, ...] = ()
    turned: bool = False
    begin: int = 0
    self_loops: tuple[str, ...] = ()
    blank: np.ndarray | None = None

    @property
    def keys(self) -> np.ndarray:
        return self.x if self.key is None else self.key

    @property
    def values(self) -> np.ndarray:
        return self.keys if self.value is None else self.value

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the scores, without an axis for heads."""
        return (*self.x.shape[:-1], self.keys.shape[-2])

    @property
    def tokens_by_use(self) -> dict[str, np.ndarray]:
        return {"x": self.x, "key": self.keys, "value": self.values}

    @property
    def own_tokens(self) -> dict[str, np.ndarray]:
        """Those that are not other tokens of it."""
        tokens = {"x": self.x, "key": self.key, "value": self.value}
        return {n: a for n, a in tokens.items() if a is not None}

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What a reader is shown of it."""
        return self.own_tokens | self.masks

    def size(self) -> tuple[int, float]:
        """How large it is: what a reader sees should be small."""
        arrays = [self.x, self.keys, self.values]
        return (
            sum(a.size for a in arrays),
            sum(float(np.abs(a).sum()) for a in arrays),
        )

    def output_of(self, layer: Callable, causal: bool) -> np.ndarray:
        """What a layer gives for it, call by call."""
        outputs = [layer(tokens) for tokens in self.tokens(causal)]
        output = np.concatenate(outputs, axis=-2)
        if self.blank is not None:
            output = np.where(self.blank[..., None], 0, output)
        return output

    def tokens(self, causal: bool) -> Iterator[Tokens]:
        """What each call attends from and to, with what was kept."""
        masks = tuple(self.visible.values())
        causal = causal or self.causal
        if not self.parts:
            yield Tokens(self.x, self.keys, self.values, masks, causal)
        for index, part in enumerate(self.in_parts()):
            calls = self.parts[:index]
            kept = self.x[..., : sum(calls) + part.x.shape[-2], :]
            yield Tokens(part.x, kept, kept, (), causal, calls)

    def in_parts(self) -> Iterator["LayerCase"]:
        """The new tokens of each call."""
        ends = accumulate(self.parts)
        for end, count in zip(ends, self.parts, strict=True):
            x = self.x[..., end - count : end, :]
            yield replace(self, x=x, parts=(), begin=end - count)

    def positions(self, whole: bool = False) -> np.ndarray:
        """The rows of a rotary table that it needs: those of its tokens,
        or all from the first on."""
        count = self.x.shape[-2]
        rows = np.arange(0 if whole else self.begin, self.begin + count)
        return rows if self.turned else 0 * rows

    @property
    def visible(self) -> dict[str, np.ndarray]:
        """What each of its masks allows."""
        itself = np.eye(*self.shape[-2:], dtype=bool)
        return {
            name: mask | itself if name in self.self_loops else mask
            for name, mask in self.masks.items()
        }

    @property
    def hides(self) -> bool:
        """Whether a mask that is passed hides a token."""
        return not all(np.all(mask) for mask in self.masks.values())

    @property
    def mask(self) -> np.ndarray:
        """What all its masks allow, and no call that comes later."""
        mask = np.ones(self.shape[-2:], bool)
        for each in self.visible.values():
            mask = mask & each
        for end in accumulate(self.parts):
            mask[:end, end:] = False
        return mask


@st.composite
def layer_cases(draw, layer) -> LayerCase:
    """Texts of one token up to as many as the layer has positions for,
    at any of its sizes; half of the time with other tokens to attend to,
    where it takes them."""
    built = draw(st.integers(0, len(layer.sizes) - 1))
    most, is_jax = (
        min(7, layer.tokens_at(built)),
        layer.body.library == "jax",
    )
    counts = st.sampled_from(FEW_TOKENS) if is_jax else st.integers(1, most)
    texts = st.just(2) if is_jax else st.integers(1, 3)
    if layer.sizes[built].window:  # masks go round the windows of images
        counts = st.just(layer.tokens_at(built))
        texts = st.sampled_from((1, 2, 4))
    tokens = draw(counts)
    axes = draw(st.sampled_from(layer.batch_axes))
    batch = tuple(draw(texts) for _ in range(axes))
    dtype = draw(st.sampled_from(layer.dtypes))
    width = layer.width_at(built)

    def some(count: int):
        whole = draw(lattice((*batch, count, width)))
        return (whole * SIZE_OF_X).astype(dtype)

    loops = layer.self_loops
    case = LayerCase(some(tokens), draw(SEEDS), built, self_loops=loops)
    if layer.cross and draw(st.booleans()):
        others = draw(counts)
        value = some(others) if layer.cross == "value" else None
        return replace(case, key=some(others), value=value)
    return case


def cached_cases(layer) -> list[LayerCase]:
    """What is asked with a cache, where the layer has one that is
    understood: causally, too, where that is an argument."""
    if layer.cache is None:
        return []
    plain = [
        replace(layer.case_in_parts(parts, built), seed=seed)
        for built in range(len(layer.sizes))
        for seed, parts in enumerate(layer.cache.parts)
    ]
    forms = (False, True) if layer.body.roles.causal else (False,)
    if layer.pairs and not layer.turns_inside:
        plain += [replace(case, turned=True) for case in plain]
    return [replace(case, causal=form) for form in forms for case in plain]


def crossed(case: LayerCase, which: str) -> LayerCase:
    """The case with other, and more, tokens to attend to."""
    generator = np.random.default_rng(case.seed + 1)
    shape = (*case.x.shape[:-2], case.x.shape[-2] + 2, case.x.shape[-1])
    key, value = generator.normal(size=(2, *shape)).astype(case.x.dtype)
    value = value if which == "value" else None
    return replace(case, key=key, value=value, masks={})


def with_masks(layer, case: LayerCase, *names: str) -> LayerCase:
    """The case with a random mask for each of these names, in the order
    of the layer's arguments, as far as the layer takes masks there."""
    if not takes_masks(layer, case):
        return case
    arguments = [each.name for each in layer.thing.signature]
    masks = {}
    for index, name in enumerate(sorted(names, key=arguments.index)):
        form = layer.forms[name]
        of_texts = form.axes in (*OF_KEYS, LENGTHS) and form.axes != KEY
        if case.x.ndim == 2 and of_texts:
            continue
        generator = np.random.default_rng([case.seed, index])
        mask = some_mask(form, case, generator, layer.causal)
        if len(names) > 1:  # both must leave a key to each query
            mask = mask | (np.arange(case.shape[-1]) == 0)
        masks[name] = mask
    return masked_by(layer, case, masks)


def masked_by(layer, case: LayerCase, masks: dict) -> LayerCase:
    """The case with these masks. Where the layer is known to return zeros
    for tokens that it hides, their rows are blank."""
    blank = [
        ~mask[..., 0, :] for n, mask in masks.items() if n in layer.blanks
    ]
    hidden = np.logical_or.reduce(blank) if blank else None
    return replace(case, masks=masks, blank=hidden)


def takes_masks(layer, case: LayerCase) -> bool:
    """Whether a mask may be of as many keys as there are here."""
    queries, keys = case.shape[-2:]
    return queries == keys or not layer.square_masks


def later_keys(layer, case: LayerCase) -> dict[str, np.ndarray]:
    """A first mask that hides the first half of the keys, or the second
    where lengths say how many there are."""
    if not (layer.understood and takes_masks(layer, case)):
        return {}
    name, keys = layer.understood[0], np.arange(case.shape[-1])
    axes = layer.forms[name].axes
    if case.x.ndim == 2 and axes != KEY:
        return {}
    half = max(1, len(keys) // 2)
    mask = keys < half if axes == LENGTHS else keys >= half
    return {name: np.broadcast_to(mask, case.shape)}


def some_mask(
    form: MaskForm, case: LayerCase, generator, causal: bool
) -> np.ndarray:
    """A random mask that the form can express, with a key for each row:
    of a causal layer the first, which its first row sees."""
    shape = case.shape
    if form.axes == LENGTHS:
        lengths = generator.integers(1, shape[-1] + 1, (*shape[:-2], 1, 1))
        return np.broadcast_to(np.arange(shape[-1]) < lengths, shape)
    if form.axes in OF_KEYS:
        mask = generator.uniform(size=(*shape[:-2], 1, shape[-1])) < 0.6
        shown = 0 if causal else generator.integers(shape[-1])
        mask[..., shown] = True
        return np.broadcast_to(mask, shape)
    for_all_texts = form.axes in ("any", "query, key")
    size = shape[-2:] if for_all_texts else shape
    mask = generator.uniform(size=size) < 0.6
    if form.axes in (IN_TURN, AT_ONCE):
        mask = expressible(mask, form.axes, shape)
    if shape[-1] == shape[-2]:
        return mask | np.eye(shape[-1], dtype=bool)
    mask[..., 0] = True
    return mask
