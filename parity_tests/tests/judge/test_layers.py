"""Layers as they stand in real files: what is around the attention, masks
of every kind, other tokens, gradients, fewer key heads, and libraries'."""

import os

import numpy as np
import pytest
import torch
from torch import nn

from parity_tests.judge import judge
from parity_tests.judge.classes.cases import LayerCase
from parity_tests.judge.verdict.report import Failure
from torch_impl.variants import grouped_queries
from torch_impl.variants.grouped_queries import GroupedQueryAttention

from .test_classes import failed, judge_as, judged

pytestmark = pytest.mark.slow  # each builds and judges a whole layer


class Heads(nn.Module):
    """Attention with heads, the parts of which may be replaced."""

    key_heads = None

    def __init__(self, d_model, num_heads):
        super().__init__()
        self.heads = num_heads
        self.shared = num_heads // (self.key_heads or num_heads)
        narrow = d_model // self.shared
        self.q_proj = nn.Linear(d_model, d_model)
        self.k_proj = nn.Linear(d_model, narrow)
        self.v_proj = nn.Linear(d_model, narrow)
        self.out_proj = nn.Linear(d_model, d_model)

    def attend(self, query, key, value, visible=None):
        query = query.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        key, value = (
            self.repeat(
                x.unflatten(-1, (self.heads // self.shared, -1)).transpose(
                    1, 2
                )
            )
            for x in (key, value)
        )
        scores = query @ key.mT / self.root(query)
        if visible is not None:
            scores = scores.masked_fill(~visible, -torch.inf)
        context = scores.softmax(-1) @ value
        return self.out_proj(context.transpose(1, 2).flatten(2))

    def repeat(self, x):
        return x.repeat_interleave(self.shared, dim=1)

    def root(self, query):
        return query.shape[-1] ** 0.5

    def forward(self, x):
        return self.attend(self.q_proj(x), self.k_proj(x), self.v_proj(x))


def test_the_layer_that_the_others_are_made_of_holds():
    report = judged(Heads)
    assert report.verdict == "holds", report
    assert report.conventions["sizes"] == [
        *("10 to 12 features in 3 heads", "14 to 32 features in 4 heads")
    ]
    assert not any("argument" in what for what in report.not_asked)


def test_an_argument_that_is_left_alone_is_said_to_be_unasked():
    class MultiHeadAttention(Heads):
        def forward(self, x, window=None, need_weights=False):
            assert window is None
            return super().forward(x)

    report = judged(MultiHeadAttention)
    assert report.verdict == "holds", report
    assert report.not_asked["its argument window"] == "left at its default"
    assert "its argument need_weights" not in report.not_asked


@pytest.mark.parametrize("name", ["past", "kv_cache", "layer_past"])
def test_a_layer_whose_cache_was_not_asked_holds_where_asked(name):
    # Whatever it does with a cache: here it forgets it.
    scope = {"Heads": Heads}
    exec(
        "class MultiHeadAttention(Heads):\n"
        f"    def forward(self, x, {name}=None):\n"
        "        return super().forward(x)\n",
        scope,
    )
    report = judged(scope["MultiHeadAttention"])
    assert report.verdict == "holds where asked", report
    assert (
        report.not_asked["its cache"] == f"{name} was left at its default"
    )


@pytest.mark.parametrize("epsilon", [1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 1e-12])
@pytest.mark.parametrize("place", ["first", "last"])
def test_each_usual_epsilon_of_a_norm_is_found(epsilon, place):
    class MultiHeadAttention(Heads):
        def __init__(self, d_model, num_heads):
            super().__init__(d_model, num_heads)
            self.norm = nn.LayerNorm(d_model, eps=epsilon)

        def forward(self, x):
            if place == "first":
                return x + super().forward(self.norm(x))
            return self.norm(x + super().forward(x))

    report = judged(MultiHeadAttention)
    assert report.verdict == "holds", report


# --- sizes ---------------------------------------------------------------


def test_a_scale_that_is_right_for_one_size_only_is_seen():
    class MultiHeadAttention(Heads):
        def root(self, query):
            return 2

    report = judged(MultiHeadAttention)
    assert "equals_the_reference" in failed(report)
    assert report.cause == "the scale is 1/2, whatever the width"


def test_more_tokens_than_a_tile_holds_are_asked_for():
    class MultiHeadAttention(Heads):
        def forward(self, x):
            return super().forward(x) * (1 + (x.shape[1] > 32))

    report = judged(MultiHeadAttention)
    assert "more_tokens_than_a_tile_are_no_different" in failed(report)
    assert "equals_the_reference" not in failed(report)
    assert report.known.startswith("only large sizes are wrong")


# --- what is remembered, and gradients -----------------------------------


def test_an_answer_that_is_remembered_is_seen():
    class MultiHeadAttention(Heads):
        def forward(self, x):
            before = getattr(self, "before", None)
            if before is None or before[0] is not x:
                self.before = x, super().forward(x)
            return self.before[1]

    report = judged(MultiHeadAttention)
    assert failed(report) == ["answers_do_not_depend_on_calls_before"]
    assert "calls before" in report.cause


def test_gradients_are_compared_by_value():
    class Cut(Heads):
        def forward(self, x):
            keys = self.k_proj(x).detach()
            return self.attend(self.q_proj(x), keys, self.v_proj(x))

    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, upstream):
            return 2 * upstream

    class Twice(Heads):
        def forward(self, x):
            return super().forward(Doubled.apply(x))

    cut, twice = (judge_as("multi_head_attention", k) for k in (Cut, Twice))
    assert failed(cut) == failed(twice) == ["gradients_are_the_exact_ones"]
    assert "k_proj.weight" in cut.cause
    assert twice.known.startswith("the values are right and only gradients")


