"""What a class of attention does, with the reference beside it."""

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
    Found,
    Property,
    identical,
    same,
)
from parity_tests.judge.subject.protocol import Broken
from parity_tests.judge.subject.weights import Weights, readings
from parity_tests.twins.strategies import SEEDS, lattice

from .student_class import (
    CONTEXT,
    asked_of,
    drops,
    made,
    takes_bias,
    width_in,
)

SIZE_OF_X = 0.11  # what whole numbers up to 16 are multiplied with


@dataclass(frozen=True, eq=False)
class HomeworkCase:
    """Tokens, and the seed of the weights."""

    x: np.ndarray
    seed: int

    def size(self) -> tuple[int, float]:
        return self.x.size, float(np.abs(self.x).sum())


@dataclass(frozen=True, eq=False)
class Homework:
    """A class under judgement, and what is known of it.

    `reading` is the place of the right one among its readings; `mask` the
    form in which it takes a mask, one of MASK_FORMS.
    """

    kind: type
    causal: bool
    reading: int = 0
    batch_axes: tuple[int, ...] = (1,)
    mask: str | None = None
    heads: int = 1

    def module(self, case: HomeworkCase):
        dtype = getattr(torch, case.x.dtype.name)
        return made(self.kind, case.seed, dtype)

    def of(self, case: HomeworkCase) -> np.ndarray:
        return asked_of(self.module(case), case.x)

    def weights(self, case: HomeworkCase) -> Weights:
        return readings(self.module(case), self.heads)[self.reading]

    def expected(self, case: HomeworkCase, mask: np.ndarray | None = None):
        """The reference's output with these weights, with its error."""
        tokens = case.x.shape[-2]
        seen = np.ones((1, tokens, tokens), bool) if mask is None else mask
        if self.causal:
            seen = seen & causal_mask(tokens, tokens)
        return by_the_reference(self.weights(case), case.x, seen)


# What may be handed over for a mask, True where one may attend, of the
# axes (text, query, key).
MASK_FORMS = {
    "True may attend": lambda mask: mask,
    "True is hidden": lambda mask: ~mask,
    "True may attend, an axis for heads": lambda mask: mask[:, None],
    "True is hidden, an axis for heads": lambda mask: ~mask[:, None],
    "True may attend, one for all texts": lambda mask: mask[0],
    "True is hidden, one for all texts": lambda mask: ~mask[0],
}


def by_the_reference(weights: Weights, x: np.ndarray, mask: np.ndarray):
    """Projections, heads, attention, heads together, and the output."""
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
def homework_cases(draw, homework: Homework) -> HomeworkCase:
    """Texts of one token up to as many as the class has room for."""
    tokens = draw(st.integers(1, CONTEXT))
    batch = tuple(
        draw(st.integers(1, 3))
        for _ in range(draw(st.sampled_from(homework.batch_axes)))
    )
    shape = (*batch, tokens, width_in(homework.kind))
    whole = draw(lattice(shape))
    dtype = draw(st.sampled_from(["float64", "float32"]))
    return HomeworkCase((whole * SIZE_OF_X).astype(dtype), draw(SEEDS))


def equals_the_reference(homework: Homework, case: HomeworkCase) -> Found:
    """With its weights, the reference gives the same output."""
    exact, got = homework.expected(case), homework.of(case)
    if got.shape != exact.shape:
        raise Broken(
            f"returned the shape {got.shape}, and should {exact.shape}"
        )
    yield same("output", got, exact.value, exact.error)


def asked_twice_it_answers_the_same(
    homework: Homework, case: HomeworkCase
) -> Found:
    """At evaluation nothing is left to chance: dropout is off."""
    module = homework.module(case)
    first, second = (asked_of(module, case.x) for _ in range(2))
    yield identical("output", second, first)


def a_later_token_changes_no_earlier_output(
    homework: Homework, case: HomeworkCase
) -> Found:
    """What comes later changes nothing before it."""
    tokens = case.x.shape[-2]
    begin = case.seed % tokens
    other = case.x.copy()
    other[..., begin:, :] = 1 - other[..., begin:, :]
    exact, moved = homework.expected(case), replace(case, x=other)
    yield same(
        "earlier outputs",
        homework.of(moved)[..., :begin, :],
        homework.of(case)[..., :begin, :],
        2 * exact.error[..., :begin, :],
    )


def tokens_have_no_order(homework: Homework, case: HomeworkCase) -> Found:
    """Without a causal mask and positions, tokens in another order give
    the outputs in that order."""
    order = np.random.default_rng(case.seed).permutation(case.x.shape[-2])
    moved = replace(case, x=case.x[..., order, :])
    error = homework.expected(case).error
    yield same(
        "outputs",
        homework.of(moved),
        homework.of(case)[..., order, :],
        2 * error[..., order, :],
    )


