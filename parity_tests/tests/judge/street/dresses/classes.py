"""Classes in three dresses: other names, a layer around, and NumPy."""

import re

from parity_tests.tests.judge.street.dresses.bugs import (
    joined,
    source_of,
    thing_of,
)

# Whole words; layers are told from locals by the `self.` before them.
OTHER_NAMES = {
    r"\bMultiHead(ed)?Attention\b": "Attention",
    r"\b(Causal)?(Self)?Attention\b": "Attention",
    r"\bCausalAttention\b": "Attention",
    r"\bW_query\b": "to_q",
    r"\bW_key\b": "to_k",
    r"\bW_value\b": "to_v",
    r"\bout_proj\b": "to_out",
    r"\bself\.query\b": "self.fc_q",
    r"\bself\.key\b": "self.fc_k",
    r"\bself\.value\b": "self.fc_v",
    r"\bself\.output\b": "self.fc_o",
    r"\bc_attn\b": "qkv_proj",
    r"\bc_proj\b": "o_proj",
    r"\bnum_heads\b": "n_heads",
    r"\bcontext_length\b": "max_len",
    r"\bd_model\b": "hidden_size",
    r"\bn_embd\b": "hidden_size",
    r"\bn_head\b": "num_attention_heads",
    r"\bblock_size\b": "max_position_embeddings",
}

CONFIG = """
@dataclass
class {name}:
    {width}: int = 24
    {heads}: int = 3
    {length}: int = 16
    dropout: float = 0.1
    bias: bool = True
"""
OWN_CONFIG = CONFIG.format(
    name="Config",
    width="hidden_size",
    heads="num_attention_heads",
    length="max_position_embeddings",
)
GPT_CONFIG = CONFIG.format(
    name="GPTConfig", width="n_embd", heads="n_head", length="block_size"
)

# A layer around, and the arguments that each class of the zoo asks for:
# what the layer declares and passes on, and the inputs of forward.
AROUND = '''
class AttentionBlock(nn.Module):
    """Returns the output, and None in place of the weights."""

    def __init__(self, {declared}):
        super().__init__()
        self.attention = {name}({passed})

    def forward(self, {inputs}):
        return self.attention({handed}), None
'''
ARGUMENTS = {
    "SelfAttention": ("embed_dim", "embed_dim, embed_dim", "x"),
    "CausalAttention": (
        "embed_dim, max_tokens=32, dropout=0.1",
        "embed_dim, embed_dim, max_tokens, dropout",
        "x",
    ),
    "MultiHeadAttention": (
        "embed_dim, num_heads, max_tokens=32, dropout=0.1",
        "embed_dim, embed_dim, max_tokens, dropout, num_heads",
        "x",
    ),
    "MultiHeadedAttention": (
        "embed_dim, num_heads, dropout=0.1",
        "num_heads, embed_dim, dropout",
        "query, key, value, mask=None",
    ),
    "CausalSelfAttention": (
        "embed_dim, num_heads",
        "GPTConfig(embed_dim, num_heads)",
        "x",
    ),
}

IN_NUMPY = '''
class MultiHeadAttention:
    """{doc}"""

    def __init__(self, d_model, heads, seed=0):
        random = np.random.default_rng(seed)
        self.heads = heads
        self.W_q = random.normal(size=(d_model, d_model)) / d_model**0.5
        self.W_k = random.normal(size=(d_model, d_model)) / d_model**0.5
        self.W_v = random.normal(size=(d_model, d_model)) / d_model**0.5
        self.W_o = random.normal(size=(d_model, d_model)) / d_model**0.5
        self.b_o = random.normal(size=d_model)

    def split(self, y):
        """(batch, tokens, d_model) to (batch, heads, tokens, d_head)"""
        batch, tokens, d_model = y.shape
        d_head = d_model // self.heads
        return {split}

    def forward(self, x{declared}):
        {tokens}
        batch, tokens, d_model = x.shape
        q = self.split({query})
        k = self.split(x @ self.W_k)
        v = self.split({value})
        scores = {scores}
        {mask}
        exponentials = np.exp(scores - {maximum})
        weights = exponentials / {total}
        {weights}
        context = weights @ v
        merged = {merged}
        output = {output}
        return {returned}
'''
RIGHT = {
    "doc": "Causal attention in heads, for x (batch, tokens, d_model).",
    "declared": "",
    "tokens": "",
    "query": "x @ self.W_q",
    "value": "x @ self.W_v",
    "split": (
        "y.reshape(batch, tokens, self.heads, d_head).swapaxes(1, 2)"
    ),
    "scores": "q @ k.swapaxes(2, 3) / (d_model // self.heads) ** 0.5",
    "mask": "scores = np.where(np.tri(tokens) == 1, scores, -np.inf)",
    "maximum": "scores.max(axis=-1, keepdims=True)",
    "total": "exponentials.sum(axis=-1, keepdims=True)",
    "weights": "",
    "merged": "context.swapaxes(1, 2).reshape(batch, tokens, d_model)",
    "output": "merged @ self.W_o + self.b_o",
    "returned": "output",
}
NOT_CAUSAL = {
    "doc": "Attention in heads, for x (batch, tokens, d_model).",
    "mask": "",
}
DROPPED = {
    "weights": "weights *= (np.random.rand(*weights.shape) > 0.1) / 0.9"
}

