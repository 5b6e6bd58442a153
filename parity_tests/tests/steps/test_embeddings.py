from math import cos, sin

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from numpy_ref import embeddings
from parity_tests.exact import exact_steps
from parity_tests.twins.finding import find_twins
from parity_tests.twins.strategies import cases
from torch_impl import embeddings as torch_embeddings

TWINS = {twin.name: twin for twin in find_twins()}


@given(data=st.data())
def test_token_embedding_equals_pytorchs_own(data):
    case = data.draw(cases(TWINS["token_embedding"], "float32"))
    weight = torch.from_numpy(case.params.weight)
    builtin = nn.Embedding(*weight.shape, _weight=weight)
    ids = case.arguments["ids"]
    with torch.no_grad():
        expected = builtin(torch.from_numpy(ids))
    ours = embeddings.token_embedding(ids, case.params)
    np.testing.assert_array_equal(ours, expected)


@given(data=st.data())
def test_looking_up_equals_a_one_hot_product(data):
    case = data.draw(cases(TWINS["one_hot_embedding"], "float64"))
    looked_up = embeddings.token_embedding(**case.numpy_arguments())
    multiplied = embeddings.one_hot_embedding(**case.numpy_arguments())
    np.testing.assert_array_equal(looked_up, multiplied)


def encoded_positions(count: int, d_model: int):
    """The encoding, and how far a correct one may be from the exact."""
    arguments = {"positions": np.arange(float(count)), "d_model": d_model}
    error = exact_steps("sinusoidal_positions", arguments)["encoded"].error
    return embeddings.sinusoidal_positions(**arguments), error


@pytest.mark.parametrize("d_model", [1, 2, 5, 8])
def test_sinusoidal_positions_are_as_published(d_model):
    encoded, error = encoded_positions(7, d_model)
    for position in range(7):
        for feature in range(d_model):
            wave = cos if feature % 2 else sin
            angle = position / 10000 ** (2 * (feature // 2) / d_model)
            difference = abs(encoded[position, feature] - wave(angle))
            assert difference <= 2 * error[position, feature]


def test_a_step_in_position_is_a_rotation_of_each_pair():
    encoded, error = encoded_positions(9, 6)
    pairs = encoded[:, 0::2] + 1j * encoded[:, 1::2]
    # Both numbers of a pair are off, in both pairs, and so is the turn.
    most = 8 * error.max()
    assert abs(pairs[4:] - pairs[1:-3] * pairs[3] / pairs[0]).max() <= most
    assert abs(pairs[4:] - pairs[1:-3] * pairs[4] / pairs[0]).max() > 0.1


@given(
    positions=st.tuples(*[st.floats(0, 512)] * 2),
    shift=st.floats(-64, 64),
    d_model=st.integers(1, 9),
)
def test_moving_by_a_distance_is_one_matrix_for_all_positions(
    positions, shift, d_model
):
    before, after, error = encoded_at(
        [*positions, *(p + shift for p in positions)], d_model
    )
    pairs = d_model // 2
    angles = shift / 10000 ** (2 * np.arange(pairs) / d_model)
    rotation = np.zeros((d_model, d_model))
    for pair, angle in enumerate(angles):
        sine, cosine = 2 * pair, 2 * pair + 1
        rotation[sine, [sine, cosine]] = cos(angle), sin(angle)
        rotation[cosine, [sine, cosine]] = -sin(angle), cos(angle)
    whole = slice(2 * pairs)  # a sine without its cosine has no angle
    turned = before @ rotation.T
    assert abs(turned - after)[:, whole].max(initial=0) <= error


@given(
    positions=st.tuples(*[st.floats(0, 512)] * 2),
    shift=st.floats(-64, 64),
    pairs=st.integers(1, 5),
)
def test_a_dot_product_of_positions_depends_on_their_distance(
    positions, shift, pairs
):
    d_model = 2 * pairs
    before, after, error = encoded_at(
        [*positions, *(p + shift for p in positions)], d_model
    )
    distance = positions[0] - positions[1]
    angles = distance / 10000 ** (2 * np.arange(pairs) / d_model)
    for two in (before, after):
        assert abs(two[0] @ two[1] - np.cos(angles).sum()) <= (
            2 * d_model * error
        )


def encoded_at(positions: list[float], d_model: int):
    """The encoding of two positions, of two others, and their error.

    An angle is off by a rounding of the shift, too, and all are turned.
    """
    arguments = {"positions": np.array(positions), "d_model": d_model}
    exact = exact_steps("sinusoidal_positions", arguments)["encoded"]
    encoded = embeddings.sinusoidal_positions(**arguments)
    rounded = 600 * 8 * np.finfo(np.float64).eps
    return encoded[:2], encoded[2:], 4 * exact.error.max() + rounded


@pytest.mark.parametrize("wrong", [-1, 3, 99])
def test_an_id_outside_the_vocabulary_is_refused(wrong):
    message = f"expected ids from 0 to 2, got {wrong}"
    ids = np.array([[0, 2], [wrong, 1]])
    params = embeddings.TokenEmbedding(np.zeros((3, 2)))
    modules = (
        torch_embeddings.TokenEmbedding(3, 2),
        torch_embeddings.OneHotEmbedding(3, 2),
    )
    for function in (
        embeddings.token_embedding,
        embeddings.one_hot_embedding,
    ):
        with pytest.raises(ValueError, match=message):
            function(ids, params)
    for module in modules:
        with pytest.raises(ValueError, match=message):
            module(torch.from_numpy(ids))


def test_a_text_longer_than_the_positions_is_refused():
    params = embeddings.InputEmbedding(
        embeddings.TokenEmbedding(np.zeros((3, 2))),
        embeddings.PositionEmbedding(np.zeros((4, 2))),
    )
    message = "expected positions from 0 to 3, got 4"
    with pytest.raises(ValueError, match=message):
        embeddings.input_embedding(np.zeros((1, 5), np.int64), params)
    module = torch_embeddings.InputEmbedding(3, 4, 2)
    with pytest.raises(ValueError, match=message):
        module(torch.zeros(1, 5, dtype=torch.int64))
