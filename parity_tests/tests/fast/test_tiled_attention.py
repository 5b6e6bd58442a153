"""Attention in tiles, in parts and on threads, held to PyTorch's own.

Twins, exact values and gradients are held by `test_twins` and
`test_gradients`, as for every step.
"""

import threading
import tracemalloc
from dataclasses import replace
from functools import reduce
from math import inf, nan

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from numpy_ref.attention import attention_scores
from numpy_ref.fast import attention_on_threads as threads
from numpy_ref.fast.partial_attention import (
    add_key_block,
    merge_partial_attention,
    merge_tree,
    normalised,
    nothing_seen,
    partial_attention,
    split_key_attention,
)
from numpy_ref.fast.tiled_attention import (
    block_weights,
    tiled_attention,
    tiled_attention_backward,
    tiled_causal_attention,
    tiled_causal_attention_backward,
)
from numpy_ref.masks import causal_mask
from parity_tests.exact import described, exact_steps
from parity_tests.tests.conftest import examples, expect_holds
from parity_tests.twins.comparing import largest, within
from parity_tests.twins.recording import record
from parity_tests.twins.strategies import SEEDS
from torch_impl.fast import partial_attention as torch_partial
from torch_impl.fast import tiled_attention as torch_tiled

DTYPES = st.sampled_from(["float32", "float64"])
COUNTS = st.sampled_from([1, 2, 3, 5, 7, 8])
BATCH = (2, 3)
ALL = np.ones((1, 1), bool)
GRADIENTS = ("query", "key", "value")


