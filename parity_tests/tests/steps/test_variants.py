"""A Llama's parts beside PyTorch and transformers, and their properties.

Twins, exact values and gradients are held by `test_twins` and
`test_gradients`, as for every step; ONNX stands in
`conventions/test_onnx`.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.llama import modeling_llama as hf

from numpy_ref.multi_head import Heads
from numpy_ref.variants import grouped_queries, rotary, swiglu
from numpy_ref.variants.rms_norm import RMSNorm, rms_norm
from parity_tests.bounds.rounding import Bounded, product
from parity_tests.exact import exact_steps
from parity_tests.exact.numbers import bounded
from parity_tests.tests.conftest import expect_holds
from parity_tests.twins.comparing import within
from parity_tests.twins.finding import find_twins
from parity_tests.twins.strategies import SEEDS, cases

TWINS = {twin.name: twin for twin in find_twins()}
DTYPES = st.sampled_from(["float32", "float64"])
PAIRINGS = {
    "halves": rotary.rotary_halves,
    "neighbours": rotary.rotary_neighbours,
}


def tensors(case, *names):
    """Arguments as PyTorch has them, by their names."""
    arguments = case.torch_arguments()
    return [arguments[name] for name in names]


def expect_as(theirs, case, output: str, oracle: str, params=None):
    """What NumPy computes and an oracle, within twice the step's bound."""
    ours = case.twin.reference(**case.numpy_arguments())
    exact = exact_steps(case.twin.name, case.arguments, params)[output]
    comparison = within(
        f"{case.twin.name}[0]/{output}", ours, theirs, 2 * exact.error
    )
    expect_holds(f"{case.twin.name} and {oracle}", comparison)


@given(data=st.data(), dtype=DTYPES)
def test_rms_norm_is_pytorchs(data, dtype):
    case = data.draw(cases(TWINS["rms_norm"], dtype))
    (x,) = tensors(case, "x")
    weight = torch.from_numpy(case.params.weight.copy())
    theirs = F.rms_norm(
        x, weight.shape, weight, eps=case.arguments["epsilon"]
    )
    expect_as(theirs.numpy(), case, "y", "F.rms_norm", case.params)


@given(data=st.data(), factor=st.sampled_from([0.25, 2.0, 64.0]))
def test_rms_norm_does_not_see_the_size_of_a_token(data, factor):
    """Without epsilon a power of 2 changes nothing, to the last bit."""
    rows = st.lists(st.integers(1, 16), min_size=3, max_size=3)
    x = np.array(data.draw(st.lists(rows, min_size=1, max_size=3)), float)
    params = RMSNorm(np.ones(3))
    np.testing.assert_array_equal(
        rms_norm(factor * x, params, 0.0), rms_norm(x, params, 0.0)
    )
    sizes = np.sqrt((rms_norm(x, params, 0.0) ** 2).mean(axis=-1))
    assert abs(sizes - 1).max() <= 8 * np.finfo(float).eps


@given(data=st.data(), dtype=DTYPES)
def test_silu_is_pytorchs(data, dtype):
    case = data.draw(cases(TWINS["silu"], dtype))
    expect_as(F.silu(*tensors(case, "x")).numpy(), case, "y", "F.silu")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_sigmoid_of_huge_numbers_overflows_nowhere(dtype):
    x = np.array([-1e4, -90, 0, 90, 1e4], dtype)
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        y = swiglu.silu(x)
    np.testing.assert_array_equal(y[[0, 2, 4]], [0, 0, 1e4])


@given(data=st.data(), dtype=DTYPES)
def test_swiglu_is_that_of_transformers(data, dtype):
    case = data.draw(cases(TWINS["swiglu"], dtype))
    (x,) = tensors(case, "x")
    module = case.module
    config = hf.LlamaConfig(
        hidden_size=module.down.out_features,
        intermediate_size=module.down.in_features,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=2,
    )
    theirs = hf.LlamaMLP(config).to(x.dtype)
    theirs.load_state_dict(
        {
            f"{name}_proj.weight": getattr(module, name).weight
            for name in ("gate", "up", "down")
        }
    )
    with torch.no_grad():
        y = theirs(x).numpy()
    expect_as(y, case, "y", "transformers", case.params)


# Rotary positions.


