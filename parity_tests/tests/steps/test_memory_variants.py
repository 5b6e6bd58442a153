"""Variants of memory beside transformers and PyTorch, and what holds of
them: rings, latents, and states.

Twins, exact values and gradients are held by `test_twins` and
`test_gradients`, as for every step.
"""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from transformers import DeepseekV3Config
from transformers.models.deepseek_v3.modeling_deepseek_v3 import (
    DeepseekV3Attention,
    DeepseekV3RotaryEmbedding,
)
from transformers.models.qwen3_next.modeling_qwen3_next import (
    torch_chunk_gated_delta_rule,
    torch_recurrent_gated_delta_rule,
)

from numpy_ref.attention import scaled_dot_product_attention
from numpy_ref.masks import causal_mask
from numpy_ref.multi_head import split_heads
from numpy_ref.parameters import from_state_dict
from numpy_ref.variants.gated_delta import (
    chunkwise_gated_delta,
    recurrent_gated_delta,
)
from numpy_ref.variants.grouped_queries import repeat_heads
from numpy_ref.variants.latent_attention import (
    Compression,
    MultiHeadLatentAttention,
    absorbed_latent_attention,
    compression,
    latent_attention,
    multi_head_latent_attention,
)
from numpy_ref.variants.linear_attention import (
    chunkwise_kernel_attention,
    chunkwise_linear_attention,
    elu_plus_one,
    kernel_attention,
    recurrent_linear_attention,
)
from numpy_ref.variants.projection import projection
from numpy_ref.variants.ring_buffer import (
    ring_mask,
    ring_positions,
    ring_window_attention,
    ring_write,
)
from numpy_ref.variants.rotary import (
    rotary_halves,
    rotary_neighbours,
    rotary_tables,
)
from numpy_ref.variants.sliding_window import sliding_window_mask
from parity_tests.exact import exact_steps
from parity_tests.tests.conftest import expect_holds
from parity_tests.twins.comparing import within
from parity_tests.twins.finding import find_twins
from parity_tests.twins.strategies import SEEDS, cases

DTYPES = st.sampled_from(["float32", "float64"])
PARTS = st.lists(st.integers(1, 7), min_size=1, max_size=5)
WINDOWS = st.integers(1, 5)
PASTS = st.integers(0, 3) | st.integers(4, 20)
TWINS = {twin.name: twin for twin in find_twins()}


