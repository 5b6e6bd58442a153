"""Ranges of numbers: what each argument refuses, alike on both sides."""

import importlib
import inspect
from math import inf, nan

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from numpy_ref import attention, masks, optimizer
from numpy_ref.checkpoints.gpt2_config import Gpt2Config
from numpy_ref.key_value_cache import KeyValueCache
from numpy_ref.training.initial_weights import initial_gpt2
from parity_tests.twins.case import Case
from parity_tests.twins.finding import find_twins
from parity_tests.twins.strategies import cases
from torch_impl import attention as torch_attention
from torch_impl import masks as torch_masks
from torch_impl import optimizer as torch_optimizer

from .test_twins import MODELS

TRIED = (0, -1, 1, 2, nan, inf)
ALL = {0, -1, nan, inf}
NEGATIVE = {-1, nan, inf}

# Which of TRIED each argument refuses, by its name, or by its step's.
REFUSED = {
    "base": ALL,
    "batch_size": ALL,
    "bits": ALL,
    "block": ALL,
    "buckets": ALL | {1},
    "cap": ALL,
    "chunk": ALL,
    "context_length": ALL,
    "d_head": ALL | {1},
    "decoupled_scores.d_head": ALL,
    "d_model": ALL,
    "decay": NEGATIVE,
    "depth": ALL,
    "epsilon": NEGATIVE,
    "first": NEGATIVE,
    "heads": ALL,
    "highest": NEGATIVE,
    "ignored": {nan, inf},
    "k": ALL,
    "key_heads": ALL,
    "keys": NEGATIVE,
    "lowest": NEGATIVE,
    "max_distance": ALL | {1},
    "min_share": {-1, 2, nan, inf},
    "most": NEGATIVE,
    "p": {-1, 2, nan, inf},
    "past": NEGATIVE,
    "penalty": ALL,
    "queries": NEGATIVE,
    "rank": NEGATIVE,
    "ranks": ALL,
    "rate": {-1, 1, 2, nan, inf},
    "repeats": ALL,
    "adamw_step.rate": NEGATIVE,
    "smoothing": {-1, 2, nan, inf},
    "step": NEGATIVE,
    "adamw_step.step": ALL,
    "warm_up_rate.step": ALL,
    "steps": ALL,
    "stride": ALL,
    "temperature": ALL,
    "tokens": ALL,
    "warm_up": NEGATIVE,
    "warm_up_steps": ALL,
    "window": ALL,
}

# Refused or not by what else is given, not by a range of its own: whether
# heads divide the features, a window fits into the text, a target counts.
DEPENDS = {
    "buckets": {2},
    "max_distance": {2},
    "context_length": {1, 2},
    "heads": {1, 2},
    "key_heads": {1, 2},
    "ignored": {0, -1, 1, 2},
    "d_head": {2},
    "k": {2},
    "rank": {0, 1, 2},
    "ranks": {1, 2},
    "repeats": {1, 2},
    "steps": {1, 2},
    "tokens": {1, 2},
}


def numbers_of(function) -> list[str]:
    """The arguments of a step that are one number."""
    return [
        name
        for name, parameter in inspect.signature(
            function
        ).parameters.items()
        if parameter.annotation in (int, float)
    ]


# What hands its numbers on to its steps, which are tried by themselves.
HAND_ON = MODELS | {
    *("encoder_block", "decoder_block", "cached_decoder_block"),
    *("decoder_block_with_dropout", "attention_sublayer_with_dropout"),
    *("llama_attention_sublayer", "cached_llama_attention_sublayer"),
    *("transformer_encoder_block", "transformer_decoder_block"),
}

TWINS = [
    pytest.param(
        twin, marks=pytest.mark.slow if twin.name in HAND_ON else ()
    )
    for twin in find_twins()
    if numbers_of(twin.reference)
]


def refused_by(step: str, argument: str) -> set:
    return REFUSED.get(f"{step}.{argument}", REFUSED[argument])


