"""Rotary tables: recognised by name, made in each form, and asked with."""

import numpy as np
import pytest
import torch
from torch import nn

from parity_tests.exact.numbers import bounded
from parity_tests.judge.candidate.things import Parameter, described
from parity_tests.judge.subject.rotary import (
    ROWS,
    Turn,
    cosines_and_sines,
    rotary_names,
    size_taken,
    standard,
    tables_inside,
    takes_the_whole,
    turned,
    turned_by_the_other_layout,
    turned_exactly,
)

from .test_classes import failed, judged

D_HEAD = 6
RATES = [10_000 ** (-2 * pair / D_HEAD) for pair in range(3)]


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ("x freqs_cis mask", ("freqs_cis",)),
        ("x start_pos rope", ("rope",)),
        ("hidden_states position_embeddings", ("position_embeddings",)),
        ("x cos sin", ("cos", "sin")),
        ("x freqs_cos freqs_sin", ("freqs_cos", "freqs_sin")),
        ("x sin_cached cos_cached", ("cos_cached", "sin_cached")),
        ("x cos", ()),
        ("query key value mask", ()),
        ("x rotation_matrix_of_camera", ()),
    ],
)
def test_a_table_is_recognised_by_its_name(names, taken):
    assert rotary_names(map(Parameter, names.split())) == taken


def test_a_table_with_a_default_is_left_alone():
    assert rotary_names([Parameter("freqs_cis", required=False)]) == ()


@pytest.mark.parametrize("count", [1, 2])
def test_each_form_of_a_table_is_read_as_the_same_angles(count):
    for table in standard(count):
        cos, sin = cosines_and_sines(table.make(D_HEAD), D_HEAD)
        for position, pair in [(0, 0), (1, 0), (5, 1), (96, 2)]:
            angle = position * RATES[pair]
            assert np.isclose(cos[position, pair], np.cos(angle)), table
            assert np.isclose(sin[position, pair], np.sin(angle)), table


def test_what_begins_elsewhere_or_turns_nothing_is_no_table():
    table = next(standard(1)).make(D_HEAD)
    assert cosines_and_sines(table, D_HEAD) is not None
    assert cosines_and_sines(np.roll(table, 1, axis=0), D_HEAD) is None
    assert cosines_and_sines(2 * table, D_HEAD) is None
    assert cosines_and_sines(table[: ROWS - 1], D_HEAD) is None
    assert cosines_and_sines((table, table, table), D_HEAD) is None
    assert cosines_and_sines(None, D_HEAD) is None


@pytest.mark.parametrize("pairs", ["neighbours", "halves"])
def test_pairs_are_turned_as_complex_numbers_are(pairs):
    table = next(standard(1)).make(D_HEAD)
    turn = Turn(table.real, table.imag, pairs)
    x = np.random.default_rng(0).normal(size=(2, 4, D_HEAD))
    y = turned(turn, x, 3)
    first, second = (
        (np.s_[..., ::2], np.s_[..., 1::2])
        if pairs == "neighbours"
        else (np.s_[..., :3], np.s_[..., 3:])
    )
    expected = (x[first] + 1j * x[second]) * table[3:7]
    assert np.allclose(y[first] + 1j * y[second], expected)
    exact = turned_exactly(turn, bounded(x))
    apart = np.abs(exact.value - turned(turn, x))
    assert (apart <= exact.error).all()


@pytest.mark.parametrize("pairs", ["neighbours", "halves"])
def test_a_layout_of_other_pairs_keeps_no_length(pairs):
    """Angle by feature, as a file that mixes both up has them."""
    turn = standard_turn(pairs)
    x = np.random.default_rng(0).normal(size=(4, D_HEAD))
    angles = np.outer(np.arange(4), RATES)
    if pairs == "halves":  # whose angles are laid out for neighbours
        angles = np.repeat(angles, 2, axis=-1)
        across = np.concatenate([-x[:, 3:], x[:, :3]], axis=-1)
    else:
        angles = np.tile(angles, 2)
        across = np.stack([-x[:, 1::2], x[:, ::2]], -1).reshape(x.shape)
    mixed = x * np.cos(angles) + across * np.sin(angles)
    np.testing.assert_allclose(turned_by_the_other_layout(turn, x), mixed)
    lengths = [(y**2).sum() for y in (x, turned(turn, x), mixed)]
    assert np.isclose(lengths[0], lengths[1])
    assert not np.isclose(lengths[0], lengths[2])


def test_what_takes_the_whole_table_says_so():
    inside = "freqs_cis[start_pos : start_pos + t]"
    assert takes_the_whole("freqs_cis", inside)
    assert not takes_the_whole("freqs_cis", "freqs_cis[None, :, None]")


def test_the_arguments_of_what_makes_a_table_are_told_by_name():
    sizes = [size_taken(n) for n in ("dim", "end", "theta", "x")]
    assert sizes == ["width", "count", "base", None]


