"""Attention over the positions of images, and its group norms."""

import numpy as np
import pytest
import torch
from torch import nn

from parity_tests.judge.classes.images import from_image, to_image
from parity_tests.judge.mutants.class_parts import normed
from parity_tests.judge.subject.weights import Weights

from .test_classes import judged


def test_an_image_is_read_row_by_row():
    tokens = np.arange(36.0).reshape(1, 12, 3)
    image = to_image(tokens)
    assert image.shape == (1, 3, 3, 4)
    assert (image[0, :, 1, 2] == tokens[0, 6]).all()
    assert (from_image(image) == tokens).all()


@pytest.mark.parametrize("count", [1, 2, 5, 7, 9, 40])
def test_any_number_of_tokens_is_an_image(count):
    tokens = np.random.default_rng(count).normal(size=(2, count, 3))
    assert (from_image(to_image(tokens)) == tokens).all()


def test_a_group_norm_is_pytorchs():
    random = np.random.default_rng(1)
    x, (gain, bias) = (
        random.normal(size=(2, 5, 6)),
        random.normal(size=(2, 6)),
    )
    layer = (np.zeros((6, 6)), np.zeros(6))
    read = Weights(
        *[layer] * 3, None, 1, norm=(gain, bias), epsilon=0.1, groups=3
    )
    tensors = [torch.as_tensor(a) for a in (x.swapaxes(1, 2), gain, bias)]
    wanted = nn.functional.group_norm(tensors[0], 3, *tensors[1:], eps=0.1)
    np.testing.assert_allclose(
        normed(read, x), wanted.mT.numpy(), rtol=1e-12
    )


# --- blocks over images --------------------------------------------------


def block(made, kernel=1):
    """A block with the norm that is `made`, and a residual."""

    class Block(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.norm = made(channels)
            self.qkv = nn.Conv2d(
                channels, 3 * channels, kernel, padding=kernel // 2
            )
            self.proj = nn.Conv2d(channels, channels, 1)

        def forward(self, x):
            b, c, h, w = x.shape
            q, k, v = self.qkv(self.norm(x)).flatten(2).chunk(3, dim=1)
            weights = (q.mT @ k * c**-0.5).softmax(dim=-1)
            return x + self.proj((v @ weights.mT).view(b, c, h, w))

    return Block


@pytest.mark.slow
@pytest.mark.parametrize("of_four", [False, True])
def test_a_group_norm_is_recognised_at_two_sizes(of_four):
    report = judged(
        block(lambda c: nn.GroupNorm(c // 4 if of_four else 8, c))
    )
    assert report.verdict == "holds", report
    assert len(report.conventions["sizes"]) == 2
    assert report.conventions["layout"] == "batch, channels, rows, columns"
    assert report.conventions["around"] == (
        "group norm at the beginning, and a residual"
    )


@pytest.mark.slow
def test_no_norm_at_all_is_plain_attention_over_positions():
    report = judged(block(lambda channels: nn.Identity()))
    assert report.verdict == "holds", report


@pytest.mark.slow
@pytest.mark.parametrize(
    "made",
    [
        nn.BatchNorm2d,
        lambda channels: nn.InstanceNorm2d(channels, affine=True),
        nn.InstanceNorm2d,
        lambda channels: nn.GroupNorm(4, channels, affine=False),
    ],
    ids=["batch", "instance", "instance, plain", "group, plain"],
)
def test_another_norm_is_not_judged(made):
    report = judged(block(made))
    assert report.verdict == "not judged", report
    assert "norm" in report.trouble


@pytest.mark.slow
def test_a_convolution_of_neighbours_is_not_judged():
    report = judged(block(lambda c: nn.GroupNorm(8, c), kernel=3))
    assert report.verdict == "not judged", report
    assert "qkv" in report.trouble
