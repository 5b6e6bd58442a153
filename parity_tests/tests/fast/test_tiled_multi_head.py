"""The layer in tiles: PyTorch's own beside it, and a long text's memory.

Twins, exact values and gradients are held by `test_twins` and
`test_gradients`, as for every step.
"""

import tracemalloc

import numpy as np
import pytest
import torch

from numpy_ref.fast.tiled_multi_head import tiled_multi_head_attention
from numpy_ref.masks import causal_mask
from numpy_ref.multi_head import MultiHeadAttention, multi_head_attention
from numpy_ref.parameters import from_state_dict, state_dict
from parity_tests.exact import exact_steps
from torch_impl.fast.tiled_multi_head import TiledMultiHeadAttention

D_MODEL, HEADS = 12, 3


def layer(d_model: int, dtype) -> tuple[MultiHeadAttention, dict]:
    """Parameters of NumPy's layer, and the same by their names."""
    torch.manual_seed(0)
    named = TiledMultiHeadAttention(d_model).to(dtype).state_dict()
    arrays = {name: tensor.numpy() for name, tensor in named.items()}
    return from_state_dict(MultiHeadAttention, arrays), named


def by_pytorch(x: np.ndarray, named: dict, hidden: np.ndarray):
    """`nn.MultiheadAttention` with the same weights."""
    theirs = torch.nn.MultiheadAttention(
        *(D_MODEL, HEADS), batch_first=True, dtype=torch.float64
    )
    projections = ("query", "key", "value")
    with torch.no_grad():
        for part in ("weight", "bias"):
            joined = torch.cat([named[f"{p}.{part}"] for p in projections])
            getattr(theirs, f"in_proj_{part}").copy_(joined)
            getattr(theirs.out_proj, part).copy_(named[f"output.{part}"])
    tokens = torch.from_numpy(x)
    later = torch.from_numpy(~causal_mask(x.shape[-2], x.shape[-2]))
    padding = torch.from_numpy(hidden)
    with torch.no_grad():
        y, _ = theirs(
            *(tokens, tokens, tokens),
            attn_mask=later,
            key_padding_mask=padding,
        )
    return y.numpy()


@pytest.mark.parametrize("block", [1, 2, 3, 5, 7, 8])
def test_it_is_pytorchs_causal_layer_with_padding(block):
    params, named = layer(D_MODEL, torch.float64)
    x = np.random.default_rng(1).normal(size=(2, 7, D_MODEL))
    hidden = np.zeros((2, 7), bool)
    hidden[0, 5:] = True
    mask = ~hidden[:, None]
    y = tiled_multi_head_attention(x, params, mask, HEADS, block)
    expect_within(y, by_pytorch(x, named, hidden), x, params, mask, HEADS)


def expect_within(y, other, x, params, mask, heads):
    """Two ways to compute the layer differ by what rounding explains."""
    inputs = {"x": x, "mask": mask, "heads": heads, "block": 2}
    exact = exact_steps("tiled_multi_head_attention", inputs, params)["y"]
    assert (np.abs(y - other) <= 2 * exact.error).all()
    assert (exact.error < 1e-6 * np.abs(y).max()).all()  # which says much


@pytest.mark.slow
def test_a_long_text_takes_less_than_200_megabytes():
    """16,384 tokens of width 384, of which the textbook's layer would
    write 6 GB of scores. On the first of them it is no more than 4 times
    as far from float64 as that is: a yardstick, no theorem."""
    tokens, d_model, heads, some = 16_384, 384, 6, 256
    params, _ = layer(d_model, torch.float32)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(tokens, d_model)).astype(np.float32)
    mask = np.ones((1, 1), bool)
    tracemalloc.start()
    y = tiled_multi_head_attention(x, params, mask, heads, block=512)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"{(peak - y.nbytes) / 1e6:.0f} MB beside the output")
    assert peak - y.nbytes < 200e6
    near, causal = x[:some], causal_mask(some, some)
    arrays = state_dict(params).items()
    wide = from_state_dict(
        MultiHeadAttention, {name: a.astype(float) for name, a in arrays}
    )
    exact = multi_head_attention(near.astype(float), wide, causal, heads)
    textbook = multi_head_attention(near, params, causal, heads)
    error = np.abs(y[:some] - exact).max()
    assert error <= 4 * np.abs(textbook - exact).max()
