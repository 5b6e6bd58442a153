"""Mutants of the gradients of the steps."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from numpy_ref.attention import softmax
from numpy_ref.embeddings import TokenEmbedding
from numpy_ref.layers import Linear

from .layers import DROPOUT
from .pieces import Mutants, mean, total

SOFTMAX_BACKWARD: Mutants = {
    "the row's mean gradient is not subtracted": (
        lambda d_weights, scores: softmax(scores) * d_weights
    ),
    "the mean that is subtracted is not weighted": (
        lambda d_weights, scores: (
            softmax(scores) * (d_weights - mean(d_weights))
        )
    ),
    "it is the slope of a sigmoid, A (1 - A)": (
        lambda d_weights, scores: (
            d_weights * softmax(scores) * (1 - softmax(scores))
        )
    ),
    "the scores are taken for the weights": (
        lambda d_weights, scores: (
            scores * (d_weights - total(scores * d_weights))
        )
    ),
}


def linear_gradients(d_y, x, params, join=np.sum):
    """The gradients of all tokens, joined by `join`."""
    tokens = x.reshape(-1, x.shape[-1])
    upstream = d_y.reshape(-1, d_y.shape[-1])
    products = upstream[:, :, None] * tokens[:, None, :]
    d_params = Linear(join(products, axis=0), join(upstream, axis=0))
    return d_y @ params.weight, d_params


def changed(field: str, change: Callable) -> Callable:
    """The right gradients, except that of one parameter."""

    def gradients(d_y, x, params):
        d_x, d_params = linear_gradients(d_y, x, params)
        part = change(getattr(d_params, field), d_y)
        return d_x, replace(d_params, **{field: part})

    return gradients


LINEAR_BACKWARD: Mutants = {
    "parameters get the mean over the tokens, not the sum": partial(
        linear_gradients, join=np.mean
    ),
    "the bias gets the mean over the tokens, not the sum": changed(
        "bias", lambda _, d_y: d_y.mean(axis=tuple(range(d_y.ndim - 1)))
    ),
    "the bias gets nothing": changed("bias", lambda d_bias, _: 0 * d_bias),
    "the weight is transposed for x": lambda d_y, x, params: (
        d_y @ params.weight.T,
        linear_gradients(d_y, x, params)[1],
    ),
    "the gradient of the weight is transposed": changed(
        "weight", lambda d_weight, _: d_weight.T
    ),
}

DROPOUT_BACKWARD: Mutants = {
    name: lambda d_y, _, dropout_mask, rate, drop=drop: drop(
        d_y, dropout_mask, rate
    )
    for name, drop in DROPOUT.items()
}


def overwritten(d_embedded, ids, params):
    weight = np.zeros_like(params.weight)
    weight[ids] = d_embedded
    return TokenEmbedding(weight)


def averaged(d_embedded, ids, params):
    """The mean of each token's gradients."""
    weight = np.zeros_like(params.weight)
    for token in np.unique(ids):
        weight[token] = d_embedded[ids == token].mean(axis=0)
    return TokenEmbedding(weight)


TOKEN_EMBEDDING_BACKWARD: Mutants = {
    "gradients of a repeated token overwrite each other": overwritten,
    "a token gets the mean, not the sum": averaged,
}


def d_logits(
    d_loss,
    logits,
    targets,
    ignored,
    one_hot=1,
    n=np.sum,
    counted=np.asarray,
):
    """(p - one-hot) / n, where `counted`; any of the three may be wrong."""
    counts = targets != ignored
    hot = targets[..., None] == np.arange(logits.shape[-1])
    row = d_loss / n(counts) * (softmax(logits) - one_hot * hot)
    return row * counted(counts)[..., None]


CROSS_ENTROPY_BACKWARD: Mutants = {
    "it is not divided by the number of targets": partial(
        d_logits, n=lambda counts: 1
    ),
    "the mean counts ignored targets, too": partial(d_logits, n=np.size),
    "the one-hot row is not subtracted": partial(d_logits, one_hot=0),
    "the sign of the one-hot row is wrong": partial(d_logits, one_hot=-1),
    "ignored targets get a gradient": partial(
        d_logits, counted=np.ones_like
    ),
    "the gradient of the loss is left out": (
        lambda d_loss, *rest: d_logits(1, *rest)
    ),
}

MUTANTS: dict[str, Mutants] = {
    "cross_entropy_backward": CROSS_ENTROPY_BACKWARD,
    "dropout_backward": DROPOUT_BACKWARD,
    "linear_backward": LINEAR_BACKWARD,
    "softmax_backward": SOFTMAX_BACKWARD,
    "token_embedding_backward": TOKEN_EMBEDDING_BACKWARD,
}
