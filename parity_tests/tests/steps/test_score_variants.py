"""Variants of scores and masks beside transformers and PyTorch, and what
holds of them.

Twins, exact values and gradients are held by `test_twins` and
`test_gradients`, as for every step; ONNX stands in
`conventions/test_onnx`.
"""

from math import inf
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.attention.flex_attention import create_mask, flex_attention
from transformers import MistralConfig, MistralModel
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.gemma2 import modeling_gemma2
from transformers.models.gpt_oss import modeling_gpt_oss
from transformers.models.t5.modeling_t5 import T5Attention

from numpy_ref.attention import masked_softmax, scaled_dot_product_attention
from numpy_ref.masks import causal_mask
from numpy_ref.variants.additive_bias import biased_attention
from numpy_ref.variants.alibi import alibi_bias
from numpy_ref.variants.packed import packed_mask, packed_positions
from numpy_ref.variants.prefix import prefix_mask
from numpy_ref.variants.qk_norm import QKNormAttention
from numpy_ref.variants.relative_positions import relative_buckets
from numpy_ref.variants.rms_norm import RMSNorm
from numpy_ref.variants.sinks import sink_softmax
from numpy_ref.variants.sliding_window import (
    sliding_window_mask,
    streaming_mask,
)
from numpy_ref.variants.soft_cap import capped_attention, soft_cap
from parity_tests.exact import exact_steps
from parity_tests.tests.conftest import expect_holds
from parity_tests.twins.comparing import within
from parity_tests.twins.finding import find_twins
from parity_tests.twins.strategies import SEEDS, cases

TWINS = {twin.name: twin for twin in find_twins()}
DTYPES = st.sampled_from(["float32", "float64"])
COUNTS = st.integers(1, 9)


def drawn(seed, *shape, dtype="float64"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def heads_of(seed, dtype="float64", queries=4, keys=6):
    """A query, a key and a value of two texts, in three heads."""
    query = drawn(seed, 2, 3, queries, 8, dtype=dtype)
    key, value = drawn(seed + 1, 2, 2, 3, keys, 8, dtype=dtype)
    return query, key, value


def expect_as(theirs, ours, step, output, arguments, oracle):
    """Ours and an oracle's, within twice the step's bound."""
    error = 2 * exact_steps(step, arguments)[output].error
    comparison = within(f"{step}[0]/{output}", ours, theirs, error)
    expect_holds(f"{step} and {oracle}", comparison)


def as_tensors(*arrays):
    return [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]


# --- masks ---------------------------------------------------------------


def flex_mask(rule, queries, keys, texts=None):
    """FlexAttention's mask: what a rule says of each pair of positions."""
    mask = create_mask(rule, texts, None, queries, keys, device="cpu")
    return mask[:, 0].numpy() if texts else mask[0, 0].numpy()


@given(queries=COUNTS, keys=COUNTS, window=COUNTS, past=st.integers(0, 5))
def test_a_window_is_that_of_flex_attention(queries, keys, window, past):
    def rule(text, head, query, key):
        apart = past + query - key
        return (apart >= 0) & (apart < window)

    ours = sliding_window_mask(queries, keys, window, past)
    assert np.array_equal(ours, flex_mask(rule, queries, keys))


@given(queries=COUNTS, keys=COUNTS, past=st.integers(0, 5))
def test_a_window_as_long_as_the_keys_is_causal(queries, keys, past):
    longest = sliding_window_mask(queries, keys, queries + past, past)
    assert np.array_equal(longest, causal_mask(queries, keys, past))


@given(keys=COUNTS, window=COUNTS, past=st.integers(0, 8))
def test_beside_a_cache_a_window_is_the_last_rows(keys, window, past):
    past = min(past, keys - 1)
    whole = sliding_window_mask(keys, keys, window)
    rest = sliding_window_mask(keys - past, keys, window, past)
    assert np.array_equal(rest, whole[past:])
    # A cache needs no key that is further back than the window.
    assert not rest[:, : max(0, past - window + 1)].any()


@pytest.mark.parametrize("window", [2, 3, 7, 9])
def test_a_window_is_mistrals_alone_and_beside_its_cache(window):
    """Its cache keeps the last window - 1 keys, and drops the others."""
    config = MistralConfig(
        vocab_size=11,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=window,
        attn_implementation="eager",
    )
    model, ids = MistralModel(config).eval(), torch.arange(7)[None]
    whole = model(ids, output_attentions=True).attentions[0][0, 0] > 0
    assert np.array_equal(whole, sliding_window_mask(7, 7, window))
    past = model(ids[:, :4], use_cache=True).past_key_values
    later = model(
        ids[:, 4:], past_key_values=past, output_attentions=True
    ).attentions[0][0, 0]
    kept = 3 + min(4, window - 1)
    mask = sliding_window_mask(3, 7, window, past=4)
    assert later.shape == (3, kept)
    assert np.array_equal(later > 0, mask[:, 7 - kept :])
    assert not mask[:, : 7 - kept].any()


@given(keys=COUNTS, window=COUNTS, first=st.integers(0, 9))
def test_the_first_keys_are_kept_beside_a_window(keys, window, first):
    mask = streaming_mask(keys, keys, window, first)
    causal = causal_mask(keys, keys)
    assert not (mask & ~causal).any()
    assert np.array_equal(mask[:, :first], causal[:, :first])
    window_alone = sliding_window_mask(keys, keys, window)
    assert np.array_equal(mask[:, first:], window_alone[:, first:])


@given(lengths=st.lists(st.integers(0, 7), min_size=1), keys=COUNTS)
def test_a_prefix_is_that_of_flex_attention(lengths, keys):
    known = torch.tensor(lengths)

    def rule(text, head, query, key):
        return (key <= query) | (key < known[text])

    ours = prefix_mask(np.array(lengths), keys)
    assert np.array_equal(ours, flex_mask(rule, keys, keys, len(lengths)))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), SEEDS)