def drawn(seed, queries, keys, dtype, batch=BATCH):
    """Queries, keys and values, and a mask, of which a row is empty and
    hides the first keys of another."""
    rng = np.random.default_rng(seed)
    spread = np.exp(rng.uniform(-3, 1))
    query = rng.normal(size=(*batch, queries, 4)) * spread
    key = rng.normal(size=(*batch, keys, 4)) * spread
    value = rng.normal(size=(*batch, keys, 5))
    mask = rng.uniform(size=(*batch, queries, keys)) < 0.7
    mask[..., rng.integers(queries), :] = False
    mask[..., rng.integers(queries), : keys // 2] = False
    return *(a.astype(dtype) for a in (query, key, value)), mask


def by_pytorch(query, key, value, mask):
    """PyTorch's own, as arrays; a kernel that it chooses itself."""
    return F.scaled_dot_product_attention(
        *tensors(query, key, value), attn_mask=torch.from_numpy(mask)
    ).numpy()


def tensors(*arrays):
    return [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]


def named(*inputs) -> dict:
    names = ("query", "key", "value", "mask")
    return dict(zip(names, inputs, strict=True))


def expect_attention(context, query, key, value, mask):
    """Both the exact value and PyTorch's own are within the bound."""
    inputs = (query, key, value, mask)
    exact = exact_steps("scaled_dot_product_attention", named(*inputs))
    theirs = by_pytorch(query, key, value, mask)
    bound = exact["context"].error
    for name, value, error in (
        ("the exact value", exact["context"].value, bound),
        ("F.scaled_dot_product_attention", theirs, 2 * bound),
    ):
        comparison = within(f"context ({name})", context, value, error)
        expect_holds(f"tiles and {name}, {query.dtype}", comparison)


@given(seed=SEEDS, queries=COUNTS, keys=COUNTS, dtype=DTYPES)
def test_blocks_of_any_size_give_the_attention_of_one(
    seed, queries, keys, dtype
):
    inputs = drawn(seed, queries, keys, dtype)
    for block in range(1, max(queries, keys) + 3):
        expect_attention(tiled_attention(*inputs, block), *inputs)
        split = split_key_attention(*inputs, block)
        expect_attention(split, *inputs)
        theirs = torch_tiled.tiled_attention(*tensors(*inputs), block)
        expect_attention(theirs.numpy(), *inputs)


@given(seed=SEEDS, queries=COUNTS, past=st.integers(0, 9), dtype=DTYPES)
def test_so_do_tiles_that_a_causal_mask_hides_as_a_whole(
    seed, queries, past, dtype
):
    keys = queries + past // 2  # a past that is too long hides less
    *inputs, mask = drawn(seed, queries, keys, dtype)
    band = torch.ones(queries, keys, dtype=bool).tril(past).numpy()
    for block in range(1, keys + 2):
        context, partial = tiled_causal_attention(
            *inputs, mask, past, block
        )
        expect_attention(context, *inputs, mask & band)
        assert context is partial.output
    expect_attention(
        tiled_causal_attention(*inputs, ALL, past, 3)[0], *inputs, band
    )


def test_a_causal_tile_is_never_asked_for_what_it_cannot_see():
    *inputs, _ = drawn(0, 8, 8, "float64", batch=())
    inputs[1][6:], inputs[2][6:] = nan, nan
    context, _ = tiled_causal_attention(*inputs, ALL, 0, 2)
    assert np.isfinite(context[:6]).all()
    assert np.isnan(context[6:]).all()
    _, calls = record(tiled_causal_attention, *inputs, ALL, 0, 2)
    blocks = [c for c in calls if c.path.count("/add_key_block[")]
    tops = [c for c in blocks if c.name == "add_key_block"]
    assert len(tops) == 1 + 2 + 3 + 4


@pytest.mark.parametrize("side", ["NumPy", "PyTorch"])
def test_a_first_block_that_is_hidden_makes_no_nan(side):
    query, key, value = np.ones((3, 1, 4, 2))
    mask = np.array([[False, False, True, True]] * 4)
    expected = np.ones((1, 4, 2))
    if side == "NumPy":
        context = tiled_attention(query, key, value, mask, 2)
    else:
        inputs = tensors(query, key, value, mask)
        context = torch_tiled.tiled_attention(*inputs, 2).numpy()
    np.testing.assert_array_equal(context, expected)


def test_a_query_that_sees_nothing_gets_zeros_and_no_share():
    query, key, value = np.random.default_rng(0).normal(size=(3, 4, 2))
    mask = np.eye(4, dtype=bool)
    mask[2, 2] = False
    nothing = partial_attention(query, key, value, mask)
    assert not nothing.output[2].any()
    assert nothing.log_sum_exp[2] == -inf
    merged = merge_partial_attention(nothing, nothing)
    assert not merged.output[2].any()
    assert merged.log_sum_exp[2] == -inf
    both = partial_attention(query, key, value, ~mask)
    merged = merge_partial_attention(both, nothing)
    np.testing.assert_array_equal(merged.output[2], both.output[2])
    assert merged.log_sum_exp[2] == both.log_sum_exp[2]


def test_the_pencils_weights_come_out_of_two_blocks():
    """Scores of 0, ln 2 and 2 ln 2: sevenths, whatever comes first."""
    query, key = np.ones((1, 1)), np.log(2) * np.arange(3.0)[:, None]
    running = nothing_seen(query, np.eye(3))
    for columns in (slice(2), slice(2, 3)):
        running = add_key_block(
            *(running, query, key[columns], np.eye(3)[columns], ALL)
        )
    assert 4 * running.total.item() == pytest.approx(7, rel=1e-15)
    partial = normalised(running)
    assert 7 * partial.output[0] == pytest.approx([1, 2, 4], rel=1e-15)
    assert partial.log_sum_exp.item() == pytest.approx(np.log(7))


@given(seed=SEEDS, keys=st.integers(1, 9), dtype=DTYPES, data=st.data())
def test_parts_merge_in_any_order(seed, keys, dtype, data):
    query, key, value, mask = drawn(seed, 3, keys, dtype)
    owner = np.random.default_rng(seed).integers(0, 4, size=keys)
    parts = [
        partial_attention(
            query, key[..., mine, :], value[..., mine, :], mask[..., mine]
        )
        for mine in (owner == part for part in range(4))  # some are empty
    ]
    scores = attention_scores(query, key)
    theirs = torch.logsumexp(
        torch.from_numpy(np.where(mask, scores, -inf)), -1
    ).numpy()
    one_each = named(query, key, value, mask) | {"block": 1}
    steps = exact_steps("split_key_attention", one_each)
    exact = described("merge_tree")(steps["partials"])["merged"]
    shuffled = data.draw(st.permutations(parts))
    one_by_one = reduce(merge_partial_attention, shuffled)
    for merged in (one_by_one, merge_tree(tuple(shuffled))):
        expect_attention(merged.output, query, key, value, mask)
        comparison = within(
            "log_sum_exp",
            *(merged.log_sum_exp, theirs, 2 * exact.log_sum_exp.error),
        )
        expect_holds(f"merged and torch.logsumexp, {dtype}", comparison)


@given(seed=SEEDS, queries=COUNTS, keys=COUNTS)
def test_the_weights_of_all_blocks_are_those_of_one_softmax(
    seed, queries, keys
):
    query, key, value, mask = drawn(seed, queries, keys, "float64")
    partial = partial_attention(query, key, value, mask)
    weights = np.concatenate(
        [
            block_weights(
                query,
                key[..., [place], :],
                mask[..., [place]],
                partial.log_sum_exp,
            )
            for place in range(keys)
        ],
        axis=-1,
    )
    total = weights.sum(axis=-1)
    np.testing.assert_allclose(total, mask.any(axis=-1), atol=1e-12)
    np.testing.assert_allclose(weights @ value, partial.output, atol=1e-12)
    assert not weights[~mask].any()


@given(seed=SEEDS, queries=COUNTS, keys=COUNTS, dtype=DTYPES)
@settings(max_examples=examples())
def test_gradients_of_any_block_are_those_of_pytorchs_own(
    seed, queries, keys, dtype
):
    *inputs, mask = drawn(seed, queries, keys, dtype)
    upstream = (
        np.random.default_rng(seed)
        .normal(size=(*BATCH, queries, 5))
        .astype(dtype)
    )
    for past in (0, 2, keys):
        band = torch.ones(queries, keys, dtype=bool).tril(past).numpy()
        theirs, bounds = gradients_by_pytorch(
            upstream, *inputs, mask & band
        )
        for block in (1, 2, 3, keys, keys + 1):
            arguments = (*inputs, mask, past, block)
            _, partial = tiled_causal_attention(*arguments)
            ours = tiled_causal_attention_backward(
                upstream, partial, *arguments
            )
            expect_gradients("tiles", ours, theirs, bounds)
        _, partial = threads.attention_on_threads(*inputs, mask, past, 1)
        ours = threads.attention_on_threads_backward(
            upstream, partial, *inputs, mask, past, 1
        )
        expect_gradients("threads", ours, theirs, bounds)
    kept = tiled_attention_backward(upstream, *inputs, mask, 2)
    expect_gradients("tiles", kept, theirs, bounds)


def gradients_by_pytorch(upstream, query, key, value, mask):
    """Autograd's of PyTorch's own attention, and twice their bounds."""
    leaves = [t.requires_grad_() for t in tensors(query, key, value)]
    context = F.scaled_dot_product_attention(
        *leaves, attn_mask=torch.from_numpy(mask)
    )
    context.backward(torch.from_numpy(upstream))
    exact = exact_steps(
        "scaled_dot_product_attention_backward",
        {"d_context": upstream} | named(query, key, value, mask),
    )
    bounds = [2 * exact[f"d_{name}"].error for name in GRADIENTS]
    return [leaf.grad.numpy() for leaf in leaves], bounds


def expect_gradients(what, ours, theirs, bounds):
    scale = max(map(largest, theirs))
    for name, mine, other, bound in zip(
        GRADIENTS, ours, theirs, bounds, strict=True
    ):
        comparison = within(f"d_{name} ({what})", mine, other, bound)
        expect_holds(
            f"gradients of {what} and PyTorch's own, {mine.dtype}",
            replace(comparison, scale=scale),
        )


def test_a_nan_in_a_hidden_key_is_stopped_and_in_a_hidden_value_spreads():
    query, key, value = np.random.default_rng(0).normal(size=(3, 4, 2))
    mask = causal_mask(4, 4)
    broken = key.copy()
    broken[3] = nan
    for attend in (
        lambda *inputs: tiled_attention(*inputs, mask, 4),
        lambda *inputs: threads.attention_on_threads(*inputs, mask, 4, 1)[
            0
        ],
    ):
        assert np.isfinite(attend(query, broken, value)[:3]).all()
        assert np.isnan(attend(query, key, broken)).all()
        assert np.isnan(attend(broken, key, value)[3]).all()
        assert np.isfinite(attend(broken, key, value)[:3]).all()


def peak_of(function, *arguments) -> int:
    """The most memory beyond its results that a call takes, in bytes."""
    tracemalloc.start()
    result = function(*arguments)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result is not None
    return peak - kept


def test_memory_grows_with_the_length_and_not_with_its_square():
    rng = np.random.default_rng(0)
    peaks = []
    for tokens in (512, 1024):
        query, key, value = rng.normal(size=(3, tokens, 4))
        arguments = (query, key, value, ALL, 0, 32)
        peaks.append(peak_of(tiled_causal_attention, *arguments))
        _, partial = tiled_causal_attention(*arguments)
        peaks.append(
            peak_of(
                tiled_causal_attention_backward,
                *(query, partial, *arguments),
            )
        )
    assert peaks[2] < 2.5 * peaks[0]
    assert peaks[3] < 2.5 * peaks[1]


# On threads


def expect_as_twinned(inputs, mask, past, workers):
    """The form on threads within twice the bound of the twinned one."""
    ours, partial = threads.attention_on_threads(
        *inputs, mask, past, workers
    )
    theirs, twinned = tiled_causal_attention(*inputs, mask, past, 3)
    arguments = named(*inputs, mask) | {"past": past, "block": 3}
    exact = exact_steps("tiled_causal_attention", arguments)
    for name, mine, other, bound in (
        ("context", ours, theirs, exact["context"].error),
        (
            "log_sum_exp",
            partial.log_sum_exp,
            twinned.log_sum_exp,
            exact["log_sum_exp"].error,
        ),
    ):
        comparison = within(f"{name} (threads)", mine, other, 2 * bound)
        expect_holds(
            f"threads and the twinned form, {mine.dtype}", comparison
        )


@pytest.fixture(params=[(128, 512), (2, 3), (3, 1)], ids=str)
def tile(request, monkeypatch):
    """Tiles as they are, and so small that a few tokens fill many."""
    monkeypatch.setattr(threads, "TILE", request.param)
    monkeypatch.setattr(threads, "GRADIENT_TILE", request.param)
    return request.param


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)], ids=str)
def test_threads_give_what_the_twinned_form_gives(tile, batch):
    for seed in range(4):
        dtype = ("float32", "float64")[seed % 2]
        queries, keys = ((1, 7), (4, 1), (5, 5), (7, 6))[seed]
        *inputs, mask = drawn(seed, queries, keys, dtype, batch)
        for past in (0, keys):
            expect_as_twinned(inputs, mask, past, 3)
            expect_as_twinned(inputs, mask[..., :1], past, 1)
        expect_as_twinned(inputs, ALL, 2, 1)


