"""Attention from arrays: what people have in hand is taken, or named.

The weights come from transformers and PyTorch, and are expected back
exactly.
"""

import re

import numpy as np
import pytest
import torch

from bert_viz import from_arrays
from bert_viz.attention import AS_GIVEN
from bert_viz.checking import gamma

# --- what is refused, and what is read into it ---------------------------

EQUAL = np.full((2, 3, 4, 4), 1 / 4)
FOUR = ["[CLS]", "a", "b", "<|endoftext|>"]


def changed(value):
    """Equal weights except in one row."""
    weights = EQUAL.copy()
    weights[1, 2, 3] = value
    return weights


BAD_ARRAYS = {
    "fewer tokens": (EQUAL[..., :3], r"\(layers, heads, 4, 4\) for 4 tok"),
    "five tokens": (np.full((2, 3, 5, 5), 1 / 5), "pass attention_mask$"),
    "a row too few": (EQUAL[..., :3, :], "cross-attention pass .*key_tok"),
    "six axes": (EQUAL[None, None], r"\(1, 1, 2, 3, 4, 4\)$"),
    "one number a token": (EQUAL[0, 0, 0], r"for 4 tokens, got \(4,\)$"),
    "three axes": (
        EQUAL[0],
        r"heads, got shape \(3, 4, 4\); pass \[array\] if it is one lay",
    ),
    "two heads in a list": ([*EQUAL[0]], r"heads, got shape \(3, 4, 4\);"),
    "batch": (EQUAL[None], r"expected batch=INDEX, from 0 to 1, .*\(1, 2,"),
    "layers of two shapes": (
        [EQUAL[0], EQUAL[0, :2]],
        r"one shape in every layer, got \(3, 4, 4\) and \(2, 4, 4\)",
    ),
    "an empty list": ([], "one shape in every layer, got no layer"),
    "None": (None, 'attn_implementation="eager" and pass output_att'),
    "no layer's weights": ((None, None), 'attn_implementation="eager"'),
    "None in the middle": (
        [EQUAL[0], None],
        "every layer, got None; fused",
    ),
    "every step's": (
        [[torch.ones(1)] * 2],
        "got a list of 2 in a layer's place; generate",
    ),
    "no head": (EQUAL[:, :0], r"one layer, head and token, got \(2, 0"),
    "no layer": (EQUAL[:0], r"one layer, head and token, got \(0, 3"),
    "whole": (
        EQUAL.astype(int),
        "expected floating-point weights, got int",
    ),
    "true": (EQUAL > 0, "expected floating-point weights, got bool"),
    "NaN": (
        changed(np.nan),
        "sum of nan .* layer 1, head 2, query 3; wrong rows: 1$",
    ),
    "infinite": (changed([np.inf, 0, 0, 0]), "got a sum of inf"),
    "negative": (
        changed([1.5, -0.5, 0, 0]),
        "a sum of 1 and a minimum of -0.5",
    ),
    "too little": (
        changed([0.5, 0, 0, 0.4]),
        "a sum of 0.9 .* wrong rows: 1$",
    ),
    "scores": (changed([3.0, 1, 0, 0]), "a sum of 4 "),
    "nothing": (
        EQUAL * 0,
        "a sum of 0 .* layer 0, head 0, query 0; wrong rows: 24$",
    ),
}


@pytest.mark.parametrize("kind", BAD_ARRAYS)
def test_arrays_that_are_not_attention_are_refused(kind):
    weights, message = BAD_ARRAYS[kind]
    with pytest.raises(ValueError, match=message):
        from_arrays(FOUR, weights)


def test_no_tokens_are_refused():
    with pytest.raises(ValueError, match="one layer, head and token, got"):
        from_arrays([], np.zeros((2, 3, 0, 0)))


@pytest.mark.parametrize("name", ["queries", "keys", "values"])
def test_arrays_of_another_shape_are_named(name):
    message = rf"expected {name} of shape \(2, 3, 4, 'd_head'\), got \(2, 3"
    with pytest.raises(ValueError, match=message):
        from_arrays(FOUR, EQUAL, **{name: np.zeros((2, 3, 5, 6))})


@pytest.mark.parametrize("name", ["special", "segments"])
def test_special_and_segments_have_one_entry_for_each_token(name):
    message = rf"expected {name} of shape \(4,\), got \(3,\)"
    with pytest.raises(ValueError, match=message):
        from_arrays(FOUR, EQUAL, **{name: np.zeros(3, int)})