def drawn(seed, *shape, dtype="float64"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def expect_as(theirs, ours, step, output, arguments, oracle, params=None):
    """Ours and an oracle's, within twice the step's bound."""
    error = 2 * exact_steps(step, arguments, params)[output].error
    comparison = within(f"{step}[0]/{output}", ours, theirs, error)
    expect_holds(f"{step} and {oracle}", comparison)


def as_tensors(*arrays):
    return [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]


# --- a ring for a window -------------------------------------------------


def read_in_parts(parts, window, query, key, value):
    """Each part's slice of the text, and what its attention takes."""
    *batch, _, features = key.shape
    ring_key, ring_value = np.zeros(
        (2, *batch, window, features), key.dtype
    )
    past = 0
    for part in parts:
        rows = np.s_[..., past : past + part, :]
        arguments = {"query": query[rows], "key": key[rows]}
        arguments |= {"value": value[rows], "past": past}
        arguments |= {"ring_key": ring_key, "ring_value": ring_value}
        yield rows, arguments
        ring_key = ring_write(ring_key, key[rows], past)
        ring_value = ring_write(ring_value, value[rows], past)
        assert ring_key.shape[-2] == ring_value.shape[-2] == window
        past += part


def window_of_pytorch(query, key, value, window):
    """The whole text at once, by PyTorch, in a band of ones."""
    tokens = query.shape[-2]
    band = torch.ones(tokens, tokens, dtype=torch.bool)
    band = band.tril().triu(1 - window)
    tensors = as_tensors(query, key, value)
    return F.scaled_dot_product_attention(*tensors, attn_mask=band).numpy()


@given(parts=PARTS, window=WINDOWS, seed=SEEDS, dtype=DTYPES)
def test_a_text_read_through_a_ring_is_read_in_its_window(
    parts, window, seed, dtype
):
    query, key, value = drawn(seed, 3, 2, sum(parts), 4, dtype=dtype)
    whole = window_of_pytorch(query, key, value, window)
    for rows, arguments in read_in_parts(parts, window, query, key, value):
        ours = ring_window_attention(**arguments)
        step = ("ring_window_attention", "context", arguments)
        expect_as(
            whole[rows], ours, *step, "F.scaled_dot_product_attention"
        )


@given(past=PASTS, window=WINDOWS, queries=st.integers(0, 9))
def test_the_mask_of_a_ring_is_the_windows_in_the_order_of_the_slots(
    past, window, queries
):
    tokens = past + queries
    whole = sliding_window_mask(queries, tokens, window, past)
    mask = ring_mask(queries, window, past)
    positions = ring_positions(past, window)
    for slot, position in enumerate(positions):
        expected = whole[:, position] if position >= 0 else False
        assert (mask[:, slot] == expected).all()
        assert position < 0 or position % window == slot
    assert np.array_equal(mask[:, window:], whole[:, past:])
    # What is in no slot is seen by nobody.
    gone = [p for p in range(past) if p not in positions]
    assert not whole[:, gone].any()


@given(past=PASTS, window=WINDOWS, count=st.integers(0, 9))
def test_a_ring_holds_the_last_tokens_each_in_its_slot(past, window, count):
    text = np.arange(1.0, past + count + 1)[:, None]
    ring = ring_write(np.zeros((window, 1)), text[:past], 0)
    ring = ring_write(ring, text[past:], past)
    last = [p for p in range(past + count) if p >= past + count - window]
    expected = np.zeros((window, 1))
    for position in last:
        expected[position % window] = position + 1
    assert np.array_equal(ring, expected)


@given(seed=SEEDS, past=PASTS)
def test_a_ring_may_be_turned_if_its_mask_is(seed, past):
    generator = np.random.default_rng(seed)
    query, key, value = drawn(seed, 3, 3, 4)
    ring_key, ring_value = drawn(seed + 1, 2, 5, 4)
    context = ring_window_attention(
        query, key, value, ring_key, ring_value, past
    )
    order = generator.permutation(5)
    columns = [*order, *range(5, 8)]
    mask = ring_mask(3, 5, past)[:, columns]
    turned = scaled_dot_product_attention(
        query,
        np.concatenate([ring_key[order], key]),
        np.concatenate([ring_value[order], value]),
        mask,
    )
    np.testing.assert_allclose(turned, context, rtol=1e-11, atol=1e-13)


@given(parts=PARTS, window=WINDOWS, seed=SEEDS)
def test_a_rotary_key_is_turned_by_its_position_and_not_by_its_slot(
    parts, window, seed
):
    query, key, value = drawn(seed, 3, sum(parts), 4)
    positions = np.arange(float(sum(parts)))
    turn = rotary_tables(positions, 4, 10.0)
    query, key = rotary_halves(query, *turn), rotary_halves(key, *turn)
    whole = window_of_pytorch(query, key, value, window)
    for rows, arguments in read_in_parts(parts, window, query, key, value):
        ours = ring_window_attention(**arguments)
        step = ("ring_window_attention", "context", arguments)
        expect_as(whole[rows], ours, *step, "rotary keys in a window")


def test_keys_turned_by_their_slots_are_other_keys():
    query, key, value = drawn(0, 3, 7, 4)
    at = np.arange(7.0)
    by_position, by_slot = (
        rotary_halves(key, *rotary_tables(angle, 4, 10.0))
        for angle in (at, at % 3)
    )
    query = rotary_halves(query, *rotary_tables(at, 4, 10.0))
    right, wrong = (
        window_of_pytorch(query, turned, value, 3)
        for turned in (by_position, by_slot)
    )
    np.testing.assert_allclose(right[:3], wrong[:3])
    assert abs(right[3:] - wrong[3:]).max() > 0.01


def test_a_ring_without_a_slot_is_refused():
    with pytest.raises(ValueError, match="window to be at least 1, got 0"):
        ring_write(np.zeros((0, 2)), np.zeros((3, 2)), 0)


# --- latents -------------------------------------------------------------


@given(data=st.data(), dtype=DTYPES)
def test_absorbed_latent_attention_is_latent_attention(data, dtype):
    case = data.draw(cases(TWINS["latent_attention"], dtype))
    plain = latent_attention(**case.arguments)
    absorbed = absorbed_latent_attention(**case.arguments)
    errors = [
        exact_steps(step, case.arguments)["context"].error
        for step in ("latent_attention", "absorbed_latent_attention")
    ]
    comparison = within("context", absorbed, plain, sum(errors))
    expect_holds("latent attention, absorbed or not", comparison)


SIZES = {
    "hidden_size": 12,
    "num_attention_heads": 3,
    "num_key_value_heads": 3,
    "kv_lora_rank": 5,
    "qk_nope_head_dim": 4,
    "qk_rope_head_dim": 6,
    "v_head_dim": 2,
    "rope_parameters": {"rope_type": "default", "rope_theta": 100.0},
}


def deepseek(q_lora_rank, dtype, attention):
    """transformers' attention of DeepSeek-V3, and its rotation."""
    torch.manual_seed(0)
    config = DeepseekV3Config(**SIZES, q_lora_rank=q_lora_rank)
    config._attn_implementation = attention
    module = DeepseekV3Attention(config, 0)
    if dtype == torch.float64:  # DeepSeek's norms are in float32
        module.kv_a_layernorm = torch.nn.RMSNorm(5, 1e-6)
        module.q_a_layernorm = torch.nn.RMSNorm(q_lora_rank or 1, 1e-6)
    module = module.to(dtype).eval()
    for parameter in module.parameters():
        parameter.data.normal_(0, 0.5)
    return module, DeepseekV3RotaryEmbedding(config)


def ours_of(module):
    """DeepSeek's weights under our names: rows of a head, cut in two."""
    weights = {
        name.removesuffix(".weight"): array.numpy()
        for name, array in module.state_dict().items()
    }
    query = weights.get("q_b_proj", weights.get("q_proj"))
    query, rotary_query = cut_rows(query, 3, 4)
    key, value = cut_rows(weights["kv_b_proj"], 3, 4)
    down, rotary_key = np.split(weights["kv_a_proj_with_mqa"], [5])
    named = {
        "query.weight": query,
        "rotary_query.weight": rotary_query,
        "compression.down.weight": down,
        "compression.norm.weight": weights["kv_a_layernorm"],
        "rotary_key.weight": rotary_key,
        "key.weight": key,
        "value.weight": value,
        "output.weight": weights["o_proj"],
    }
    asking = None
    if "q_a_proj" in weights:
        asking = from_state_dict(
            Compression,
            {
                "down.weight": weights["q_a_proj"],
                "norm.weight": weights["q_a_layernorm"],
            },
        )
    return from_state_dict(MultiHeadLatentAttention, named), asking


def cut_rows(weight, heads, first):
    """Rows of all heads: the first of each head, and its others."""
    by_head = weight.reshape(heads, -1, weight.shape[-1])
    parts = by_head[:, :first], by_head[:, first:]
    return [part.reshape(-1, weight.shape[-1]) for part in parts]


# Eager attention takes its softmax in float32, too, whatever comes in.
@pytest.mark.parametrize(
    ("attention", "dtype"),
    [("eager", torch.float32), ("sdpa", torch.float64)],
)
@pytest.mark.parametrize("q_lora_rank", [7, None])
def test_latent_attention_is_that_of_deepseek(
    attention, dtype, q_lora_rank
):
    module, rotation = deepseek(q_lora_rank, dtype, attention)
    params, asking = ours_of(module)
    x = torch.randn(2, 9, 12, dtype=dtype)
    seen = torch.ones(9, 9, dtype=torch.bool).tril()
    hidden = torch.zeros(9, 9, dtype=dtype).masked_fill(~seen, -torch.inf)
    angles = rotation(x, torch.arange(9)[None])
    with torch.no_grad():
        theirs, _ = module(x, angles, hidden.expand(2, 1, 9, 9))
    cosine, sine = (table[0, :, :3].numpy() for table in angles)
    x = x.numpy()
    query_latent = x if asking is None else compression(x, asking, 1e-6)
    arguments = {"x": x, "query_latent": query_latent}
    arguments |= {"mask": causal_mask(9, 9), "cosine": cosine}
    arguments |= {"sine": sine, "heads": 3, "epsilon": 1e-6}
    ours = multi_head_latent_attention(**arguments, params=params)
    step = ("multi_head_latent_attention", "y", arguments)
    expect_as(theirs.numpy(), ours, *step, "DeepSeek-V3", params)


def test_a_cache_of_latents_and_turned_keys_is_enough():
    """Token by token, absorbed, from what was kept of those before."""
    module, _ = deepseek(None, torch.float64, "sdpa")
    params, _ = ours_of(module)
    x, heads = drawn(3, 9, 12), 3
    cosine, sine = rotary_tables(np.arange(9.0), 6, 100.0)
    whole = multi_head_latent_attention(
        *(x, x, params, causal_mask(9, 9), cosine, sine, heads, 1e-6)
    )
    key_weight, value_weight = (
        split_heads(part.weight.T, heads)
        for part in (params.key, params.value)
    )
    latents, turned_keys = np.zeros((0, 5)), np.zeros((0, 6))
    for token in range(9):
        new = x[token : token + 1]
        angle = cosine[token : token + 1], sine[token : token + 1]
        latents = np.concatenate(
            [latents, compression(new, params.compression, 1e-6)]
        )
        key = rotary_neighbours(projection(new, params.rotary_key), *angle)
        turned_keys = np.concatenate([turned_keys, key])
        query, rotary_query = (
            split_heads(projection(new, part), heads)
            for part in (params.query, params.rotary_query)
        )
        context = absorbed_latent_attention(
            *(query, rotary_neighbours(rotary_query, *angle)),
            *(latents, turned_keys, key_weight, value_weight),
            np.ones((1, 1, token + 1), bool),
        )
        merged = context.reshape(1, -1)
        y = projection(merged, params.output)
        np.testing.assert_allclose(y[0], whole[token], rtol=1e-11)


def test_a_latent_of_deepseek_v2_is_less_than_three_groups():
    """Table 1 of its report: 2.25 groups of grouped-query attention."""
    latent, rotary_key = np.zeros((1, 512)), np.zeros((1, 64))
    group = np.zeros((1, 1, 128))  # the key of one key head
    of_latent = latent.size + rotary_key.size
    of_eight_groups = 2 * repeat_heads(group, 8).size
    of_all_heads = 2 * repeat_heads(group, 128).size
    assert (of_latent, of_eight_groups, of_all_heads) == (576, 2048, 32768)
    assert of_latent == 2.25 * 2 * group.size


# --- states --------------------------------------------------------------


CHUNKS = st.integers(1, 9)


def text_of(seed, tokens, dtype="float64"):
    """Queries, keys and values of two texts, and a state before them."""
    query, key = drawn(seed, 2, 2, tokens, 4, dtype=dtype)
    value = drawn(seed + 1, 2, tokens, 3, dtype=dtype)
    state = drawn(seed + 2, 2, 4, 3, dtype=dtype)
    arguments = {"query": query, "key": key, "value": value}
    return arguments | {"state": state}


def expect_both_ways(recurrent, chunkwise, arguments, chunk):
    """Token by token and chunk by chunk, within both steps' bounds."""
    in_chunks = arguments | {"chunk": chunk}
    given = ((recurrent, arguments), (chunkwise, in_chunks))
    ours = [step(**inputs) for step, inputs in given]
    exact = [exact_steps(step.__name__, inputs) for step, inputs in given]
    names = ("context", "new_state", "new_normaliser")
    for name, *both in zip(names, *ours, strict=False):
        error = sum(steps[name].error for steps in exact)
        comparison = within(f"{recurrent.__name__}[0]/{name}", *both, error)
        expect_holds("tokens and chunks", comparison)


@given(seed=SEEDS, tokens=st.integers(1, 9), chunk=CHUNKS, dtype=DTYPES)
def test_linear_attention_is_the_same_in_chunks(seed, tokens, chunk, dtype):
    expect_both_ways(
        *(recurrent_linear_attention, chunkwise_linear_attention),
        *(text_of(seed, tokens, dtype), chunk),
    )


@given(seed=SEEDS, tokens=st.integers(1, 9), chunk=CHUNKS, dtype=DTYPES)
def test_kernel_attention_is_the_same_in_chunks(seed, tokens, chunk, dtype):
    normaliser = abs(drawn(seed + 3, 2, 4, dtype=dtype))
    arguments = text_of(seed, tokens, dtype) | {"normaliser": normaliser}
    expect_both_ways(
        *(kernel_attention, chunkwise_kernel_attention, arguments, chunk)
    )


def states_of_pytorch(key, value, state):
    """The state after each token, as a cumulative sum."""
    written = torch.einsum("bti,btv->btiv", key, value)
    return state[:, None] + written.cumsum(1)


@given(seed=SEEDS, tokens=st.integers(1, 9), dtype=DTYPES)
def test_linear_attention_is_a_cumulative_sum_of_pytorch(
    seed, tokens, dtype
):
    arguments = text_of(seed, tokens, dtype)
    query, key, value, state = as_tensors(*arguments.values())
    states = states_of_pytorch(key, value, state)
    theirs = torch.einsum("bti,btiv->btv", query, states).numpy()
    ours, left = recurrent_linear_attention(**arguments)
    step = ("recurrent_linear_attention", "context", arguments)
    expect_as(theirs, ours, *step, "torch.cumsum")
    step = ("recurrent_linear_attention", "new_state", arguments)
    expect_as(states[:, -1].numpy(), left, *step, "torch.cumsum")


@given(seed=SEEDS, tokens=st.integers(1, 9), dtype=DTYPES)
def test_kernel_attention_is_attention_with_weights_of_elu(
    seed, tokens, dtype
):
    """All weights at once, as attention has them, by PyTorch."""
    arguments = text_of(seed, tokens, dtype)
    arguments["state"] = np.zeros_like(arguments["state"])
    arguments["normaliser"] = np.zeros((2, 4), dtype)
    query, key, value = as_tensors(*list(arguments.values())[:3])
    scores = (F.elu(query) + 1) @ (F.elu(key) + 1).mT
    seen = scores.tril()
    theirs = (seen / seen.sum(-1, keepdim=True)) @ value
    ours, *_ = kernel_attention(**arguments)
    step = ("kernel_attention", "context", arguments)
    expect_as(theirs.numpy(), ours, *step, "F.elu")


@given(seed=SEEDS, chunk=CHUNKS, cut=st.integers(1, 8))
def test_a_text_goes_on_from_the_state_of_its_beginning(seed, chunk, cut):
    arguments = text_of(seed, 9)
    state = arguments.pop("state")
    whole, last = chunkwise_linear_attention(
        **arguments, state=state, chunk=chunk
    )
    begin = {name: a[:, :cut] for name, a in arguments.items()}
    rest = {name: a[:, cut:] for name, a in arguments.items()}
    first, state = recurrent_linear_attention(**begin, state=state)
    second, state = chunkwise_linear_attention(
        **rest, state=state, chunk=chunk
    )
    joined = np.concatenate([first, second], axis=1)
    np.testing.assert_allclose(joined, whole, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(state, last, rtol=1e-9, atol=1e-11)


def test_features_far_below_zero_do_not_vanish():
    far = np.array([-18.0, -80.0], np.float32)
    by_elu = F.elu(torch.from_numpy(far)) + 1
    assert (by_elu == 0).all()
    assert (elu_plus_one(far) > 0).all()
    query = np.full((1, 3, 2), -18, np.float32)
    context, *_ = kernel_attention(
        *(query, query, drawn(0, 1, 3, 2, dtype="float32")),
        *(np.zeros((1, 2, 2), np.float32), np.zeros((1, 2), np.float32)),
    )
    assert np.isfinite(context).all()


# --- states that forget --------------------------------------------------


def gated_text(seed, tokens, dtype="float64", decay=1.0):
    """As `text_of`, with keys of length 1, decays and shares."""
    text = text_of(seed, tokens, dtype)
    text["key"] /= np.linalg.norm(text["key"], axis=-1, keepdims=True)
    generator = np.random.default_rng(seed + 9)
    shape = (2, tokens)
    text["log_decay"] = -decay * generator.uniform(size=shape).astype(dtype)
    text["beta"] = generator.uniform(size=shape).astype(dtype)
    return text


@given(seed=SEEDS, tokens=st.integers(1, 9), chunk=CHUNKS, dtype=DTYPES)
def test_the_gated_delta_rule_is_the_same_in_chunks(
    seed, tokens, chunk, dtype
):
    expect_both_ways(
        *(recurrent_gated_delta, chunkwise_gated_delta),
        *(gated_text(seed, tokens, dtype), chunk),
    )


@given(seed=SEEDS, chunk=CHUNKS, far=st.floats(1, 300))
def test_a_state_may_be_forgotten_altogether(seed, chunk, far):
    """In ratios of products, both would be 0."""
    text = gated_text(seed, 9, decay=far)
    expect_both_ways(
        recurrent_gated_delta, chunkwise_gated_delta, text, chunk
    )


@given(seed=SEEDS, tokens=st.integers(1, 9), chunk=CHUNKS)
def test_the_gated_delta_rule_is_qwen3_nexts(seed, tokens, chunk):
    text = gated_text(seed, tokens, "float32")
    names = ("query", "key", "value", "log_decay", "beta", "state")
    query, *given, state = as_tensors(*(text[name] for name in names))
    # Theirs divides queries by the root of d_head, which is 2 here, and
    # has an axis of heads behind the tokens.
    given = [tensor.unsqueeze(2) for tensor in (2 * query, *given)]
    beside = {"initial_state": state[:, None], "output_final_state": True}
    in_chunks = partial(torch_chunk_gated_delta_rule, chunk_size=chunk)
    for ours, theirs, arguments in (
        (recurrent_gated_delta, torch_recurrent_gated_delta_rule, text),
        (chunkwise_gated_delta, in_chunks, text | {"chunk": chunk}),
    ):
        context, new_state = ours(**arguments)
        output, left = theirs(*given, **beside)
        step = (ours.__name__, "context", arguments)
        expect_as(output[:, :, 0].numpy(), context, *step, "Qwen3-Next")
        step = (ours.__name__, "new_state", arguments)
        expect_as(left[:, 0].numpy(), new_state, *step, "Qwen3-Next")


def of_the_paper(text, in_output, in_system):
    """The chunkwise form of Yang et al. 2025, section 3.3, as it stands.

    One chunk, and the paper's transposed state. Two of its matrices can
    be read in two ways: what the products of queries and keys are
    multiplied with, and those of keys for W.
    """
    names = ("query", "key", "value", "beta", "log_decay", "state")
    query, key, value, beta, log_decay, state = as_tensors(
        *(text[name][0] for name in names)
    )
    tokens, state = len(query), state.mT
    gamma = log_decay.exp().cumprod(0)
    mask = torch.ones(tokens, tokens, dtype=gamma.dtype).tril()
    ratios = (gamma[:, None] / gamma) * mask
    read = {"M": mask, "Γ": ratios}

    def inverse(decays):
        strict = (beta.diag() @ (decays * (key @ key.mT))).tril(-1)
        return torch.linalg.inv(torch.eye(tokens) + strict) @ beta.diag()

    update = inverse(ratios) @ value
    removal = gamma[:, None] * (inverse(read[in_system]) @ key)
    corrections = update - removal @ state.mT
    earlier = (gamma[:, None] * query) @ state.mT
    output = earlier + (query @ key.mT * read[in_output]) @ corrections
    to_end = gamma[-1] / gamma
    left = gamma[-1] * state + corrections.mT @ (to_end[:, None] * key)
    return output, left.mT


READINGS = [(a, b) for a in "MΓ" for b in "MΓ"]


@pytest.mark.parametrize(("in_output", "in_system"), READINGS)
def test_only_with_decay_ratios_the_papers_chunk_is_the_recurrence(
    in_output, in_system
):
    """Its output prints M, and means Γ; its W has M, and means that."""
    text = gated_text(5, 8, decay=0.3)
    context, state = recurrent_gated_delta(**text)
    output, left = of_the_paper(text, in_output, in_system)
    apart = abs(output.numpy() - context[0]).max()
    left_apart = abs(left.numpy() - state[0]).max()
    if in_system == "M":
        assert left_apart < 1e-13
    else:
        assert left_apart > 0.01
    if (in_output, in_system) == ("Γ", "M"):
        assert apart < 1e-13
    else:
        assert apart > 0.01


@pytest.mark.parametrize(("in_output", "in_system"), READINGS)
def test_without_decay_the_paper_may_be_read_either_way(
    in_output, in_system
):
    text = gated_text(5, 8, decay=0.0)
    context, state = recurrent_gated_delta(**text)
    output, left = of_the_paper(text, in_output, in_system)
    np.testing.assert_allclose(output, context[0], rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(left, state[0], rtol=1e-11, atol=1e-13)


@given(seed=SEEDS)
def test_what_is_written_whole_is_recalled_whole(seed):
    """Asked by its own key, a state gives the last value, corrected."""
    text = gated_text(seed, 6)
    text |= {"query": text["key"], "beta": np.ones((2, 6))}
    context, _ = recurrent_gated_delta(**text)
    np.testing.assert_allclose(
        context, text["value"], rtol=1e-10, atol=1e-12
    )


@given(seed=SEEDS)
def test_for_keys_at_right_angles_nothing_is_to_be_corrected(seed):
    """Without decay it is linear attention then."""
    text = text_of(seed, 4)
    text["key"] = np.linalg.qr(text["key"])[0]
    text["state"] = np.zeros_like(text["state"])
    gates = {"log_decay": np.zeros((2, 4)), "beta": np.ones((2, 4))}
    for ours, linear in zip(
        recurrent_gated_delta(**text, **gates),
        recurrent_linear_attention(**text),
        strict=True,
    ):
        np.testing.assert_allclose(ours, linear, rtol=1e-9, atol=1e-11)
