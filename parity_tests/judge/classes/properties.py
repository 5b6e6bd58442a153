"""Properties of an attention class, with the reference beside it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from hypothesis import strategies as st

from numpy_ref.masks import causal_mask
from parity_tests.bounds.rounding import affine
from parity_tests.exact import attention as exact_attention
from parity_tests.exact import multi_head as exact_heads
from parity_tests.exact.numbers import bounded
from parity_tests.judge.attention.property import (
    Comparisons,
    Property,
    identical,
    same,
)
from parity_tests.judge.subject.protocol import Broken
from parity_tests.judge.subject.weights import Weights, readings
from parity_tests.twins.strategies import SEEDS, lattice

from .student_class import (
    CONTEXT,
    build_module,
    drops,
    output_of,
    takes_bias,
    width_in,
)

SIZE_OF_X = 0.11  # what whole numbers up to 16 are multiplied with


@dataclass(frozen=True, eq=False)
class ClassCase:
    """One input of a class: tokens, and the seed of the weights."""

    x: np.ndarray
    seed: int

    def size(self) -> tuple[int, float]:
        return self.x.size, float(np.abs(self.x).sum())


@dataclass(frozen=True, eq=False)
class StudentClass:
    """A class under judgement, and its conventions.

    `reading` is the index of the right one among the readings of its
    weights; `mask` is the form of its mask, one of MASK_FORMS.
    """

    kind: type
    causal: bool
    reading: int = 0
    batch_axes: tuple[int, ...] = (1,)
    mask: str | None = None
    heads: int = 1

    def module(self, case: ClassCase):
        dtype = getattr(torch, case.x.dtype.name)
        return build_module(self.kind, case.seed, dtype)

    def of(self, case: ClassCase) -> np.ndarray:
        return output_of(self.module(case), case.x)

    def weights(self, case: ClassCase) -> Weights:
        return readings(self.module(case), self.heads)[self.reading]

    def expected(self, case: ClassCase, mask: np.ndarray | None = None):
        """The reference's output with these weights, and its error."""
        tokens = case.x.shape[-2]
        if mask is None:
            mask = np.ones((1, tokens, tokens), bool)
        if self.causal:
            mask = mask & causal_mask(tokens, tokens)
        return by_the_reference(self.weights(case), case.x, mask)


# In what form a mask is passed on; ours is True where one may attend, and
# has the axes (text, query, key).
MASK_FORMS = {
    "True may attend": lambda mask: mask,
    "True is masked": lambda mask: ~mask,
    "True may attend, an axis for heads": lambda mask: mask[:, None],
    "True is masked, an axis for heads": lambda mask: ~mask[:, None],
    "True may attend, one for all texts": lambda mask: mask[0],
    "True is masked, one for all texts": lambda mask: ~mask[0],
}


def by_the_reference(weights: Weights, x: np.ndarray, mask: np.ndarray):
    """Project, split into heads, attend, merge heads, project again."""
    tokens = bounded(x)
    query, key, value = (
        exact_heads.split_heads(
            affine(tokens, *map(bounded, layer)), weights.heads
        )["split"]
        for layer in (weights.query, weights.key, weights.value)
    )
    context = exact_attention.scaled_dot_product_attention(
        query, key, value, mask[..., None, :, :] if x.ndim > 2 else mask
    )["context"]
    merged = exact_heads.merge_heads(context)["merged"]
    if weights.output is None:
        return merged
    return affine(merged, *map(bounded, weights.output))


@st.composite
def class_cases(draw, student: StudentClass) -> ClassCase:
    """Texts of one token up to as many as the class has positions for."""
    tokens = draw(st.integers(1, CONTEXT))
    batch = tuple(
        draw(st.integers(1, 3))
        for _ in range(draw(st.sampled_from(student.batch_axes)))
    )
    shape = (*batch, tokens, width_in(student.kind))
    whole = draw(lattice(shape))
    dtype = draw(st.sampled_from(["float64", "float32"]))
    return ClassCase((whole * SIZE_OF_X).astype(dtype), draw(SEEDS))


def equals_the_reference(
    student: StudentClass, case: ClassCase
) -> Comparisons:
    """The reference, with the same weights, gives the same output."""
    exact, got = student.expected(case), student.of(case)
    if got.shape != exact.shape:
        raise Broken(f"returned shape {got.shape}, expected {exact.shape}")
    yield same("output", got, exact.value, exact.error)


def called_twice_it_returns_the_same(
    student: StudentClass, case: ClassCase
) -> Comparisons:
    """At evaluation nothing is random: dropout is off."""
    module = student.module(case)
    first, second = (output_of(module, case.x) for _ in range(2))
    yield identical("output", second, first)


def a_later_token_changes_no_earlier_output(
    student: StudentClass, case: ClassCase
) -> Comparisons:
    """A later token changes no earlier output."""
    tokens = case.x.shape[-2]
    begin = case.seed % tokens
    other = case.x.copy()
    other[..., begin:, :] = 1 - other[..., begin:, :]
    exact, moved = student.expected(case), replace(case, x=other)
    yield same(
        "earlier outputs",
        student.of(moved)[..., :begin, :],
        student.of(case)[..., :begin, :],
        2 * exact.error[..., :begin, :],
    )