# --- masks ---------------------------------------------------------------


class Masked(Heads):
    """A mask for all texts, and one of each text's keys."""

    def forward(self, x, mask=None, key_padding_mask=None):
        visible = self.joined(mask, key_padding_mask)
        return self.attend(
            self.q_proj(x), self.k_proj(x), self.v_proj(x), visible
        )

    def joined(self, mask, padding):
        masks = [] if mask is None else [mask]
        if padding is not None:
            masks.append(padding[:, None, None, :])
        return None if not masks else masks[0] & masks[-1]


def test_two_masks_are_asked_alone_and_together():
    class LastWins(Masked):
        def joined(self, mask, padding):
            return super().joined(
                None if padding is not None else mask, padding
            )

    class Turned(LastWins):
        def forward(self, x, key_padding_mask=None, mask=None):
            return super().forward(x, mask, key_padding_mask)

    role = "multi_head_attention"
    assert judge_as(role, Masked).holds
    report, turned = (judge_as(role, k) for k in (LastWins, Turned))
    both = "two_masks_hide_what_either_hides"
    assert failed(report) == failed(turned) == [both]
    assert report.cause == "with two masks, the second overwrites the first"
    assert turned.cause == "with two masks, only the first counts"


def test_each_text_has_its_own_mask():
    class OfEachText(Heads):
        def forward(self, x, mask=None):
            """mask (batch, query, key): True may be attended to."""
            if mask is not None:
                mask = self.placed(mask[:, None])
            return self.attend(
                self.q_proj(x), self.k_proj(x), self.v_proj(x), mask
            )

        def placed(self, mask):
            return mask

    class OfOther(OfEachText):
        def placed(self, mask):
            return mask.roll(1, 0)

    role = "multi_head_attention"
    right = judge_as(role, OfEachText)
    assert right.holds, right
    assert right.conventions["mask"].endswith("of (text, query, key)")
    wrong = judge_as(role, OfOther)
    assert failed(wrong)[0] == "a_mask_hides_what_it_should"
    assert wrong.cause == "the mask of another text is used"


def test_a_diagonal_that_shows_no_token_itself_is_no_self_loop():
    class Elsewhere(Masked):
        def forward(self, x, mask=None):
            same = torch.eye(x.shape[-1], dtype=x.dtype)
            return x + super().forward(x @ same, mask)

    class OthersOnly(Masked):
        def forward(self, x, mask=None):
            if mask is not None:
                mask = mask & ~torch.eye(x.shape[-2], dtype=torch.bool)
            return super().forward(x, mask)

    right, wrong = (
        judge_as("multi_head_attention", each)
        for each in (Elsewhere, OthersOnly)
    )
    assert right.holds, right
    assert "a token masked from itself" not in right.not_asked
    assert "a_mask_hides_what_it_should" in failed(wrong)


