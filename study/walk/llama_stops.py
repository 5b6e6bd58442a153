"""The stops of a walk through a Llama: one block in full, then the rest."""

from .bert_stops import FEATURES, HEADS
from .stops import Stop

LLAMA, DECODER = "llama[0]", "llama[0]/llama_decoder[0]"
BLOCK = f"{DECODER}/llama_block[0]"
ATTENTION = f"{BLOCK}/llama_attention_sublayer[0]"
HEADS_OF_BLOCK = f"{ATTENTION}/open_grouped_heads[0]"
FEED_FORWARD = f"{BLOCK}/llama_feed_forward_sublayer[0]"
SWIGLU = f"{FEED_FORWARD}/swiglu[0]"
KEY_HEADS = ("heads", "keys", "features")

STOPS = (
    Stop(
        "token embeddings",
        "X_i = W_token[id_i]; positions come later, as angles",
        FEATURES,
        f"{LLAMA}/token_embedding[0]/embedded",
    ),
    Stop(
        "angles of the rotary positions, as cosines",
        "cos(p b^(-2i / d_head))",
        ("positions", "pairs"),
        f"{LLAMA}/rotary_tables[0]/cosine",
    ),
    Stop(
        "RMSNorm",
        "X / √(mean(X²) + ε) · w",
        FEATURES,
        f"{ATTENTION}/rms_norm[0]/y",
    ),
    Stop(
        "queries, turned by their positions",
        "R_p (X W_Qᵀ), in heads",
        HEADS,
        f"{HEADS_OF_BLOCK}/query",
        ("split_query",),
    ),
    Stop(
        "keys, turned by their positions, in fewer heads",
        "R_p (X W_Kᵀ), in key heads",
        KEY_HEADS,
        f"{HEADS_OF_BLOCK}/key",
        ("split_key",),
    ),
    Stop(
        "values, in fewer heads",
        "V = X W_Vᵀ, in key heads",
        KEY_HEADS,
        f"{HEADS_OF_BLOCK}/value",
    ),
    Stop(
        "keys, each head next to itself for its group",
        "K_h = K_⌊h / r⌋",
        KEY_HEADS,
        f"{HEADS_OF_BLOCK}/repeat_heads[0]/repeated",
    ),
    Stop(
        "scores",
        "S = Q Kᵀ / √(d_head)",
        ("heads", "queries", "keys"),
        f"{HEADS_OF_BLOCK}/attention_scores[0]/scores",
    ),
    Stop(
        "weights",
        "A_ij = exp(S_ij) / Σ_k exp(S_ik), over the keys k ≤ i",
        ("heads", "queries", "keys"),
        f"{HEADS_OF_BLOCK}/masked_softmax[0]/weights",
    ),
    Stop(
        "context",
        "O = A V",
        HEADS,
        f"{HEADS_OF_BLOCK}/context",
        ("repeated_value",),
    ),
    Stop(
        "residual: input plus attention output",
        "H = X + concat(O_1, …, O_h) W_Oᵀ",
        FEATURES,
        f"{ATTENTION}/after_attention",
        ("merged", "attention_output"),
    ),
    Stop(
        "the gate, opened",
        "silu(norm(H) W_gateᵀ)",
        FEATURES,
        f"{SWIGLU}/silu[0]/y",
    ),
    Stop(
        "what passes the gate",
        "silu(norm(H) W_gateᵀ) · norm(H) W_upᵀ",
        FEATURES,
        f"{SWIGLU}/gated",
        ("opened", "up"),
    ),
)

LOGITS = Stop(
    "logits of the next token",
    "norm(Y) W_outputᵀ",
    ("positions", "vocabulary entries"),
    f"{LLAMA}/logits",
    ("normed",),
)


def hidden(block: int) -> Stop:
    """Hidden states: the tokens as they leave a block."""
    return Stop(
        f"tokens after block {block}",
        "Y = H + swiglu(norm(H))",
        FEATURES,
        f"{DECODER}/llama_block[{block}]/llama_feed_forward_sublayer[0]/y",
        ("mlp_output",),
    )


def llama_stops(layers: int) -> tuple[Stop, ...]:
    """The stops of a Llama with that many blocks."""
    return (*STOPS, *map(hidden, range(layers)), LOGITS)