def test_so_do_their_gradients(tile):
    *inputs, mask = drawn(3, 7, 6, "float64")
    upstream = np.random.default_rng(0).normal(size=(*BATCH, 7, 5))
    band = causal_mask(7, 6)
    theirs, bounds = gradients_by_pytorch(upstream, *inputs, mask & band)
    _, partial = threads.attention_on_threads(*inputs, mask, 0, 2)
    for workers in (1, 2):
        ours = threads.attention_on_threads_backward(
            upstream, partial, *inputs, mask, 0, workers
        )
        expect_gradients("threads", ours, theirs, bounds)


@pytest.mark.parametrize("far", [-200.0, 200.0])
@pytest.mark.parametrize("first", [0, 3])
def test_scores_far_from_0_and_far_apart_lose_nothing(tile, far, first):
    """Rising by much from block to block; or far below 0, and the first
    block hidden: a 0 that is kept as if it were a score leaves nothing."""
    key = np.linspace(far, far + 90, 9, dtype="float32")[:, None]
    query = np.array([[1.0], [0.5], [-1.0]], "float32")
    value = np.random.default_rng(0).normal(size=(9, 5)).astype("float32")
    mask = np.arange(9)[None] >= first
    expect_as_twinned([query, key, value], mask, 9, 1)
    context, _ = threads.attention_on_threads(
        *(query, key, value, mask, 9, 1)
    )
    expect_attention(context, query, key, value, mask)


