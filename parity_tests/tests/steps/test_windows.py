import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from numpy_ref import windows
from numpy_ref.tokenizers.gpt2_vocabulary import gpt2_tokenizer
from torch_impl import windows as torch_windows

SIZES = st.integers(1, 8)


def test_a_target_is_the_next_token():
    inputs, targets = windows.windows(
        np.arange(100, 110), windows.window_starts(10, 4, 4), 4
    )
    np.testing.assert_array_equal(
        inputs, [[100, 101, 102, 103], [104, 105, 106, 107]]
    )
    np.testing.assert_array_equal(targets, inputs + 1)


@given(extra=st.integers(0, 30), context_length=SIZES, stride=SIZES)
def test_windows_equal_pytorchs_unfold(extra, context_length, stride):
    ids = torch.arange(context_length + 1 + extra) * 7
    expected = ids.unfold(0, context_length + 1, stride)
    starts = windows.window_starts(len(ids), context_length, stride)
    inputs, targets = windows.windows(ids.numpy(), starts, context_length)
    np.testing.assert_array_equal(inputs, expected[:, :-1])
    np.testing.assert_array_equal(targets, expected[:, 1:])


@given(extra=st.integers(0, 30), context_length=SIZES, data=st.data())
def test_covering_windows_make_every_token_a_target(
    extra, context_length, data
):
    stride = data.draw(st.integers(1, context_length))
    ids = np.arange(context_length + 1 + extra)
    starts = windows.covering_window_starts(
        len(ids), context_length, stride
    )
    _, targets = windows.windows(ids, starts, context_length)
    assert set(targets.flat) == set(ids[1:])
    assert (np.diff(starts) > 0).all()


@given(
    extra=st.integers(0, 20),
    context_length=SIZES,
    stride=SIZES,
    batch_size=SIZES,
    drop_last=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_data_loader_yields_the_same_batches(
    extra, context_length, stride, batch_size, drop_last, seed
):
    ids = np.arange(context_length + 1 + extra) * 7
    starts = windows.window_starts(len(ids), context_length, stride)
    permutation = np.random.default_rng(seed).permutation(len(starts))
    loader = torch_windows.window_loader(
        torch_windows.WindowDataset(
            torch.from_numpy(ids), torch.from_numpy(starts), context_length
        ),
        torch.from_numpy(permutation),
        batch_size,
        drop_last,
    )
    expect_same_batches(
        ids,
        starts,
        context_length,
        permutation,
        batch_size,
        drop_last,
        loader,
    )


def expect_same_batches(
    ids, starts, context_length, permutation, batch_size, drop_last, loader
):
    inputs, targets = windows.windows(ids, starts, context_length)
    ours = windows.batches(permutation, batch_size, drop_last)
    for chosen, (expected_inputs, expected_targets) in zip(
        ours, loader, strict=True
    ):
        np.testing.assert_array_equal(inputs[chosen], expected_inputs)
        np.testing.assert_array_equal(targets[chosen], expected_targets)


def test_the_verdict_in_windows_of_gpt2_tokens(the_verdict):
    ids = gpt2_tokenizer().encode(the_verdict)
    assert len(ids) == 5_145
    starts = windows.window_starts(len(ids), 256, 128)
    permutation = np.random.default_rng(0).permutation(len(starts))
    dataset = torch_windows.WindowDataset(
        torch.from_numpy(ids), torch.from_numpy(starts), 256
    )
    order = torch.from_numpy(permutation)
    loader = torch_windows.window_loader(dataset, order, 8, True)
    assert len(dataset) == 1 + (5_145 - 257) // 128
    expect_same_batches(ids, starts, 256, permutation, 8, True, loader)


@pytest.mark.parametrize("drop_last", [False, True])
def test_worker_processes_yield_the_same_batches(drop_last):
    ids = np.arange(30) * 7
    starts = windows.window_starts(30, 4, 3)
    permutation = np.random.default_rng(0).permutation(len(starts))
    dataset = torch_windows.WindowDataset(
        torch.from_numpy(ids), torch.from_numpy(starts), 4
    )
    order = torch.from_numpy(permutation)
    loader = torch_windows.window_loader(
        dataset, order, 4, drop_last, num_workers=2
    )
    assert len(dataset) == 9
    assert len(loader) == (2 if drop_last else 3)
    expect_same_batches(ids, starts, 4, permutation, 4, drop_last, loader)


@given(st.integers(1, 20), SIZES)
@settings(max_examples=10)
def test_without_dropping_each_window_is_in_one_batch(count, batch_size):
    batches = windows.batches(np.arange(count), batch_size, False)
    np.testing.assert_array_equal(np.concatenate(batches), np.arange(count))


WRONG = {
    "expected context_length to be at least 1, got 0": (9, 0, 1),
    "expected stride to be at least 1, got 0": (9, 4, 0),
    "expected tokens for a window of 4 to be at least 5, got 4": (4, 4, 1),
}


@pytest.mark.parametrize("side", [windows, torch_windows])
@pytest.mark.parametrize("message", WRONG)
def test_windows_that_do_not_fit_are_refused(side, message):
    for starts in (side.window_starts, side.covering_window_starts):
        with pytest.raises(ValueError, match=message):
            starts(*WRONG[message])


def test_a_window_that_leaves_the_text_is_refused():
    ids, starts = np.arange(6), np.array([0, 3])
    message = "expected starts from 0 to 1, got 3"
    tensors = torch.from_numpy(ids), torch.from_numpy(starts)
    with pytest.raises(ValueError, match=message):
        windows.windows(ids, starts, 4)
    with pytest.raises(ValueError, match=message):
        torch_windows.windows(*tensors, 4)
    with pytest.raises(ValueError, match=message):
        torch_windows.WindowDataset(*tensors, 4)


def test_a_permutation_of_other_windows_is_refused():
    message = "expected permutation from 0 to 2, got 7"
    with pytest.raises(ValueError, match=message):
        windows.batches(np.array([0, 7, 1]), 2, False)
    dataset = torch_windows.WindowDataset(
        torch.arange(6), torch.arange(3), 2
    )
    with pytest.raises(ValueError, match=message):
        torch_windows.window_loader(dataset, torch.tensor([7]), 2, False)


def test_an_empty_batch_is_refused():
    message = "expected batch_size to be at least 1, got 0"
    with pytest.raises(ValueError, match=message):
        windows.batches(np.arange(3), 0, False)
    dataset = torch_windows.WindowDataset(
        torch.arange(6), torch.arange(3), 2
    )
    with pytest.raises(ValueError, match=message):
        torch_windows.window_loader(dataset, torch.arange(3), 0, False)
