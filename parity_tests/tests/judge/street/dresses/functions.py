"""Attention functions in three dresses: two layers, another signature."""

import inspect
import textwrap

from parity_tests.tests.judge.street.dresses.bugs import (
    ATTENTION,
    joined,
    module_of,
    private,
)
from parity_tests.tests.judge.street.dresses.translating import in_torch

LAYER = '''
class Attention(nn.Module):
    """{doc}

    query (batch, tokens, d_in); key and value (batch, context, d_in)
    """

    def __init__(self, d_in, d_k, d_v):
        super().__init__()
        self.w_q = nn.Linear(d_in, d_k, bias=False)
        self.w_k = nn.Linear(d_in, d_k, bias=False)
        self.w_v = nn.Linear(d_in, d_v, bias=False)

    def forward(self, query, key, value{declared}):
        q, k, v = self.w_q(query), self.w_k(key), self.w_v(value)
        return _{name}(q, k, v{passed})
'''

NUMPY_CLASS = '''
class Attention:
    """{doc}

    query (batch, tokens, d_in); key and value (batch, context, d_in)
    """

    def __init__(self, d_in, d_k, d_v, seed=0):
        random = np.random.default_rng(seed)
        self.W_q = random.normal(size=(d_in, d_k))
        self.W_k = random.normal(size=(d_in, d_k))
        self.W_v = random.normal(size=(d_in, d_v))

    def forward(self, query, key, value{declared}):
        q, k, v = query @ self.W_q, key @ self.W_k, value @ self.W_v
{call}
'''

OF_NUMPY = "return _{name}(q, k, v{passed})"
OF_TORCH = """
q, k, v = map(torch.as_tensor, (q, k, v)){tensor_mask}
context = _{name}(q, k, v{passed})
return context.numpy()
"""
MASK_AS_TENSOR = """
mask = None if mask is None else torch.as_tensor(mask)"""

TOKENS_BEFORE_HEADS = '''
def attention_of_heads(k, q, v{declared}):
    """Attention in the layout (batch, tokens, heads, features).{hidden}

    Returns the context, and None in place of the weights.
    """
    q, k, v = (x.swapaxes(1, 2) for x in (q, k, v)){seen}
    context = _{name}(q, k, v{passed})
    return context.swapaxes(1, 2), None
'''
HIDDEN = """

    `hidden` is True where a query must not attend to a key."""
CAUSAL = """

    With `causal`, the last query stands at the last key."""

WITHOUT_WEIGHTS = '''
class DotProduct:
    """{doc}"""

    def __call__(self, q, k, v):
        return _{name}(q, k, v)
'''
KEY_FIRST = '''
def attention(K, Q, V):
    """K (m, d), Q (n, d), V (m, d_v)"""
    return _{name}(Q, K, V)
'''


def dresses(bug: str) -> dict[str, str]:
    source = private(bug)
    in_numpy = "import numpy" in source
    torch_source = in_torch(source) if in_numpy else source
    words = words_of(bug)
    written = {
        "tokens_before_heads": joined(
            "", source, tokens_before_heads(words)
        )
    }
    if bug == "inputs_changed":  # a layer would change its own query only
        return written | {
            "without_weights": joined(
                "", source, WITHOUT_WEIGHTS.format(**words)
            ),
            "key_first": joined(
                "", torch_source, KEY_FIRST.format(**words)
            ),
        }
    return written | {
        "layer": joined(
            "from torch import nn", torch_source, LAYER.format(**words)
        ),
        "numpy_class": joined(
            "import numpy as np", source, numpy_class(words, in_numpy)
        ),
    }


def words_of(bug: str) -> dict[str, str]:
    """What the templates ask for: the docstring, and what follows value."""
    function = getattr(module_of(bug), ATTENTION)
    more = list(inspect.signature(function).parameters.values())[3:]
    doc = textwrap.indent(inspect.getdoc(function), "    ").strip()
    return {
        "name": ATTENTION,
        "doc": doc,
        "declared": "".join(f", {parameter}" for parameter in more),
        "passed": "".join(f", {parameter.name}" for parameter in more),
    }


def numpy_class(words: dict[str, str], in_numpy: bool) -> str:
    tensor_mask = MASK_AS_TENSOR if "mask" in words["passed"] else ""
    template = OF_NUMPY if in_numpy else OF_TORCH
    call = template.format(**words, tensor_mask=tensor_mask).strip()
    return NUMPY_CLASS.format(**words, call=textwrap.indent(call, " " * 8))


def tokens_before_heads(words: dict[str, str]) -> str:
    """The mask is called `hidden`, and means the contrary."""
    names = {"is_causal": "causal", "mask": "hidden"}
    declared = words["declared"]
    for old, new in names.items():
        declared = declared.replace(old, new)
    passed = words["passed"].replace("is_causal", "causal")
    seen = hidden = ""
    if "mask" in passed:
        passed = passed.replace("mask", "seen")
        hidden = HIDDEN
        seen = "\n    seen = None if hidden is None else ~hidden"
    if "causal" in passed:
        hidden += CAUSAL
    written = {"declared": declared, "passed": passed}
    return TOKENS_BEFORE_HEADS.format(
        name=words["name"], seen=seen, hidden=hidden, **written
    )