def test_one_worker_is_seen_by_the_recorder_and_several_compute_beside():
    *inputs, mask = drawn(0, 4, 4, "float64")
    _, calls = record(threads.attention_on_threads, *inputs, mask, 0, 1)
    assert "attend" in {call.name for call in calls}
    _, calls = record(threads.attention_on_threads, *inputs, mask, 0, 2)
    assert "attend" not in {call.name for call in calls}


def blas_threads() -> set[int]:
    return {
        library["num_threads"]
        for library in threadpool_info()
        if library["user_api"] == "blas"
    }


def test_blas_has_one_thread_within_and_its_own_again_afterwards(
    monkeypatch,
):
    seen, names = [], set()

    def watched(*arguments):
        seen.append(blas_threads())
        names.add(threading.current_thread().name)
        return attend(*arguments)

    attend = threads.attend
    monkeypatch.setattr(threads, "attend", watched)
    *inputs, mask = drawn(0, 4, 4, "float64")
    with threadpool_limits(limits=2, user_api="blas"):
        threads.attention_on_threads(*inputs, mask, 0, 2)
        assert blas_threads() == {2}
    assert seen
    assert all(count == {1} for count in seen)
    assert "MainThread" not in names


def test_what_goes_wrong_on_a_thread_is_said_and_blas_let_go(monkeypatch):
    def broken(*arguments):
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(threads, "attend", broken)
    *inputs, mask = drawn(0, 4, 4, "float64")
    before = blas_threads()
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        threads.attention_on_threads(*inputs, mask, 0, 2)
    assert blas_threads() == before


