"""A kernel's exp is measured from outside, and the bound allows it."""

from dataclasses import replace

import numpy as np
import pytest

from parity_tests.bounds.exponentials import (
    exp_roundings,
    measured_exp_error,
)
from parity_tests.bounds.rounding import (
    Bounded,
    Rounding,
    distribution,
    exponential,
)

SINGLE = Rounding.of("float32")


def kernel_with(off):
    """Attention whose exponentials are off by `off` u, key by key."""

    def kernel(query, key, value):
        scale = np.float32(query.shape[-1] ** -0.5)
        scores = query @ key.mT * scale
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        keys = np.arange(key.shape[-2])
        wrong = 1 + SINGLE.u * off(keys, len(keys))
        powers = (powers * wrong).astype(np.float32)
        return powers @ value / powers.sum(-1, keepdims=True)

    return kernel


def in_whole_vectors(size):
    """Only keys that fill a vector of eight meet the faster exp."""
    return lambda keys, count: size * (keys < count // 8 * 8)


@pytest.mark.parametrize("size", [20, 100])
def test_an_exp_that_is_worse_in_whole_vectors_is_measured(size):
    found = measured_exp_error(kernel_with(in_whole_vectors(size)))
    assert size - 1 <= found <= size + 6


def test_what_is_off_by_the_same_everywhere_does_not_show():
    assert measured_exp_error(kernel_with(lambda *_: 50.0)) < 6


def test_the_bound_never_allows_less_than_a_librarys_exp():
    assert exp_roundings(kernel_with(lambda *_: 0.0)) == 8


def test_a_fast_exp_breaks_the_common_bound_and_not_its_own():
    kernel = kernel_with(lambda keys, _: np.where(keys % 2, 60.0, -60))
    scores = np.array([[0, -2]], np.float32)
    query, key = np.ones((1, 1, 1), np.float32), scores[..., None]
    weights = kernel(query, key, np.eye(2, dtype=np.float32)[None])[0]
    found = replace(SINGLE, exp_roundings=exp_roundings(kernel))
    errors = []
    for rounding in (SINGLE, found):
        exact = Bounded(scores.astype(float), np.zeros((1, 2)), rounding)
        bound = distribution(exact, np.True_)
        errors.append(np.abs(weights - bound.value) / bound.error)
    assert errors[0].max() > 1 >= errors[1].max()


def test_an_exponential_is_off_by_what_was_measured():
    worse = replace(SINGLE, exp_roundings=40)
    a = Bounded(np.zeros(1), np.zeros(1), worse)
    assert exponential(a).error == pytest.approx(40 * SINGLE.u, rel=1e-4)


def test_torchs_kernels_are_measured_in_float32():
    torch = pytest.importorskip("torch")
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    def kernel_of(backend):
        def kernel(*arrays):
            texts = (
                torch.from_numpy(array)[None, None] for array in arrays
            )
            with sdpa_kernel(backend):
                return scaled_dot_product_attention(*texts)[0, 0].numpy()

        return kernel

    for backend in (SDPBackend.MATH, SDPBackend.FLASH_ATTENTION):
        found = measured_exp_error(kernel_of(backend))
        print(f"{backend}: exp is off by {found:.1f} u")
        assert 0 < found < 100