def test_valid_lengths_are_a_mask():
    class OfLengths(Heads):
        def forward(self, x, valid_lens=None):
            visible = None
            if valid_lens is not None:
                places = torch.arange(x.shape[1])
                visible = self.valid(places, valid_lens[:, None])
                visible = visible[:, None, None]
            return self.attend(
                self.q_proj(x), self.k_proj(x), self.v_proj(x), visible
            )

        def valid(self, places, lengths):
            return places < lengths

    class OneMore(OfLengths):
        def valid(self, places, lengths):
            return places <= lengths

    role = "multi_head_attention"
    right = judge_as(role, OfLengths)
    assert right.holds, right
    assert "lengths of texts" in right.conventions["mask"]
    assert "a_mask_hides_what_it_should" in failed(judge_as(role, OneMore))


class Padded(Heads):
    """A mask of each text's keys."""

    fill = -torch.inf

    def forward(self, x, padding_mask=None):
        """padding_mask (batch, tokens): True may be attended to."""
        query, key, value = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        scores = query @ key.mT / query.shape[-1] ** 0.5
        if padding_mask is not None:
            visible = self.placed(padding_mask[:, None])
            scores = scores.masked_fill(~visible, self.fill)
        context = self.weights(scores) @ value
        return self.out_proj(context.transpose(1, 2).flatten(2))

    def placed(self, mask):
        return mask[:, :, None, :]

    def weights(self, scores):
        return scores.softmax(-1)


@pytest.mark.parametrize(
    ("fill", "is_zero"),
    [(-1e9, False), (-torch.inf, False), (-torch.inf, True)],
    ids=["the mean", "NaN", "zeros"],
)
def test_a_padding_mask_on_the_queries_is_named(fill, is_zero):
    class OnQueries(Padded):
        def placed(self, mask):
            return mask[:, :, :, None]

        def weights(self, scores):
            weights = scores.softmax(-1)
            return weights.nan_to_num() if is_zero else weights

    role = "multi_head_attention"
    assert judge_as(role, Padded).holds
    wrong = type("OnQueries", (OnQueries,), {"fill": fill})
    report = judge_as(role, wrong)
    assert "a_mask_hides_what_it_should" in failed(report)
    assert report.cause == "the mask of the keys acts on the queries"


def test_rows_of_masked_tokens_may_be_zeros_and_no_others():
    class Blank(Padded):
        def forward(self, x, padding_mask=None):
            """padding_mask (batch, tokens): True may be attended to."""
            output = super().forward(x, padding_mask)
            if padding_mask is not None:
                output = output * self.shown(padding_mask)[..., None]
            return output

        def shown(self, mask):
            return mask

    class OnQueries(Blank):
        def placed(self, mask):
            return mask[:, :, :, None]

    class Unhidden(Blank):
        def placed(self, mask):
            return torch.ones_like(mask)[:, :, None, :]

    class OfTheNext(Blank):
        def shown(self, mask):
            return mask.roll(1, -1)

    role = "multi_head_attention"
    right = judge_as(role, Blank)
    assert right.holds, right
    assert "rows of tokens that are masked" in right.not_asked
    for wrong in (OnQueries, Unhidden, OfTheNext):
        assert "a_mask_hides_what_it_should" in failed(
            judge_as(role, wrong)
        )


def test_what_is_wrong_with_a_mask_only_is_said_to_be_so():
    class OfTheNext(Padded):
        def placed(self, mask):
            return mask[:, :, None, :].roll(1, -1)

    report = judge_as("multi_head_attention", OfTheNext)
    assert "more_tokens_than_a_tile_are_no_different" in failed(report)
    assert "equals_the_reference" not in failed(report)
    assert report.cause is None
    assert report.known.startswith("it is right without a mask: look at")


# --- other tokens --------------------------------------------------------


class Crossed(Heads):
    def forward(self, query, key, value):
        query, key, value = self.sources(query, key, value)
        return self.attend(
            self.q_proj(query), self.k_proj(key), self.v_proj(value)
        )

    def sources(self, query, key, value):
        return query, key, value