def answer(step, arguments: dict) -> str:
    """What a step says to its arguments, "" when it takes them."""
    try:
        with np.errstate(all="ignore"):
            step(**arguments)
    except ValueError as error:
        return str(error).split(": expected ")[-1].removeprefix("expected ")
    return ""


def backward_of(twin, case: Case):
    """The gradient by hand and its arguments; None where there is none."""
    name = f"{twin.reference.__name__}_backward"
    module = importlib.import_module(twin.reference.__module__)
    if not hasattr(module, name):
        return None
    given = case.numpy_arguments()
    results = twin.reference(**given)
    results = [*results] if type(results) is tuple else [results]
    gradient = getattr(module, name)
    missing = [
        name
        for name in inspect.signature(gradient).parameters
        if name not in given
    ]
    return gradient, given | dict(zip(missing, results, strict=False))


@pytest.mark.parametrize("twin", TWINS, ids=str)
@settings(max_examples=1, phases=[Phase.generate], database=None)
@given(data=st.data())
def test_each_number_is_refused_out_of_its_range(twin, data):
    case = data.draw(cases(twin, "float64"))
    sides = [
        (twin.reference, case.numpy_arguments()),
        (case.torch_step(), case.torch_arguments()),
        backward_of(twin, case),
    ]
    for argument in numbers_of(twin.reference):
        refused = refused_by(twin.name, argument)
        for number in TRIED:
            if number in DEPENDS.get(argument, ()):
                continue
            said = {
                answer(step, arguments | {argument: number})
                for step, arguments in filter(None, sides)
            }
            assert len(said) == 1, (argument, number, said)
            assert bool(*said) == (number in refused), (number, said)
            assert argument in str(said) or number not in refused


SIDES = {"NumPy": (np.array, attention, masks, optimizer)}
SIDES["PyTorch"] = (
    *(torch.tensor, torch_attention, torch_masks, torch_optimizer),
)


@pytest.mark.parametrize("side", SIDES)
def test_queries_without_features_are_refused(side):
    array, steps, *_ = SIDES[side]
    empty, scores = array(np.zeros((3, 0))), np.zeros((3, 3))
    message = "expected d_head to be at least 1, got 0"
    with pytest.raises(ValueError, match=message):
        steps.attention_scores(empty, empty)
    with pytest.raises(ValueError, match=message):
        attention.attention_scores_backward(scores, *[np.zeros((3, 0))] * 2)


@pytest.mark.parametrize("side", SIDES)
def test_negative_lengths_are_refused(side):
    array, _, masks, _ = SIDES[side]
    message = "expected lengths to be at least 0, got -2"
    with pytest.raises(ValueError, match=message):
        masks.padding_mask(array([3, -2]), 3)
    assert masks.padding_mask(array([4]), 3).all()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("beta", [-1.0, 1.0, nan, inf])
@pytest.mark.parametrize("index", [0, 1])
def test_betas_are_rates(side, beta, index):
    array, *_, optimizer = SIDES[side]
    betas = tuple(beta if place == index else 0.9 for place in range(2))
    message = (
        rf"expected betas\[{index}\] to be at least 0 and below 1, got"
    )
    with pytest.raises(ValueError, match=message):
        optimizer.adamw_step(
            *[array([1.0])] * 4, 1, 0.1, betas, 1e-8, decay=0.0
        )


@pytest.mark.parametrize(
    ("heads", "positions", "message"),
    [
        (0, 3, "expected heads to divide d_model 4, got 0"),
        (3, 3, "expected heads to divide d_model 4, got 3"),
        (2, 0, "expected positions to be at least 1, got 0"),
    ],
)
def test_a_cache_of_impossible_sizes_is_refused(heads, positions, message):
    params = initial_gpt2(
        Gpt2Config(7, 5, 4, 16, 2, 1, 1e-5), np.random.default_rng(0)
    )
    with pytest.raises(ValueError, match=message):
        KeyValueCache.of_gpt2(params, heads, positions)