def test_packed_documents_attend_as_if_they_stood_alone(lengths, seed):
    documents = np.repeat(np.arange(len(lengths)), lengths)
    query, key, value = drawn(seed, 3, len(documents), 5)
    packed = scaled_dot_product_attention(
        query, key, value, packed_mask(documents)
    )
    ends = np.cumsum(lengths)
    for begin, end in zip(ends - lengths, ends, strict=True):
        rows = slice(begin, end)
        alone = scaled_dot_product_attention(
            *(query[rows], key[rows], value[rows]),
            causal_mask(end - begin, end - begin),
        )
        np.testing.assert_allclose(packed[rows], alone, rtol=1e-12)
        expected = np.arange(end - begin)
        assert np.array_equal(packed_positions(documents)[rows], expected)


def test_packed_documents_are_those_of_flex_attention():
    documents = np.array([[0, 0, 0, 1, 1, 2], [4, 4, 5, 5, 5, 5]])
    known = torch.from_numpy(documents)

    def rule(text, head, query, key):
        same = known[text, query] == known[text, key]
        return (key <= query) & same

    theirs = flex_mask(rule, 6, 6, texts=2)
    assert np.array_equal(packed_mask(documents), theirs)


# --- biases --------------------------------------------------------------


@pytest.mark.parametrize("heads", [1, 2, 3, 6, 8, 12, 16, 20, 112])
def test_alibi_is_that_of_bloom_but_for_a_constant_in_each_row(heads):
    positions = np.arange(7.0)
    ours = alibi_bias(positions, positions, heads)
    ones = torch.ones(1, 7, dtype=torch.long)
    bloom = build_alibi_tensor(ones, heads, torch.float64).numpy()
    # Bloom's has positions, not distances: softmax sees no difference.
    apart = ours - bloom.reshape(heads, 1, 7)
    assert abs(apart - apart[..., :1]).max() < 1e-5
    assert (ours.diagonal(axis1=1, axis2=2) == 0).all()


def test_alibis_slopes_of_eight_heads_are_halves_of_halves():
    bias = alibi_bias(np.array([1.0]), np.array([0.0]), 8)
    assert bias[:, 0, 0].tolist() == [-(0.5**h) for h in range(1, 9)]