def test_arrays_are_kept_as_they_are():
    attention = from_arrays(FOUR, [*EQUAL.astype(np.float32)], "mine")
    assert attention.weights.dtype == np.float32
    assert attention.tokens == tuple(FOUR)
    assert attention.special.tolist() == [True, False, False, True]
    assert attention.segments.tolist() == [0] * 4
    assert (attention.about, attention.rows) == ("mine", AS_GIVEN)
    assert (attention.layers, attention.heads, attention.causal) == (
        2,
        3,
        False,
    )


def test_special_tokens_may_be_passed():
    attention = from_arrays(FOUR, EQUAL, special=[0, 1, 0, 0])
    assert attention.without_special().tokens == ("[CLS]", "b", FOUR[3])


def test_a_model_is_causal_when_no_token_looks_at_a_later_one():
    rows = np.tri(4) / np.tri(4).sum(axis=-1, keepdims=True)
    weights = np.broadcast_to(rows, (2, 3, 4, 4)).copy()
    assert from_arrays(FOUR, weights).causal
    weights[1, 2] = 1 / 4
    assert not from_arrays(FOUR, weights).causal
    assert not from_arrays(["a"], np.ones((2, 3, 1, 1))).causal


# --- what transformers returns -------------------------------------------

BATCH = torch.tensor([[1, 7, 8, 2, 0, 0], [1, 7, 8, 9, 9, 2]])
NO_PADDING = (BATCH != 0).long()
TEXT, PADDED = ["[CLS]", "a", "b", "[SEP]"], ["[PAD]", "[PAD]"]


@pytest.fixture(scope="module")
def small_bert():
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=11,
        hidden_size=6,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=5,
        attn_implementation="eager",
    )
    return BertModel(config)


@pytest.fixture(scope="module")
def by_bert(small_bert):
    """Its weights of the batch, which require gradients."""
    reading = small_bert.eval()(
        BATCH, attention_mask=NO_PADDING, output_attentions=True
    )
    return reading.attentions


def numbers(layers) -> np.ndarray:
    return torch.stack(tuple(layers)).detach().float().numpy()


def test_a_batch_of_one_text_is_taken_with_its_gradients(by_bert):
    weights = tuple(layer[1:] for layer in by_bert)
    assert weights[0].requires_grad
    attention = from_arrays("abcdef", weights)
    np.testing.assert_array_equal(attention.weights, numbers(weights)[:, 0])


@pytest.mark.parametrize("tokens", [TEXT, TEXT + PADDED])
def test_padding_is_cut_off_in_the_text_of_that_index(by_bert, tokens):
    attention = from_arrays(
        tokens,
        by_bert,
        batch=0,
        attention_mask=NO_PADDING,
        segments=np.zeros((2, 6), int),
        special=[1, 0, 0, 1, 1, 1] if len(tokens) == 6 else [1, 0, 0, 1],
    )
    assert attention.tokens == tuple(TEXT)
    assert attention.special.tolist() == [True, False, False, True]
    assert attention.segments.tolist() == [0] * 4
    np.testing.assert_array_equal(
        attention.weights, numbers(by_bert)[:, 0, :, :4, :4]
    )


def test_padding_on_the_left_is_cut_off_with_its_queries():
    count, pads = 5, 2
    scores = np.random.default_rng(0).normal(size=(2, 3, count, count))
    kept = np.arange(count) >= pads
    mask = np.tri(count, dtype=bool) & kept
    # A padded query has no key, and softmax makes it equal weights.
    weights = torch.tensor(np.where(mask, scores, -1e300)).softmax(-1)
    queries = np.zeros((2, 3, count, 4))
    attention = from_arrays(
        "abc", weights, attention_mask=kept, values=queries
    )
    assert attention.causal
    assert attention.values.shape == (2, 3, 3, 4)
    np.testing.assert_array_equal(
        attention.weights, weights.numpy()[..., pads:, pads:]
    )


def test_padding_that_is_kept_is_masked(by_bert):
    weights = [layer[0] for layer in by_bert]
    attention = from_arrays(TEXT + PADDED, weights)
    assert attention.padding.tolist() == [False] * 4 + [True] * 2
    assert attention.mask.tolist() == [[True] * 4 + [False] * 2] * 6
    # By its name alone, or by its weights alone, nothing is padding.
    assert not from_arrays(list("abcdef"), weights).padding.any()
    weights = [layer[1] for layer in by_bert]
    assert not from_arrays(TEXT + PADDED, weights).padding.any()