def build_rope_cache(head_dim, seq_len):
    angles = torch.outer(
        torch.arange(seq_len), 0.5 ** torch.arange(head_dim // 2)
    )
    return torch.polar(torch.ones_like(angles), angles)


def apply_rotary(x, freqs):
    return x * freqs


class Attention(nn.Module):
    """One head, of which what is turned may be replaced."""

    def __init__(self, dim):
        super().__init__()
        self.wq = nn.Linear(dim, dim)
        self.wk = nn.Linear(dim, dim)
        self.wv = nn.Linear(dim, dim)

    def turned(self, x, freqs_cis):
        pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
        return torch.view_as_real(pairs * freqs_cis).flatten(-2)

    def forward(self, x, freqs_cis):
        q = self.turned(self.wq(x), freqs_cis)
        k = self.turned(self.wk(x), freqs_cis)
        scores = q @ k.mT / q.shape[-1] ** 0.5
        return scores.softmax(dim=-1) @ self.wv(x)


def test_the_functions_of_a_file_that_make_a_table_are_described():
    thing = described("Attention", Attention)
    own = ("build_rope_cache", ("head_dim", "seq_len"))
    assert own in thing.tables
    assert "apply_rotary" not in dict(thing.tables)


@pytest.mark.slow
def test_what_the_others_are_made_of_holds_and_its_table_is_named():
    report = judged(Attention)
    assert report.verdict == "holds", report
    said = "by its build_rope_cache; pairs are neighbours"
    assert report.conventions["rotary"] == said


@pytest.mark.slow
def test_a_table_that_is_not_looked_at_is_found():
    class Ignores(Attention):
        def turned(self, x, freqs_cis):
            return x

    report = judged(Ignores)
    assert failed(report) == ["only_the_distance_of_tokens_counts"], report


@pytest.mark.slow
def test_a_table_that_a_switch_turns_off_is_said_not_to_be_asked():
    class Switched(Attention):
        use_rope = False

        def turned(self, x, freqs_cis):
            if self.use_rope:
                return super().turned(x, freqs_cis)
            return x

    report = judged(Switched)
    assert report.verdict == "holds where asked", report
    said = report.not_asked["its rotary embedding"]
    assert said == "its table changed nothing"


@pytest.mark.slow
def test_pairs_of_another_kind_hold_where_asked():
    class Backwards(Attention):
        def turned(self, x, freqs_cis):
            return super().turned(x, freqs_cis.conj())

    report = judged(Backwards)
    assert report.verdict == "holds where asked", report
    assert "was not recognised" in report.not_asked["its rotary embedding"]


@pytest.mark.slow
def test_positions_that_count_by_themselves_are_found():
    class Longer(Attention):
        """What is turned grows with its position, too."""

        def turned(self, x, freqs_cis):
            return super().turned(x, freqs_cis * (1 + freqs_cis.imag))

    report = judged(Longer)
    assert failed(report) == ["only_the_distance_of_tokens_counts"], report


# --- turned inside, by no table of a call --------------------------------


class Inside(nn.Module):
    """One head that turns its queries and keys itself, in float32."""

    base, part = 500.0, 1

    def __init__(self, dim):
        super().__init__()
        self.wq = nn.Linear(dim, dim)
        self.wk = nn.Linear(dim, dim)
        self.wv = nn.Linear(dim, dim)
        rates = torch.arange(0, dim // self.part, 2) / (dim // self.part)
        self.register_buffer("inv_freq", 500.0**-rates)

    def turned(self, x):
        places = torch.arange(x.shape[-2]).float()
        angles = torch.outer(places, self.inv_freq.float())
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        a, b, rest = x.tensor_split([cos.shape[1], 2 * cos.shape[1]], -1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], -1)

    def keys(self, x):
        return self.turned(self.wk(x))

    def forward(self, x):
        scores = self.turned(self.wq(x)) @ self.keys(x).mT
        weights = (scores / x.shape[-1] ** 0.5).softmax(dim=-1)
        return weights @ self.wv(x)


def test_the_bases_that_a_source_has_are_tried_after_the_usual_one():
    tables = [*tables_inside(described("Inside", Inside))]
    assert tables[0].name == "its own, of base 10000"
    assert tables[1].name == "its own, of base 500"
    turn = tables[1].turn(D_HEAD, "halves")
    angle = 5 * 500 ** (-2 / 6)
    assert np.isclose(turn.cos[5, 1], np.cos(angle))
    assert np.isclose(turn.sin[5, 1], np.sin(angle))


def test_what_a_layer_computes_itself_comes_with_its_rounding():
    table = next(tables_inside(described("Inside", Inside)))
    x = np.random.default_rng(0).normal(size=(9, D_HEAD))
    x = x.astype(np.float32)
    rates = np.float32(10_000) ** (np.arange(3, dtype=np.float32) / -3)
    angles = np.arange(9, dtype=np.float32)[:, None] * rates
    rough = Turn(np.cos(angles), np.sin(angles), "halves")
    exact = turned_exactly(table.turn(D_HEAD, "halves"), bounded(x))
    apart = np.abs(turned(rough, x) - exact.value)
    assert (apart <= exact.error).all()
    given = turned_exactly(standard_turn("halves"), bounded(x))
    assert (given.error < exact.error).all()


def standard_turn(pairs):
    return next(standard(1)).turn(D_HEAD, pairs)


@pytest.mark.slow
def test_a_layer_that_turns_by_itself_holds():
    report = judged(Inside)
    assert report.verdict == "holds", report
    said = "its own, of base 500; pairs are halves"
    assert report.conventions["rotary"] == said


@pytest.mark.slow
def test_keys_that_are_not_turned_inside_are_found():
    class OfQueries(Inside):
        def keys(self, x):
            return self.wk(x)

    cause = "the keys are not turned by their positions"
    assert judged(OfQueries).cause == cause


@pytest.mark.slow
def test_turning_that_is_not_recognised_is_not_judged():
    class Partly(Inside):
        part = 2

    report = judged(Partly)
    assert report.verdict == "not judged"
    assert "does not recognise" in report.trouble
