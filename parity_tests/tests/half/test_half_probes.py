"""A kernel's profile is found from outside, and said in words."""

from dataclasses import fields, replace
from functools import cache
from importlib import import_module
from os import environ

import numpy as np
import pytest

from parity_tests.bounds.half_precision import FORMATS, Profile
from parity_tests.judge.half.kernels import RIGHT_KERNELS, half_type
from parity_tests.judge.half.probes import profile_of
from parity_tests.judge.half.words import (
    NAMED,
    in_words,
    not_clear,
    profile_from,
    rounds_more,
)

pytest.importorskip("ml_dtypes", reason="needs ml_dtypes")

ERRORS = "exp_error", "rescale_error"
EITHER_FORMAT = [
    "bfloat16",
    pytest.param("float16", marks=pytest.mark.slow),
]
# Where each library's kernel rounds, on the CPU: what was found.
FUSED = {"weights": "rounded"}
EAGER = {"weights": "rounded", "normalised": True}
SCALED = EAGER | {"score_roundings": 1}
REAL = {
    "pytorch_math": {},
    "pytorch_math_in_half": SCALED | {"scaled_before": "both"},
    "pytorch_fused": FUSED,
    "pytorch_function": FUSED,
    "pytorch_flex": FUSED,
    "pytorch_module": SCALED | {"scaled_before": "query"},
    "transformers_eager": EAGER | {"score_roundings": 2},
    "transformers_sdpa": FUSED,
    "jax_function": EAGER,
    "keras_function": EAGER,
    "mlx_function": SCALED
    | {"scaled_before": "query", "scale_rounded": True},
    "onnx_operator": EAGER | {"score_roundings": 1},
}
OF_TORCH = "pytorch", "transformers"


@cache
def found(name: str, dtype: str) -> tuple[Profile, Profile]:
    """The profile that a kernel was made with, and the one found."""
    kernel = RIGHT_KERNELS[name]
    made = replace(kernel.profile, dtype=dtype)
    return made, profile_of(replace(kernel, profile=made), dtype)[0]


def without_errors(profile: Profile) -> Profile:
    defaults = {name: getattr(Profile, name) for name in ERRORS}
    return replace(profile, **defaults)


@pytest.mark.parametrize("dtype", EITHER_FORMAT)
@pytest.mark.parametrize("name", RIGHT_KERNELS)
def test_the_profile_found_is_the_one_a_kernel_was_made_with(name, dtype):
    made, seen = found(name, dtype)
    assert without_errors(seen) == without_errors(made)
    for error in ERRORS:
        exact = getattr(made, error)
        assert exact <= getattr(seen, error) <= 4 * exact


@pytest.mark.parametrize("dtype", EITHER_FORMAT)
@pytest.mark.parametrize("name", RIGHT_KERNELS)
def test_a_claim_that_is_wrong_is_found_and_a_right_one_is_not(name, dtype):
    made, seen = found(name, dtype)
    generous = replace(made, **dict.fromkeys(ERRORS, 0.0004))
    assert rounds_more(generous, seen) == []
    for other in RIGHT_KERNELS:
        claim = without_errors(found(other, dtype)[0])
        if less_than(claim, made):
            assert rounds_more(claim, seen), other


def less_than(claim: Profile, made: Profile) -> bool:
    """Whether the claim leaves out a rounding that the kernel has."""
    return (
        claim.score_roundings < made.score_roundings
        or (claim.weights, made.weights) == ("unrounded", "rounded")
        or (claim.softmax, made.softmax) == ("float32", "half")
        or (claim.scores_in, made.scores_in) == ("float32", "half")
        or made.exp_error > 1e-5
    )


def constant(query, key, value):
    return np.ones((*query.shape[:-1], value.shape[-1]), query.dtype)


def zeros(query, key, value):
    return 0 * constant(query, key, value)


def nothing_sensible(query, key, value):
    return constant(query, key, value) * np.nan


def mean_of_values(query, key, value):
    mean = value.astype(float).mean(-2, keepdims=True)
    return mean.astype(value.dtype)


def without_a_key(query, key, value):
    kernel = RIGHT_KERNELS["float32 inside"]
    kernel = replace(
        kernel, profile=replace(kernel.profile, dtype=query.dtype.name)
    )
    return kernel(query, key[:, 1:], value[:, 1:])


@pytest.mark.parametrize("dtype", EITHER_FORMAT)
@pytest.mark.parametrize(
    "wrong",
    [constant, zeros, nothing_sensible, mean_of_values, without_a_key],
)
def test_no_accumulation_in_half_excuses_a_wrong_kernel(wrong, dtype):
    profile, seen = profile_of(wrong, dtype)
    assert profile.scores_in == "float32"
    assert profile.context_in == "float32"
    assert profile.sum_in == "float32"
    assert profile.softmax == "float32"
    assert not_clear(seen)


def test_only_sizes_of_fused_kernels_are_enough():
    kernel = RIGHT_KERNELS["weights rounded"]

    def picky(query, key, value):
        if query.shape[-1] not in (64, 128) or key.shape[-2] % 16:
            raise ValueError("expected 64 or 128 features")
        return kernel(query, key, value)

    # Of 128 features a rounded scale is too near to the exact one.
    profile = profile_of(picky, "bfloat16")[0]
    assert profile == replace(kernel.profile, scale_rounded="either")
    assert "scale rounded to bfloat16 or not (not clear)" in (
        in_words(profile)
    )
    assert rounds_more(kernel.profile, profile) == []