def test_dropout_that_is_on_is_named(small_bert):
    reading = small_bert.train()(BATCH, output_attentions=True)
    with pytest.raises(ValueError, match=r"call model\.eval\(\) before"):
        from_arrays("abcdef", reading.attentions, batch=1)


ARGUMENTS = {
    "no such text": (
        {"batch": 2},
        "from 0 to 1, for weights .*got batch=2",
    ),
    "a text below 0": ({"batch": -1}, "got batch=-1$"),
    "a mask of another length": (
        {"batch": 0, "attention_mask": [1, 1, 1]},
        "expected 3 tokens, as many as attention_mask has entries, or the",
    ),
    "a mask that keeps fewer": (
        {"batch": 0, "attention_mask": [1, 1, 1, 0, 0, 0]},
        "expected 6 tokens, .* or the 3 that it keeps, got 4",
    ),
    "no mask": ({"batch": 0}, "others are padding, pass attention_mask$"),
    "a mask of keys alone": (
        {"batch": 0, "key_attention_mask": [1] * 6},
        "expected key_tokens with key_special or key_attention_mask",
    ),
    "special keys of no text": (
        {"batch": 0, "key_special": [1]},
        "key_tok",
    ),
    "keys with padding": (
        {"batch": 1, "key_tokens": "abcd", "tokens": "abcdef"},
        r"for 6 tokens and 4 key_tokens, got .* pass key_attention_mask$",
    ),
    "ids": ({"batch": 1, "tokens": [1, 2]}, "tokens as text, got int 1$"),
}


@pytest.mark.parametrize("wrong", ARGUMENTS)
def test_arguments_that_do_not_fit_are_named(by_bert, wrong):
    arguments, message = ARGUMENTS[wrong]
    with pytest.raises(ValueError, match=message):
        from_arrays(**{"tokens": TEXT, "weights": by_bert} | arguments)


def test_a_batch_of_which_there_is_none_is_named():
    with pytest.raises(ValueError, match=r"with batch=0, got shape \(2, 3"):
        from_arrays(FOUR, EQUAL, batch=0)


@pytest.mark.parametrize(
    ("weights", "heads"),
    [(EQUAL[0, 0], 1), (EQUAL[0, :1], 1), ([EQUAL[0]], 3)],
)
def test_one_head_and_one_layer_are_taken(weights, heads):
    assert from_arrays(FOUR, weights).weights.shape == (1, heads, 4, 4)


# --- rounding ------------------------------------------------------------

DTYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)


