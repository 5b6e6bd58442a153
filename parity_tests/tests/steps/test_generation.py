"""Choosing tokens and writing on, beside transformers and NumPy's own."""

from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from numpy_ref.attention import softmax
from numpy_ref.generation import (
    choose,
    generate,
    gpt2_decoding,
    greedy,
    min_p,
    nucleus,
    repetition_penalty,
    sample,
    top_k,
)
from numpy_ref.tokenizers.text_stream import stream_text
from parity_tests.exact import exact_steps
from parity_tests.oracles.gpt2 import END, oracle_and_ours, random_ids
from parity_tests.tests.conftest import expect_holds
from parity_tests.twins.comparing import within
from parity_tests.twins.finding import find_twins
from parity_tests.twins.strategies import cases

TWINS = {twin.name: twin for twin in find_twins()}
DTYPES = st.sampled_from(["float32", "float64"])


@pytest.fixture(scope="module")
def oracle_and_model(tmp_path_factory):
    return oracle_and_ours(tmp_path_factory.mktemp("gpt2"), n_layer=3)


def write(checkpoint, ids, length, *further):
    config = checkpoint.config
    decoding = gpt2_decoding(
        checkpoint.model, config.heads, config.epsilon, config.positions
    )
    return generate(ids, decoding, length, *further)


def theirs_filtered(logits, *warpers):
    """What transformers' processors leave of the logits of some texts."""
    rows = torch.from_numpy(logits.copy()).reshape(-1, logits.shape[-1])
    left = LogitsProcessorList(warpers)(None, rows)
    return left.reshape(logits.shape).numpy()


@given(data=st.data(), dtype=DTYPES)
def test_the_k_likeliest_are_those_of_transformers(data, dtype):
    logits, k = data.draw(cases(TWINS["top_k"], dtype)).arguments.values()
    theirs = theirs_filtered(logits, TopKLogitsWarper(k))
    np.testing.assert_array_equal(top_k(logits, k), theirs)


@given(data=st.data(), dtype=DTYPES)
def test_the_nucleus_is_that_of_transformers(data, dtype):
    logits, p = data.draw(cases(TWINS["nucleus"], dtype)).arguments.values()
    theirs = theirs_filtered(logits, TopPLogitsWarper(p))
    np.testing.assert_array_equal(nucleus(logits, p), theirs)


@given(data=st.data(), dtype=DTYPES)
def test_min_p_is_that_of_transformers(data, dtype):
    case = data.draw(cases(TWINS["min_p"], dtype)).arguments
    logits, p = case["logits"], float(case["p"])
    theirs = theirs_filtered(logits, MinPLogitsWarper(p))
    # Theirs compares probabilities; a token at the very border, where
    # rounding decides, may fall on either side.
    share = np.exp(logits - logits.max(axis=-1, keepdims=True))
    border = abs(share / p - 1) < 1e-5
    ours = min_p(logits, p)
    np.testing.assert_array_equal(ours[~border], theirs[~border])


@given(data=st.data(), dtype=DTYPES)
def test_the_repetition_penalty_is_that_of_transformers(data, dtype):
    case = data.draw(cases(TWINS["repetition_penalty"], dtype)).arguments
    row = case["logits"].reshape(-1, case["logits"].shape[-1])[:1]
    seen = data.draw(st.lists(st.integers(0, row.shape[-1] - 1)))
    penalty = float(case["penalty"])
    marks = np.zeros(row.shape, bool)
    marks[:, seen] = True
    theirs = RepetitionPenaltyLogitsProcessor(penalty)(
        torch.tensor([seen], dtype=torch.int64),
        torch.from_numpy(row.copy()),
    )
    np.testing.assert_array_equal(
        repetition_penalty(row, marks, penalty), theirs.numpy()
    )


