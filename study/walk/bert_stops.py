"""The stops of a walk through a BERT: one block in full, then the rest."""

from .stops import Stop

ENCODER = "bert[0]/encoder[0]"
BLOCK = f"{ENCODER}/encoder_block[0]"
HEADS_OF_BLOCK = f"{BLOCK}/open_heads[0]"
FEATURES = ("positions", "features")
HEADS = ("heads", "queries", "features")

EMBEDDING = (
    Stop(
        "token embeddings",
        "E_i = W_token[id_i]",
        FEATURES,
        "bert[0]/bert_embedding[0]/token_embeddings",
    ),
    Stop(
        "position embeddings",
        "P_i = W_position[i]",
        FEATURES,
        "bert[0]/bert_embedding[0]/position_embeddings",
    ),
    Stop(
        "segment embeddings",
        "G_i = W_segment[segment_i]",
        FEATURES,
        "bert[0]/bert_embedding[0]/segment_embeddings",
    ),
    Stop(
        "layer norm of their sum",
        "X = norm(E + G + P)",
        FEATURES,
        "bert[0]/bert_embedding[0]/x",
        ("token_embeddings", "position_embeddings", "segment_embeddings"),
    ),
)

FIRST_BLOCK = (
    Stop(
        "queries",
        "Q = X W_Qᵀ + b_Q, in heads",
        HEADS,
        f"{HEADS_OF_BLOCK}/query",
    ),
    Stop(
        "keys",
        "K = X W_Kᵀ + b_K, in heads",
        ("heads", "keys", "features"),
        f"{HEADS_OF_BLOCK}/key",
    ),
    Stop(
        "values",
        "V = X W_Vᵀ + b_V, in heads",
        ("heads", "keys", "features"),
        f"{HEADS_OF_BLOCK}/value",
    ),
    Stop(
        "scores",
        "S = Q Kᵀ / √(d_head)",
        ("heads", "queries", "keys"),
        f"{HEADS_OF_BLOCK}/attention_scores[0]/scores",
    ),
    Stop(
        "weights",
        "A_ij = exp(S_ij) / Σ_k exp(S_ik), over all k: no token is masked",
        ("heads", "queries", "keys"),
        f"{HEADS_OF_BLOCK}/masked_softmax[0]/weights",
    ),
    Stop(
        "context",
        "O = A V",
        HEADS,
        f"{HEADS_OF_BLOCK}/context",
        ("weights", "value"),
    ),
    Stop(
        "concatenated heads",
        "concat(O_1, …, O_h)",
        FEATURES,
        f"{BLOCK}/merge_heads[0]/merged",
    ),
    Stop(
        "residual: input plus attention output",
        "X + concat(O_1, …, O_h) W_Oᵀ + b_O",
        FEATURES,
        f"{BLOCK}/attention_sum",
        ("merged",),
    ),
    Stop(
        "first layer norm",
        "H = norm(X + attention(X))",
        FEATURES,
        f"{BLOCK}/layer_norm[0]/y",
    ),
    Stop(
        "feed-forward layer, widened",
        "F = H W_1ᵀ + b_1",
        FEATURES,
        f"{BLOCK}/feed_forward[0]/inner",
    ),
    Stop(
        "GELU",
        "gelu(F) = F Φ(F)",
        FEATURES,
        f"{BLOCK}/feed_forward[0]/gelu[0]/y",
    ),
    Stop(
        "residual: input plus feed-forward output",
        "H + gelu(F) W_2ᵀ + b_2",
        FEATURES,
        f"{BLOCK}/mlp_sum",
        ("after_attention",),
    ),
)

POOLED = Stop(
    "pooled first token, for the whole text",
    "tanh(Y_0 Wᵀ + b)",
    ("features",),
    "pooler[0]/pooled",
)

LOGITS = Stop(
    "logits of the masked-language head",
    "norm(gelu(Y Wᵀ + b)) W_tokenᵀ + b_token",
    ("positions", "vocabulary entries"),
    "masked_language_head[0]/logits",
)


def hidden(block: int) -> Stop:
    """Hidden states: the tokens as they leave a block."""
    return Stop(
        f"tokens after block {block}",
        "Y = norm(H + feedforward(H))",
        FEATURES,
        f"{ENCODER}/encoder_block[{block}]/layer_norm[1]/y",
        ("normalised",),
    )


def bert_stops(layers: int, pooler: bool, head: bool) -> tuple[Stop, ...]:
    """The stops of a model with that many blocks, and with these parts."""
    return (
        *EMBEDDING,
        *FIRST_BLOCK,
        *map(hidden, range(layers)),
        *[POOLED] * pooler,
        *[LOGITS] * head,
    )
