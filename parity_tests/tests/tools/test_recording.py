import sys

import numpy as np
import pytest
import torch

from numpy_ref import (
    layers,
    masks,
    multi_head,
    self_attention,
    word_tokenizer,
)
from parity_tests.twins.recording import record, snake_case
from torch_impl import self_attention as torch_self_attention


def by_path(calls):
    return {call.path: call for call in calls}


def test_every_call_and_every_local_is_kept():
    x = np.arange(6.0).reshape(2, 3)
    result, calls = record(self_attention.simple_attention, x)
    assert [call.path for call in calls] == [
        "simple_attention[0]",
        "simple_attention[0]/softmax[0]",
    ]
    outer, inner = calls
    assert list(outer.arguments) == ["x"]
    assert list(outer.steps) == ["similarity", "weights", "context"]
    assert outer.steps["context"] is result
    np.testing.assert_array_equal(outer.steps["similarity"], x @ x.T)
    assert inner.arguments["scores"] is outer.steps["similarity"]
    assert inner.holder is None


def test_calls_of_one_function_are_numbered():
    layer = layers.Linear(np.eye(4), np.zeros(4))
    params = multi_head.MultiHeadAttention(layer, layer, layer, layer)
    x, mask = np.ones((3, 4)), masks.causal_mask(3, 3)
    _, calls = record(multi_head.multi_head_attention, x, params, mask, 2)
    paths = list(by_path(calls))
    assert paths.count("multi_head_attention[0]/linear[3]") == 1
    assert paths.count("multi_head_attention[0]/split_heads[2]") == 1
    assert len(paths) == len(set(paths)) == len(calls)
    assert by_path(calls)["multi_head_attention[0]"].holder is params


def test_a_module_is_recorded_under_the_name_of_its_twin():
    module = torch_self_attention.SelfAttention(3, 2)
    _, calls = record(module, torch.ones(4, 3))
    assert calls[0].path == "self_attention[0]"
    assert calls[0].holder is module
    assert list(calls[0].steps)[:3] == ["query", "key", "value"]


def test_a_comprehension_is_part_of_the_step_it_stands_in():
    _, calls = record(word_tokenizer.split_words, "a b")
    assert [call.path for call in calls] == ["split_words[0]"]
    assert list(calls[0].steps) == ["pieces", "tokens"]


def test_what_lies_outside_of_the_two_sides_is_not_recorded():
    def outside():
        hidden = masks.causal_mask(1, 1)
        return hidden

    _, calls = record(outside)
    assert [call.path for call in calls] == ["causal_mask[0]"]


def test_an_error_ends_the_recording_and_the_next_one_works():
    for _ in range(2):
        with pytest.raises(ValueError, match="expected heads"):
            record(multi_head.split_heads, np.ones((2, 3)), 2)
        assert sys.getprofile() is None


def test_another_profiler_is_refused():
    sys.setprofile(lambda *_: None)
    try:
        with pytest.raises(
            RuntimeError, match="expected no other profiler"
        ):
            record(masks.causal_mask, 1, 1)
    finally:
        sys.setprofile(None)


def test_recording_nothing_is_refused():
    with pytest.raises(
        RuntimeError, match="expected a call into numpy_ref"
    ):
        record(np.zeros, 3)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("Linear", "linear"),
        ("MultiHeadAttention", "multi_head_attention"),
        ("OneHotEmbedding", "one_hot_embedding"),
    ],
)
def test_a_class_has_the_name_of_its_function(name, function):
    assert snake_case(name) == function
