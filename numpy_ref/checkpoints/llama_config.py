"""Llama's configuration and its relatives', in either of its spellings.

As transformers writes it, into `config.json`, for a Llama, a Mistral or a
Qwen 2; and as a GGUF has it among its values, which calls all of them but
Qwen 2 a llama.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from ..checked import check_divides, check_even
from ..files import read_json
from .bert_config import check_supported, positive, read_entries


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes, heads, the base of RoPE, epsilon.

    `tied`: the embedding is the output layer, too. `biased`: queries, keys
    and values have biases, as in Qwen 2.
    """

    vocabulary: int
    positions: int
    d_model: int
    d_head: int
    d_ff: int
    layers: int
    heads: int
    key_heads: int
    base: float
    epsilon: float
    tied: bool = False
    biased: bool = False


FIELDS = {
    "vocabulary": "vocab_size",
    "positions": "max_position_embeddings",
    "d_model": "hidden_size",
    "d_head": "head_dim",
    "d_ff": "intermediate_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "key_heads": "num_key_value_heads",
    "base": "rope_theta",
    "epsilon": "rms_norm_eps",
}
GGUF_FIELDS = {
    "vocabulary": "llama.vocab_size",
    "positions": "llama.context_length",
    "d_model": "llama.embedding_length",
    "d_head": "llama.attention.key_length",
    "d_ff": "llama.feed_forward_length",
    "layers": "llama.block_count",
    "heads": "llama.attention.head_count",
    "key_heads": "llama.attention.head_count_kv",
    "base": "llama.rope.freq_base",
    "epsilon": "llama.attention.layer_norm_rms_epsilon",
}
# What follows from other sizes where it is not given.
OPTIONAL = ("d_head", "key_heads", "base")
BASE = 10_000.0

# Fields that change the arithmetic, each with the one value we support.
COMMON = {
    "hidden_act": "silu",
    "partial_rotary_factor": 1.0,
    "quantization_config": None,
}
SUPPORTED = {
    "llama": {**COMMON, "attention_bias": False, "mlp_bias": False},
    "mistral": COMMON,
    "qwen2": {**COMMON, "use_sliding_window": False},
}
# Every model_type that is read as a Llama.
LLAMAS = tuple(SUPPORTED)
GGUF_SUPPORTED = {
    "general.architecture": "llama",
    "llama.expert_count": 0,
    "llama.attention.causal": True,
    "llama.attention.sliding_window": None,
    "llama.rope.scaling.type": "none",
    "llama.rope.scale_linear": 1.0,
}

# Relatives with parts that are not here.
MISSING_PARTS = {
    "gemma": "embeddings scaled by the root of d_model, RMSNorm by 1 + w, "
    "GeGLU",
    "gemma2": "what Gemma needs, soft caps, sliding windows, norms behind "
    "the sublayers",
    "gemma3_text": "what Gemma needs, RMSNorm of queries and keys, sliding "
    "windows, norms behind the sublayers",
    "llama4_text": "a mixture of experts",
    "mixtral": "a mixture of experts",
    "qwen2_moe": "a mixture of experts",
    "qwen3": "RMSNorm of queries and keys (QK-norm)",
    "qwen3_moe": "RMSNorm of queries and keys (QK-norm), a mixture of "
    "experts",
}


def read_llama_config(folder: str | Path) -> LlamaConfig:
    """Read the configuration of a folder.

    Raises ValueError for that of another architecture, naming the field,
    or the parts that a relative needs besides.
    """
    check_parts(read_json(Path(folder) / "config.json").get("model_type"))
    entries = read_entries(folder, SUPPORTED)
    config = config_of(
        entries | {"rope_theta": base_of(entries)},
        FIELDS,
        "config.json",
        tied=entries.get("tie_word_embeddings") is True,
        biased=entries["model_type"] == "qwen2",
    )
    check_no_window(entries, config.positions)
    return config


def gguf_config(metadata: Mapping, tied: bool) -> LlamaConfig:
    """The configuration among the values of a GGUF.

    Its epsilon is a float32, 1e-5 to eight digits. Raises ValueError for
    that of another architecture, naming the field.
    """
    check_supported(metadata, GGUF_SUPPORTED, "the GGUF")
    if "general.architecture" not in metadata:
        raise ValueError(
            "expected general.architecture in the GGUF, got none"
        )
    size = GGUF_FIELDS["vocabulary"]
    tokens = metadata.get("tokenizer.ggml.tokens")
    if metadata.get(size) is None and isinstance(tokens, list):
        metadata = {**metadata, size: len(tokens)}
    config = config_of(metadata, GGUF_FIELDS, "the GGUF", tied=tied)
    whole_heads = ("rope.dimension_count", "attention.value_length")
    whole = {f"llama.{field}": config.d_head for field in whole_heads}
    check_supported(metadata, whole, "the GGUF")
    return config


