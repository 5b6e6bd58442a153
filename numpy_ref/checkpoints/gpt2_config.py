"""GPT-2's configuration, as transformers writes it."""

from dataclasses import dataclass, fields
from pathlib import Path

from ..checked import check_divides
from .bert_config import positive, read_entries


@dataclass(frozen=True)
class Gpt2Config:
    """Sizes, heads, epsilon."""

    vocabulary: int
    positions: int
    d_model: int
    d_ff: int
    layers: int
    heads: int
    epsilon: float


FIELDS = {
    "vocabulary": "vocab_size",
    "positions": "n_positions",
    "d_model": "n_embd",
    "d_ff": "n_inner",
    "layers": "n_layer",
    "heads": "n_head",
    "epsilon": "layer_norm_epsilon",
}

# Fields that change the arithmetic, each with the one value we support.
SUPPORTED = {
    "activation_function": "gelu_new",
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
    "pruned_heads": {},
    "quantization_config": None,
}


def read_gpt2_config(folder: str | Path) -> Gpt2Config:
    """Read the configuration of a folder.

    Raises ValueError for that of another architecture, naming the field.
    """
    entries = read_entries(folder, {"gpt2": SUPPORTED})
    if entries.get("n_inner") is None:
        width = positive("n_embd", entries.get("n_embd"), int)
        entries = entries | {"n_inner": 4 * width}
    kinds = {field.name: field.type for field in fields(Gpt2Config)}
    config = Gpt2Config(
        **{
            ours: positive(theirs, entries.get(theirs), kinds[ours])
            for ours, theirs in FIELDS.items()
        }
    )
    check_divides("n_head", config.heads, "n_embd", config.d_model)
    return config


def parameter_count(config: Gpt2Config) -> int:
    r"""Parameter count: how many numbers such a model learns.

    $V d + T d + L (2 \cdot 2 d + 4 (d^2 + d) + 2 d d_\text{ff} +
    d_\text{ff} + d) + 2 d$: the tables; in each block two norms, four
    linear layers of the attention and two of the feed-forward network; the
    last norm. With $d_\text{ff} = 4 d$ a block has $12 d^2 + 13 d$. The
    number of heads changes nothing.

    >>> parameter_count(Gpt2Config(50257, 1024, 768, 3072, 12, 12, 1e-5))
    124439808
    """
    d_model, d_ff = config.d_model, config.d_ff
    tables = (config.vocabulary + config.positions) * d_model
    norm = 2 * d_model
    attention = 4 * (d_model * d_model + d_model)
    feed_forward = 2 * d_model * d_ff + d_ff + d_model
    block = 2 * norm + attention + feed_forward
    return tables + config.layers * block + norm


def gpt2_config_entries(config: Gpt2Config) -> dict:
    """`config.json` of a new model, as transformers reads it.

    Its last token begins and ends a text.
    """
    sizes = {
        theirs: getattr(config, ours) for ours, theirs in FIELDS.items()
    }
    end = config.vocabulary - 1
    fixed = {k: v for k, v in SUPPORTED.items() if v not in (None, {})}
    kind = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}
    return kind | sizes | fixed | {"bos_token_id": end, "eos_token_id": end}
