"""ONNX's operator `Attention` (version 23), run by onnxruntime.

It takes float32, or float16, and exactly two axes before the last two,
the second of which counts heads. `pip install onnx onnxruntime`
"""

from functools import cache

import numpy as np
from onnx import TensorProto, helper
from onnxruntime import InferenceSession

INPUTS = ("Q", "K", "V", "attn_mask", "past_key", "past_value")
TYPES = {
    "bool": TensorProto.BOOL,
    "float16": TensorProto.FLOAT16,
    "float32": TensorProto.FLOAT,
}


@cache
def session(inputs: tuple, attributes: tuple) -> InferenceSession:
    """The operator alone; of an input that is left out the name is ""."""
    names = [name if name in dict(inputs) else "" for name in INPUTS]
    node = helper.make_node("Attention", names, ["Y"], **dict(attributes))
    kinds = [
        helper.make_tensor_value_info(name, TYPES[dtype], None)
        for name, dtype in inputs
    ]
    output = helper.make_tensor_value_info("Y", TYPES[inputs[0][1]], None)
    graph = helper.make_graph([node], "attention", kinds, [output])
    versions = [helper.make_opsetid("", 23)]
    model = helper.make_model(graph, opset_imports=versions, ir_version=10)
    return InferenceSession(model.SerializeToString())


def operator(inputs: dict, **attributes) -> np.ndarray:
    """Its first output for inputs that have the names of the standard."""
    arrays = {n: np.ascontiguousarray(a) for n, a in inputs.items()}
    types = tuple((n, a.dtype.name) for n, a in arrays.items())
    return session(types, tuple(attributes.items())).run(None, arrays)[0]


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False, scale=None
):
    if query.ndim != 4:  # which would end the process in release 1.23.2
        raise ValueError(f"expected 4 axes, got {query.ndim}")
    inputs, attributes = {"Q": query, "K": key, "V": value}, {}
    if mask is not None:
        shape = (*mask.shape[:-2], query.shape[-2], key.shape[-2])
        inputs["attn_mask"] = np.broadcast_to(mask, shape)
    if scale is not None:
        attributes["scale"] = float(scale)
    return operator(inputs, is_causal=int(is_causal), **attributes)
