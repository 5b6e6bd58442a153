"""The stops of a walk through a BERT: one block in full, then the rest.

A relative takes the same steps, some of them under other names (`Route`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from numpy_ref.bert import bert
from numpy_ref.variants.albert import albert
from numpy_ref.variants.distilbert import distil_bert

from .stops import Stop


@dataclass(frozen=True)
class Route:
    """A model's own steps on the way: where the paths of its stops lead."""

    embeddings: str
    total: str
    encoder: str
    block: str
    feed_forward: str
    gelu: str
    head: str


BERT = Route(
    embeddings="bert[0]/bert_embedding[0]",
    total="bert[0]/bert_embedding[0]/x",
    encoder="bert[0]/encoder[0]",
    block="encoder_block",
    feed_forward="feed_forward[0]",
    gelu="gelu[0]",
    head="masked_language_head[0]",
)
DISTIL_BERT = replace(
    BERT,
    embeddings="distil_bert[0]/distil_bert_embedding[0]/input_embedding[0]",
    total="distil_bert[0]/distil_bert_embedding[0]/x",
    encoder="distil_bert[0]/encoder[0]",
)
ALBERT = Route(
    embeddings="albert[0]/albert_embedding[0]/bert_embedding[0]",
    total="albert[0]/albert_embedding[0]/bert_embedding[0]/x",
    encoder="albert[0]/shared_encoder[0]",
    block="encoder_block_tanh",
    feed_forward="feed_forward_tanh[0]",
    gelu="gelu_tanh[0]",
    head="masked_language_head_tanh[0]",
)
ROUTES = {bert: BERT, distil_bert: DISTIL_BERT, albert: ALBERT}

BLOCK = "{encoder}/{block}[0]"
HEADS_OF_BLOCK = f"{BLOCK}/open_heads[0]"
FEATURES = ("positions", "features")
HEADS = ("heads", "queries", "features")

TABLES = (
    Stop(
        "token embeddings",
        "E_i = W_token[id_i]",
        FEATURES,
        "{embeddings}/token_embeddings",
    ),
    Stop(
        "position embeddings",
        "P_i = W_position[i]",
        FEATURES,
        "{embeddings}/position_embeddings",
    ),
)

SEGMENTS = Stop(
    "segment embeddings",
    "G_i = W_segment[segment_i]",
    FEATURES,
    "{embeddings}/segment_embeddings",
)

SUM_OF_THREE = Stop(
    "layer norm of their sum",
    "X = norm(E + G + P)",
    FEATURES,
    "{total}",
    ("token_embeddings", "position_embeddings", "segment_embeddings"),
)
SUM_OF_TWO = replace(SUM_OF_THREE, equation="X = norm(E + P)")

PROJECTION = Stop(
    "projection of the narrow embedding",
    "X W_projectionᵀ + b, which the blocks call X",
    FEATURES,
    "albert[0]/albert_embedding[0]/x",
    ("narrow",),
)

EMBEDDINGS = {
    bert: (*TABLES, SEGMENTS, SUM_OF_THREE),
    distil_bert: (*TABLES, SUM_OF_TWO),
    albert: (*TABLES, SEGMENTS, SUM_OF_THREE, PROJECTION),
}

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
        f"{BLOCK}/{{feed_forward}}/inner",
    ),
    Stop(
        "GELU",
        "gelu(F) = F Φ(F)",
        FEATURES,
        f"{BLOCK}/{{feed_forward}}/{{gelu}}/y",
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
    "{head}/logits",
)


# GELU by way of a hyperbolic tangent, where a model has that form.
GELU_TANH = "gelu(F) = F/2 (1 + tanh(√(2/pi) (F + 0.044715 F^3)))"


def hidden(block: int) -> Stop:
    """Hidden states: the tokens as they leave a block."""
    return Stop(
        f"tokens after block {block}",
        "Y = norm(H + feedforward(H))",
        FEATURES,
        f"{{encoder}}/{{block}}[{block}]/layer_norm[1]/y",
        ("normalised",),
    )


def bert_stops(
    layers: int, pooler: bool, head: bool, model: Callable = bert
) -> tuple[Stop, ...]:
    """The stops of a model with that many blocks, and with these parts.

    `model` is its step: `bert`, `distil_bert` or `albert`.
    """
    stops = (
        *EMBEDDINGS[model],
        *FIRST_BLOCK,
        *map(hidden, range(layers)),
        *[POOLED] * pooler,
        *[LOGITS] * head,
    )
    return tuple(on_route(stop, ROUTES[model]) for stop in stops)


def on_route(stop: Stop, route: Route) -> Stop:
    """A stop with the path that its model takes to it."""
    path = stop.path.format(**vars(route))
    if path.endswith("gelu_tanh[0]/y"):
        return replace(stop, path=path, equation=GELU_TANH)
    return replace(stop, path=path)