@given(data=st.data(), dtype=DTYPES)
def test_all_filters_together_leave_transformers_distribution(data, dtype):
    case = data.draw(cases(TWINS["choose"], dtype)).arguments
    logits, k, p = case["logits"], case["k"], case["p"]
    temperature = float(case["temperature"])
    case["min_share"] = 0.0
    left = theirs_filtered(
        logits,
        TemperatureLogitsWarper(temperature),
        TopKLogitsWarper(k),
        TopPLogitsWarper(p),
    )
    theirs = torch.softmax(torch.from_numpy(left), dim=-1).numpy()
    ours = softmax(nucleus(top_k(logits / temperature, k), p))
    exact = exact_steps("choose", case)["probabilities"]
    comparison = within("choose[0]", ours, theirs, 2 * exact.error)
    expect_holds(f"choose and transformers, {dtype}", comparison)


@given(
    logits=st.lists(
        st.integers(-8, 8), min_size=1, max_size=9, unique=True
    ),
    p=st.floats(-4, 0).map(np.exp),
)
def test_the_nucleus_is_the_smallest_that_reaches_p(logits, p):
    array = np.array(logits, dtype=np.float64)
    probabilities = np.exp(array) / np.exp(array).sum()
    kept = nucleus(array, p) > -np.inf
    mass = probabilities[kept].sum()
    assert mass >= p - 1e-12
    assert mass - probabilities[kept].min() < p + 1e-12
    # None that was left out is likelier than one that was kept.
    assert probabilities[kept].min() > probabilities[~kept].max(initial=0)