def texts_do_not_meet(homework: Homework, case: HomeworkCase) -> Found:
    """A text alone gives what it gives in a batch."""
    if case.x.ndim == 2:
        return
    place = case.seed % len(case.x)
    at = slice(place, place + 1)
    error = homework.expected(case).error[at]
    alone = homework.of(replace(case, x=case.x[at]))
    yield same("one text", alone, homework.of(case)[at], 2 * error)


def every_parameter_is_one_of_the_layers(
    homework: Homework, case: HomeworkCase
) -> Found:
    """It has the parameters of its layers, and no others."""
    weights, module = homework.weights(case), homework.module(case)
    layers = [weights.query, weights.key, weights.value, weights.output]
    known = sum(matrix.size for matrix, _ in filter(None, layers))
    with_biases = known + sum(
        bias.size for _, bias in filter(None, layers) if bias.any()
    )
    count = sum(parameter.numel() for parameter in module.parameters())
    yield identical(
        "number of parameters",
        np.array([float(count)]),
        np.array([float(with_biases)]),
    )


def a_bias_that_is_asked_for_is_there(
    homework: Homework, case: HomeworkCase
) -> Found:
    """Made with a bias, it has more parameters than made without."""
    dtype = getattr(torch, case.x.dtype.name)
    with_bias, without = (
        sum(parameter.numel() for parameter in module.parameters())
        for module in (
            made(homework.kind, case.seed, dtype, biased)
            for biased in (True, False)
        )
    )
    yield identical(
        "more parameters with a bias",
        np.array([float(with_bias > without)]),
        np.ones(1),
    )


def a_mask_hides_what_it_should(
    homework: Homework, case: HomeworkCase
) -> Found:
    """Each text is seen through its own mask."""
    if case.x.ndim == 2:
        return
    mask = some_mask(case)
    if "one for all" in homework.mask:
        mask[:] = mask[0]
    exact = homework.expected(case, mask)
    given = MASK_FORMS[homework.mask](mask)
    got = asked_of(homework.module(case), case.x, given)
    yield same("output", got, exact.value, exact.error)


def some_mask(case: HomeworkCase) -> np.ndarray:
    """A mask for each text; every token sees itself."""
    texts, tokens = case.x.shape[:2]
    generator = np.random.default_rng(case.seed)
    mask = generator.uniform(size=(texts, tokens, tokens)) < 0.6
    return mask | np.eye(tokens, dtype=bool)


TEXTS, FAR = 4000, 7  # copies of a text; standard errors from the mean


def dropout_keeps_the_mean(homework: Homework, case: HomeworkCase) -> Found:
    """In training, the mean over what chance may drop is what comes out
    at evaluation: weights are dropped after the softmax, and scaled up."""
    if case.x.ndim == 2:
        return
    case = replace(case, x=case.x[:1].astype(np.float64))
    module = homework.module(case)
    expected = asked_of(module, case.x)
    torch.manual_seed(case.seed)
    many = asked_of(module.train(), np.repeat(case.x, TEXTS, axis=0))
    if not np.isfinite(many).all():
        return  # of which others tell
    if case.x.any():
        # What is dropped changes an output by about its size.
        spread = np.ptp(many, axis=0).max() > 1e-6 * np.abs(many).max()
        dropping = np.array([float(spread)])
        yield identical("dropping changes it", dropping, np.ones(1))
    error = many.std(axis=0, keepdims=True) / np.sqrt(TEXTS)
    exact = homework.expected(case)
    # The mean of so many numbers has roundings of its own.
    summed = TEXTS * exact.rounding.u * np.abs(many).max()
    bound = FAR * error + 2 * exact.error + summed
    yield same("mean output", many.mean(0, keepdims=True), expected, bound)


ANY = (
    equals_the_reference,
    asked_twice_it_answers_the_same,
    texts_do_not_meet,
    every_parameter_is_one_of_the_layers,
)


def properties_of(homework: Homework) -> Iterator[Property]:
    yield from map(Property, ANY)
    yield Property(
        a_later_token_changes_no_earlier_output
        if homework.causal
        else tokens_have_no_order
    )
    if homework.mask:
        yield Property(a_mask_hides_what_it_should)
    if takes_bias(homework.kind):
        yield Property(a_bias_that_is_asked_for_is_there)
    if drops(homework.kind):
        yield Property(dropout_keeps_the_mean)