@pytest.mark.parametrize(
    ("sources", "cause"),
    [
        (
            lambda self, q, k, v: (q, q, q),
            "keys and values are made from the query's tokens",
        ),
        (
            lambda self, q, k, v: (q, k, k),
            "values are made from the key's tokens",
        ),
    ],
)
def test_queries_keys_and_values_may_be_of_other_tokens(sources, cause):
    role = "multi_head_attention"
    right = judge_as(role, Crossed)
    assert right.holds, right
    assert "cross-attention" not in right.not_asked
    wrong = type("Crossed", (Crossed,), {"sources": sources})
    report = judge_as(role, wrong)
    assert "equals_the_reference" in failed(report)
    assert report.cause == cause


class Decoder(nn.MultiheadAttention):
    """Other tokens are a required argument of their own."""

    def __init__(self, d_model, nhead):
        super().__init__(d_model, nhead, batch_first=True)

    def forward(self, tgt, memory, memory_padding_mask=None):
        query, key = self.sources(tgt, memory)
        masked = {"key_padding_mask": memory_padding_mask}
        return super().forward(query, key, key, **masked)[0]

    def sources(self, tgt, memory):
        return tgt, memory


def test_a_slope_is_that_of_the_argument_that_is_moved():
    class Cut(Decoder):
        def sources(self, tgt, memory):
            return tgt, memory.detach()

    class Mixed(Decoder):
        def sources(self, tgt, memory):
            return tgt, memory.detach() + tgt - tgt.detach()

    role = "multi_head_attention"
    right = judge_as(role, Decoder)
    assert right.holds, right
    assert right.conventions["cross_attention"] == ["memory"]
    cut, mixed = judge_as(role, Cut), judge_as(role, Mixed)
    assert "gradients_are_the_exact_ones" in failed(cut)
    assert cut.cause == "no gradient reaches memory"
    assert "gradients_are_the_exact_ones" in failed(mixed)


class Normed(Decoder):
    """Other tokens come with a norm of their own, or with none."""

    def __init__(self, d_model, nhead):
        super().__init__(d_model, nhead)
        self.norm = nn.LayerNorm(d_model)

    def sources(self, tgt, memory):
        return self.norm(tgt), memory


class MaybeNormed(Normed):
    """Its own tokens, where no others are passed, have the norm."""

    def forward(self, tgt, memory=None):
        query, memory = self.sources(tgt, memory)
        return super(Decoder, self).forward(query, memory, memory)[0]

    def sources(self, tgt, memory):
        query = self.norm(tgt)
        return query, query if memory is None else memory


@pytest.mark.parametrize("kind", [Normed, MaybeNormed])
def test_a_norm_at_the_beginning_may_be_of_its_own_tokens_only(kind):
    report = judge_as("multi_head_attention", kind)
    assert report.holds, report
    around = "layer norm at the beginning, of its own tokens only"
    assert report.conventions["around"] == around


def test_a_norm_of_others_only_is_seen():
    class Wrong(Normed):
        def sources(self, tgt, memory):
            return tgt, self.norm(memory)

    report = judge_as("multi_head_attention", Wrong)
    assert not report.holds, report


# --- fewer key heads -----------------------------------------------------


@pytest.mark.parametrize("key_heads", [1, 2])
def test_fewer_key_heads_are_read_from_the_weights(key_heads):
    right = type("Grouped", (Shared,), {"key_heads": key_heads})
    report = judge_as("multi_head_attention", right)
    assert report.holds, report


class Shared(Heads):
    def __init__(self, d_model, num_heads):
        if num_heads != 4:
            raise ValueError("four heads")
        super().__init__(d_model, num_heads)


def test_key_heads_in_turn_are_seen():
    class Grouped(Shared):
        key_heads = 2

        def repeat(self, x):
            return x.repeat(1, self.shared, 1, 1)

    report = judge_as("multi_head_attention", Grouped)
    assert "equals_the_reference" in failed(report)
    assert report.cause == (
        "key heads are repeated all in turn, not each next to itself"
    )


# --- around the attention ------------------------------------------------


class Around(Heads):
    def __init__(self, d_model, num_heads):
        super().__init__(d_model, num_heads)
        self.norm = nn.LayerNorm(d_model, eps=1e-6)