def vectors_of(dtype, d_head=16, scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = 2, 2, 3, 40, d_head
    vectors = scale * torch.randn(shape, generator=generator)
    return vectors.to(dtype)


def by_torch(queries, keys, causal=False):
    """Weights as an eager attention computes them, in their own dtype."""
    scores = queries @ keys.mT / queries.shape[-1] ** 0.5
    if causal:
        later = torch.ones(scores.shape[-2:]).triu(1).bool()
        scores = scores.masked_fill(later, torch.finfo(scores.dtype).min)
    return scores.softmax(-1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("widened", [False, True])
def test_rows_are_judged_by_the_rounding_of_their_numbers(dtype, widened):
    weights = by_torch(*vectors_of(dtype, scale=2))
    weights = weights.float() if widened else weights
    expected = numbers(weights) if dtype.itemsize < 4 else weights.numpy()
    attention = from_arrays(["a"] * 40, weights)
    np.testing.assert_array_equal(attention.weights, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_that_rounding_cannot_explain_is_refused(dtype):
    weights = by_torch(*vectors_of(dtype))
    # As many roundings as are allowed for, and as many again.
    off = 2 * (gamma(3, torch.finfo(dtype).eps / 2) + gamma(40))
    row = weights[1, 2, 3]
    row[row.argmax()] += max(off, 2 * torch.finfo(dtype).eps)
    name = "float32" if dtype.itemsize > 2 else str(dtype)[6:]
    message = rf"rounding of {name}, .* layer 1, head 2, query 3; .*: 1"
    with pytest.raises(ValueError, match=message):
        from_arrays(["a"] * 40, weights)


# --- queries and keys ----------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("scale", [0.1, 1, 3])
def test_weights_that_follow_from_queries_and_keys_are_taken(
    dtype, causal, scale
):
    queries, keys = vectors_of(dtype, scale=scale)
    weights = by_torch(queries, keys, causal)
    attention = from_arrays(["a"] * 40, weights, queries=queries, keys=keys)
    assert attention.causal == causal


MISTAKES = {
    "not scaled": lambda queries, keys: (queries * 4, keys),
    "scaled already": lambda queries, keys: (queries / 4, keys),
    "the other way round": lambda queries, keys: (keys, queries),
    "another head's": lambda queries, keys: (queries, keys.flip(1)),
    "another layer's": lambda queries, keys: (queries.flip(0), keys),
    "one number": lambda queries, keys: (
        queries + (torch.arange(queries.numel()) == 99).view_as(queries),
        keys,
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_queries_and_keys_that_do_not_give_the_weights_are_said(
    mistake, dtype
):
    queries, keys = vectors_of(dtype)
    weights = by_torch(queries, keys)
    queries, keys = MISTAKES[mistake](queries, keys)
    theirs = torch.softmax(queries.double() @ keys.double().mT / 4, -1)
    differences = abs(theirs - weights.double())
    message = (
        r"^expected weights that follow from queries and keys, softmax.*, "
        r"got (\S+) instead of (\S+), the largest .*in layer (\d), head "
        r"(\d), query (\d+), key (\d+); pass"
    )
    with pytest.raises(ValueError, match=message) as error:
        from_arrays(["a"] * 40, weights, queries=queries, keys=keys)
    got, instead, *where = re.match(message, str(error.value)).groups()
    layer, *rest = map(int, where)
    assert float(got) == pytest.approx(weights[layer, *rest].item(), 1e-5)
    assert float(instead) == pytest.approx(
        theirs[layer, *rest].item(), 1e-5
    )
    largest = differences[layer].max().item()
    assert differences[layer, *rest].item() == pytest.approx(largest, 1e-9)


def test_the_mask_of_a_causal_model_takes_part():
    queries, keys = vectors_of(torch.float32)
    weights = by_torch(queries, keys, causal=True)
    with pytest.raises(ValueError, match=r"softmax.* with its mask, got"):
        from_arrays(["a"] * 40, weights, queries=queries * 2, keys=keys)


def test_queries_and_keys_of_two_widths_are_refused():
    message = "queries and keys of the same width, got 4 and 5"
    with pytest.raises(ValueError, match=message):
        from_arrays(
            FOUR,
            EQUAL,
            queries=np.zeros((2, 3, 4, 4)),
            keys=np.zeros((2, 3, 4, 5)),
        )


# --- cross-attention -----------------------------------------------------


def test_cross_attention_has_tokens_of_queries_and_of_keys():
    queries, keys = vectors_of(torch.float32)
    queries = queries[:, :, :2]
    weights = by_torch(queries, keys[:, :, :3])
    attention = from_arrays(
        ["le", "chat"],
        weights,
        key_tokens=["[CLS]", "cat", "[SEP]", *["[PAD]"] * 37],
        key_attention_mask=np.arange(40) < 3,
        queries=queries,
        keys=keys,
    )
    assert attention.is_cross
    assert attention.key_tokens == ("[CLS]", "cat", "[SEP]")
    assert attention.special.tolist() == [False] * 2
    assert attention.key_special.tolist() == [True, False, True]
    assert repr(attention).startswith(
        "<Attention: 2 queries by 3 keys, 2 l"
    )
    assert attention.scores.shape == (2, 3, 2, 3)
    alone = attention.without_special()
    assert (alone.tokens, alone.key_tokens) == (("le", "chat"), ("cat",))
    assert alone.keys.shape == (2, 3, 1, 16)
    np.testing.assert_array_equal(alone.weights, weights.numpy()[..., 1:2])


def test_cross_attention_is_never_causal():
    weights = np.tri(3)[None, None] / [[1], [2], [3]]
    assert from_arrays("abc", weights).causal
    assert not from_arrays("abc", weights, key_tokens="abc").causal


def test_of_keys_the_special_ones_may_be_passed():
    attention = from_arrays(
        FOUR, EQUAL, key_tokens="abcd", key_special=[0, 1, 0, 0]
    )
    assert attention.without_special().key_tokens == ("a", "c", "d")
    with pytest.raises(ValueError, match=r"key_special of shape \(4,\), g"):
        from_arrays(FOUR, EQUAL, key_tokens="abcd", key_special=[1])
