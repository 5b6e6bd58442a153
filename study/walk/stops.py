"""The stops of the walk: a name, an equation, and how to read it."""

from dataclasses import dataclass

ATTENTION = "multi_head_attention[0]/scaled_dot_product_attention[0]"


@dataclass(frozen=True)
class Stop:
    """One named step of the recording that the walk shows.

    `axes` are words for the axes of its shape, outermost first; `path` is
    that of `parity_tests.twins.recording`, with the step's name at its end.
    `already_shown` are steps of the same call whose lines are not repeated.
    """

    title: str
    equation: str
    axes: tuple[str, ...]
    path: str
    already_shown: tuple[str, ...] = ()


WORDS = (
    Stop(
        "tokens",
        "words, punctuation and double dashes of the text",
        ("tokens",),
        "split_words[0]/tokens",
    ),
    Stop(
        "vocabulary",
        "an id for each distinct token, the special ones last",
        ("entries",),
        "build_vocabulary[0]/vocabulary",
    ),
    Stop(
        "ids",
        "id_i = vocabulary[token_i]",
        ("ids",),
        "encode[0]/ids",
    ),
)

MERGING = (
    Stop(
        "the first merge in that word",
        "the pair of lowest rank becomes one token, wherever it occurs",
        ("tokens",),
        "merge_all[0]/merge_lowest[0]/merged",
    ),
)

IDS_TO_ATTENTION = (
    Stop(
        "inputs",
        "input = ids[s : s + context_length]",
        ("windows", "positions"),
        "windows[0]/inputs",
    ),
    Stop(
        "targets",
        "target = ids[s + 1 : s + context_length + 1]",
        ("windows", "positions"),
        "windows[0]/targets",
    ),
    Stop(
        "token embeddings",
        "E_i = W_token[id_i]",
        ("windows", "positions", "features"),
        "input_embedding[0]/token_embeddings",
    ),
    Stop(
        "position embeddings",
        "P_i = W_position[i]",
        ("positions", "features"),
        "input_embedding[0]/position_embeddings",
    ),
    Stop(
        "attention input",
        "X = E + P",
        ("windows", "positions", "features"),
        "input_embedding[0]/x",
    ),
    Stop(
        "queries",
        "Q = X W_Qᵀ + b_Q, split into heads",
        ("windows", "heads", "queries", "features"),
        "multi_head_attention[0]/query",
    ),
    Stop(
        "keys",
        "K = X W_Kᵀ + b_K, split into heads",
        ("windows", "heads", "keys", "features"),
        "multi_head_attention[0]/key",
    ),
    Stop(
        "values",
        "V = X W_Vᵀ + b_V, split into heads",
        ("windows", "heads", "keys", "features"),
        "multi_head_attention[0]/value",
    ),
    Stop(
        "scores",
        "S = Q Kᵀ / √(d_head)",
        ("windows", "heads", "queries", "keys"),
        f"{ATTENTION}/attention_scores[0]/scores",
    ),
    Stop(
        "mask",
        "M_ij = 1 where j ≤ i: no token attends to a later one",
        ("queries", "keys"),
        "causal_mask[0]/mask",
    ),
    Stop(
        "weights",
        "A_ij = exp(S_ij) / Σ_k exp(S_ik), over the k that M allows",
        ("windows", "heads", "queries", "keys"),
        f"{ATTENTION}/masked_softmax[0]/weights",
    ),
    Stop(
        "context",
        "O = A V",
        ("windows", "heads", "queries", "features"),
        f"{ATTENTION}/context",
    ),
    Stop(
        "concatenated heads",
        "concat(O_1, …, O_h)",
        ("windows", "positions", "features"),
        "multi_head_attention[0]/merge_heads[0]/merged",
    ),
    Stop(
        "output",
        "Y = concat(O_1, …, O_h) W_Oᵀ + b_O",
        ("windows", "positions", "features"),
        "multi_head_attention[0]/linear[3]/y",
    ),
)

CAUSAL = "causal_attention[0]/attention_with_dropout[0]"

EXAMPLE_BY_HAND = (
    Stop(
        "queries",
        "Q = X W_Q, in units of √(2) ln 2",
        ("queries", "features"),
        "causal_attention[0]/query",
    ),
    Stop(
        "keys",
        "K = X W_K",
        ("keys", "features"),
        "causal_attention[0]/key",
    ),
    Stop(
        "values",
        "V = X W_V",
        ("keys", "features"),
        "causal_attention[0]/value",
    ),
    Stop(
        "scores",
        "S = Q Kᵀ / √(d_head), whole multiples of ln 2",
        ("queries", "keys"),
        f"{CAUSAL}/attention_scores[0]/scores",
    ),
    Stop(
        "mask",
        "M_ij = 1 where j ≤ i: no token attends to a later one",
        ("queries", "keys"),
        "causal_attention[0]/causal_mask[0]/mask",
    ),
    Stop(
        "weights",
        "A_ij = exp(S_ij) / Σ_k exp(S_ik), over the k that M allows",
        ("queries", "keys"),
        f"{CAUSAL}/masked_softmax[0]/weights",
    ),
    Stop(
        "context",
        "O = A V",
        ("queries", "features"),
        f"{CAUSAL}/context",
    ),
)
