"""Layers are built, read and called as people write them down."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from parity_tests.judge.classes.finding import most_telling
from parity_tests.judge.files.judging import hosted, role_by_name

from .test_classes import failed, judged

pytestmark = pytest.mark.slow  # each builds and judges a whole layer

n_embd = 24


class Attention(nn.Module):
    """Heads in tensors; what subclasses build, they call by these names."""

    def made(self, width, heads, key_heads, bias=True):
        self.heads, self.key_heads = heads, key_heads
        narrow = width // heads * key_heads
        self.wq = nn.Linear(width, width, bias)
        self.wk = nn.Linear(width, narrow, bias)
        self.wv = nn.Linear(width, narrow, bias)
        self.wo = nn.Linear(width, width, bias)

    def repeat(self, x):
        return x.repeat_interleave(self.heads // self.key_heads, dim=1)

    def queries(self, x):
        return self.wq(x)

    def keys(self, x):
        return self.wk(x)

    def values(self, x):
        return self.wv(x)

    def attended(self, x, context, mask=None):
        query, key = self.queries(x), self.keys(context)
        value = self.values(context)
        query = query.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        key, value = (
            self.repeat(
                each.unflatten(-1, (self.key_heads, -1)).transpose(1, 2)
            )
            for each in (key, value)
        )
        scores = query @ key.mT / query.shape[-1] ** 0.5
        if mask is not None:
            scores = scores + mask
        merged = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
        return self.wo(merged)

    def forward(self, x):
        return self.attended(x, x)


class OfRegions(Attention):
    """Other tokens are as wide as an argument says that has a default."""

    def __init__(self, dim=512, feat_dim=2048, num_heads=8):
        super().__init__()
        self.made(dim, num_heads, num_heads)
        self.wk, self.wv = (nn.Linear(feat_dim, dim) for _ in "kv")

    def forward(self, text, regions):
        return self.attended(text, regions)


def test_other_tokens_may_have_a_width_of_their_own():
    report = judged(OfRegions)
    assert report.holds, report
    assert report.conventions["cross_attention"] == ["regions"]


class ScaledIfWanted(Attention):
    def __init__(self, d_model, n_heads, scale=False):
        super().__init__()
        self.made(d_model, n_heads, n_heads)
        self.scale = scale

    def queries(self, x):
        query = self.wq(x)
        root = (query.shape[-1] // self.heads) ** 0.5
        return query if self.scale else query * root


class OfWhatIsNotThere(Attention):
    def __init__(self, d_model, n_heads):
        super().__init__()
        self.made(d_model, n_heads, n_heads)

    def queries(self, x):
        return rearrange(self.wq(x), "b n d -> b n d")  # noqa: F821


def test_a_scale_that_can_be_left_out_is_wanted():
    report = judged(ScaledIfWanted)
    assert report.verdict == "holds", report
    assert report.conventions["given"] == ["scale=True"]
    assert "scale" not in str(report.not_asked)


def test_of_all_troubles_a_missing_name_is_told():
    report = judged(OfWhatIsNotThere)
    assert report.verdict == "not judged"
    assert "NameError: name 'rearrange' is not" in str(report)
    shapes = "it raised RuntimeError: shapes cannot be multiplied"
    name = "it raised NameError: name 'rearrange' is not defined"
    assert most_telling([shapes, name]) == name
    assert most_telling([shapes, "it returned a NaN"]) == shapes
    assert most_telling([]) == "it gave no output"


class HalfAttention(nn.Module):
    """Its weights and all that it computes are of 16 bits."""

    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.half()

    def forward(self, x):
        q, k, v = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in self.qkv(x.half()).chunk(3, dim=-1)
        )
        weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1)
        return (weights @ v).transpose(1, 2).flatten(2)


def test_of_all_troubles_another_than_a_wrong_width_is_told():
    shapes = "it raised RuntimeError: shapes cannot be multiplied"
    other = "it raised ValueError: too many values"
    assert most_telling([shapes, other]) == other
    report = judged(HalfAttention)
    assert report.verdict == "not judged"
    assert "the same dtype" in report.trouble
    assert report.trouble.endswith("are asked in 32 and 64 only")


@dataclass
class Arguments:
    hidden: int = 64
    num_q_heads: int = 8
    num_kv_heads: int = 2


class OfOwnFields(Attention):
    def __init__(self, args: Arguments):
        super().__init__()
        self.made(args.hidden, args.num_q_heads, args.num_kv_heads)


class OfOwnFieldsInTurn(OfOwnFields):
    def __init__(self, args: Arguments):
        super().__init__(args)
        self.made(args.hidden, args.num_q_heads, args.num_kv_heads)

    def repeat(self, x):
        return x.repeat(1, self.heads // self.key_heads, 1, 1)


class Config:
    n_embd, n_head = 24, 3


class OfClassAttributes(Attention):
    def __init__(self, config: Config):
        super().__init__()
        self.made(config.n_embd, config.n_head, config.n_head)


def test_a_configuration_is_asked_for_by_the_names_in_the_source():
    report = judged(OfOwnFields)
    assert report.verdict == "holds", report
    assert report.not_asked["dropout"] == "it takes no rate"
    assert judged(OfOwnFieldsInTurn).cause == (
        "key heads are repeated all in turn, not each next to itself"
    )


def test_attributes_of_a_configuration_class_are_sizes_too():
    report = judged(OfClassAttributes)
    assert report.verdict == "holds", report
    assert len(report.conventions["sizes"]) == 2


class OneHead(nn.Module):
    def __init__(self, head_size):
        super().__init__()
        self.query = nn.Linear(n_embd, head_size, bias=False)
        self.key = nn.Linear(n_embd, head_size, bias=False)
        self.value = nn.Linear(n_embd, head_size, bias=False)

    def forward(self, x):
        query, key, value = self.query(x), self.key(x), self.value(x)
        scores = query @ key.mT * key.shape[-1] ** -0.5
        return scores.softmax(-1) @ value


class MultiHeadAttention(nn.Module):
    def __init__(self, num_heads, head_size):
        super().__init__()
        heads = [OneHead(head_size) for _ in range(num_heads)]
        self.heads = nn.ModuleList(heads)
        self.proj = nn.Linear(n_embd, n_embd)

    def forward(self, x):
        return self.proj(torch.cat([head(x) for head in self.heads], -1))


def test_a_width_may_be_a_global_of_the_file():
    report = judged(MultiHeadAttention)
    assert report.verdict == "holds", report
    assert [
        s.split(" features")[0] for s in report.conventions["sizes"]
    ] == [*("24 to 24", "24 to 24")]


def test_arguments_that_keep_their_defaults_are_named():
    class WithSwitches(OfOtherTokens):
        def __init__(
            self, d_model, heads, qk_norm=False, dropout=0.0, device=None
        ):
            super().__init__(d_model, heads)

    report = judged(WithSwitches)
    assert report.not_asked["its argument qk_norm"] == "left at its default"
    named = " ".join(report.not_asked)
    assert "heads" not in named
    assert "argument dropout" not in named
    assert "device" not in named


# --- names of layers, and the order of axes ------------------------------


class Prepared(nn.Module):
    def __init__(self, d_model, heads):
        super().__init__()
        self.linear, self.heads = nn.Linear(d_model, d_model), heads

    def forward(self, x):
        return self.linear(x).unflatten(-1, (self.heads, -1))


class TokensFirst(nn.Module):
    def __init__(self, heads, d_model):
        super().__init__()
        self.query = Prepared(d_model, heads)
        self.key = Prepared(d_model, heads)
        self.value = Prepared(d_model, heads)
        self.output = nn.Linear(d_model, d_model)

    def forward(self, *, query, key, value, mask=None):
        seq_len, batch_size, _ = query.shape
        assert len(key) >= seq_len
        query, key = self.query(query), self.key(key)
        scores = torch.einsum("ibhd,jbhd->ijbh", query, key)
        scores = scores / query.shape[-1] ** 0.5
        if mask is not None:
            assert mask.shape[2] in (1, batch_size)
            scores = scores.masked_fill(mask[..., None] == 0, -torch.inf)
        weights = scores.softmax(dim=1)
        context = torch.einsum(
            "ijbh,jbhd->ibhd", weights, self.value(value)
        )
        return self.output(context.flatten(2))


def test_tokens_first_as_the_source_takes_a_shape_apart():
    report = judged(TokensFirst)
    assert report.verdict == "holds", report
    assert report.conventions["layout"] == "tokens, batch, features"
    assert report.conventions["mask"].endswith("of (query, key, text)")


def test_what_only_prepares_tokens_is_no_attention():
    class PrepareForMultiHeadAttention(Prepared):
        def forward(self, x):
            return self.linear(x)

    thing = hosted(PrepareForMultiHeadAttention, None)[1]
    assert role_by_name(thing) is None
    assert role_by_name(hosted(MultiHeadAttention, None)[1])


def test_names_of_query_and_key_are_not_contradicted_by_trial():
    class Swapped(OfClassAttributes):
        def queries(self, x):
            return self.wk(x)

        def keys(self, x):
            return self.wq(x)

    assert judged(Swapped).cause == (
        "the projections of queries and keys are swapped"
    )


# --- masks that are made for a layer's own tokens ------------------------


class OfOtherTokens(Attention):
    def __init__(self, d_model, heads):
        super().__init__()
        self.made(d_model, heads, heads)

    def forward(self, x, xa=None, mask=None):
        tokens = x.shape[1]
        mask = None if mask is None else mask[:tokens, :tokens]
        return self.attended(x, x if xa is None else xa, mask)


def test_a_mask_that_is_cut_to_a_square_is_asked_of_own_tokens_only():
    report = judged(OfOtherTokens)
    assert report.verdict == "holds", report
    assert report.conventions["mask"].startswith("added, of (query, key)")
    assert (
        "as many keys as queries"
        in report.not_asked["a mask of other tokens"]
    )


def test_a_mask_of_other_tokens_is_asked_for_where_it_is_taken():
    class Whole(OfOtherTokens):
        def forward(self, x, xa=None, mask=None):
            return self.attended(x, x if xa is None else xa, mask)

    report = judged(Whole)
    assert report.verdict == "holds", report
    assert "a mask of other tokens" not in report.not_asked


# --- what stands around a wrong attention --------------------------------


class CausalByDefault(Attention):
    """A triangle, where no mask is passed."""

    def __init__(self, d_model, n_heads):
        super().__init__()
        self.made(d_model, n_heads, n_heads)

    def forward(self, x, mask=None):
        if mask is None:
            mask = torch.full((x.shape[1],) * 2, -torch.inf).triu(1)
        return self.attended(x, x, mask)


def test_a_mask_that_is_passed_may_stand_for_the_causal_one():
    report = judged(CausalByDefault)
    assert report.verdict == "holds", report
    said = report.conventions["causal"]
    assert said == "where no mask is passed"


def test_a_causal_mask_that_is_lost_beside_another_is_found():
    class Lost(CausalByDefault):
        def forward(self, x, mask=None):
            n = x.shape[1]
            ahead = torch.full((n, n), -torch.inf).triu(1)
            return self.attended(x, x, ahead if mask is None else mask)

    report = judged(Lost)
    assert failed(report) == ["a_mask_hides_what_it_should"], report


def test_the_epsilon_of_a_norm_is_found_around_a_wrong_attention():
    class Block(Attention):
        def __init__(self, d_model, heads):
            super().__init__()
            self.made(d_model, heads, heads)
            self.norm = nn.LayerNorm(d_model, eps=1e-12)

        def forward(self, x):
            return self.norm(x + self.attended(x, x))

        def values(self, x):
            return self.wk(x)

    report = judged(Block)
    assert report.cause == "the values go through the key's projection"


@pytest.mark.parametrize("first", [True, False])
def test_a_norm_without_weights_is_not_judged(first):
    class Block(Attention):
        def __init__(self, d_model, heads):
            super().__init__()
            self.made(d_model, heads, heads)
            self.norm = nn.LayerNorm(d_model, elementwise_affine=False)

        def forward(self, x):
            if first:
                return x + self.attended(self.norm(x), self.norm(x))
            return self.norm(x + self.attended(x, x))

    report = judged(Block)
    assert report.verdict == "not judged", report
    assert "a norm without weights" in report.trouble


def test_the_norm_before_a_wrong_attention_is_seen():
    class Block(Attention):
        def __init__(self, d_model, heads):
            super().__init__()
            self.made(d_model, heads, heads)
            self.norm = nn.LayerNorm(d_model, eps=1e-12)

        def forward(self, x):
            normed = self.norm(x)
            return x + self.attended(normed, normed)

        def values(self, x):
            return self.wk(x)

    report = judged(Block)
    assert report.cause == "the values go through the key's projection"


class Along(nn.MultiheadAttention):
    def __init__(self, d_model, num_heads, dropout=0.0):
        super().__init__(d_model, num_heads, dropout)

    def forward(self, x):
        return super().forward(x, x, x, need_weights=False)[0]


def test_attention_along_the_batch_ends_no_judgement():
    class OfTexts(Along):
        """Attention of x, (batch, tokens, d_model)."""

    report = judged(OfTexts)
    assert report.trouble is None
    assert "texts_do_not_mix" in failed(report)
    assert report.cause == "attention runs along the batch, not the tokens"


class OfATemperature(Attention):
    """Its softmax is sharper the larger a number is that it learns."""

    def __init__(self, d_model, n_heads):
        super().__init__()
        self.made(d_model, n_heads, n_heads)
        self.temperature = nn.Parameter(torch.tensor(0.0))

    def queries(self, x):
        return self.wq(x) * self.temperature.exp()


def test_a_number_that_is_no_gate_is_told():
    report = judged(OfATemperature)
    assert report.verdict == "holds", report
    said = "learned: exp(temperature), beside 1/√d_head"
    assert report.conventions["scale"] == said


class OfASoftCap(OfATemperature):
    """Its queries have limits that are learned."""

    def queries(self, x):
        return self.temperature * torch.tanh(self.wq(x))


def test_a_number_that_is_no_scale_either_is_told():
    report = judged(OfASoftCap)
    assert report.verdict == "not judged"
    assert "it has temperature, tanh, which plain attention" in str(report)


class Additive(nn.Module):
    def __init__(self, enc_hid_dim, dec_hid_dim):
        super().__init__()
        joined = enc_hid_dim * 2 + dec_hid_dim
        self.attn = nn.Linear(joined, dec_hid_dim)
        self.v = nn.Linear(dec_hid_dim, 1, bias=False)

    def forward(self, hidden, outputs, mask):
        hidden = hidden[:, None].expand(-1, len(outputs), -1)
        joined = torch.cat((hidden, outputs.transpose(0, 1)), dim=2)
        scores = self.v(torch.tanh(self.attn(torch.cat((joined,), 2))))
        return scores[..., 0].masked_fill(mask == 0, -1e10).softmax(1)


class OfWindows(nn.Module):
    def __init__(self, dim, window_size, num_heads):
        super().__init__()
        rows, columns = window_size
        self.relative_position_bias_table = nn.Parameter(
            torch.zeros((2 * rows - 1) * (2 * columns - 1), num_heads)
        )

    def forward(self, x):
        windows = x.unflatten(1, (11, -1))  # which no trial has
        return windows.flatten(1, 2) @ self.relative_position_bias_table


@pytest.mark.parametrize(
    ("kind", "said"),
    [(Additive, "additive attention"), (OfWindows, "in windows")],
)
def test_attention_of_another_kind_is_named(kind, said):
    report = judged(kind)
    assert report.verdict == "not judged"
    assert said in str(report)


class ANumberForOneToken(Attention):
    def __init__(self, d_model, n_heads):
        super().__init__()
        self.made(d_model, n_heads, n_heads)

    def forward(self, x):
        output = super().forward(x)
        return output.sum() if x.shape[1] == 1 else output


def test_an_output_without_axes_is_a_wrong_one():
    report = judged(ANumberForOneToken)
    assert report.verdict == "rejected", report
    assert "returned shape ()" in str(report)


def test_a_layout_that_nothing_tells_is_that_in_which_it_attends():
    class OfValues(Along):
        def forward(self, x):
            both = {"need_weights": False}
            return nn.MultiheadAttention.forward(self, x, x, 2 * x, **both)[
                0
            ]

    right, wrong = judged(Along), judged(OfValues)
    assert right.verdict == "holds where asked", right
    assert "its layout" in right.not_asked
    assert right.conventions["layout"] == "tokens, batch, features"
    assert "equals_the_reference" in failed(wrong)
    assert "texts_do_not_mix" not in failed(wrong)
