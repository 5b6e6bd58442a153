"""What a layer learns beside its projections: scales and distances."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from parity_tests.judge.subject.beside import (
    IN_WINDOWS,
    TABLE,
    Distances,
    LearnedScale,
)
from parity_tests.judge.subject.forms import (
    AT_ONCE,
    IN_TURN,
    MaskForm,
    expressible,
)

from .test_classes import judged

slow = pytest.mark.slow  # each builds and judges a whole layer


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("relative_position_bias_table", True),
        ("rel_pos_bias.weight", True),
        ("rpb_table", True),
        ("attn.rpb_table", True),
        ("position_bias", False),
        ("qkv.bias", False),
    ],
)
def test_a_table_of_distances_is_known_by_its_name(name, is_one):
    assert (TABLE.search(name) is not None) == is_one
    assert (IN_WINDOWS.search(f"self.{name}[index]") is not None) == is_one


class Attention(nn.Module):
    """Heads whose scores and weights a subclass changes."""

    def made(self, dim, heads):
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def scores(self, q, k):
        return q @ k.mT / q.shape[-1] ** 0.5

    def weights(self, scores):
        return scores.softmax(-1)

    def forward(self, x):
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.qkv(x).chunk(3, dim=-1)
        )
        context = self.weights(self.scores(q, k)) @ v
        return self.proj(context.transpose(1, 2).flatten(2))


class OfATemperature(Attention):
    """Its scores are divided by a number that it learns."""

    def __init__(self, dim, num_heads):
        super().__init__()
        self.made(dim, num_heads)
        self.temperature = nn.Parameter(torch.ones(num_heads, 1, 1))

    def scores(self, q, k):
        return super().scores(q, k) / self.temperature


@slow
def test_a_temperature_of_each_head_is_read():
    report = judged(OfATemperature)
    assert report.verdict == "holds", report
    said = "learned: 1 / temperature, beside 1/√d_head"
    assert report.conventions["scale"] == said
    names = [finding.name for finding in report.findings]
    assert "its_scale_begins_at_that_of_a_head" in names


class OfATemperatureAlone(OfATemperature):
    def scores(self, q, k):
        return q @ k.mT * self.temperature


@slow
def test_a_scale_that_begins_at_1_may_be_meant():
    report = judged(OfATemperatureAlone)
    assert report.verdict == "holds", report
    assert "1, 1 may be" in report.not_asked["where its scale begins"]


class OfCosines(OfATemperature):
    def scores(self, q, k):
        return normalize(q, dim=-1) @ normalize(k, dim=-1).mT * 10


class OfLearnedCosines(OfATemperature):
    def scores(self, q, k):
        q, k = normalize(q, dim=-1), normalize(k, dim=-1)
        return q @ k.mT * self.temperature


class OfOthers(OfATemperatureAlone):
    def weights(self, scores):
        own = torch.eye(scores.shape[-1], dtype=torch.bool)
        return scores.masked_fill(own, -1e9).softmax(-1)


@slow
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (OfCosines, "unit vectors"),
        (OfLearnedCosines, "unit vectors"),
        (OfOthers, "hide each token from itself"),
    ],
)
def test_scores_of_another_kind_are_named(kind, said):
    report = judged(kind)
    assert report.verdict == "not judged", report
    assert said in report.trouble


class OfWindows(Attention):
    """Windows of pixels, with a number for so many rows and columns."""

    def __init__(self, dim, window_size, num_heads):
        super().__init__()
        self.made(dim, num_heads)
        rows, columns = window_size
        self.relative_position_bias_table = nn.Parameter(
            torch.zeros(num_heads, 2 * rows - 1, 2 * columns - 1)
        )
        self.rows = apart(rows)[:, None, :, None]
        self.columns = apart(columns)[None, :, None, :]

    def bias(self):
        table = self.relative_position_bias_table
        bias = table[:, self.rows, self.columns]
        return bias.flatten(3).flatten(1, 2)

    def scores(self, q, k):
        return super().scores(q, k) + self.bias()


def apart(count):
    at = torch.arange(count)
    return at[:, None] - at + count - 1


@slow
def test_a_table_may_have_axes_for_heads_rows_and_columns():
    report = judged(OfWindows)
    assert report.verdict == "holds", report
    assert report.conventions["windows"] == ["2 by 3", "3 by 4"]


class InAnotherOrder(OfWindows):
    def bias(self):
        return super().bias().flip(-1)


class InAnotherOrderUnscaled(InAnotherOrder):
    def scores(self, q, k):
        return q @ k.mT + self.bias()


class InAnotherOrderTooLate(InAnotherOrder):
    def scores(self, q, k):
        return Attention.scores(self, q, k)

    def weights(self, scores):
        return super().weights(scores) + self.bias()


class Unused(OfWindows):
    def scores(self, q, k):
        return Attention.scores(self, q, k)


@slow
@pytest.mark.parametrize(
    ("kind", "verdict", "cause"),
    [
        (InAnotherOrder, "holds where asked", None),
        (InAnotherOrderUnscaled, "rejected", "the scale is missing"),
    ],
)
def test_numbers_of_distances_that_are_not_recognised_are_set_to_0(
    kind, verdict, cause
):
    report = judged(kind)
    assert report.verdict == verdict, report
    assert report.cause == cause
    assert "was set to 0" in report.not_asked["its bias of distances"]


@slow
def test_numbers_that_do_not_join_the_scores_are_not_set_to_0():
    report = judged(InAnotherOrderTooLate)
    assert report.verdict == "not judged", report
    assert "the relative positions of tokens" in report.trouble


@slow
def test_a_table_without_effect_is_told():
    report = judged(Unused)
    assert report.verdict == "rejected", report
    assert report.cause == "the bias of distances has no effect"


# --- without a layer -----------------------------------------------------

# Of a window of 1 by 2, by hand: a key is 1 to the right of a query, at its
# place or 1 to the left.
ROWS = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
BIAS = [[[2.0, 1.0], [3.0, 2.0]], [[20.0, 10.0], [30.0, 20.0]]]


@pytest.mark.parametrize("table", [ROWS, ROWS.T, ROWS.T[:, None]])
def test_a_table_has_a_number_for_each_distance(table):
    distances = Distances("table", (1, 2))
    assert distances.bias(table).tolist() == BIAS


def test_distances_may_be_counted_the_other_way():
    bias = Distances("table", (1, 2), backwards=True).bias(ROWS)
    assert bias.tolist() == np.swapaxes(BIAS, -2, -1).tolist()


def test_a_table_of_other_sizes_is_none():
    with pytest.raises(ValueError, match="reshape"):
        Distances("table", (2, 2)).bias(ROWS)


def test_a_learned_scale_says_what_it_is():
    scale = LearnedScale("tau", "1 / exp(x)")
    assert str(scale) == "1 / exp(tau)"
    assert scale.of(np.zeros(1)).shape == ()
    assert scale.of(np.zeros((3, 1, 1))).tolist() == [[[1]]] * 3


def test_masks_of_windows_go_round_or_stand_together():
    shape = (4, 1, 1)
    masks = np.array([0, 1, 0, 0], bool).reshape(shape)
    for axes, seen in ((IN_TURN, [0, 1, 0, 1]), (AT_ONCE, [0, 0, 0, 0])):
        nearest = expressible(masks, axes, shape)
        assert nearest.ravel().tolist() == seen
        form = MaskForm("1 may attend", axes)
        passed = form.array(nearest, shape, np.float64)
        assert passed.shape == (2, 1, 1)
