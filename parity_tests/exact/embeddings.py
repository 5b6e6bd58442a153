import numpy as np

from parity_tests.bounds.gradients import over_tokens, total_of_texts
from parity_tests.bounds.rounding import Bounded, product, wave, where

from .numbers import known_exactly, like, parameters


def token_embedding(ids, params):
    embedded = params.weight.moved(lambda rows: rows.take(ids, axis=0))
    return locals()


def token_embedding_backward(d_embedded, ids, params):
    known = np.arange(params.weight.shape[0])
    one_hot = known_exactly(np.equal.outer(ids, known), params.weight)
    d_weight = over_tokens(one_hot, d_embedded)
    d_params = parameters(weight=d_weight)
    return locals()


def one_hot_embedding(ids, params):
    embedded = token_embedding(ids, params)["embedded"]
    known = np.arange(params.weight.shape[0])
    one_hot = known_exactly(np.equal.outer(ids, known), params.weight)
    return locals()


def one_hot_embedding_backward(d_embedded, ids, params):
    return token_embedding_backward(d_embedded, ids, params)


def position_embedding(positions, params):
    embedded = params.weight.moved(
        lambda rows: rows.take(positions, axis=0)
    )
    return locals()


def position_embedding_backward(d_embedded, positions, params):
    return token_embedding_backward(d_embedded, positions, params)


def sinusoidal_positions(positions, d_model):
    index = np.arange(d_model)
    feature = known_exactly(index, positions)
    pair_start = known_exactly(index // 2 * 2, positions)
    base, size = like(positions, 10000), like(positions, d_model)
    power = base ** (-pair_start.value / size)
    exponent = 3 * np.log(10000) * (index // 2 * 2) / d_model
    slack = (exponent + 8) * positions.rounding.u
    error = slack * power.astype(np.float64)
    frequency = Bounded(power, error, positions.rounding)
    column = [
        part.moved(lambda a: a[:, None]) for part in (positions, frequency)
    ]
    angle = product("pi,fi->pf", *column)
    even = index % 2 == 0
    sine, cosine = wave("sin", angle), wave("cos", angle)
    encoded = where(even, sine, 0) + where(~even, cosine, 0)
    return locals()


def input_embedding(ids, params):
    token_embeddings = token_embedding(ids, params.token)["embedded"]
    position_embeddings = params.position.weight.moved(
        lambda rows: rows[: ids.shape[-1]]
    )
    x = token_embeddings + position_embeddings
    return locals()


def input_embedding_backward(d_x, ids, params):
    d_token_embeddings = d_x
    d_position_embeddings = total_of_texts(d_x)
    positions = np.arange(ids.shape[-1])
    token = token_embedding_backward(d_token_embeddings, ids, params.token)
    position = token_embedding_backward(
        d_position_embeddings, positions, params.position
    )
    d_params = parameters(
        token=token["d_params"], position=position["d_params"]
    )
    return locals()