@given(data=st.data(), dtype=DTYPES)
def test_a_bias_is_a_mask_of_numbers_for_pytorch(data, dtype):
    case = data.draw(cases(TWINS["biased_attention"], dtype))
    given = case.torch_arguments()
    mask, bias = given["mask"], given["bias"]
    if not mask.any(-1).all():  # what PyTorch makes of these, others ask
        mask = torch.ones_like(mask)
    arguments = case.arguments | {"mask": mask.numpy()}
    theirs = F.scaled_dot_product_attention(
        *(given["query"], given["key"], given["value"]),
        attn_mask=bias.masked_fill(~mask, -inf),
    )
    ours = biased_attention(**arguments)
    expect_as(
        *(theirs.numpy(), ours, "biased_attention", "context"),
        *(arguments, "F.scaled_dot_product_attention"),
    )


@given(SEEDS)
def test_a_constant_bias_changes_nothing(seed):
    query, key, value = heads_of(seed)
    mask = causal_mask(4, 6, 2)
    plain = scaled_dot_product_attention(query, key, value, mask)
    constant = drawn(seed, 3, 4, 1) + np.zeros(6)
    biased = biased_attention(query, key, value, constant, mask[None])
    np.testing.assert_allclose(biased, plain, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("both_ways", [True, False])
@pytest.mark.parametrize(
    ("buckets", "farthest"), [(32, 128), (16, 64), (8, 20), (64, 1000)]
)
def test_buckets_are_those_of_t5(buckets, farthest, both_ways):
    ours = relative_buckets(3, 1500, buckets, farthest, both_ways, 700)
    query, key = torch.arange(700, 703)[:, None], torch.arange(1500)
    theirs = T5Attention._relative_position_bucket(
        key - query, both_ways, buckets, farthest
    )
    assert np.array_equal(ours, theirs)


def test_what_leaves_no_bucket_for_what_is_far_is_refused():
    with pytest.raises(ValueError, match="max_distance to be at least 9"):
        relative_buckets(2, 2, 32, 8, both_ways=True)


# --- caps and sinks ------------------------------------------------------


@given(data=st.data(), dtype=DTYPES)
def test_a_cap_is_that_of_gemma_2(data, dtype):
    case = data.draw(cases(TWINS["soft_cap"], dtype))
    scores, cap = case.torch_arguments()["scores"], case.arguments["cap"]
    theirs = torch.tanh(scores / cap) * cap
    ours = soft_cap(**case.numpy_arguments())
    expect_as(
        *(theirs.numpy(), ours, "soft_cap", "capped"),
        *(case.arguments, "torch.tanh"),
    )


@given(SEEDS, st.floats(0.1, 50))
def test_attention_with_a_cap_is_gemma_2s_and_flex_attentions(seed, cap):
    query, key, value = heads_of(seed, "float32")
    mask = causal_mask(4, 6, 2)
    arguments = {"query": query, "key": key, "value": value}
    arguments |= {"mask": mask, "cap": cap}
    ours = capped_attention(**arguments)
    q, k, v, seen = as_tensors(query, key, value, mask)
    module = SimpleNamespace(
        head_dim=8, num_key_value_groups=1, training=False
    )
    hidden = torch.zeros(seen.shape).masked_fill(~seen, -inf)
    gemma, _ = modeling_gemma2.eager_attention_forward(
        module, q, k, v, hidden, softcap=cap
    )

    def rule(score, text, head, query, key):
        score = cap * torch.tanh(score / cap)
        return torch.where(seen[query, key], score, -inf)

    flex = flex_attention(q, k, v, score_mod=rule)
    told = ("capped_attention", "context", arguments)
    expect_as(gemma.transpose(1, 2).numpy(), ours, *told, "Gemma 2")
    expect_as(flex.numpy(), ours, *told, "flex_attention")


def test_a_far_cap_is_none_and_none_is_passed():
    query, key, value = heads_of(0)
    mask = causal_mask(4, 6, 2)
    plain = scaled_dot_product_attention(query, key, value, mask)
    far = capped_attention(query, key, value, mask, 1e9)
    np.testing.assert_allclose(far, plain, rtol=1e-12, atol=1e-14)
    assert abs(soft_cap(1e6 * drawn(0, 99), 30.0)).max() <= 30


@given(SEEDS, st.floats(-5, 5))
def test_a_sink_is_that_of_gpt_oss(seed, height):
    query, key, value = heads_of(seed, "float32")
    mask = causal_mask(4, 6, 2)
    sink = (height + drawn(seed, 3)).astype(np.float32)
    q, k, v, seen, sinks = as_tensors(query, key, value, mask, sink)
    module = SimpleNamespace(
        sinks=sinks, num_key_value_groups=1, training=False
    )
    hidden = torch.zeros(seen.shape).masked_fill(~seen, -inf)
    theirs, _ = modeling_gpt_oss.eager_attention_forward(
        module, q, k, v, hidden, scaling=8**-0.5
    )
    arguments = {"query": query, "key": key, "value": value}
    arguments |= {"sink": sink, "mask": mask[None]}
    ours = TWINS["sink_attention"].reference(**arguments)
    expect_as(
        *(theirs.transpose(1, 2).numpy(), ours),
        *("sink_attention", "context", arguments, "GPT-OSS"),
    )


@given(SEEDS)
def test_a_sink_only_takes_the_same_share_from_all(seed):
    scores, mask = drawn(seed, 2, 3, 4, 6), causal_mask(4, 6, 2)[None]
    plain = masked_softmax(scores, mask)
    weights = sink_softmax(scores, drawn(seed, 3), mask)
    left = weights.sum(axis=-1, keepdims=True)
    assert ((left > 0) & (left < 1)).all()
    np.testing.assert_allclose(weights, plain * left, rtol=1e-12)
    gone = sink_softmax(scores, np.full(3, -800.0), mask)
    np.testing.assert_allclose(gone, plain, rtol=1e-12)


def test_a_sink_takes_all_where_a_query_may_attend_to_nothing():
    nothing = np.zeros((1, 4, 6), bool)
    weights = sink_softmax(drawn(0, 3, 4, 6), drawn(1, 3), nothing)
    assert (weights == 0).all()


# --- QK-norm -------------------------------------------------------------


@given(data=st.data(), dtype=DTYPES)
def test_qk_norm_is_rms_norm_and_attention_of_pytorch(data, dtype):
    case = data.draw(cases(TWINS["qk_norm_attention"], dtype))
    given, params = case.torch_arguments(), case.params
    normed = (
        F.rms_norm(
            given[name],
            given[name].shape[-1:],
            torch.from_numpy(weight.copy()),
            eps=case.arguments["epsilon"],
        )
        for name, weight in (
            ("query", params.query.weight),
            ("key", params.key.weight),
        )
    )
    mask = torch.ones_like(given["mask"])
    theirs = F.scaled_dot_product_attention(
        *normed, given["value"], attn_mask=mask
    )
    arguments = case.numpy_arguments() | {"mask": mask.numpy()}
    ours = case.twin.reference(**arguments)
    asked = {n: a for n, a in arguments.items() if n != "params"}
    steps = exact_steps("qk_norm_attention", asked, params)
    comparison = within(
        *("qk_norm_attention[0]/context", ours, theirs.numpy()),
        2 * steps["context"].error,
    )
    expect_holds("qk_norm_attention and PyTorch", comparison)


@given(SEEDS, st.floats(0.01, 100))
def test_the_size_of_a_query_does_not_matter(seed, size):
    query, key, value = heads_of(seed)
    twin = TWINS["qk_norm_attention"]
    weight = abs(drawn(seed, 8)) + 0.1
    params = QKNormAttention(RMSNorm(weight), RMSNorm(weight))
    mask = causal_mask(4, 6, 2)
    plain, larger = (
        twin.reference(factor * query, key, value, params, mask, 0.0)
        for factor in (1, size)
    )
    np.testing.assert_allclose(larger, plain, rtol=1e-9, atol=1e-12)
