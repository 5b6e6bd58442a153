"""Stacked heads and split heads are one; `nn.MultiheadAttention` agrees."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from numpy_ref import multi_head
from numpy_ref.masks import causal_mask
from numpy_ref.parameters import from_state_dict, state_dict
from parity_tests.exact import exact_steps
from parity_tests.tests.conftest import expect_holds
from parity_tests.twins.comparing import within
from parity_tests.twins.finding import find_twins
from parity_tests.twins.replaying import to_numpy
from parity_tests.twins.strategies import cases
from torch_impl import multi_head as torch_multi_head

TWINS = {twin.name: twin for twin in find_twins()}
# One bound over all of these steps says little in float32. There, each
# step is held on its own (`test_twins.py`).
DTYPES = st.just("float64")


def split_weights(stacked: dict) -> dict:
    """The weights of `StackedHeads` by the names of `MultiHeadAttention`.

    Each head's rows are laid below those of the head before.
    """
    heads = 1 + max(int(k.split(".")[1]) for k in stacked if "heads" in k)
    joined = {
        f"{layer}.{kind}": np.concatenate(
            [
                stacked[f"heads.{head}.{layer}.{kind}"]
                for head in range(heads)
            ]
        )
        for layer in ("query", "key", "value")
        for kind in ("weight", "bias")
    }
    output = {k: stacked[k] for k in ("output.weight", "output.bias")}
    return joined | output


@given(data=st.data(), dtype=DTYPES)
def test_split_heads_equal_stacked_heads_in_numpy(data, dtype):
    case = data.draw(cases(TWINS["stacked_heads"], dtype))
    x, dropout_mask, rate = (
        case.arguments[name] for name in ("x", "dropout_mask", "rate")
    )
    params = from_state_dict(
        multi_head.MultiHeadAttention,
        split_weights(state_dict(case.params)),
    )
    mask = causal_mask(x.shape[-2], x.shape[-2])
    heads = len(case.params.heads)
    split = multi_head.multi_head_attention_with_dropout(
        x, params, mask, dropout_mask, rate, heads
    )
    stacked = multi_head.stacked_heads(x, case.params, dropout_mask, rate)
    exact = exact_steps("stacked_heads", case.arguments, case.params)
    comparison = within(
        "stacked_heads[0]/y", stacked, split, 2 * exact["y"].error
    )
    expect_holds(f"stacked and split heads in NumPy, {dtype}", comparison)


@given(data=st.data(), dtype=DTYPES)
def test_split_heads_equal_stacked_heads_in_pytorch(data, dtype):
    case = data.draw(cases(TWINS["stacked_heads"], dtype))
    arguments = case.torch_arguments()
    d_model, heads = arguments["x"].shape[-1], len(case.module.heads)
    wide = case.module.output.in_features
    state = split_weights(to_numpy(case.module.state_dict()))
    module = torch_multi_head.MultiHeadAttentionWithDropout(d_model)
    for layer in (module.query, module.key, module.value):
        layer.weight = nn.Parameter(torch.empty(wide, d_model))
        layer.bias = nn.Parameter(torch.empty(wide))
    module.output.weight = nn.Parameter(torch.empty(d_model, wide))
    module = module.to(getattr(torch, dtype))
    module.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
    positions = arguments["x"].shape[-2]
    mask = torch.ones(positions, positions, dtype=torch.bool).tril()
    with torch.no_grad():
        split = module(**arguments, mask=mask, heads=heads)
        stacked = case.module(**arguments)
    exact = exact_steps("stacked_heads", case.arguments, case.params)
    comparison = within(
        "stacked_heads[0]/y",
        stacked.numpy(),
        split.numpy(),
        2 * exact["y"].error,
    )
    expect_holds(f"stacked and split heads in PyTorch, {dtype}", comparison)


@given(data=st.data(), dtype=DTYPES)
def test_multi_head_attention_equals_pytorchs_own(data, dtype):
    case = data.draw(cases(TWINS["multi_head_attention"], dtype))
    x, heads = case.arguments["x"], case.arguments["heads"]
    batch = int(np.prod(x.shape[:-2]))
    mask = np.broadcast_to(
        case.arguments["mask"], (*x.shape[:-1], x.shape[-2])
    ).copy()
    # Theirs gives NaN to a query that may attend to nothing.
    mask[..., 0] |= ~mask.any(axis=-1)
    theirs = builtin_multi_head(case.params, heads, x, mask, batch)
    arguments = case.arguments | {"mask": mask}
    ours = multi_head.multi_head_attention(params=case.params, **arguments)
    exact = exact_steps("multi_head_attention", arguments, case.params)["y"]
    path = "multi_head_attention[0]/y"
    comparison = within(
        path, ours, theirs.reshape(ours.shape), 2 * exact.error
    )
    expect_holds(f"NumPy and nn.MultiheadAttention, {dtype}", comparison)


def builtin_multi_head(params, heads, x, mask, batch):
    """`nn.MultiheadAttention` with our weights, copied by name.

    Its mask says where *not* to look, one for each head of each text.
    """
    ours = {name: torch.tensor(a) for name, a in state_dict(params).items()}
    module = nn.MultiheadAttention(x.shape[-1], heads, batch_first=True)
    module = module.to(ours["query.weight"].dtype)
    inner = ("query", "key", "value")
    module.load_state_dict(
        {
            "in_proj_weight": torch.cat(
                [ours[f"{n}.weight"] for n in inner]
            ),
            "in_proj_bias": torch.cat([ours[f"{n}.bias"] for n in inner]),
            "out_proj.weight": ours["output.weight"],
            "out_proj.bias": ours["output.bias"],
        }
    )
    texts = torch.from_numpy(x.copy()).reshape(batch, *x.shape[-2:])
    ignored = ~torch.from_numpy(mask).reshape(batch, *mask.shape[-2:])
    ignored = ignored.repeat_interleave(heads, dim=0)
    with torch.no_grad():
        output, _ = module(texts, texts, texts, attn_mask=ignored)
    return output.numpy()


@given(data=st.data())
def test_without_dropout_both_forms_are_the_same_number(data):
    case = data.draw(cases(TWINS["multi_head_attention"], "float64"))
    arguments = case.arguments | {"params": case.params}
    plain = multi_head.multi_head_attention(**arguments)
    dropped = multi_head.multi_head_attention_with_dropout(
        **arguments, dropout_mask=np.ones((1, 1, 1), bool), rate=0.0
    )
    np.testing.assert_array_equal(plain, dropped)


@given(data=st.data())
def test_merging_undoes_splitting(data):
    case = data.draw(cases(TWINS["split_heads"], "float64"))
    x = case.arguments["x"]
    split = multi_head.split_heads(**case.arguments)
    np.testing.assert_array_equal(multi_head.merge_heads(split), x)


def test_a_head_is_a_block_of_neighbouring_features():
    x = np.arange(12.0).reshape(2, 6)
    split = multi_head.split_heads(x, heads=3)
    np.testing.assert_array_equal(split[1], [[2, 3], [8, 9]])


@pytest.mark.parametrize("heads", [0, -1, 4, 5])
def test_heads_that_do_not_divide_d_model_are_refused(heads):
    message = f"expected heads to divide d_model 6, got {heads}"
    with pytest.raises(ValueError, match=message):
        multi_head.split_heads(np.zeros((2, 6)), heads)
    with pytest.raises(ValueError, match=message):
        torch_multi_head.split_heads(torch.zeros(2, 6), heads)