AROUND = {
    "a residual, then layer norm": lambda self, x: self.norm(
        x + Heads.forward(self, x)
    ),
    "layer norm at the beginning, and a residual": lambda self, x: (
        x + Heads.forward(self, self.norm(x))
    ),
    "layer norm at the beginning": lambda self, x: Heads.forward(
        self, self.norm(x)
    ),
    "layer norm at the end": lambda self, x: self.norm(
        Heads.forward(self, x)
    ),
}


@pytest.mark.parametrize("around", AROUND)
def test_what_is_around_the_attention_is_recognised(around):
    kind = type("Around", (Around,), {"forward": AROUND[around]})
    report = judge_as("multi_head_attention", kind)
    assert report.holds, report
    assert report.conventions["around"] == around


def test_a_residual_of_the_wrong_thing_is_seen():
    class Wrong(Around):
        def forward(self, x):
            return self.norm(2 * x + super().forward(x))

    report = judge_as("multi_head_attention", Wrong)
    assert "equals_the_reference" in failed(report)


# --- weights in other places ---------------------------------------------


class InNumPy:
    """A class of NumPy, its weights in a dict."""

    axis = -1

    def __init__(self, d_in, d_out):
        random = np.random.default_rng(0)
        self.params = {
            name: random.normal(size=(d_in, d_out))
            for name in ("W_q", "W_k", "W_v")
        }

    def __call__(self, x):
        query, key, value = (x @ w for w in self.params.values())
        scores = query @ key.swapaxes(-2, -1) / query.shape[-1] ** 0.5
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=self.axis, keepdims=True) @ value


def test_weights_may_be_in_a_dict_of_a_class_of_numpy():
    right = judge_as("self_attention", InNumPy, arrays="numpy")
    assert right.holds, right
    wrong = type("InNumPy", (InNumPy,), {"axis": None})
    assert judge_as("self_attention", wrong, arrays="numpy").failed


class OfHeads:
    """A list of heads in NumPy; each has matrices of its own."""

    def __init__(self, d_model, n_heads):
        d_head = d_model // n_heads
        self.heads = [InNumPy(d_model, d_head) for _ in range(n_heads)]
        self.Wo = np.ones((d_model, d_model))

    def __call__(self, x):
        return np.concatenate([h(x) for h in self.heads], -1) @ self.Wo


def test_each_head_of_a_list_may_have_matrices_of_its_own():
    class Backwards(OfHeads):
        def __call__(self, x):
            heads = [head(x) for head in self.heads[::-1]]
            return np.concatenate(heads, -1) @ self.Wo

    role = "multi_head_attention"
    right = judge_as(role, OfHeads, arrays="numpy")
    assert right.holds, right
    assert len(right.conventions["sizes"]) == 2
    wrong = judge_as(role, Backwards, arrays="numpy")
    assert "equals_the_reference" in failed(wrong)


def test_weights_that_fit_in_one_size_only_are_no_reading():
    class Padded(InNumPy):
        def __init__(self, d_in, d_out):
            super().__init__(d_in, d_out)
            self.unused = int(d_out == 32)
            for name in self.params if self.unused else ():
                width = d_out + (name == "W_k")
                self.params[name] = np.ones((d_in, width))

        def __call__(self, x):
            query, key, value = (x @ w for w in self.params.values())
            key = key[..., : query.shape[-1]]
            scores = query @ key.swapaxes(-2, -1) / key.shape[-1] ** 0.5
            powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
            return powers / powers.sum(axis=-1, keepdims=True) @ value

    report = judge_as("self_attention", Padded, arrays="numpy")
    assert report.verdict == "not judged"
    assert "do not fit each other at other sizes" in report.trouble


def self_attention(x, params):
    query, key, value = (x @ params[f"W_{n}"] for n in ("q", "k", "v"))
    scores = query @ key.mT / query.shape[-1] ** 0.5
    return scores.softmax(-1) @ value


def test_weights_may_be_in_a_dict_that_a_function_takes():
    def unscaled_attention(x, params):
        query = x @ params["W_q"]
        scores = query @ (x @ params["W_k"]).mT
        return scores.softmax(-1) @ (x @ params["W_v"])

    report = judged(unscaled_attention)
    assert report.cause == "the scale is missing", report


