"""Rotary positions and grouped queries beside ONNX's own operators."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_ref.variants import grouped_queries, rotary
from parity_tests.exact import exact_steps
from parity_tests.tests.conftest import expect_holds
from parity_tests.twins.comparing import within
from parity_tests.twins.strategies import SEEDS

pytest.importorskip("onnx", reason="needs onnx")

from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from parity_tests.adapters.onnx_reference import operator

pytestmark = pytest.mark.slow

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


@given(seed=SEEDS, key_heads=st.sampled_from([1, 2, 3, 6]))
def test_grouped_attention_is_that_of_onnx(seed, key_heads):
    rng = np.random.default_rng(seed)
    query = rng.normal(size=(2, 6, 4, 8)).astype(np.float32)
    key, value = rng.normal(size=(2, 2, key_heads, 5, 8)).astype(np.float32)
    mask = rng.uniform(size=(1, 4, 5)) < 0.7
    mask[..., 0] = True
    arguments = {"query": query, "key": key, "value": value, "mask": mask}
    inputs = {"Q": query, "K": key, "V": value, "attn_mask": mask[0]}
    theirs = operator(inputs, is_causal=0)
    exact = exact_steps("grouped_attention", arguments)["context"]
    ours = grouped_queries.grouped_attention(**arguments)
    expect_holds(
        "grouped_attention and ONNX",
        within("context", ours, theirs, 2 * exact.error),
    )
