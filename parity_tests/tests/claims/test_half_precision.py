"""What half precision does to sums and to attention; its figure."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from parity_tests.claims.half_precision import (
    FORMATS,
    errors,
    running_sums,
)
from study.figures import half_precision as figure


@pytest.mark.parametrize("half", FORMATS)
def test_a_running_sum_is_pytorchs(half):
    weight = torch.tensor(1 / 300, dtype=getattr(torch, half))
    total, expected = torch.zeros_like(weight), []
    for _ in range(300):
        total = total + weight
        expected.append(float(total))
    assert running_sums(half, 300).tolist() == expected


def test_a_thousand_weights_in_bfloat16_get_half_way():
    sums = running_sums("bfloat16", 1000)
    assert sums[-1] == 0.5
    assert (np.diff(sums[500:]) == 0).all()


def test_no_tolerance_lies_between_right_and_wrong():
    small, large = errors(0.5), errors(8)
    assert small.within < small.wrong
    assert large.wrong < large.within
    # The right one is accused by a tolerance that lets the wrong one pass.
    largest = errors(16)
    assert largest.wrong_allowed < 1 < largest.within_allowed


@pytest.mark.parametrize("size", [0.5, 2.0, 8.0])
def test_rounded_once_is_off_by_one_rounding_of_the_output(size):
    greatest = 4.0  # of 8,192 values of a standard deviation of 1
    assert errors(size).once <= 2.0**-8 * greatest * (1 + 2.0**-10)


def test_the_wrong_kernels_error_is_pytorchs():
    """Its scale is off by 1 %: told to PyTorch as its scale."""
    rng = np.random.default_rng(0)
    query = torch.from_numpy(rng.normal(size=(16, 32, 16))).bfloat16()
    key, value = torch.from_numpy(rng.normal(size=(2, 16, 64, 16)))
    wide = [part.bfloat16().double() for part in (query, key, value)]
    exact, wrong = (
        F.scaled_dot_product_attention(*wide, scale=scale)
        for scale in (0.25, 0.2525)
    )
    error = float((wrong.bfloat16() - exact).abs().max())
    assert errors(1.0).wrong == pytest.approx(error, rel=1e-6)


def test_the_figure_in_the_docs_is_drawn_from_these_numbers(monkeypatch):
    monkeypatch.setattr(figure, "SIZES", (0.5, 16.0))
    panels = figure.plot().axes
    assert [len(axes.get_lines()) for axes in panels] == [3, 3, 4]
    weight, total, attention = panels
    by_name = {line.get_label(): line for line in total.get_lines()}
    assert by_name["bfloat16"].get_ydata()[-1] == 0.5
    within, _, wrong, _ = attention.get_lines()
    assert within.get_ydata()[-1] > wrong.get_ydata()[-1]
    steps = {line.get_label(): line for line in weight.get_lines()}
    rounded = steps["bfloat16: 8 bits"].get_ydata()
    assert len(set(rounded)) < 10
    assert figure.FILE.is_file()
