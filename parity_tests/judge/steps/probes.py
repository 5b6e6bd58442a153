"""Probes: the inputs on which a step is compared with its mutants.

`PLAIN` has plain inputs for each step; `EXTREME`, for some, numbers that
overflow and fully masked rows. They are fixed: one seed, in this order.
"""

import numpy as np

from numpy_ref.byte_pair_encoding import merge_table
from numpy_ref.embeddings import (
    InputEmbedding,
    PositionEmbedding,
    TokenEmbedding,
)
from numpy_ref.layers import FeedForward, LayerNorm, Linear
from numpy_ref.multi_head import MultiHeadAttention
from numpy_ref.self_attention import MatrixAttention, SelfAttention

RANDOM = np.random.default_rng(7)


def numbers(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape)


def choices(*shape: int) -> np.ndarray:
    """A random mask, True for about 60 %."""
    return RANDOM.uniform(size=shape) < 0.6


def layer(d_in: int, d_out: int) -> Linear:
    return Linear(numbers(d_out, d_in), numbers(d_out))


def norm(d_model: int) -> LayerNorm:
    return LayerNorm(numbers(d_model), numbers(d_model))


def self_layers(d_model: int, d_head: int) -> SelfAttention:
    return SelfAttention(*(layer(d_model, d_head) for _ in range(3)))


HOLES = np.array(  # no row and no column is empty, and none is full
    [
        [True, True, False, False, True],
        [False, True, True, False, False],
        [True, False, True, True, False],
        [True, False, False, True, True],
    ]
)
SQUARE_HOLES = np.array(
    [
        [True, True, False, False],
        [False, True, True, False],
        [True, False, True, True],
        [True, False, True, False],
    ]
)
ROWS = [numbers(4, 5), numbers(2, 4, 5), numbers(2, 3, 4, 5)]
FAR_ROWS = np.array([[0.0, 1, 2], [2000, 2001, 2002]])
PAIRS = merge_table(np.array([[1, 2], [0, 1], [2, 2], [0, 0], [256, 3]]))
WORDS = [  # ids with several pairs, of which the earliest is not the first
    np.array(word)
    for word in (
        [2, 2, 0, 1, 2, 1, 2, 3],
        [0, 0, 0, 0, 1, 1, 2],
        [0, 1, 1, 2, 2, 2, 2],
        [0, 1, 2, 3, 0, 0, 0],
        [3, 0, 0, 0, 3, 0],
    )
]
TARGETS = np.array([[0, 3, -100, 1], [2, -100, -100, 3], [4, 4, 1, 0]])


def qkv(*batch: int, queries=4, keys=5, d_head=3, d_value=2) -> dict:
    return {
        "query": numbers(*batch, queries, d_head),
        "key": numbers(*batch, keys, d_head),
        "value": numbers(*batch, keys, d_value),
    }


def query_and_key(*batch: int, queries=4, keys=5, d_head=3) -> dict:
    query = numbers(*batch, queries, d_head)
    return {"query": query, "key": numbers(*batch, keys, d_head)}