def test_a_lazy_layer_has_its_shapes_after_a_call():
    class LazyAttention(nn.Module):
        def __init__(self, num_hiddens, num_heads):
            super().__init__()
            self.heads = num_heads
            self.W_q = nn.LazyLinear(num_hiddens)
            self.W_k = nn.LazyLinear(num_hiddens)
            self.W_v = nn.LazyLinear(num_hiddens)
            self.W_o = nn.LazyLinear(num_hiddens)

        def forward(self, queries, keys, values):
            query, key, value = (
                layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
                for layer, x in (
                    (self.W_q, queries),
                    (self.W_k, keys),
                    (self.W_v, values),
                )
            )
            scores = query @ key.mT / query.shape[-1] ** 0.5
            context = scores.softmax(-1) @ value
            return self.W_o(context.transpose(1, 2).flatten(2))

    report = judged(LazyAttention)
    assert report.holds, report


class OfOneWidth(nn.Module):
    """Without weights: it is a function of query, key and value."""

    def __init__(self, d_k):
        super().__init__()
        self.root = d_k**0.5

    def forward(self, query, key, value):
        return (query @ key.mT / self.root).softmax(-1) @ value


def test_a_class_without_weights_is_built_for_each_width():
    report = judge_as("self_attention", OfOneWidth)
    assert report.holds, report
    assert report.kind == "attention"

    class OfTwiceTheWidth(OfOneWidth):
        def __init__(self, d_k):
            super().__init__(4 * d_k)

    assert judge_as("self_attention", OfTwiceTheWidth).failed


def test_tokens_may_be_said_to_come_first():
    class TokensFirst(Heads):
        """Takes x: (seq, batch, d_model)."""

        def forward(self, x):
            return super().forward(x.transpose(0, 1)).transpose(0, 1)

    class TextsFirst(Heads):
        """Takes x: (seq, batch, d_model)."""

    role = "multi_head_attention"
    right = judge_as(role, TokensFirst)
    assert right.holds, right
    assert right.conventions["layout"] == "tokens, batch, features"
    wrong = judge_as(role, TextsFirst)
    assert "equals_the_reference" in failed(wrong)


# --- of this process, and of libraries -----------------------------------


def test_a_module_that_is_built_already_is_judged_in_its_own_sizes():
    module = Heads(15, 3)
    before = {n: w.clone() for n, w in module.state_dict().items()}
    report = judge(module, examples=3)
    assert report.holds, report
    assert report.name == "Heads"
    assert "other sizes" in report.not_asked
    assert all(
        (module.state_dict()[n] == w).all() for n, w in before.items()
    )


def test_a_wrong_module_that_is_built_already_is_rejected():
    class NeverScaled(Heads):
        def root(self, query):
            return 1

    report = judge(NeverScaled(15, 3), examples=3)
    assert "equals_the_reference" in failed(report)


LIBRARY = {
    "the class": lambda: nn.MultiheadAttention,
    "texts first": lambda: nn.MultiheadAttention(12, 3, batch_first=True),
    "tokens first": lambda: nn.MultiheadAttention(12, 3),
}


@pytest.mark.parametrize("name", LIBRARY)
def test_pytorchs_own_module_holds(name):
    report = judge(LIBRARY[name](), examples=3)
    assert report.verdict == "holds", report
    tokens_first = report.conventions.get("layout") is not None
    assert tokens_first is (name == "tokens first")
    assert "cross-attention" not in report.not_asked
    assert "gradients" not in report.not_asked
    names = [finding.name for finding in report.of("holds")]
    assert "its_causal_form_sees_no_later_token" in names
    assert "its causal form beside another mask" in report.not_asked


def transformers_layer(name: str):
    """A layer of transformers, or a skip: never in CI."""
    if os.environ.get("CI") != "true":
        pytest.importorskip("transformers", reason="needs the extra bert")
    from transformers import BertConfig, GPT2Config, T5Config
    from transformers.models.bert.modeling_bert import BertSelfAttention
    from transformers.models.gpt2.modeling_gpt2 import GPT2Attention
    from transformers.models.t5.modeling_t5 import T5Attention

    if name == "T5Attention":
        config = T5Config(d_model=12, num_heads=3, d_kv=4)
        config._attn_implementation = "eager"
        return T5Attention, T5Attention(config, True)
    if name == "BertSelfAttention":
        config = BertConfig(hidden_size=12, num_attention_heads=3)
        kind = BertSelfAttention
    else:
        config = GPT2Config(n_embd=12, n_head=3)
        kind = GPT2Attention
    config._attn_implementation = "eager"
    return kind, kind(config)


