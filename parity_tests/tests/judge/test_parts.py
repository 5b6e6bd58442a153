"""Steps of a Llama, as functions and classes have them: how each is asked,
what is reported of it, and which mistake is named."""

from math import pi

import numpy as np
import pytest
import torch
from torch import nn

from parity_tests.judge.files.judging import (
    NOTHING_DECLARED,
    candidates,
    hosted,
    judge_thing,
    role_by_name,
)
from parity_tests.judge.mutants.steps.variants import TABLE_MUTANTS
from parity_tests.judge.parts.kept import MUTANTS as OF_CACHES
from parity_tests.judge.parts.kept import CacheCase, CacheSubject
from parity_tests.judge.parts.rotary import (
    PAIRINGS,
    RotarySubject,
    Rotation,
    mutants_of,
)
from parity_tests.judge.steps.outputs import answer_of
from parity_tests.judge.steps.variants import OF_POSITIONS
from parity_tests.judge.verdict.diagnosis import causes_of
from parity_tests.judge.verdict.loop import (
    Budget,
    judge_subject,
    judgement,
)
from parity_tests.judge.verdict.property import Property


def report_on(thing, name=None, examples=4):
    """The report on a thing of this process, in the role of its name."""
    host, described = hosted(thing, name)
    role = role_by_name(described)
    return judge_thing(
        host, described, role, NOTHING_DECLARED, Budget(examples)
    )


# --- rotary positions ----------------------------------------------------


def turned_in_halves(x, positions, base=500_000.0):
    pairs = x.shape[-1] // 2
    angle = positions[:, None] * base ** (-np.arange(pairs) / pairs)
    cos, sin = np.cos(angle), np.sin(angle)
    a, b = x[..., :pairs], x[..., pairs:]
    return np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


def test_pairs_and_base_are_found_and_reported():
    report = report_on(turned_in_halves, "rope")
    assert report.verdict == "holds"
    assert report.conventions == {
        "its pairs": "features i and i + d/2",
        "its base": "500,000",
    }


@pytest.mark.slow
def test_neighbours_that_come_out_in_halves_are_a_convention():
    def apply_rope(x, cos, sin):
        a, b = x[..., ::2], x[..., 1::2]
        both = a * cos - b * sin, a * sin + b * cos
        return np.concatenate(both, axis=-1)

    report = report_on(apply_rope)
    assert report.verdict == "holds"
    assert "come out first" in report.conventions["its pairs"]


@pytest.mark.slow
def test_a_part_of_the_features_may_be_turned_and_is_not_judged():
    def rope(x, positions):
        half = x.shape[-1] // 4 * 2
        turned = turned_in_halves(x[..., :half], positions)
        return np.concatenate([turned, x[..., half:]], axis=-1)

    report = report_on(rope)
    assert report.verdict == "not judged"
    assert "may be a variant" in report.doubt


@pytest.mark.slow
def test_a_position_that_is_taken_and_ignored_is_seen():
    def rope(x, offset=0):
        return turned_in_halves(x, np.arange(x.shape[-2]))

    report = report_on(rope)
    assert report.verdict == "rejected"
    assert report.cause == (
        "the positions given are ignored: 0, 1, 2 … are taken"
    )


def precompute_table(d_head, n_tokens):
    angle = np.outer(
        np.arange(n_tokens), 1e4 ** (-np.arange(0, d_head, 2) / d_head)
    )
    return np.cos(angle), np.sin(angle)


@pytest.mark.slow
def test_what_only_makes_a_table_is_judged_by_what_it_turns():
    report = report_on(precompute_table, "precompute_rope")
    assert report.verdict == "holds"
    assert report.conventions["its table"] == "a number for each pair"

    def in_degrees(d_head, n_tokens):
        cos, sin = precompute_table(d_head, n_tokens)
        return np.cos(np.arccos(cos) / pi * 180), sin

    assert not report_on(in_degrees, "precompute_rope").holds


