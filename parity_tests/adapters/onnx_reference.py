"""ONNX's operator `Attention`, by onnx's own evaluator: in its first
version, 23, or in a newer one.

It takes float32, as its scale does, and exactly two axes before the last
two, the second of which counts heads. `pip install onnx`
"""

from functools import cache

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

INPUTS = ("Q", "K", "V", "attn_mask", "past_key", "past_value")
TYPES = {"bool": TensorProto.BOOL, "float32": TensorProto.FLOAT}


@cache
def evaluator(
    inputs: tuple, attributes: tuple, version: int
) -> ReferenceEvaluator:
    """The operator alone; of an input that is left out the name is ""."""
    names = [name if name in dict(inputs) else "" for name in INPUTS]
    node = helper.make_node("Attention", names, ["Y"], **dict(attributes))
    kinds = [
        helper.make_tensor_value_info(name, TYPES[dtype], None)
        for name, dtype in inputs
    ]
    output = helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "attention", kinds, [output])
    versions = [helper.make_opsetid("", version)]
    return ReferenceEvaluator(
        helper.make_model_gen_version(graph, opset_imports=versions)
    )


def operator(inputs: dict, version: int = 23, **attributes) -> np.ndarray:
    """Its first output for inputs that have the names of the standard."""
    arrays = {n: np.ascontiguousarray(a) for n, a in inputs.items()}
    types = tuple((n, a.dtype.name) for n, a in arrays.items())
    asked = evaluator(types, tuple(attributes.items()), version)
    return asked.run(None, arrays)[0]


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False, scale=None
):
    inputs, attributes = {"Q": query, "K": key, "V": value}, {}
    if mask is not None:
        shape = (*mask.shape[:-2], query.shape[-2], key.shape[-2])
        inputs["attn_mask"] = np.broadcast_to(mask, shape)
    if scale is not None:
        attributes["scale"] = float(scale)
    return operator(inputs, is_causal=int(is_causal), **attributes)