@pytest.mark.parametrize("name", ["BertSelfAttention", "GPT2Attention"])
@pytest.mark.parametrize("built", [False, True])
def test_a_layer_of_transformers_holds(name, built):
    report = judge(transformers_layer(name)[built], examples=3)
    assert report.holds, report
    assert report.name == name
    assert report.conventions["mask"].startswith("added, of (text, 1, ")


def test_the_t5_of_transformers_holds_with_its_table():
    report = judge(transformers_layer("T5Attention")[1], examples=3)
    assert report.holds, report
    bias = "of buckets of distances up to 128, on both sides"
    assert report.conventions["bias"] == bias


def test_an_input_without_a_script_is_shown_as_arrays():
    mask = np.array([[True, False]])
    case = LayerCase(np.ones((1, 2)), seed=0, masks={"mask": mask})
    lines = Failure(case, None, "").input.splitlines()
    assert lines == [
        "x = np.array([[1., 1.]], dtype='float64')",
        "mask = np.array([[ True, False]], dtype='bool')",
    ]


class TwoHeads(nn.Module):
    """Wrong: two heads, whatever number it is given."""

    def __init__(self, d_model, num_heads):
        super().__init__()
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.out_proj = nn.Linear(d_model, d_model)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, -1)).unbind(-3)
        q, k, v = (part.transpose(-3, -2) for part in (q, k, v))
        out = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out_proj(out.transpose(-3, -2).flatten(-2))


def test_a_number_of_heads_that_is_ignored_is_wrong():
    assert judge(TwoHeads).verdict == "rejected"


class WithDistances(nn.Module):
    """A variant: a learned number for each distance, and no later key."""

    def __init__(self, d_in, d_out, context_length):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out)
        self.W_key = nn.Linear(d_in, d_out)
        self.W_value = nn.Linear(d_in, d_out)
        self.distances = nn.Parameter(torch.zeros(context_length))

    def forward(self, x):
        t = torch.arange(x.shape[-2])
        apart = t[:, None] - t
        scores = self.W_query(x) @ self.W_key(x).mT
        scores = scores / self.W_query.out_features**0.5
        scores = scores + self.distances[apart.clamp(min=0)]
        scores = scores.masked_fill(apart < 0, -torch.inf)
        return scores.softmax(-1) @ self.W_value(x)


def test_a_causal_variant_is_not_judged_as_plain_attention():
    report = judge(WithDistances)
    assert report.verdict == "not judged"
    assert "it has distances, which plain attention has not" in (
        report.trouble
    )


class Activated(Heads):
    """A variant: what attention gives is activated, and added to."""

    def forward(self, x):
        context = super().forward(x)
        return context + torch.relu(context)


def test_a_layer_with_an_activation_is_not_judged_as_plain_attention():
    report = judge(Activated)
    assert report.verdict == "not judged"
    assert "it has relu, which plain attention has not" in report.trouble


class WithMemory(Heads):
    """Attention to what came before, and to its own tokens."""

    def forward(self, x, memory):
        both = torch.cat([memory, x], dim=1)
        return self.attend(
            self.q_proj(x), self.k_proj(both), self.v_proj(both)
        )


def test_memory_joined_with_tokens_is_not_judged_as_other_tokens():
    report = judge(WithMemory)
    assert report.verdict == "not judged"
    assert "attend to memory and its own tokens, joined" in report.trouble


def test_a_call_may_be_told_how_many_heads_keys_have(monkeypatch):
    role = "multi_head_attention"
    assert judge_as(role, GroupedQueryAttention).holds

    def tiled(x, repeats):
        return torch.cat([x] * repeats, dim=-3)

    monkeypatch.setattr(grouped_queries, "repeat_heads", tiled)
    report = judge_as(role, GroupedQueryAttention)
    assert report.cause == (
        "key heads are repeated all in turn, not each next to itself"
    )
