"""ONNX's operator `Attention` (version 23), run by onnxruntime.

It takes float32 and exactly two axes before the last two, the second of
which counts heads. `pip install onnx onnxruntime`
"""

from functools import cache

import numpy as np
import onnxruntime
from onnx import TensorProto, helper


@cache
def session(masked: bool, causal: bool):
    names = ["Q", "K", "V", *["mask"] * masked]
    kinds = [TensorProto.FLOAT] * 3 + [TensorProto.BOOL] * masked
    node = helper.make_node(
        "Attention", names, ["Y"], is_causal=int(causal)
    )
    inputs = [
        helper.make_tensor_value_info(name, kind, [None] * 4)
        for name, kind in zip(names, kinds, strict=True)
    ]
    output = helper.make_tensor_value_info(
        "Y", TensorProto.FLOAT, [None] * 4
    )
    model = helper.make_model(
        helper.make_graph([node], "attention", inputs, [output]),
        opset_imports=[helper.make_opsetid("", 23)],
        ir_version=10,
    )
    return onnxruntime.InferenceSession(model.SerializeToString())


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False
):
    arrays = {"Q": query, "K": key, "V": value}
    if mask is not None:
        shape = (*query.shape[:-1], key.shape[-2])
        arrays["mask"] = np.broadcast_to(mask, shape)
    inputs = {n: np.ascontiguousarray(a) for n, a in arrays.items()}
    (context,) = session(mask is not None, is_causal).run(None, inputs)
    return context