# --- words ---------------------------------------------------------------


def samples() -> list[Profile]:
    """Each kernel's profile, and each with one field changed."""
    made = [kernel.profile for kernel in RIGHT_KERNELS.values()]
    changes: list[dict] = [
        *({"scaled_before": v} for v in ("query", "key", "both")),
        *({"weights": v} for v in ("rounded", "either")),
        *({"summed": v} for v in ("rounded", "either")),
        *({name: 1.25e-4} for name in ERRORS),
        *({"smallest_block": 64}, {"output_roundings": 2}),
        *({"scale_rounded": v} for v in (True, "either")),
        {"flushes_subnormals": True},
        *({"score_roundings": 1}, {"exp_error": 1 / 3e4}),
    ]
    changed = [replace(p, **change) for p in made for change in changes]
    both = [*made, *changed, *NAMED.values()]
    return [replace(p, dtype=dtype) for p in both for dtype in FORMATS]


def test_words_of_a_profile_say_that_profile():
    for profile in samples():
        assert profile_from(in_words(profile), profile.dtype) == profile


def test_words_are_those_of_a_report():
    assert in_words(Profile(weights="rounded", exp_error=1e-4)) == (
        "weights rounded to bfloat16 before they are normalised; "
        "the unrounded ones are summed; exp off by 0.0001; "
        "accumulates in float32"
    )


def test_words_say_what_no_prediction_fits_and_are_read_again():
    profile, seen = profile_of(nothing_sensible, "float16")
    words = in_words(profile, seen)
    assert words.startswith(in_words(profile))
    assert all(f"; {each}" in words for each in not_clear(seen))
    assert profile_from(words, "float16") == profile


def test_names_and_keys_with_values_are_profiles():
    assert profile_from("inside float32") == Profile()
    assert profile_from("weights=rounded, exp_error=1e-4") == Profile(
        weights="rounded", exp_error=1e-4
    )
    claimed = "scores and weights rounded; sum_in=half; scale_rounded=true"
    assert profile_from(claimed, "float16") == Profile(
        "float16",
        score_roundings=2,
        weights="rounded",
        normalised=True,
        sum_in="half",
        scale_rounded=True,
    )


@pytest.mark.parametrize(
    ("words", "got"),
    [
        ("", "expected a profile, got ''"),
        ("rounded somewhere", 'got "rounded somewhere"'),
        ("wieghts=rounded", 'got "wieghts=rounded"'),
        ("weights=maybe", 'unrounded, rounded, either; got "maybe"'),
        ("exp_error=much", 'a number from 0 to 0.5; got "much"'),
        ("exp_error=nan", 'a number from 0 to 0.5; got "nan"'),
        ("score_roundings=3", 'a number from 0 to 2; got "3"'),
        ("scale_rounded=1", 'True, False, either; got "1"'),
        ("dtype=float8", 'bfloat16, float16; got "float8"'),
    ],
)
def test_what_is_no_profile_is_refused(words, got):
    with pytest.raises(ValueError, match="expected") as refusal:
        profile_from(words)
    assert got in str(refusal.value)


def test_every_field_has_words():
    from parity_tests.judge.half.words import SAID

    assert {"dtype", *SAID} == {field.name for field in fields(Profile)}


# --- libraries -----------------------------------------------------------


def library(name: str):
    """An adapter's attention on (batch, tokens, features) half arrays."""
    try:
        module = import_module(f"parity_tests.adapters.{name}")
    except ImportError as missing:
        if environ.get("CI") == "true" and name.startswith(OF_TORCH):
            raise
        pytest.skip(f"needs {missing.name}")
    attention = module.scaled_dot_product_attention

    def attend(query, key, value):
        heads = name != "pytorch_module"
        arrays = [query, key, value]
        if heads:
            arrays = [np.ascontiguousarray(a[:, None]) for a in arrays]
        if name.startswith(OF_TORCH):
            context = from_torch(attention(*map(to_torch, arrays)))
        else:
            context = attention(*arrays)
        assert context.dtype == query.dtype
        return context[:, 0] if heads else context

    return attend


def to_torch(array):
    import torch

    if array.dtype == np.float16:
        return torch.from_numpy(array)
    return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)


def from_torch(array):
    import torch

    array = array.detach().contiguous()
    if array.dtype == torch.float16:
        return array.numpy()
    return array.view(torch.int16).numpy().view(half_type("bfloat16"))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", REAL)
def test_each_library_rounds_where_it_is_said_to(name, dtype):
    if (name, dtype) == ("onnx_operator", "bfloat16"):
        pytest.skip("onnxruntime's Attention has no bfloat16 on the CPU")
    profile, seen = profile_of(library(name), dtype)
    profile = replace(without_errors(profile), flushes_subnormals=False)
    assert profile == Profile(dtype, **REAL[name])
    assert not not_clear(seen)
    if REAL[name]:
        assert rounds_more(Profile(dtype), profile)
