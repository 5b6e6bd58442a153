"""The transformer of 2017 beside PyTorch's own modules, part by part.

Twins, exact values and gradients are held by `test_twins` and
`test_gradients`, as for every step.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import get_inverse_sqrt_schedule

from numpy_ref.attention import softmax
from numpy_ref.loss import cross_entropy
from numpy_ref.multi_head import MultiHeadAttention, multi_head_attention
from numpy_ref.parameters import from_state_dict, state_dict
from numpy_ref.variants.cross_attention import (
    cross_attention,
    open_cross_heads,
)
from numpy_ref.variants.label_smoothing import (
    smoothed_cross_entropy,
    smoothed_cross_entropy_backward,
)
from numpy_ref.variants.transformer import Transformer, transformer
from numpy_ref.variants.transformer_training import (
    transformer_loss,
    transformer_loss_backward,
)
from numpy_ref.variants.warm_up import warm_up_rate
from parity_tests.exact import exact_steps
from parity_tests.oracles.transformer import TransformerOracle
from parity_tests.tests.conftest import expect_holds
from parity_tests.twins.comparing import within
from parity_tests.twins.finding import find_twins
from parity_tests.twins.replaying import to_numpy
from parity_tests.twins.strategies import cases
from torch_impl.variants.cross_attention import CrossAttention
from torch_impl.variants.transformer_training import TransformerLoss

TWINS = {twin.name: twin for twin in find_twins()}
DTYPES = st.sampled_from(["float32", "float64"])
IGNORED = -100


def expect_as(theirs, ours, error, step, scale=0.0):
    """Ours and an oracle's, within twice what rounding explains.

    `scale` is the size of what they are made of, where it may cancel.
    """
    comparison = within(step, ours, theirs, 2 * error)
    comparison = replace(comparison, scale=scale)
    what = step.removesuffix("_backward")
    expect_holds(f"{what} and PyTorch's own, {ours.dtype}", comparison)


# --- cross-attention -----------------------------------------------------


def builtin_attention(params, heads, dtype):
    """`nn.MultiheadAttention` with our weights."""
    d_model = len(params.query.weight)
    builtin = nn.MultiheadAttention(
        d_model, heads, batch_first=True, dtype=getattr(torch, dtype)
    )
    inner = (params.query, params.key, params.value)
    state = {
        "in_proj_weight": np.concatenate([part.weight for part in inner]),
        "in_proj_bias": np.concatenate([part.bias for part in inner]),
        "out_proj.weight": params.output.weight,
        "out_proj.bias": params.output.bias,
    }
    builtin.load_state_dict(
        {name: torch.from_numpy(array) for name, array in state.items()}
    )
    return builtin.eval()


@given(data=st.data(), dtype=DTYPES)
def test_cross_attention_is_pytorchs(data, dtype):
    """But for a query without any key: theirs is NaN there, ours 0."""
    twin = TWINS["cross_attention"]
    case = data.draw(cases(twin, dtype, batch_axes=1))
    given, heads = case.arguments, case.arguments["heads"]
    x, source = (
        torch.from_numpy(given[name].reshape(-1, *given[name].shape[-2:]))
        for name in ("x", "source")
    )
    shape = (len(x), x.shape[1], source.shape[1])
    mask = np.broadcast_to(given["mask"], shape)
    builtin = builtin_attention(case.params, heads, dtype)
    with torch.no_grad():
        output, weights = builtin(
            *(x, source, source),
            attn_mask=torch.from_numpy(~mask.repeat(heads, axis=0)),
            average_attn_weights=False,
        )
    arguments = case.numpy_arguments()
    exact, in_the_open = (
        exact_steps(name, given, case.params)
        for name in ("cross_attention", "open_cross_heads")
    )
    some = mask.any(axis=-1)
    expect_as(
        output.numpy()[some],
        cross_attention(**arguments).reshape(output.shape)[some],
        exact["y"].error.reshape(output.shape)[some],
        "cross_attention",
    )
    by_query = weights.numpy().swapaxes(1, 2)
    ours, error = (
        part.reshape(weights.shape).swapaxes(1, 2)
        for part in (
            open_cross_heads(**arguments).weights,
            in_the_open["weights"].error,
        )
    )
    expect_as(by_query[some], ours[some], error[some], "open_cross_heads")
    assert not ours[~some].any()


@given(data=st.data())
def test_a_text_that_asks_itself_attends_to_itself(data):
    case = data.draw(cases(TWINS["multi_head_attention"], "float64"))
    arguments = case.numpy_arguments()
    ours = cross_attention(source=arguments["x"], **arguments)
    np.testing.assert_array_equal(ours, multi_head_attention(**arguments))


@given(data=st.data())
def test_the_order_of_a_source_does_not_matter(data):
    case = data.draw(cases(TWINS["cross_attention"], "float64"))
    given = case.numpy_arguments()
    order = np.arange(given["source"].shape[-2])[::-1]
    mask = np.broadcast_to(
        given["mask"], (*given["mask"].shape[:-1], len(order))
    )
    moved = given | {
        "source": given["source"][..., order, :],
        "mask": mask[..., order],
    }
    error = exact_steps("cross_attention", case.arguments, case.params)["y"]
    expect_as(
        cross_attention(**moved),
        cross_attention(**given),
        error.error,
        "cross_attention",
    )


def test_another_batch_of_sources_than_of_targets_is_refused():
    module = CrossAttention(4).double()
    x, source = torch.zeros(2, 3, 4), torch.zeros(3, 5, 4)
    mask = torch.ones(3, 5, dtype=torch.bool)
    case = (x.double(), source.double(), mask, 2)
    with pytest.raises(
        ValueError, match=r"expected source: .*got"
    ) as theirs:
        module(*case)
    params = from_state_dict(
        MultiHeadAttention, to_numpy(module.state_dict())
    )
    with pytest.raises(ValueError, match=r"expected source: .*got") as ours:
        cross_attention(
            *(case[0].numpy(), case[1].numpy(), params, mask.numpy(), 2)
        )
    assert str(ours.value) == (
        'cross_attention: expected source: Float "*batch key d_model" '
        "beside x float64 (2, 3, 4) "
        'Float "*batch position d_model", got float64 (3, 5, 4)'
    )
    assert "\n" not in str(theirs.value)


# --- label smoothing -----------------------------------------------------


@given(data=st.data(), dtype=DTYPES)
def test_label_smoothing_is_pytorchs(data, dtype):
    case = data.draw(cases(TWINS["smoothed_cross_entropy"], dtype))
    given = case.arguments
    logits = torch.from_numpy(given["logits"].copy()).requires_grad_()
    loss = F.cross_entropy(
        logits.reshape(-1, logits.shape[-1]),
        torch.from_numpy(given["targets"]).reshape(-1),
        ignore_index=IGNORED,
        label_smoothing=float(given["smoothing"]),
    )
    exact = exact_steps("smoothed_cross_entropy", given)["loss"]
    expect_as(
        *(loss.detach().numpy(), smoothed_cross_entropy(**given)),
        *(exact.error, "smoothed_cross_entropy"),
        abs(given["logits"]).max(),
    )
    loss.backward()
    d_loss = given["logits"].dtype.type(1)
    d_given = {"d_loss": np.asarray(d_loss)} | given
    exact = exact_steps("smoothed_cross_entropy_backward", d_given)
    expect_as(
        logits.grad.numpy(),
        smoothed_cross_entropy_backward(d_loss, **given),
        exact["d_logits"].error,
        "smoothed_cross_entropy_backward",
        1.0,  # of a probability and a target
    )


@given(data=st.data())
def test_without_smoothing_it_is_cross_entropy(data):
    given = data.draw(cases(TWINS["cross_entropy"], "float64")).arguments
    ours = smoothed_cross_entropy(smoothing=0.0, **given)
    exact = exact_steps("cross_entropy", given)["loss"]
    expect_as(
        cross_entropy(**given), ours, exact.error, "smoothed_cross_entropy"
    )


def test_the_loss_is_least_where_probabilities_are_the_smoothed_target():
    vocabulary, smoothing = 5, 0.1
    targets = np.array([3])
    wanted = np.full((1, vocabulary), smoothing / vocabulary)
    wanted[0, 3] += 1 - smoothing
    logits = np.log(wanted)
    least = smoothed_cross_entropy(logits, targets, smoothing, IGNORED)
    gradient = smoothed_cross_entropy_backward(
        np.float64(1), logits, targets, smoothing, IGNORED
    )
    assert abs(softmax(logits) - wanted).max() < 1e-15
    assert abs(gradient).max() < 1e-15
    assert abs(least + (wanted * logits).sum()) < 1e-15
    for feature in range(vocabulary):
        moved = logits.copy()
        moved[0, feature] += 1e-3
        more = smoothed_cross_entropy(moved, targets, smoothing, IGNORED)
        assert more > least


# --- the schedule --------------------------------------------------------


@given(
    d_model=st.integers(1, 512),
    warm_up_steps=st.integers(1, 9),
    further=st.integers(1, 9),
)
def test_the_warm_up_is_transformers_inverse_square_root(
    d_model, warm_up_steps, further
):
    weight = torch.zeros(1, requires_grad=True)
    peak = (d_model * warm_up_steps) ** -0.5
    optimizer = torch.optim.SGD([weight], lr=peak)
    schedule = get_inverse_sqrt_schedule(
        optimizer, warm_up_steps, timescale=warm_up_steps
    )
    for step in range(1, warm_up_steps + further):
        optimizer.step()
        schedule.step()
        (theirs,) = schedule.get_last_lr()
        ours = warm_up_rate(step, d_model, warm_up_steps)
        assert abs(ours - theirs) <= 1e-14 * peak


def test_the_rate_of_the_paper():
    """Its base model: 512 features, 4000 steps of warm-up."""
    rates = {t: warm_up_rate(t, 512, 4000) for t in (1, 3999, 4000, 4001)}
    assert max(rates.values()) == rates[4000]
    assert f"{rates[4000]:.3e}" == "6.988e-04"
    assert f"{rates[1]:.3e}" == "1.747e-07"
    assert warm_up_rate(16000, 512, 4000) == rates[4000] / 2


# --- the whole model -----------------------------------------------------

SIZES = {
    "seed": st.integers(0, 999),
    "heads": st.integers(1, 3),
    "layers": st.integers(1, 3),
    "lengths": st.lists(st.integers(1, 6), min_size=1, max_size=3),
    "positions": st.integers(1, 5),
}


def random_case(seed=0, heads=2, layers=2, lengths=(5, 3), positions=4):
    """A model with weights of every size, and what it is trained with."""
    rng = np.random.default_rng(seed)
    vocabulary, d_model = 7, 2 * heads
    twin = TransformerLoss(vocabulary, d_model, 5, layers).double()
    for parameter in twin.parameters():
        parameter.data = torch.from_numpy(rng.normal(size=parameter.shape))
    params = from_state_dict(Transformer, to_numpy(twin.state_dict()))
    shape = (len(lengths), positions)
    targets = rng.integers(0, vocabulary, shape)
    targets[0, 1:2] = IGNORED
    arguments = {
        "source_ids": rng.integers(
            0, vocabulary, (len(lengths), max(lengths))
        ),
        "target_ids": rng.integers(0, vocabulary, shape),
        "targets": targets,
        "source_mask": np.arange(max(lengths)) < np.array(lengths)[:, None],
    }
    return params, arguments, {"heads": heads, "epsilon": 1e-5}


def read(arguments):
    """What the model reads, without what it is asked for."""
    return {name: a for name, a in arguments.items() if name != "targets"}


def tensors(arguments):
    return {name: torch.from_numpy(a) for name, a in arguments.items()}


def expect_near(ours, theirs, scale):
    """float64, end to end: 1e-10 of the largest value."""
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    assert abs(ours - theirs).max() <= 1e-10 * scale


@given(**SIZES)
def test_the_model_is_pytorchs(seed, heads, layers, lengths, positions):
    params, arguments, sizes = random_case(
        seed, heads, layers, lengths, positions
    )
    oracle = TransformerOracle(params, **sizes)
    with torch.no_grad():
        theirs = oracle(**tensors(read(arguments))).numpy()
    ours = transformer(**read(arguments), params=params, **sizes)[-1]
    expect_near(ours, theirs, abs(theirs).max())


@given(**SIZES, smoothing=st.sampled_from([0.0, 0.1, 0.7]))
def test_every_gradient_of_the_model_is_that_of_pytorchs(
    seed, heads, layers, lengths, positions, smoothing
):
    params, arguments, sizes = random_case(
        seed, heads, layers, lengths, positions
    )
    oracle = TransformerOracle(params, **sizes)
    loss = oracle.loss(
        **tensors(arguments), smoothing=smoothing, ignored=IGNORED
    )
    loss.backward()
    theirs = oracle.gradients()
    rest = sizes | {"smoothing": smoothing, "ignored": IGNORED}
    loss_on_the_way, d_params = transformer_loss_backward(
        np.float64(1), **arguments, params=params, **rest
    )
    assert abs(loss_on_the_way - loss.item()) <= 1e-10 * loss.item()
    assert loss_on_the_way == transformer_loss(
        **arguments, params=params, **rest
    )
    ours = state_dict(d_params)
    assert ours.keys() == theirs.keys()
    scale = max(abs(part).max() for part in theirs.values())
    for name, gradient in ours.items():
        expect_near(gradient, theirs[name], scale)


def test_a_small_move_changes_the_loss_as_the_gradient_says():
    params, arguments, sizes = random_case(seed=1)
    rest = sizes | {"smoothing": 0.1, "ignored": IGNORED}
    rng = np.random.default_rng(0)
    along = {
        n: rng.normal(size=a.shape) for n, a in state_dict(params).items()
    }
    d_params = transformer_loss_backward(
        np.float64(1), **arguments, params=params, **rest
    )[1]
    slope = sum(
        (a * along[n]).sum() for n, a in state_dict(d_params).items()
    )

    def loss_at(size):
        moved = {
            n: a + size * along[n] for n, a in state_dict(params).items()
        }
        return transformer_loss(
            **arguments, params=from_state_dict(Transformer, moved), **rest
        )

    def quotient(size):
        return (loss_at(size) - loss_at(-size)) / (2 * size)

    # As in `test_gpt2_training`: what is off by the step's square is out.
    step = 1e-4
    better = (4 * quotient(step / 2) - quotient(step)) / 3
    assert abs(better - slope) <= 1e-7 * abs(slope)


def test_what_stands_in_a_source_s_padding_does_not_matter():
    params, arguments, sizes = random_case(lengths=(5, 3, 1))
    other = arguments | {
        "source_ids": np.where(
            arguments["source_mask"], arguments["source_ids"], 6
        )
    }
    assert (other["source_ids"] != arguments["source_ids"]).any()
    before, after = (
        transformer(**read(given), params=params, **sizes)[-1]
        for given in (arguments, other)
    )
    np.testing.assert_array_equal(before, after)


def test_a_later_token_of_a_target_changes_no_earlier_logits():
    params, arguments, sizes = random_case()
    other = arguments | {"target_ids": arguments["target_ids"].copy()}
    other["target_ids"][:, 2] = (other["target_ids"][:, 2] + 1) % 7
    before, after = (
        transformer(**read(given), params=params, **sizes)[-1]
        for given in (arguments, other)
    )
    np.testing.assert_array_equal(before[:, :2], after[:, :2])
    assert (before[:, 2:] != after[:, 2:]).any(axis=-1).all()


def test_padding_behind_a_target_needs_no_mask():
    """PyTorch's, with a mask for it, gives the same for each token."""
    params, arguments, sizes = random_case()
    target_mask = np.arange(4) < np.array([4, 2])[:, None]
    oracle = TransformerOracle(params, **sizes)
    with torch.no_grad():
        theirs = oracle(
            **tensors(read(arguments)),
            target_mask=torch.from_numpy(target_mask),
        ).numpy()
    ours = transformer(**read(arguments), params=params, **sizes)[-1]
    expect_near(ours[target_mask], theirs[target_mask], abs(theirs).max())


def test_each_token_looks_at_the_tokens_of_its_source_alone():
    params, arguments, sizes = random_case(lengths=(5, 3))
    _, layers, _ = transformer(**read(arguments), params=params, **sizes)
    for layer in layers:
        weights = layer.cross_attention.weights
        assert weights.shape == (2, 2, 4, 5)
        assert not weights[1, ..., 3:].any()
        assert abs(weights.sum(axis=-1) - 1).max() < 1e-14


def test_sources_of_another_batch_are_refused_in_one_line():
    params, arguments, sizes = random_case()
    arguments["source_ids"] = arguments["source_ids"][:1]
    with pytest.raises(ValueError, match="expected target_ids: ") as error:
        transformer(**read(arguments), params=params, **sizes)
    assert "\n" not in str(error.value)
    assert "got int64 (2, 4)" in str(error.value)