class Stub:
    """A way in which a function of a case is asked."""

    host, says, pairings, has_heads = None, {}, None, True
    takes_tokens = makes_angles = True

    def __init__(self, function):
        self.function = function

    def turned(self, x, positions):
        return self.function({"x": x, "positions": positions})

    def inputs_after(self, arguments):
        return arguments["x"], arguments["x"]


class Named:
    name = "rope"


def subject_of(function):
    return RotarySubject(Named, iter([(0, Stub(function))]), [1e4], True)


@pytest.mark.slow
@pytest.mark.parametrize("pairs", PAIRINGS[:2])
def test_each_mutant_of_a_rotation_is_named_and_no_other(pairs):
    for cause, mutant in mutants_of(Rotation(pairs)):
        assert causes_of(subject_of(mutant)) == {cause}
    assert len(TABLE_MUTANTS) > 5
    right = subject_of(Rotation(pairs).value)
    assert right.is_right
    assert causes_of(right) == set()


@pytest.mark.slow
def test_each_property_of_a_rotation_can_fail():
    def squeezed(case):
        return Rotation("halves").value(case) ** 3

    def beyond(case):  # a score then feels where both stand
        places = case["positions"] ** 2
        return Rotation("halves").value(case | {"positions": places})

    def moved(case):
        places = case["positions"] + 1
        return Rotation("halves").value(case | {"positions": places})

    for each in OF_POSITIONS:
        verdicts = {
            judgement(
                Property(each), subject_of(wrong), Budget(6), shrink=False
            ).verdict
            for wrong in (squeezed, beyond, moved)
        }
        assert "fails" in verdicts, each.__name__


# --- helpers that insist on an axis of texts ------------------------------


def split_heads(x, n_head):
    texts, tokens, _ = x.shape
    return x.reshape(texts, tokens, n_head, -1).swapaxes(1, 2)


def merge_heads(x):
    texts, heads, tokens, d_head = x.shape
    return x.swapaxes(1, 2).reshape(texts, tokens, heads * d_head)


@pytest.mark.parametrize("helper", [split_heads, merge_heads])
def test_helpers_may_insist_on_an_axis_of_texts(helper):
    report = report_on(helper)
    assert report.verdict == "holds", report


def test_heads_that_are_merged_without_moving_are_named():
    def merge_heads(x):
        texts, heads, tokens, d_head = x.shape
        return x.reshape(texts, tokens, heads * d_head)

    report = report_on(merge_heads)
    assert report.cause == "the heads are merged without transposing back"


# --- sinusoidal positions ------------------------------------------------


def angles(n, d):
    """Those of the first n positions, for each pair of features."""
    return np.arange(n)[:, None] / 10000 ** (np.arange(0, d, 2) / d)


def positional_encoding(seq_len, d_model):
    table = np.zeros((1, seq_len, d_model))
    table[..., 0::2] = np.sin(angles(seq_len, d_model))
    table[..., 1::2] = np.cos(angles(seq_len, d_model))
    return table


class PositionalEncoding(nn.Module):
    """x: (batch, seq_len, d_model)"""

    def __init__(self, d_model, max_len=5000):
        super().__init__()
        table = positional_encoding(max_len, d_model)
        self.register_buffer("pe", torch.from_numpy(table).float())
        self.sines = torch.sin(torch.zeros(0)), torch.cos(torch.zeros(0))

    def forward(self, x):
        return x + self.pe[:, : self.count(x)]

    def count(self, x):
        return x.size(1)


class OfTokensFirst(PositionalEncoding):
    def __init__(self, max_len, d_model, dropout=0.1):
        super().__init__(d_model, max_len)
        self.pe, self.drop = self.pe.transpose(0, 1), nn.Dropout(dropout)

    def forward(self, x):
        return self.drop(4 * x + self.pe[: x.size(0)])


@pytest.mark.parametrize(
    ("table", "layout"),
    [
        (positional_encoding, None),
        (PositionalEncoding, "texts, tokens, features"),
        (OfTokensFirst, "tokens, texts, features"),
    ],
)
def test_positions_may_be_those_of_a_table_or_added_by_a_class(
    table, layout
):
    report = report_on(table, "positional_encoding")
    assert report.verdict == "holds", report
    assert report.conventions.get("its layout") == layout


