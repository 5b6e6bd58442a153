"""The walk through a block of an untrained GPT-2: small enough to draw.

As in `run`: PyTorch goes from the ids to the end of the block on its own,
and NumPy replays each call. It starts from random weights, so what it
shows is how the numbers flow, and not what a trained model knows.
"""

import torch

from parity_tests.twins.recording import record
from torch_impl.embeddings import InputEmbedding
from torch_impl.gpt2 import DecoderBlock
from torch_impl.masks import causal_mask

from .run import Walk, check_tokens, walked
from .settings import Settings, check_settings
from .stops import MERGING, Stop
from .tokenizing import TOKENIZERS, distinct, merge_lines

EPSILON = 1e-5  # GPT-2's
WIDENED = 4  # d_ff, in units of d_model, as in GPT-2

FEATURES = ("positions", "features")
HEADS = ("heads", "queries", "features")
SCORES = ("heads", "queries", "keys")
ATTENTION = "decoder_block[0]/attention_sublayer[0]"
OPEN_HEADS = f"{ATTENTION}/open_heads[0]"
FEED_FORWARD = "decoder_block[0]/feed_forward_sublayer[0]"

THROUGH_A_BLOCK = (
    Stop(
        "token embeddings",
        "E_i = W_token[id_i]",
        FEATURES,
        "input_embedding[0]/token_embeddings",
    ),
    Stop(
        "position embeddings",
        "P_i = W_position[i]",
        FEATURES,
        "input_embedding[0]/position_embeddings",
    ),
    Stop("input", "X = E + P", FEATURES, "input_embedding[0]/x"),
    Stop(
        "first layer norm",
        "N = norm(X)",
        FEATURES,
        f"{ATTENTION}/layer_norm[0]/y",
    ),
    Stop(
        "queries",
        "Q = N W_Qᵀ + b_Q, in heads",
        HEADS,
        f"{OPEN_HEADS}/query",
    ),
    Stop(
        "keys",
        "K = N W_Kᵀ + b_K, in heads",
        ("heads", "keys", "features"),
        f"{OPEN_HEADS}/key",
    ),
    Stop(
        "values",
        "V = N W_Vᵀ + b_V, in heads",
        ("heads", "keys", "features"),
        f"{OPEN_HEADS}/value",
    ),
    Stop(
        "scores",
        "S = Q Kᵀ / √(d_head)",
        SCORES,
        f"{OPEN_HEADS}/attention_scores[0]/scores",
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
        SCORES,
        f"{OPEN_HEADS}/masked_softmax[0]/weights",
    ),
    Stop("context", "O = A V", HEADS, f"{OPEN_HEADS}/context", ("value",)),
    Stop(
        "concatenated heads",
        "concat(O_1, …, O_h)",
        FEATURES,
        f"{ATTENTION}/merge_heads[0]/merged",
    ),
    Stop(
        "residual: input plus attention output",
        "H = X + concat(O_1, …, O_h) W_Oᵀ + b_O",
        FEATURES,
        f"{ATTENTION}/after_attention",
        ("normed", "attention"),
    ),
    Stop(
        "second layer norm",
        "N' = norm(H)",
        FEATURES,
        f"{FEED_FORWARD}/layer_norm[0]/y",
    ),
    Stop(
        "feed-forward layer, widened",
        "F = N' W_1ᵀ + b_1",
        FEATURES,
        f"{FEED_FORWARD}/feed_forward_tanh[0]/inner",
    ),
    Stop(
        "GELU",
        "gelu(F)",
        FEATURES,
        f"{FEED_FORWARD}/feed_forward_tanh[0]/gelu_tanh[0]/y",
    ),
    Stop(
        "residual: input plus feed-forward output",
        "Y = H + gelu(F) W_2ᵀ + b_2",
        FEATURES,
        f"{FEED_FORWARD}/y",
    ),
)


def walk_block(text: str, settings: Settings) -> Walk:
    """From `text` to the end of one block of a GPT-2, compared.

    The tokenizer, if it has to be trained, is trained on `text`; weights
    are random, from `settings.seed`. Raises ValueError for a text that is
    too short, and for settings outside of the limits.
    """
    check_settings(settings)
    tokenized = TOKENIZERS[settings.tokenizer](text, text)
    check_tokens(text, len(tokenized.ids))
    ids = torch.from_numpy(tokenized.ids)
    d_model = settings.d_model
    torch.manual_seed(settings.seed)
    embed, block = (
        module.to(getattr(torch, settings.dtype))
        for module in (
            InputEmbedding(tokenized.vocabulary, len(ids), d_model),
            DecoderBlock(d_model, WIDENED * d_model),
        )
    )

    def run():
        tokenized.steps()
        mask = causal_mask(len(ids), len(ids))
        block(embed(ids), mask, settings.heads, EPSILON)

    with torch.no_grad():
        _, calls = record(run)
    counts = {
        "characters": len(text),
        "tokens": len(ids),
        "distinct_tokens": distinct(tokenized.ids),
        "vocabulary": tokenized.vocabulary,
    }
    merging = merge_lines(calls, tokenized.token_text)
    stops = tokenized.stops if merging or tokenized.stops != MERGING else ()
    return walked(
        tokenized.about,
        counts,
        (*stops, *THROUGH_A_BLOCK),
        calls,
        tokens=tokenized.tokens,
        ids=tokenized.ids.tolist(),
        merging=merging,
    )