def tokens_have_no_order(
    student: StudentClass, case: ClassCase
) -> Comparisons:
    """Without a causal mask and positions, permuted tokens give outputs
    permuted alike."""
    order = np.random.default_rng(case.seed).permutation(case.x.shape[-2])
    moved = replace(case, x=case.x[..., order, :])
    error = student.expected(case).error
    yield same(
        "outputs",
        student.of(moved),
        student.of(case)[..., order, :],
        2 * error[..., order, :],
    )


def texts_do_not_mix(student: StudentClass, case: ClassCase) -> Comparisons:
    """A text gives the same alone as in a batch."""
    if case.x.ndim == 2:
        return
    index = case.seed % len(case.x)
    at = slice(index, index + 1)
    error = student.expected(case).error[at]
    alone = student.of(replace(case, x=case.x[at]))
    yield same("one text", alone, student.of(case)[at], 2 * error)


def every_parameter_is_one_of_the_layers(
    student: StudentClass, case: ClassCase
) -> Comparisons:
    """It has the parameters of its layers and no others."""
    weights, module = student.weights(case), student.module(case)
    layers = [weights.query, weights.key, weights.value, weights.output]
    matrices = sum(matrix.size for matrix, _ in filter(None, layers))
    with_biases = matrices + sum(
        bias.size for _, bias in filter(None, layers) if bias.any()
    )
    count = sum(parameter.numel() for parameter in module.parameters())
    yield identical(
        "number of parameters",
        np.array([float(count)]),
        np.array([float(with_biases)]),
    )


def a_requested_bias_is_there(
    student: StudentClass, case: ClassCase
) -> Comparisons:
    """With a bias it has more parameters than without."""
    dtype = getattr(torch, case.x.dtype.name)
    with_bias, without = (
        sum(parameter.numel() for parameter in module.parameters())
        for module in (
            build_module(student.kind, case.seed, dtype, biased)
            for biased in (True, False)
        )
    )
    yield identical(
        "more parameters with a bias",
        np.array([float(with_bias > without)]),
        np.ones(1),
    )


def a_mask_hides_what_it_should(
    student: StudentClass, case: ClassCase
) -> Comparisons:
    """Each text is attended to through its own mask."""
    if case.x.ndim == 2:
        return
    mask = some_mask(case)
    if "one for all" in student.mask:
        mask[:] = mask[0]
    exact = student.expected(case, mask)
    own_mask = MASK_FORMS[student.mask](mask)
    got = output_of(student.module(case), case.x, own_mask)
    yield same("output", got, exact.value, exact.error)


def some_mask(case: ClassCase) -> np.ndarray:
    """A random mask for each text, in which every token sees itself."""
    texts, tokens = case.x.shape[:2]
    generator = np.random.default_rng(case.seed)
    mask = generator.uniform(size=(texts, tokens, tokens)) < 0.6
    return mask | np.eye(tokens, dtype=bool)


TEXTS, FAR = 4000, 7  # copies of a text; standard errors from the mean


def dropout_keeps_the_mean(
    student: StudentClass, case: ClassCase
) -> Comparisons:
    """In training, the mean over all dropout masks is the output at
    evaluation: weights are dropped after the softmax, and scaled up."""
    if case.x.ndim == 2:
        return
    case = replace(case, x=case.x[:1].astype(np.float64))
    module = student.module(case)
    expected = output_of(module, case.x)
    torch.manual_seed(case.seed)
    many = output_of(module.train(), np.repeat(case.x, TEXTS, axis=0))
    if not np.isfinite(many).all():
        return  # other properties report that
    if case.x.any():
        # What is dropped changes an output by about its size.
        spread = np.ptp(many, axis=0).max() > 1e-6 * np.abs(many).max()
        dropping = np.array([float(spread)])
        yield identical("dropping changes it", dropping, np.ones(1))
    error = many.std(axis=0, keepdims=True) / np.sqrt(TEXTS)
    exact = student.expected(case)
    # The mean of so many numbers is rounded itself.
    summed = TEXTS * exact.rounding.u * np.abs(many).max()
    bound = FAR * error + 2 * exact.error + summed
    yield same("mean output", many.mean(0, keepdims=True), expected, bound)


ANY = (
    equals_the_reference,
    called_twice_it_returns_the_same,
    texts_do_not_mix,
    every_parameter_is_one_of_the_layers,
)


def properties_of(student: StudentClass) -> Iterator[Property]:
    yield from map(Property, ANY)
    yield Property(
        a_later_token_changes_no_earlier_output
        if student.causal
        else tokens_have_no_order
    )
    if student.mask:
        yield Property(a_mask_hides_what_it_should)
    if takes_bias(student.kind):
        yield Property(a_requested_bias_is_there)
    if drops(student.kind):
        yield Property(dropout_keeps_the_mean)