# The wrong part of each bug, in NumPy.
WRONG: dict[str, dict[str, str]] = {
    "attends_across_the_batch": {
        **NOT_CAUSAL,
        "tokens": "x = x.swapaxes(0, 1)",
        "returned": "output.swapaxes(0, 1)",
    },
    "bias_for_each_head": {
        "output": "merged @ self.W_o + self.heads * self.b_o"
    },
    "dropout_always_on": DROPPED,
    "dropout_made_in_forward": DROPPED,
    "fused_dropout_always_on": DROPPED,
    "heads_in_one_softmax": {
        **NOT_CAUSAL,
        "maximum": "scores.max(axis=(1, 3), keepdims=True)",
        "total": "exponentials.sum(axis=(1, 3), keepdims=True)",
    },
    "heads_merged_without_transpose": {
        "merged": "context.reshape(batch, tokens, d_model)"
    },
    "heads_split_without_transpose": {
        "split": "y.reshape(batch, self.heads, tokens, d_head)"
    },
    "heads_woven_together": {
        "merged": (
            "context.transpose(0, 2, 3, 1).reshape(batch, tokens, d_model)"
        )
    },
    "mask_cut_from_the_wrong_rows": {
        "mask": (
            "seen = np.tri(32)[-tokens:, :tokens] == 1\n"
            "        scores = np.where(seen, scores, -np.inf)"
        )
    },
    "mask_of_another_text": {
        "doc": (
            "Attention in heads, for x (batch, tokens, d_model).\n\n"
            "    `mask` (batch, query, key) is True where a query may "
            "attend.\n    "
        ),
        "declared": ", mask=None",
        "mask": (
            "if mask is not None:\n"
            "            mask = np.tile(mask, (self.heads, 1, 1))\n"
            "            mask = mask.reshape(scores.shape)\n"
            "            scores = np.where(mask, scores, -1e9)"
        ),
    },
    "no_scale_in_einsum": {"scores": 'np.einsum("bhqd,bhkd->bhqk", q, k)'},
    "output_projection_forgotten": {"output": "merged"},
    "query_through_key_weights": {**NOT_CAUSAL, "query": "x @ self.W_k"},
    "scale_by_d_model": {"scores": "q @ k.swapaxes(2, 3) / d_model**0.5"},
    "scale_by_heads": {"scores": "q @ k.swapaxes(2, 3) / self.heads**0.5"},
    "softmax_over_heads": {
        **NOT_CAUSAL,
        "maximum": "scores.max(axis=1, keepdims=True)",
        "total": "exponentials.sum(axis=1, keepdims=True)",
    },
    "token_masked_from_itself": {
        "mask": (
            "seen = np.tri(tokens, k=-1) == 1\n"
            "        seen[0, 0] = True\n"
            "        scores = np.where(seen, scores, -np.inf)"
        )
    },
    "value_through_key_weights": {**NOT_CAUSAL, "value": "x @ self.W_k"},
}


def dresses(bug: str) -> dict[str, str]:
    name, source = thing_of(bug), source_of(bug)
    written = {"renamed": renamed(source), "around": around(name, source)}
    if bug in WRONG:
        parts = RIGHT | WRONG[bug]
        lines = IN_NUMPY.format(**parts).splitlines()
        empty = " " * 8  # where a part is left out
        body = "\n".join(line for line in lines if line != empty)
        written["numpy_class"] = joined("import numpy as np", body)
    return written


def renamed(source: str) -> str:
    configured = "config" in source
    for old, new in OTHER_NAMES.items():
        source = re.sub(old, new, source)
    if configured:
        imports = "from dataclasses import dataclass"
        return joined(imports, OWN_CONFIG, source)
    return joined("", source)


def around(name: str, source: str) -> str:
    declared, passed, inputs = ARGUMENTS[name]
    layer = AROUND.format(
        name=name,
        declared=declared,
        passed=passed,
        inputs=inputs,
        handed=inputs.replace("=None", ""),
    )
    if name == "CausalSelfAttention":
        imports = "from dataclasses import dataclass"
        return joined(imports, GPT_CONFIG, source, layer)
    return joined("", source, layer)
