"""Shipped bugs: attention that was released wrong, in the smallest numbers.

Wherever it can be, a query and its keys are 0, so that every key that is
seen weighs the same, and the right output is a mean of a few values.
"""

from dataclasses import dataclass, field

import numpy as np

ONNX = "https://github.com/onnx/onnx/pull"
RUNTIME = "https://github.com/microsoft/onnxruntime/pull"

ONE = [[[[0]]]]  # one token of one head, one feature wide
TWO = [[[[0], [0]]]]  # two tokens
TWO_VALUES = [[[[1], [3]]]]
TWO_KEYS = {"Q": ONE, "K": TWO, "V": TWO_VALUES}


@dataclass(frozen=True)
class ShippedBug:
    """A wrong answer of a release, and the release that has it mended.

    Names of releases are those of pip, `right` is computed by hand, and
    `origin` is the issue or the pull request.
    """

    name: str
    what: str
    adapter: str
    arguments: dict
    right: list[float]
    release: str
    mended: str
    origin: str
    function: str = "operator"
    how: dict = field(default_factory=dict)

    def answer(self, host) -> list | str:
        """What a host answers: numbers, or the error in a word."""
        arguments = {n: arrays(v) for n, v in self.arguments.items()}
        answer = host.call(self.function, arguments, self.how)
        if "error" in answer:
            return f"raises {answer['error']['type']}"
        numbers = np.asarray(answer["value"], float).ravel()
        return [plain(number) for number in numbers]

    def is_right(self, answer: list | str) -> bool:
        """Whether an answer is the right one, to four digits."""
        return answer == [plain(number) for number in self.right]


def plain(number: float) -> float | str:
    """Four digits of a number; NaN, which JSON lacks, as text."""
    return "NaN" if np.isnan(number) else round(float(number), 4)


def arrays(value):
    """Lists as arrays: of booleans, or of float32."""
    if isinstance(value, dict):
        return {name: arrays(part) for name, part in value.items()}
    if not isinstance(value, list):
        return value
    array = np.array(value)
    return array if array.dtype == bool else array.astype(np.float32)


SHIPPED_BUGS = (
    ShippedBug(
        "onnx_heads_split_without_transpose",
        "heads are split without a transpose, so tokens are mixed up",
        "onnx_reference",
        {
            "inputs": {
                "Q": [[[0, 0], [0, 0]]],
                "K": [[[0, 0], [0, 0]]],
                "V": [[[1, 2], [3, 4]]],
            },
            "q_num_heads": 2,
            "kv_num_heads": 2,
        },
        [2, 3, 2, 3],
        "onnx==1.18.0",
        "onnx==1.19.0",
        f"{ONNX}/7118",
    ),
    ShippedBug(
        "onnx_key_heads_tiled",
        "fewer key heads are tiled, not repeated",
        "onnx_reference",
        {
            "inputs": {
                "Q": [[[[0]], [[0]], [[0]], [[0]]]],
                "K": [[[[0]], [[0]]]],
                "V": [[[[1]], [[2]]]],
            }
        },
        [1, 1, 2, 2],
        "onnx==1.18.0",
        "onnx==1.19.1",
        f"{ONNX}/7274",
    ),
    ShippedBug(
        "onnx_cache_ignored_by_causal",
        "the causal mask takes a new query for the first, beside a cache",
        "onnx_reference",
        {
            "inputs": {
                "Q": ONE,
                "K": ONE,
                "V": [[[[3]]]],
                "past_key": ONE,
                "past_value": [[[[1]]]],
            },
            "is_causal": 1,
        },
        [2],
        "onnx==1.18.0",
        "onnx==1.19.1",
        f"{ONNX}/7297",
    ),
    ShippedBug(
        "onnx_soft_cap_after_mask",
        "the soft cap comes after the mask, and a masked key is seen",
        "onnx_reference",
        {
            "inputs": TWO_KEYS | {"attn_mask": [[True, False]]},
            "softcap": 1.0,
        },
        [1],
        "onnx==1.19.1",
        "onnx==1.22.0",
        f"{ONNX}/7867",
    ),
    ShippedBug(
        "onnx_causal_and_mask_nan",
        "a causal mask beside a boolean one gives NaN",
        "onnx_reference",
        {
            "inputs": {
                "Q": TWO,
                "K": TWO,
                "V": TWO_VALUES,
                "attn_mask": [[True, True], [True, True]],
            },
            "is_causal": 1,
        },
        [1, 2],
        "onnx==1.19.1",
        "onnx==1.23.0",
        f"{ONNX}/8068",
    ),
    ShippedBug(
        "onnx_fully_masked_row_nan",
        "a fully masked row gets NaN",
        "onnx_reference",
        {"inputs": TWO_KEYS | {"attn_mask": [[False, False]]}},
        [0],
        "onnx==1.19.1",
        "onnx==1.23.0",
        f"{ONNX}/8068",
    ),
    ShippedBug(
        "onnxruntime_soft_cap_after_mask",
        "the soft cap comes after the mask, and a masked key is seen",
        "onnx_operator",
        {
            "inputs": TWO_KEYS | {"attn_mask": [[True, False]]},
            "softcap": 1.0,
        },
        [1],
        "onnxruntime==1.23.2",
        "onnxruntime==1.27.0",
        f"{RUNTIME}/28379",
    ),
    ShippedBug(
        "onnxruntime_causal_dropped_for_one_query",
        "the causal mask is dropped when there is one query",
        "onnx_operator",
        {"inputs": TWO_KEYS, "is_causal": 1},
        [1],
        "onnxruntime==1.23.2",
        "onnxruntime==1.28.0",
        "https://github.com/microsoft/onnxruntime/issues/29020",
    ),
    ShippedBug(
        "onnxruntime_fully_masked_row_nan",
        "a fully masked row gets NaN",
        "onnx_operator",
        {"inputs": TWO_KEYS | {"attn_mask": [[False, False]]}},
        [0],
        "onnxruntime==1.23.2",
        "onnxruntime==1.28.0",
        f"{RUNTIME}/28958",
    ),
    ShippedBug(
        "x_transformers_first_key_only",
        "decoding sees only the first key of the cache",
        "x_transformers_attend",
        {
            "query": [[[[0]], [[0]]]],
            "key": [[[[0], [0]], [[0], [0]]]],
            "value": [[[[1], [3]], [[1], [3]]]],
            "is_causal": True,
        },
        [2, 2],
        "x-transformers==1.18.0",
        "x-transformers==1.22.19",
        "https://github.com/lucidrains/x-transformers/issues/187",
        "scaled_dot_product_attention",
        {"library": "torch"},
    ),
)