def random_heads(seed, shape):
    return np.random.default_rng(seed).normal(size=shape)


@given(
    seed=SEEDS,
    pairs=st.integers(1, 5),
    base=st.sampled_from([10_000.0, 100_000.0, 5.0]),
    past=st.sampled_from([0, 3, 4095]),
)
def test_rotary_halves_are_those_of_transformers(seed, pairs, base, past):
    d_head, count = 2 * pairs, 4
    x = random_heads(seed, (2, 3, count, d_head))
    positions = past + np.arange(count, dtype=np.float64)
    cosine, sine = rotary.rotary_tables(positions, d_head, base)
    both = [torch.from_numpy(np.tile(t, 2))[None] for t in (cosine, sine)]
    theirs, _ = hf.apply_rotary_pos_emb(*[torch.from_numpy(x)] * 2, *both)
    ours = rotary.rotary_halves(x, cosine, sine)
    exact = exact_steps(
        "rotary_halves", {"x": x, "cosine": cosine, "sine": sine}
    )["turned"]
    expect_holds(
        "rotary_halves and transformers",
        within("turned", ours, theirs.numpy(), 2 * exact.error),
    )


@given(seed=SEEDS, d_head=st.sampled_from([2, 8, 64]))
def test_tables_are_those_of_transformers(seed, d_head):
    """Theirs are float32 products of position and frequency."""
    config = hf.LlamaConfig(
        hidden_size=d_head, num_attention_heads=1, num_key_value_heads=1
    )
    positions = np.random.default_rng(seed).integers(0, 512, 5)
    theirs = hf.LlamaRotaryEmbedding(config)(
        torch.zeros(1), torch.from_numpy(positions[None])
    )
    ours = rotary.rotary_tables(positions.astype(float), d_head, 10_000.0)
    # The largest angle, and it alone, rounded twice, and a cosine.
    bound = (positions.max() + 8) * 2 * np.finfo(np.float32).eps
    for table, oracle in zip(ours, theirs, strict=True):
        oracle = oracle[0, :, : d_head // 2].numpy()
        comparison = within("angle", table, oracle, np.full((), bound))
        expect_holds("rotary_tables and transformers", comparison)


@pytest.mark.parametrize("position", [100_000, 2**24])
def test_angles_of_late_positions_are_exact_in_float32(position):
    import mpmath

    positions = np.array([position], np.float32)
    cosine, sine = rotary.rotary_tables(positions, 8, 10_000.0)
    for pair in range(4):
        angle = position * mpmath.mpf(10_000) ** (-mpmath.mpf(pair) / 4)
        # One rounding to float32, and what an angle in float64 is off by.
        slack = float(angle) * 1e-15 + np.finfo(np.float32).eps
        assert abs(cosine[0, pair] - mpmath.cos(angle)) <= slack
        assert abs(sine[0, pair] - mpmath.sin(angle)) <= slack


@given(seed=SEEDS, pairs=st.integers(1, 6))
def test_one_pairing_is_the_other_in_another_order(seed, pairs):
    x = random_heads(seed, (2, 4, 2 * pairs))
    tables = rotary.rotary_tables(np.arange(4.0), 2 * pairs, 100.0)
    by_neighbours = rotary.rotary_neighbours(x, *tables)
    reordered = rotary.neighbours_to_halves(x)
    np.testing.assert_array_equal(
        rotary.neighbours_to_halves(by_neighbours),
        rotary.rotary_halves(reordered, *tables),
    )


@pytest.mark.parametrize("pairing", PAIRINGS)
@given(
    seed=SEEDS,
    distance=st.integers(0, 50),
    starts=st.tuples(st.integers(0, 2000), st.integers(0, 2000)),
)
def test_a_score_depends_on_the_distance_alone(
    pairing, seed, distance, starts
):
    query, key = random_heads(seed, (2, 1, 8))
    scores = [
        turned_score(PAIRINGS[pairing], query, key, start, start + distance)
        for start in starts
    ]
    ours, theirs = (score.value for score in scores)
    bound = sum(score.error for score in scores)
    comparison = within("query . key", ours, theirs, bound)
    expect_holds(f"scores by distance, {pairing}", comparison)


def turned_score(turn, query, key, at, other) -> Bounded:
    """A dot product of both after their rotations, and its bound."""
    parts = []
    for x, position in ((query, at), (key, other)):
        place = {
            "positions": np.array([float(position)]),
            "d_head": 8,
            "base": 10_000.0,
        }
        tables = rotary.rotary_tables(**place)
        exact = exact_steps("rotary_tables", place)
        known = [exact[name] for name in ("cosine", "sine")]
        # From here on the tables are what may be off.
        sides = [bounded(x), *known]
        half = turned_bounds(turn.__name__, *sides)
        parts.append(Bounded(turn(x, *tables), half.error, half.rounding))
    return product("qi,ki->qk", *parts)


def turned_bounds(name, x, cosine, sine) -> Bounded:
    from parity_tests.exact.variants import rotary as described

    return getattr(described, name)(x, cosine, sine)["turned"]


@pytest.mark.parametrize("pairing", PAIRINGS)
@given(seed=SEEDS, position=st.integers(0, 4000))
def test_a_rotation_keeps_the_length_and_begins_with_none(
    pairing, seed, position
):
    (x,) = random_heads(seed, (1, 1, 8))
    turn = PAIRINGS[pairing]
    before = product("qi,qi->q", bounded(x), bounded(x))
    score = turned_score(turn, x, x, position, position)
    bound = before.error + score.error[0]
    comparison = within("length", before.value, score.value[0], bound)
    expect_holds(f"lengths, {pairing}", comparison)
    tables = rotary.rotary_tables(np.zeros(1), 8, 10_000.0)
    np.testing.assert_array_equal(turn(x, *tables), x)


@pytest.mark.parametrize("turn", [*PAIRINGS.values()])
def test_an_odd_number_of_features_is_refused(turn):
    odd, tables = np.zeros((2, 3)), [np.zeros((2, 1))] * 2
    with pytest.raises(ValueError, match="d_head to be even, got 3"):
        turn(odd, *tables)
    with pytest.raises(ValueError, match="d_head to be even, got 3"):
        rotary.rotary_tables(np.zeros(2), 3, 10_000.0)
    with pytest.raises(ValueError, match="d_head to be even, got 3"):
        rotary.neighbours_to_halves(odd)


# Grouped queries.


@given(data=st.data(), dtype=DTYPES)
def test_grouped_attention_is_pytorchs(data, dtype):
    case = data.draw(cases(TWINS["grouped_attention"], dtype, batch_axes=1))
    query, key, value, mask = tensors(case, "query", "key", "value", "mask")
    theirs = F.scaled_dot_product_attention(
        *(part.contiguous() for part in (query, key, value)),
        mask,
        enable_gqa=True,
    )
    expect_as(theirs.numpy(), case, "context", "enable_gqa")


@given(seed=SEEDS, key_heads=st.sampled_from([1, 2, 3]))
def test_grouped_attention_is_attention_head_by_head(seed, key_heads):
    """Each query head with the key head of its group, by itself."""
    rng = np.random.default_rng(seed)
    query = rng.normal(size=(6, 4, 8))
    key, value = rng.normal(size=(2, key_heads, 5, 8))
    mask = rng.uniform(size=(1, 4, 5)) < 0.7
    arguments = {"query": query, "key": key, "value": value, "mask": mask}
    ours = grouped_queries.grouped_attention(**arguments)
    exact = exact_steps("grouped_attention", arguments)["context"]
    alone = np.stack(
        [
            exact_steps(
                "scaled_dot_product_attention",
                {
                    "query": query[head],
                    "key": key[head * key_heads // 6],
                    "value": value[head * key_heads // 6],
                    "mask": mask[0],
                },
            )["context"].value
            for head in range(6)
        ]
    )
    expect_holds(
        "grouped_attention head by head",
        within("context", ours, alone, exact.error),
    )


def test_key_heads_that_divide_no_heads_are_refused():
    query, key = np.zeros((6, 2, 4)), np.zeros((4, 2, 4))
    message = "expected key_heads to divide heads 6, got 4"
    with pytest.raises(ValueError, match=message):
        grouped_queries.grouped_attention(
            query, key, key, np.ones((1, 2, 2), bool)
        )


def test_its_heads_have_the_names_of_multi_head_attention():
    assert grouped_queries.GroupedHeads._fields == Heads._fields