def test_threads_need_no_scores_as_a_whole():
    tokens, heads = 2048, 2
    rng = np.random.default_rng(0)
    query, key, value = rng.normal(size=(3, heads, tokens, 8)).astype("f4")
    arguments = (query, key, value, ALL, 0, 1)
    peak = peak_of(threads.attention_on_threads, *arguments)
    assert peak < heads * tokens**2 * 4 / 16


@pytest.mark.parametrize(
    ("past", "workers", "message"),
    [
        (-1, 1, "expected past to be at least 0, got -1"),
        (0, 0, "expected workers to be at least 1, got 0"),
    ],
)
def test_numbers_out_of_range_are_refused(past, workers, message):
    *inputs, mask = drawn(0, 4, 4, "float64")
    with pytest.raises(ValueError, match=message):
        threads.attention_on_threads(*inputs, mask, past, workers)
    partial = partial_attention(*inputs, mask)
    with pytest.raises(ValueError, match=message):
        threads.attention_on_threads_backward(
            partial.output, partial, *inputs, mask, past, workers
        )


def test_without_any_part_there_is_nothing_to_merge():
    message = "expected partials to be at least 1, got 0"
    for side in (merge_tree, torch_partial.merge_tree):
        with pytest.raises(ValueError, match=message):
            side(())