def config_of(
    entries: Mapping, names: Mapping[str, str], place: str, **more: bool
) -> LlamaConfig:
    """A configuration from entries, under the names that they have there.

    Raises ValueError for a size that is none or does not fit another,
    naming the field.
    """
    kinds = {field.name: field.type for field in fields(LlamaConfig)}
    sizes = {
        ours: positive(theirs, entries.get(theirs), kinds[ours], place)
        for ours, theirs in names.items()
        if ours not in OPTIONAL or entries.get(theirs) is not None
    }
    sizes = {"key_heads": sizes["heads"], "base": BASE} | sizes
    if "d_head" not in sizes:
        check_divides(
            *(names["heads"], sizes["heads"]),
            *(names["d_model"], sizes["d_model"]),
        )
        sizes["d_head"] = sizes["d_model"] // sizes["heads"]
    check_divides(
        *(names["key_heads"], sizes["key_heads"]),
        *(names["heads"], sizes["heads"]),
    )
    check_even(f"{names['d_head']}, the width of a head,", sizes["d_head"])
    return LlamaConfig(**sizes, **more)


def base_of(entries: Mapping):
    """The base of RoPE, as it stands there; None where none is given.

    transformers 5 writes `rope_parameters`; before, it was `rope_theta`,
    with `rope_scaling` beside it. Raises ValueError for angles that are
    scaled, or that differ by layer.
    """
    field = "rope_parameters"
    if entries.get(field) is None:
        field = "rope_scaling"
    rope = entries.get(field) or {}
    is_flat = isinstance(rope, dict) and not any(
        isinstance(value, dict) for value in rope.values()
    )
    if not is_flat:
        raise ValueError(
            f"expected {field} in config.json to be one set of numbers, "
            f"got {rope!r}"
        )
    kind = rope.get("rope_type", rope.get("type", "default"))
    check_supported(
        {f"the type of {field}": kind} | rope,
        {f"the type of {field}": "default", "partial_rotary_factor": 1.0},
    )
    return rope.get("rope_theta", entries.get("rope_theta"))


def check_no_window(entries: Mapping, positions: int) -> None:
    """Raise ValueError where a query does not see all keys before it."""
    window = entries.get("sliding_window")
    is_used = entries["model_type"] == "mistral" and window is not None
    if is_used and positive("sliding_window", window, int) < positions:
        raise ValueError(
            "expected sliding_window in config.json to be None, or no less "
            f"than the {positions} positions, got {window}"
        )
    layers = entries.get("layer_types") or []
    layers = layers if isinstance(layers, list) else [layers]
    others = [layer for layer in layers if layer != "full_attention"]
    if others:
        raise ValueError(
            "expected layer_types in config.json to be 'full_attention' "
            f"only, got {others[0]!r}"
        )


def check_parts(model_type) -> None:
    """Raise ValueError for a relative that needs parts we do not have."""
    if model_type in [*MISSING_PARTS]:
        names = ", ".join(map(repr, SUPPORTED))
        raise ValueError(
            f"expected model_type in config.json to be one of {names}, got "
            f"{model_type!r}, which needs what is not here: "
            f"{MISSING_PARTS[model_type]}"
        )


def llama_config_entries(config: LlamaConfig) -> dict:
    """`config.json` of a new Llama, as transformers reads it.

    Its last token begins and ends a text.
    """
    sizes = {
        theirs: getattr(config, ours) for ours, theirs in FIELDS.items()
    }
    end = config.vocabulary - 1
    fixed = {k: v for k, v in SUPPORTED["llama"].items() if v is not None}
    kind = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    ends = {"bos_token_id": end, "eos_token_id": end}
    return (
        kind | sizes | fixed | ends | {"tie_word_embeddings": config.tied}
    )


def llama_parameter_count(config: LlamaConfig) -> int:
    r"""Parameter count: how many numbers such a model learns.

    $2 V d + L (2 d + (2 h + 2 g) d_\text{head} d + 3 d d_\text{ff}) + d$:
    the table, and the output layer unless it is tied to it; in each block
    two norms, the projections of h query heads and of g key heads, and
    the three of SwiGLU; the last norm.

    >>> smollm2 = LlamaConfig(
    ...     *(49152, 8192, 576, 64, 1536, 30, 9, 3, 1e5, 1e-5), tied=True
    ... )
    >>> llama_parameter_count(smollm2)
    134515008
    """
    d_model, heads = config.d_model, config.heads + config.key_heads
    tables = (1 if config.tied else 2) * config.vocabulary * d_model
    attention = 2 * heads * config.d_head * d_model
    feed_forward = 3 * d_model * config.d_ff
    biases = (config.heads + 2 * config.key_heads) * config.d_head
    block = 2 * d_model + attention + feed_forward + biases * config.biased
    return tables + config.layers * block + d_model