def test_mistakes_of_a_class_of_positions_are_named():
    class AsManyAsTexts(PositionalEncoding):
        def count(self, x):
            return x.size(0)

    class FromTheSecond(PositionalEncoding):
        def forward(self, x):
            return x + self.pe[:, 1 : x.size(1) + 1]

    causes = [
        report_on(each, "positional_encoding").cause
        for each in (AsManyAsTexts, FromTheSecond)
    ]
    assert causes == [
        "every position is taken for the first",
        "positions are counted from 1",
    ]


def test_positions_that_may_be_meant_otherwise_are_not_rejected():
    def sinusoidal_embedding(n, dim):
        own = angles(n, dim)
        return np.concatenate([np.sin(own), np.cos(own)], axis=-1)

    class Learned(PositionalEncoding):
        def __init__(self, d_model):
            super().__init__(d_model)
            self.pe = nn.Parameter(self.pe)

    report = report_on(sinusoidal_embedding)
    assert report.doubt.startswith("it has sines and cosines in halves")
    report = report_on(Learned, "positional_encoding")
    assert "learned" in report.trouble


# --- lengths of texts, and losses of rows --------------------------------


def weights_by_lengths(X, valid_lens, repeat):
    """X: (texts, queries, keys), valid_lens: (texts,)"""
    lengths = repeat(valid_lens, X.shape[1]).reshape(X.shape[:2])
    seen = np.arange(X.shape[-1]) < lengths[..., None]
    scores = np.where(seen, X, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def test_each_text_has_a_length_of_its_own():
    def masked_softmax(X, valid_lens):
        return weights_by_lengths(X, valid_lens, np.repeat)

    assert report_on(masked_softmax).verdict == "holds"

    def masked_softmax(X, valid_lens):
        return weights_by_lengths(X, valid_lens, np.tile)

    report = report_on(masked_softmax)
    assert report.cause.startswith("the masks of texts go round the rows")


def loss_of_rows(logits, targets, ignore_index, count):
    rows = np.arange(len(targets))
    kept = targets != ignore_index
    shifted = logits - logits.max(-1, keepdims=True)
    nll = np.log(np.exp(shifted).sum(-1)) - shifted[rows, targets * kept]
    return (nll * kept).sum() / count(kept)


def test_a_loss_may_be_of_rows():
    def cross_entropy(logits, targets, ignore_index=-100):
        return loss_of_rows(logits, targets, ignore_index, np.sum)

    report = report_on(cross_entropy)
    assert report.verdict == "holds", report
    assert report.conventions == {"its tokens": "in rows, of all texts"}

    def cross_entropy(logits, targets, ignore_index=-100):
        """logits: (N, V)"""
        return loss_of_rows(logits, targets, ignore_index, np.size)

    report = report_on(cross_entropy)
    assert report.verdict == "rejected"
    assert "the mean counts ignored targets" in report.known


# --- masks that a translator makes of ids --------------------------------


def make_src_mask(src, pad_idx=1):
    return (src != pad_idx)[:, None, None, :]


def make_trg_mask(trg, pad_idx=1):
    shown = np.tri(trg.shape[1], dtype=bool)
    return make_src_mask(trg, pad_idx) & shown


def create_causal_mask(seqlen, start_pos, device):
    """Added to scores; for one token alone there is none."""
    if seqlen == 1:
        return None
    hidden = np.triu(np.full((seqlen, seqlen), -np.inf), 1)
    return np.hstack([np.zeros((seqlen, start_pos)), hidden])


@pytest.mark.parametrize(
    "make", [make_src_mask, make_trg_mask, create_causal_mask]
)
def test_a_mask_may_be_made_of_ids_or_of_a_past(make):
    report = report_on(make)
    assert report.verdict == "holds", report


def test_a_mask_of_ids_that_shows_the_next_one_is_named():
    def make_trg_mask(trg, pad_idx=1):
        shown = np.tri(trg.shape[1], k=1, dtype=bool)
        return make_src_mask(trg, pad_idx) & shown

    report = report_on(make_trg_mask)
    assert report.cause == "one future position is visible"


def test_a_mask_that_takes_a_past_and_ignores_it_is_named():
    def create_causal_mask(seqlen, start_pos):
        return np.tri(seqlen, seqlen + start_pos, dtype=bool)

    report = report_on(create_causal_mask)
    assert report.cause == "the past is ignored"


# --- RMSNorm and SwiGLU as classes ---------------------------------------


class RMSNorm(nn.Module):
    """In float32, and with 1 added to the weight."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps, self.weight = eps, nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        wide = x.float()
        size = (wide.square().mean(-1, keepdim=True) + self.eps).sqrt()
        return (wide / size * (1 + self.weight.float())).to(x.dtype)


def test_a_norm_may_add_1_to_its_weight_and_be_of_float32():
    report = report_on(RMSNorm)
    assert report.verdict == "holds", report
    assert report.conventions["its weight"].startswith("1 is added")
    assert "float32" in report.conventions["float64"]


class LayerNorm(nn.Module):
    """Its gain and its shift, under the names of a course."""

    def __init__(self, emb_dim, eps=1e-5):
        super().__init__()
        self.eps, self.scale = eps, nn.Parameter(torch.ones(emb_dim))
        self.shift = nn.Parameter(torch.zeros(emb_dim))

    def deviation(self, x):
        variance = x.var(-1, keepdim=True, unbiased=False)
        return (variance + self.eps).sqrt()

    def forward(self, x):
        normal = (x - x.mean(-1, keepdim=True)) / self.deviation(x)
        return self.scale * normal + self.shift


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of one feature
def test_a_class_of_layer_norm_is_judged_by_its_gain_and_shift():
    report = report_on(LayerNorm)
    assert report.verdict == "holds", report

    class OfTheAnnotatedTransformer(LayerNorm):
        def deviation(self, x):
            return x.std(-1, keepdim=True) + self.eps

    report = report_on(OfTheAnnotatedTransformer, "LayerNorm")
    assert report.cause == (
        "the variance is unbiased, and epsilon is added outside the root"
    )


def test_a_layer_norm_of_its_base_only_is_not_judged():
    class LayerNorm(nn.LayerNorm):
        pass

    assert report_on(LayerNorm).verdict == "not judged"


class FeedForward:
    """Matrices of (in, out), in an order that no name tells."""

    def __init__(self, d_model, d_ff):
        self.a, self.b = np.zeros((2, d_model, d_ff))
        self.c = np.zeros((d_ff, d_model))

    def forward(self, x):
        silu = x @ self.b / (1 + np.exp(-x @ self.b))
        return (silu * (x @ self.a)) @ self.c


class GatedByATanh(FeedForward):
    def forward(self, x):
        return (np.tanh(x @ self.b) * (x @ self.a)) @ self.c  # no silu


@pytest.mark.slow
def test_which_matrix_is_the_gate_is_found():
    report = report_on(FeedForward)
    assert (report.verdict, report.conventions) == (
        "holds",
        {"its gate": "b"},
    )


@pytest.mark.slow
def test_a_gate_of_another_kind_is_not_accused_for_its_source():
    report = report_on(GatedByATanh, "FeedForward")
    assert report.cause is None
    assert report.verdict == "not judged"
    assert "may be a variant" in report.doubt


class TwoThirds(nn.Module):
    """As wide inside as two thirds of what it is asked for."""

    def __init__(self, dim, hidden_dim):
        super().__init__()
        self.hidden = self.width(hidden_dim)
        self.w13 = nn.Linear(dim, 2 * self.hidden, bias=False)
        self.w2 = nn.Linear(self.hidden, dim, bias=False)

    def forward(self, x):
        gate, up = self.w13(x).split(self.hidden, dim=-1)
        return self.w2(nn.functional.silu(gate) * up)

    def width(self, asked):
        return 2 * asked // 3


class FourLess(TwoThirds):
    """Of few features it makes none at all."""

    def width(self, asked):
        return max(0, asked - 4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [TwoThirds, FourLess])
def test_an_inner_width_may_be_made_of_the_one_that_is_asked_for(kind):
    report = report_on(kind, "SwiGLU")
    assert report.verdict == "holds", report
    assert report.conventions == {"its gate": "first half"}


# --- caches --------------------------------------------------------------


class KVCache:
    def __init__(self):
        self.keys = self.values = None

    def update(self, k, v):
        if self.keys is not None:
            k = np.concatenate([self.keys, k], axis=1)
            v = np.concatenate([self.values, v], axis=1)
        self.keys, self.values = k, v
        return k, v


def test_a_cache_gives_what_was_put_in():
    report = report_on(KVCache)
    assert report.verdict == "holds"
    layout = "(batch, tokens, heads, features)"
    assert report.conventions == {"its layout": layout}
    assert set(report.not_asked) == {"a second text", "several layers"}


@pytest.mark.slow
def test_a_cache_of_another_type_may_be_a_variant():
    class KVCache16(KVCache):
        def update(self, k, v):
            keys, values = super().update(k, v)
            return keys.astype(np.float16), values.astype(np.float16)

    report = report_on(KVCache16, "KVCache")
    assert report.verdict == "not judged"
    assert "may be a variant" in report.doubt


class CacheStub:
    """A way to ask a cache that gives what a function of a case gives."""

    layout = "(batch, heads, tokens, features)"

    class roles:
        reset, has_layers = "reset", True

    class thing:
        parameters = ()

    def __init__(self, function):
        self.function = function

    def outputs(self, case):
        return answer_of(self.function, {"case": case})


@pytest.mark.slow
def test_each_mutant_of_a_cache_is_named_and_no_other():
    for cause, mutant in OF_CACHES.items():
        subject = CacheSubject(Named, [CacheStub(mutant)], True)
        assert causes_of(subject) == {cause}
        found = judge_subject(subject, Budget(12, shrunk=0))
        assert found.verdict == "rejected", cause


def test_a_case_of_a_cache_says_what_is_put_in():
    case = CacheCase(((2, 1), (3,)), layers=2)
    assert str(case) == (
        "tokens put in: 2 + 1 and, after a reset, 3 in each of two layers"
    )


# --- what is judged of a file --------------------------------------------


def attention(q, k, v):
    return rotate_rope(q, k, v)


def rotate_rope(x, cos, sin):
    return x


def test_what_an_attention_has_as_a_helper_is_judged_with_it():
    things = [
        hosted(each, each.__name__)[1]
        for each in (attention, rotate_rope, KVCache, RMSNorm)
    ]
    chosen = [(thing.name, role) for thing, role in candidates(things)]
    assert chosen == [
        ("attention", "scaled_dot_product_attention"),
        ("KVCache", "key_value_cache"),
        ("RMSNorm", "rms_norm"),
    ]


def test_a_cache_that_takes_no_keys_and_values_is_not_judged_by_its_name():
    """It may be filled in any way, by whole layers for instance."""

    class KeyValueCache:
        def extend(self, layers):
            self.layers = layers

    things = [
        hosted(each, each.__name__)[1] for each in (KeyValueCache, RMSNorm)
    ]
    chosen = [(thing.name, role) for thing, role in candidates(things)]
    assert chosen == [("RMSNorm", "rms_norm")]


def test_what_is_said_to_be_attention_takes_query_key_and_value():
    def flash_forward(q, k, v):
        return v

    def bench(run, *arrays, repeats=3):
        return [run(*arrays) for _ in range(repeats)]

    things = [hosted(each, None)[1] for each in (flash_forward, bench)]
    for role in ("attention", None):
        ((thing, _),) = candidates(things, role)
        assert thing.name == "flash_forward"
