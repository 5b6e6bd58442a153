"""Rotary positions and grouped queries beside ONNX's own operators."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_ref.masks import causal_mask
from numpy_ref.variants import grouped_queries, rotary
from numpy_ref.variants.grouped_queries import GroupedQueryAttention
from numpy_ref.variants.llama_cache import cached_grouped_heads
from numpy_ref.variants.projection import Projection
from numpy_ref.variants.sliding_window import sliding_window_mask
from numpy_ref.variants.soft_cap import capped_attention
from parity_tests.exact import exact_steps
from parity_tests.tests.conftest import expect_holds
from parity_tests.twins.comparing import within
from parity_tests.twins.strategies import SEEDS

pytest.importorskip("onnx", reason="needs onnx")

from onnx import TensorProto, defs, helper
from onnx.reference import ReferenceEvaluator

from parity_tests.adapters.onnx_reference import operator

pytestmark = pytest.mark.slow

# Its first version, and the newest that is installed.
VERSIONS = (23, defs.get_schema("Attention").since_version)
PAIRINGS = {
    "halves": rotary.rotary_halves,
    "neighbours": rotary.rotary_neighbours,
}


def onnx_rotary(x, cosine, sine, interleaved: int):
    """ONNX's RotaryEmbedding (version 23): (batch, heads, tokens, d)."""
    inputs = {"X": x, "cos_cache": cosine, "sin_cache": sine}
    inputs["position_ids"] = np.arange(x.shape[2])[None]
    node = helper.make_node(
        "RotaryEmbedding", [*inputs], ["Y"], interleaved=interleaved
    )
    kinds = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(array.dtype),
            array.shape,
        )
        for name, array in inputs.items()
    ]
    output = helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "rotary", kinds, [output])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11
    )
    return ReferenceEvaluator(model).run(None, inputs)[0]


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_either_pairing_is_that_of_onnx(pairing):
    x = (
        np.random.default_rng(0)
        .normal(size=(1, 3, 5, 8))
        .astype(np.float32)
    )
    positions = np.arange(5, dtype=np.float32)
    cosine, sine = rotary.rotary_tables(positions, 8, 10_000.0)
    theirs = onnx_rotary(x, cosine, sine, int(pairing == "neighbours"))
    ours = PAIRINGS[pairing](x, cosine, sine)
    exact = exact_steps(
        f"rotary_{pairing}", {"x": x, "cosine": cosine, "sine": sine}
    )["turned"]
    expect_holds(
        f"rotary_{pairing} and ONNX",
        within("turned", ours, theirs, 2 * exact.error),
    )
    other = onnx_rotary(x, cosine, sine, int(pairing == "halves"))
    assert abs(ours - other).max() > 0.1


def test_the_newest_version_is_another():
    assert VERSIONS[1] >= 25


@pytest.mark.parametrize("version", VERSIONS)
@given(seed=SEEDS, key_heads=st.sampled_from([1, 2, 3, 6]))
def test_grouped_attention_is_that_of_onnx(version, seed, key_heads):
    rng = np.random.default_rng(seed)
    query = rng.normal(size=(2, 6, 4, 8)).astype(np.float32)
    key, value = rng.normal(size=(2, 2, key_heads, 5, 8)).astype(np.float32)
    mask = rng.uniform(size=(1, 4, 5)) < 0.7
    mask[..., 0] = True
    arguments = {"query": query, "key": key, "value": value, "mask": mask}
    inputs = {"Q": query, "K": key, "V": value, "attn_mask": mask[0]}
    theirs = operator(inputs, version, is_causal=0)
    exact = exact_steps("grouped_attention", arguments)["context"]
    ours = grouped_queries.grouped_attention(**arguments)
    expect_holds(
        "grouped_attention and ONNX",
        within("context", ours, theirs, 2 * exact.error),
    )


@given(
    seed=SEEDS,
    key_heads=st.sampled_from([1, 2, 4]),
    past=st.integers(0, 6),
    new=st.integers(1, 4),
)
def test_with_a_cache_new_tokens_attend_as_in_onnx(
    seed, key_heads, past, new
):
    rng = np.random.default_rng(seed)
    heads, d_head, d_model = 4, 6, 10

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    def project(d_out):
        return Projection(normal(d_out, d_model))

    x = normal(2, new, d_model)
    past_key, past_value = normal(2, 2, key_heads, past, d_head)
    params = GroupedQueryAttention(
        project(heads * d_head),
        project(key_heads * d_head),
        project(key_heads * d_head),
        Projection(normal(d_model, heads * d_head)),
    )
    mask = causal_mask(new, past + new, past)
    positions = past + np.arange(new, dtype=np.float32)
    cosine, sine = rotary.rotary_tables(positions, d_head, 10_000.0)
    ours = cached_grouped_heads(
        *(x, past_key, past_value, params, mask, cosine, sine),
        *(heads, key_heads),
    )
    key, value = (
        np.concatenate([before, after], axis=-2)
        for before, after in (
            (past_key, ours.key),
            (past_value, ours.value),
        )
    )
    arguments = {"query": ours.query, "key": key, "value": value}
    arguments["mask"] = mask[None, None]
    exact = exact_steps("grouped_attention", arguments)["context"]
    inputs = {"Q": ours.query, "K": ours.key, "V": ours.value}
    inputs |= {"past_key": past_key, "past_value": past_value}
    theirs = operator(inputs, VERSIONS[1], is_causal=1)
    expect_holds(
        "cached_grouped_heads and ONNX",
        within("context", ours.context, theirs, 2 * exact.error),
    )


@given(
    seed=SEEDS,
    cap=st.floats(0.5, 40),
    window=st.integers(1, 7),
    past=st.integers(0, 4),
)
def test_a_cap_and_a_window_are_those_of_onnx(seed, cap, window, past):
    rng = np.random.default_rng(seed)
    query = rng.normal(size=(2, 3, 4, 8)).astype(np.float32)
    key, value = rng.normal(size=(2, 2, 3, past + 4, 8)).astype(np.float32)
    (past_key, new_key), (past_value, new_value) = (
        np.split(part, [past], axis=-2) for part in (key, value)
    )
    inputs = {"Q": query, "K": new_key, "V": new_value}
    inputs |= {"past_key": past_key, "past_value": past_value}
    theirs = operator(
        *(inputs, VERSIONS[1]),
        is_causal=1,
        softcap=cap,
        left_window_size=window - 1,
    )
    arguments = {"query": query, "key": key, "value": value, "cap": cap}
    mask = sliding_window_mask(4, past + 4, window, past)
    arguments["mask"] = mask
    exact = exact_steps("capped_attention", arguments)["context"]
    ours = capped_attention(**arguments)
    expect_holds(
        "capped_attention in a window and ONNX",
        within("context", ours, theirs, 2 * exact.error),
    )