PLAIN: dict[str, list[dict]] = {
    "softmax": [{"scores": rows} for rows in ROWS],
    "softmax_with_temperature": [
        {"scores": rows, "temperature": 2.5} for rows in ROWS
    ],
    "masked_softmax": [{"scores": rows, "mask": HOLES} for rows in ROWS],
    "attention_scores": [
        query_and_key(),
        query_and_key(2),
        query_and_key(2, keys=4),
        query_and_key(2, queries=6, keys=6, d_head=6),
    ],
    "attention_with_dropout": [
        qkv(*batch)
        | {
            "mask": HOLES,
            "dropout_mask": choices(*batch, 4, 5),
            "rate": 0.3,
        }
        for batch in ((2,), (2, 3))
    ]
    + [
        qkv(2, keys=4)
        | {"mask": SQUARE_HOLES, "dropout_mask": choices(4, 4), "rate": 0.3}
    ],
    "causal_mask": [
        {"queries": queries, "keys": keys, "past": past}
        for queries, keys, past in ((4, 4, 0), (3, 6, 3), (3, 7, 2))
    ],
    "padding_mask": [{"lengths": np.array([3, 1, 5, 2]), "keys": 6}],
    "split_heads": [
        {"x": numbers(2, 4, 6), "heads": 3},
        {"x": numbers(3, 6), "heads": 3},
        {"x": numbers(2, 3, 9), "heads": 3},
    ],
    "merge_heads": [
        {"x": numbers(2, 3, 4, 5)},
        {"x": numbers(3, 4, 2)},
        {"x": numbers(3, 3, 3)},
    ],
    "linear": [
        {"x": numbers(2, 4, 3), "params": layer(3, 5)},
        {"x": numbers(4, 3), "params": layer(3, 3)},
    ],
    "dropout": [
        {"x": numbers(4, 5), "dropout_mask": choices(4, 5), "rate": 0.3},
        {"x": numbers(2, 4, 5), "dropout_mask": choices(4, 5), "rate": 0.6},
    ],
    "layer_norm": [
        {"x": numbers(*shape), "params": norm(5), "epsilon": 0.3}
        for shape in ((4, 5), (2, 4, 5))
    ],
    "gelu": [{"x": 2 * numbers(4, 5)}],
    "gelu_tanh": [{"x": 2 * numbers(4, 5)}],
    "token_embedding": [
        {
            "ids": np.array([[3, 0, 2], [1, 3, 5]]),
            "params": TokenEmbedding(numbers(6, 4)),
        }
    ],
    "position_embedding": [
        {
            "positions": np.array([2, 0, 3, 5]),
            "params": PositionEmbedding(numbers(6, 4)),
        }
    ],
    "input_embedding": [
        {
            "ids": np.array([[3, 0, 2], [1, 3, 5]]),
            "params": InputEmbedding(
                TokenEmbedding(numbers(6, 4)),
                PositionEmbedding(numbers(7, 4)),
            ),
        }
    ],
    "sinusoidal_positions": [
        {"positions": np.array([0.0, 1, 5, 9]), "d_model": d_model}
        for d_model in (4, 6, 8)
    ],
    "log_sum_exp": [{"logits": rows} for rows in ROWS],
    "cross_entropy": [
        {"logits": numbers(3, 4, 5), "targets": TARGETS, "ignored": -100}
    ],
    "windows": [
        {
            "ids": 10 + RANDOM.permutation(20),
            "starts": np.array([1, 4, 7]),
            "context_length": 4,
        }
    ],
    "window_starts": [
        {
            "tokens": tokens,
            "context_length": context_length,
            "stride": stride,
        }
        for tokens, context_length, stride in (
            *((11, 4, 2), (13, 4, 4), (12, 4, 4), (10, 3, 5)),
        )
    ],
    "covering_window_starts": [
        {"tokens": tokens, "context_length": 4, "stride": 4}
        for tokens in (13, 11)
    ],
    "batches": [
        {"permutation": order, "batch_size": 3, "drop_last": drop}
        for order in (RANDOM.permutation(9), RANDOM.permutation(7))
        for drop in (True, False)
    ],
    "merge_lowest": [{"ids": word, "table": PAIRS} for word in WORDS],
    "merge_all": [{"ids": word, "table": PAIRS} for word in WORDS],
    "matrix_attention": [
        {
            "x": numbers(2, 4, 6),
            "params": MatrixAttention(*numbers(3, 6, 3)),
        }
    ],
    "self_attention": [
        {"x": numbers(2, 4, 6), "params": self_layers(6, 3)}
    ],
    "causal_attention": [
        {
            "x": numbers(2, 4, 6),
            "params": self_layers(6, 3),
            "dropout_mask": choices(2, 4, 4),
            "rate": 0.3,
        }
    ],
    "multi_head_attention": [
        {
            "x": numbers(2, 4, 6),
            "params": MultiHeadAttention(*(layer(6, 6) for _ in range(4))),
            "mask": SQUARE_HOLES,
            "heads": 2,
        }
    ],
    "softmax_backward": [
        {"d_weights": numbers(2, 4, 5), "scores": numbers(2, 4, 5)}
    ],
    "linear_backward": [
        {
            "d_y": numbers(2, 4, 5),
            "x": numbers(2, 4, 3),
            "params": layer(3, 5),
        },
        {"d_y": numbers(4, 3), "x": numbers(4, 3), "params": layer(3, 3)},
    ],
    "dropout_backward": [
        {
            "d_y": numbers(4, 5),
            "x": numbers(4, 5),
            "dropout_mask": choices(4, 5),
            "rate": 0.3,
        }
    ],
    "token_embedding_backward": [
        {
            "d_embedded": numbers(2, 3, 4),
            "ids": np.array([[3, 0, 3], [1, 3, 0]]),
            "params": TokenEmbedding(numbers(6, 4)),
        }
    ],
    "cross_entropy_backward": [
        {
            "d_loss": np.float64(1.5),
            "logits": numbers(3, 4, 5),
            "targets": TARGETS,
            "ignored": -100,
        }
    ],
}
PLAIN |= {
    "one_hot_embedding": PLAIN["token_embedding"],
    "feed_forward": [
        {
            "x": numbers(2, 4, 3),
            "params": FeedForward(layer(3, inner), layer(inner, 3)),
        }
        for inner in (5, 3)
    ],
}
PLAIN |= {"feed_forward_tanh": PLAIN["feed_forward"]}

FULLY_MASKED_ROW = HOLES & (np.arange(4) != 1)[:, None]
MASKED_PEAK = np.array(
    [
        [0, 1e3, 1],
        [-500, 0, -501],
        [-5e3, 0, 1 - 5e3],
        [-2e4, 0, 1 - 2e4],
    ]
)
EXTREME: dict[str, list[dict]] = {
    "softmax": [{"scores": FAR_ROWS}],
    "softmax_with_temperature": [{"scores": FAR_ROWS, "temperature": 2.0}],
    "masked_softmax": [
        {"scores": numbers(4, 5), "mask": FULLY_MASKED_ROW},
        {"scores": MASKED_PEAK, "mask": np.array([[True, False, True]])},
        {"scores": FAR_ROWS, "mask": np.array([[True, True, False]])},
    ],
    "dropout": [
        {
            "x": np.array([np.inf, 1.0]),
            "dropout_mask": np.array([False, True]),
            "rate": 0.3,
        }
    ],
    "log_sum_exp": [{"logits": FAR_ROWS}],
    "cross_entropy": [
        {"logits": FAR_ROWS, "targets": np.array([0, 2]), "ignored": -100},
        {"logits": FAR_ROWS.T, "targets": np.array([0] * 3), "ignored": -1},
    ],
}
EXTREME |= {
    name: [PLAIN[name][0] | {"x": 100 * PLAIN[name][0]["x"]}]
    for name in (
        *("matrix_attention", "self_attention", "causal_attention"),
        "multi_head_attention",
    )
}
EXTREME["attention_with_dropout"] = [
    PLAIN["attention_with_dropout"][0] | {"query": 1e4 * numbers(2, 4, 3)}
]
