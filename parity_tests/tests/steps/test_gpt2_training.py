"""GPT-2's loss and all of its gradients, end to end."""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from numpy_ref.checkpoints.gpt2 import names_in
from numpy_ref.checkpoints.names import to_ours
from numpy_ref.gpt2 import Gpt2, gpt2
from numpy_ref.gpt2_training import (
    Gpt2DropoutMasks,
    gpt2_loss,
    gpt2_loss_backward,
)
from numpy_ref.loss import cross_entropy
from numpy_ref.parameters import from_state_dict, state_dict
from numpy_ref.sublayers import DropoutMasks
from parity_tests.oracles.gpt2 import oracle_and_ours, random_ids
from parity_tests.twins.case import to_torch
from parity_tests.twins.replaying import to_numpy
from torch_impl.gpt2_training import Gpt2Loss

IGNORED = -100


def random_case(seed, heads=2, d_head=3, layers=2, shape=(2, 5), rate=0.3):
    """A twin with weights of every size, and what both sides are given."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    d_model, vocabulary = heads * d_head, 11
    twin = Gpt2Loss(vocabulary, 7, d_model, 2 * d_model, layers).double()
    for parameter in twin.parameters():
        parameter.data = torch.from_numpy(rng.normal(size=parameter.shape))
    arguments = {
        "ids": rng.integers(0, vocabulary, shape),
        "targets": rng.integers(0, vocabulary, shape),
        "dropout_masks": random_masks(
            rng, rate, shape, heads, d_model, layers
        ),
        "rate": rate,
        "heads": heads,
        "epsilon": 1e-5,
        "ignored": IGNORED,
    }
    arguments["targets"][0, 0] = IGNORED
    params = from_state_dict(Gpt2, to_numpy(twin.state_dict()))
    return twin, params, arguments


def random_masks(rng, rate, shape, heads, d_model, layers):
    def mask(*shape):
        return rng.uniform(size=shape) >= rate

    tokens, square = (*shape, d_model), (shape[0], heads, *2 * shape[1:])
    blocks = [
        DropoutMasks(mask(*square), mask(*tokens), mask(*tokens))
        for _ in range(layers)
    ]
    return Gpt2DropoutMasks(mask(*tokens), tuple(blocks))


def by_autograd(twin, arguments):
    """The loss and its gradients by dotted names."""
    loss = twin(
        **{name: to_torch(value) for name, value in arguments.items()}
    )
    loss.backward()
    return loss.item(), {
        name: parameter.grad.numpy()
        for name, parameter in twin.named_parameters()
    }


def expect_near(ours, theirs, scale):
    """float64, end to end: 1e-10 of the largest value."""
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    assert abs(ours - theirs).max() <= 1e-10 * scale


@given(
    seed=st.integers(0, 999),
    heads=st.integers(1, 3),
    d_head=st.integers(2, 4),
    layers=st.integers(1, 4),
    shape=st.tuples(st.integers(1, 3), st.integers(2, 7)),
    rate=st.sampled_from([0.0, 0.1, 0.6]),
)
@settings(max_examples=settings().max_examples)
def test_every_gradient_of_the_model_is_autograds(
    seed, heads, d_head, layers, shape, rate
):
    twin, params, arguments = random_case(
        seed, heads, d_head, layers, shape, rate
    )
    loss, theirs = by_autograd(twin, arguments)
    loss_on_the_way, d_params = gpt2_loss_backward(
        np.float64(1), params=params, **arguments
    )
    assert abs(loss_on_the_way - loss) <= 1e-10 * abs(loss)
    assert loss_on_the_way == gpt2_loss(params=params, **arguments)
    ours = state_dict(d_params)
    assert ours.keys() == theirs.keys()
    scale = max(abs(part).max() for part in theirs.values())
    for name, gradient in ours.items():
        expect_near(gradient, theirs[name], scale)


def test_the_gradient_grows_with_that_of_the_loss():
    _, params, arguments = random_case(0)
    one, two = (
        state_dict(
            gpt2_loss_backward(np.float64(d), params=params, **arguments)[1]
        )
        for d in (1, 2)
    )
    for name, gradient in one.items():
        np.testing.assert_array_equal(two[name], 2 * gradient)


def test_a_small_move_changes_the_loss_as_the_gradient_says():
    _, params, arguments = random_case(1)
    rng = np.random.default_rng(0)
    along = {
        n: rng.normal(size=a.shape) for n, a in state_dict(params).items()
    }
    gradients = state_dict(
        gpt2_loss_backward(np.float64(1), params=params, **arguments)[1]
    )
    slope = sum((gradients[n] * along[n]).sum() for n in along)

    def loss_at(size):
        moved = {
            n: a + size * along[n] for n, a in state_dict(params).items()
        }
        return gpt2_loss(params=from_state_dict(Gpt2, moved), **arguments)

    def quotient(size):
        return (loss_at(size) - loss_at(-size)) / (2 * size)

    # A central difference is off by the square of its step: with half of
    # the step by a quarter, which is what the two together take out.
    step = 1e-4
    better = (4 * quotient(step / 2) - quotient(step)) / 3
    assert abs(better - slope) <= 1e-7 * abs(slope)


def all_kept(checkpoint, shape):
    """Dropout masks all True, as few as may be."""
    layers = len(checkpoint.model.decoder.blocks)
    all_kept = np.ones((1, 1), bool)
    block = DropoutMasks(all_kept[None], all_kept, all_kept)
    return {
        "dropout_masks": Gpt2DropoutMasks(all_kept, layers * (block,)),
        "rate": 0.0,
        "heads": checkpoint.config.heads,
        "epsilon": checkpoint.config.epsilon,
        "ignored": IGNORED,
    }


def test_without_dropout_it_is_gpt2_and_its_loss(tmp_path):
    _, ours = oracle_and_ours(tmp_path)
    ids, targets = random_ids(3, 7), random_ids(3, 7, seed=1)
    kept = all_kept(ours, ids.shape)
    logits = gpt2(ids, ours.model, kept["heads"], kept["epsilon"])[-1]
    loss = gpt2_loss(ids, targets, ours.model, **kept)
    assert loss == cross_entropy(logits, targets, IGNORED)


def test_the_gradients_are_those_of_transformers(tmp_path):
    oracle, ours = oracle_and_ours(tmp_path)
    ids, targets = random_ids(3, 7), random_ids(3, 7, seed=1)
    logits = oracle(torch.from_numpy(ids)).logits
    F.cross_entropy(
        logits.flatten(0, 1), torch.from_numpy(targets).flatten()
    ).backward()
    theirs = to_ours(
        names_in(ours.config, ""),
        {
            name.removeprefix("transformer."): parameter.grad.numpy()
            for name, parameter in oracle.named_parameters()
        },
    )
    ours_by_name = state_dict(
        gpt2_loss_backward(
            np.float64(1),
            ids,
            targets,
            ours.model,
            **all_kept(ours, ids.shape),
        )[1]
    )
    assert ours_by_name.keys() == theirs.keys()
    scale = max(abs(part).max() for part in theirs.values())
    for name, gradient in ours_by_name.items():
        expect_near(gradient, theirs[name], scale)


def test_the_table_learns_from_both_of_its_ends():
    _, params, arguments = random_case(2)
    both = gpt2_loss_backward(np.float64(1), params=params, **arguments)[1]
    table = both.embedding.token.weight
    absent = np.setdiff1d(np.arange(len(table)), arguments["ids"])
    # What was not read is still learned from: it did not come.
    assert absent.size
    assert table[absent].any(axis=-1).all()
    # With nothing kept of the embedding, none of it goes through the input.
    masks = arguments["dropout_masks"]
    dropped = masks._replace(embedded=np.zeros((1, 1), bool))
    nothing = arguments | {"dropout_masks": dropped}
    alone = gpt2_loss_backward(np.float64(1), params=params, **nothing)[1]
    assert not alone.embedding.position.weight.any()


def test_in_float32_gradients_stray_no_further_than_autograds():
    twin, params, arguments = random_case(3, layers=4)
    _, exact = by_autograd(twin, arguments)
    exact = {name: part.copy() for name, part in exact.items()}
    twin.zero_grad()
    _, theirs = by_autograd(twin.float(), arguments)
    narrow = {
        n: a.astype(np.float32) for n, a in state_dict(params).items()
    }
    ours_by_name = state_dict(
        gpt2_loss_backward(
            np.float32(1), params=from_state_dict(Gpt2, narrow), **arguments
        )[1]
    )
    # Both began with weights rounded to float32, which is a part of it.
    far, theirs_far = (
        max(abs(side[n] - exact[n]).max() for n in exact)
        for side in (ours_by_name, theirs)
    )
    assert {a.dtype for a in ours_by_name.values()} == {np.dtype("float32")}
    assert 0 < far <= 4 * theirs_far


def test_a_key_bias_has_no_gradient_but_rounding():
    _, params, arguments = random_case(4)
    d_params = gpt2_loss_backward(
        np.float64(1), params=params, **arguments
    )[1]
    for block in d_params.decoder.blocks:
        attention = block.attention_sublayer.attention
        largest = abs(attention.query.bias).max()
        assert abs(attention.key.bias).max() <= 1e-12 * largest


def test_what_was_given_stays_as_it_was():
    _, params, arguments = random_case(5)
    before = {n: a.copy() for n, a in state_dict(params).items()}
    gpt2_loss_backward(np.float64(1), params=params, **arguments)
    for name, array in state_dict(replace(params)).items():
        np.testing.assert_array_equal(array, before[name])