@pytest.mark.parametrize("p", [0.0, 1e-12, 1.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_at_its_ends_the_nucleus_is_one_token_or_all(p, dtype):
    logits = np.array([2, 3, 1, 3, -1], dtype=dtype)
    kept = nucleus(logits, p) > -np.inf
    assert kept.sum() == (5 if p == 1 else 1)
    assert kept[3]


@pytest.mark.parametrize(
    ("k", "message"),
    [
        (0, "expected k to be at least 1, got 0"),
        (4, "expected tokens to choose k from to be at least 4, got 3"),
    ],
)
def test_a_k_that_cannot_be_is_refused(k, message):
    with pytest.raises(ValueError, match=message):
        top_k(np.zeros((2, 3)), k)


@given(weights=st.lists(st.integers(0, 9), min_size=1).filter(any))
def test_each_token_is_drawn_as_often_as_its_probability_says(weights):
    total = sum(weights)
    # The middle of each of as many equal parts as all weights make.
    numbers = (np.arange(total) + 0.5) / total
    probabilities = np.array(weights) / total
    drawn = sample(np.tile(probabilities, (total, 1)), numbers)
    expected = {token: n for token, n in enumerate(weights) if n}
    assert Counter(drawn.tolist()) == expected


def test_numpys_own_choice_draws_the_same():
    probabilities = np.random.default_rng(1).dirichlet(np.ones(50))
    theirs = np.random.default_rng(2).choice(50, size=999, p=probabilities)
    numbers = np.random.default_rng(2).random(999)
    ours = sample(np.tile(probabilities, (999, 1)), numbers)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_has_no_probability_is_never_drawn(dtype):
    rng = np.random.default_rng(0)
    probabilities = rng.uniform(size=(2000, 9)).astype(dtype)
    probabilities *= rng.uniform(size=probabilities.shape) < 0.5
    probabilities[:, 4] = 0.1
    ends = np.array([0, 1 - np.finfo(dtype).epsneg], dtype)
    drawn = sample(probabilities, ends.repeat(1000))
    assert (np.take_along_axis(probabilities, drawn[:, None], 1) > 0).all()


PROMPTS = [random_ids(1 + seed, seed=seed) for seed in range(6)]


def written_greedily(ours, ids) -> list[int]:
    return list(write(ours, ids, 20 - len(ids), greedy, [END]))


@pytest.mark.parametrize("ids", PROMPTS, ids=len)
def test_greedy_writes_what_transformers_writes(oracle_and_model, ids):
    oracle, ours = oracle_and_model
    theirs = oracle.generate(
        torch.from_numpy(ids[None]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.int64),
        max_length=20,
        do_sample=False,
        pad_token_id=END,
    )[0, len(ids) :].tolist()
    # Theirs ends with the token that ends it.
    expected = [token for token in theirs if token != END]
    assert written_greedily(ours, ids) == expected


def test_most_of_what_is_written_greedily_is_more_than_one_token(
    oracle_and_model,
):
    """Which texts end at once is up to the random weights."""
    _, ours = oracle_and_model
    texts = [set(written_greedily(ours, ids)) for ids in PROMPTS]
    assert sum(len(tokens) > 1 for tokens in texts) >= 4


def test_sampling_with_the_same_numbers_writes_the_same(oracle_and_model):
    _, ours = oracle_and_model
    assert sampled(ours, 0) == sampled(ours, 0)
    assert sampled(ours, 0) != sampled(ours, 1)


def sampled(ours, seed):
    numbers = np.random.default_rng(seed)
    return list(
        write(
            ours,
            random_ids(3),
            15,
            lambda logits: choose(
                logits, np.asarray(numbers.random()), 1.5, 20, 0.95
            ),
        )
    )


def test_a_token_comes_before_the_next_is_computed(oracle_and_model):
    _, ours = oracle_and_model
    seen = []

    def next_token(logits):
        seen.append(logits)
        return greedy(logits)

    tokens = write(ours, random_ids(3), 5, next_token)
    assert len(seen) == 0
    next(tokens)
    assert len(seen) == 1
    assert len(list(tokens)) == 4


def test_a_stop_token_ends_the_text_and_is_no_part_of_it(oracle_and_model):
    _, ours = oracle_and_model
    script = iter([4, 4, 7, 4])
    next_token = partial(lambda _: np.array(next(script)))
    assert list(write(ours, random_ids(3), 9, next_token, {7, 8})) == [4, 4]


def test_a_prompt_may_fill_all_positions_but_no_more(oracle_and_model):
    _, ours = oracle_and_model
    assert len(list(write(ours, random_ids(12), 8))) == 8
    assert list(write(ours, random_ids(20), 0)) == []
    message = r"fit 20 positions, got 12 \+ 9"
    with pytest.raises(ValueError, match=message):
        write(ours, random_ids(12), 9)


def test_an_empty_prompt_is_refused_at_once(oracle_and_model):
    _, ours = oracle_and_model
    message = "expected tokens of the prompt to be at least 1, got 0"
    with pytest.raises(ValueError, match=message):
        write(ours, np.array([], dtype=np.int64), 5)
    with pytest.raises(ValueError, match="generate: expected ids: Int"):
        write(ours, np.array([1.5]), 5)
    with pytest.raises(
        ValueError, match="expected length to be at least 0"
    ):
        write(ours, random_ids(3), -1)
    with pytest.raises(
        ValueError, match="expected ids from 0 to 30, got 31"
    ):
        list(write(ours, np.array([31]), 1))


@given(pieces=st.lists(st.binary(min_size=1, max_size=5), max_size=9))
@settings(max_examples=4 * settings().max_examples)
def test_streamed_text_is_the_text_decoded_at_once(pieces):
    streamed = list(stream_text(range(len(pieces)), pieces))
    assert "".join(streamed) == b"".join(pieces).decode(errors="replace")
    assert "" not in streamed


@given(text=st.text(min_size=1, max_size=9))
def test_characters_come_as_soon_as_they_are_whole(text):
    data = text.encode("utf-8", "replace")
    tokens = [bytes([value]) for value in range(256)]
    given_so_far = bytearray()

    def ids():
        for value in data:
            given_so_far.append(value)
            yield value

    seen = ""
    for piece in stream_text(ids(), tokens):
        seen += piece
        assert seen == given_so_far.decode()
    assert seen == data.decode()


def test_an_id_without_a_token_is_refused():
    with pytest.raises(ValueError, match="ids from 0 to 1, got -1"):
        list(stream_text([0, -1], [b"a", b"b"]))
