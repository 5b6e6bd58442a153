"""Classes that do more than plain attention are read as what they are: a
window, a cap, ALiBi, sinks, norms of queries and keys; and what goes wrong
in these has its cause."""

import pytest
import torch
from torch import nn

from parity_tests.judge.attention.conventions import (
    NOTHING_DECLARED,
    Declared,
)
from parity_tests.judge.files.judging import hosted, judge_thing
from parity_tests.judge.subject.variants import Variant
from parity_tests.judge.verdict.loop import Budget

pytestmark = pytest.mark.slow  # each is built and read at two sizes


def report_on(thing, declared=NOTHING_DECLARED):
    host, described = hosted(thing, None)
    budget = Budget(5, shrunk=0)
    return judge_thing(
        host, described, "multi_head_attention", declared, budget
    )


def apart(n):
    return torch.arange(n)[:, None] - torch.arange(n)


class Heads(nn.Module):
    """What all have: four projections, and scores of plain attention."""

    def __init__(self, d_model, n_heads):
        super().__init__()
        self.n_heads, self.d_head = n_heads, d_model // n_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def in_heads(self, x, projection):
        batch, tokens, _ = x.shape
        y = projection(x).view(batch, tokens, self.n_heads, self.d_head)
        return y.transpose(1, 2)

    def scores(self, x):
        q, k = self.in_heads(x, self.q_proj), self.in_heads(x, self.k_proj)
        return q @ k.mT / self.d_head**0.5

    def attend(self, x, weights):
        y = weights @ self.in_heads(x, self.v_proj)
        return self.o_proj(y.transpose(1, 2).flatten(2))


def weigh(scores, seen):
    return scores.masked_fill(~seen, -torch.inf).softmax(-1)


class SlidingWindow(Heads):
    def __init__(self, d_model, n_heads, window_size=4):
        super().__init__(d_model, n_heads)
        self.window_size = window_size

    def forward(self, x):
        distance = apart(x.shape[1])
        seen = (distance >= 0) & (distance < self.window_size)
        return self.attend(x, weigh(self.scores(x), seen))


class WindowAround(Heads):
    def __init__(self, d_model, n_heads, window_size):
        super().__init__(d_model, n_heads)
        self.window_size = window_size

    def forward(self, x):
        seen = apart(x.shape[1]).abs() <= self.window_size
        return self.attend(x, weigh(self.scores(x), seen))


class WindowOfSix(Heads):
    def forward(self, x):
        distance = apart(x.shape[1])
        window = (distance >= 0) & (distance < 6)
        return self.attend(x, weigh(self.scores(x), window))


class Alibi(Heads):
    sign = -1

    def __init__(self, d_model, n_heads):
        super().__init__(d_model, n_heads)
        slopes = 2.0 ** (-8 * torch.arange(1, n_heads + 1) / n_heads)
        self.register_buffer("slopes", slopes.view(-1, 1, 1))

    def forward(self, x):
        distance = apart(x.shape[1])
        scores = self.scores(x) + self.sign * self.slopes * distance
        return self.attend(x, weigh(scores, distance >= 0))


class SoftCap(Heads):
    def __init__(self, d_model, n_heads, softcap=30.0):
        super().__init__(d_model, n_heads)
        self.softcap = softcap

    def forward(self, x, mask=None):
        scores = torch.tanh(self.scores(x) / self.softcap) * self.softcap
        seen = torch.ones_like(scores, dtype=torch.bool)
        seen = seen if mask is None else mask.bool()
        return self.attend(x, weigh(scores, seen))


class Sinks(Heads):
    def __init__(self, d_model, n_heads):
        super().__init__(d_model, n_heads)
        self.sinks = nn.Parameter(torch.zeros(n_heads))

    def forward(self, x):
        scores, seen = self.scores(x), apart(x.shape[1]) >= 0
        scores = scores.masked_fill(~seen, -torch.inf)
        shape = (*scores.shape[:-1], 1)
        column = self.sinks.view(1, -1, 1, 1).expand(shape)
        beside = torch.cat([scores, column], dim=-1)
        return self.attend(x, beside.softmax(-1)[..., :-1])


class QKNorm(Heads):
    def __init__(self, d_model, n_heads):
        super().__init__(d_model, n_heads)
        self.q_norm = nn.RMSNorm(self.d_head, eps=1e-6)
        self.k_norm = nn.RMSNorm(self.d_head, eps=1e-6)

    def scores(self, x):
        q = self.q_norm(self.in_heads(x, self.q_proj))
        k = self.k_norm(self.in_heads(x, self.k_proj))
        return q @ k.mT / self.d_head**0.5

    def forward(self, x):
        seen = apart(x.shape[1]) >= 0
        return self.attend(x, weigh(self.scores(x), seen))


class NormOfAllHeads(QKNorm):
    """As in OLMo 2, before the split, here as a layer norm."""

    def __init__(self, d_model, n_heads):
        super().__init__(d_model, n_heads)
        self.q_norm = nn.LayerNorm(d_model)
        self.k_norm = nn.LayerNorm(d_model)

    def scores(self, x):
        q = self.in_heads(x, lambda x: self.q_norm(self.q_proj(x)))
        k = self.in_heads(x, lambda x: self.k_norm(self.k_proj(x)))
        return q @ k.mT / self.d_head**0.5


class Latents(Heads):
    """Keys and values from a latent, as in DeepSeek-V2, with no norm."""

    def __init__(self, d_model, n_heads, latent_dim):
        super().__init__(d_model, n_heads)
        del self.k_proj, self.v_proj
        self.W_DKV = nn.Linear(d_model, latent_dim)
        self.W_UK = nn.Linear(latent_dim, d_model)
        self.W_UV = nn.Linear(latent_dim, d_model)

    def forward(self, x):
        latent = self.W_DKV(x)
        q = self.in_heads(x, self.q_proj)
        k, v = (self.in_heads(latent, p) for p in (self.W_UK, self.W_UV))
        scores = q @ k.mT / self.root(latent)
        weights = weigh(scores, apart(x.shape[1]) >= 0)
        return self.o_proj((weights @ v).transpose(1, 2).flatten(2))

    def root(self, latent):
        return self.d_head**0.5


class NormedLatents(Heads):
    """Queries, too; keys and values in one layer, head by head."""

    def __init__(self, d_model, n_heads, q_lora_rank, kv_lora_rank):
        super().__init__(d_model, n_heads)
        del self.q_proj, self.k_proj, self.v_proj
        self.q_down = nn.Linear(d_model, q_lora_rank, bias=False)
        self.q_norm = nn.RMSNorm(q_lora_rank, eps=1e-6)
        self.q_up = nn.Linear(q_lora_rank, d_model, bias=False)
        self.kv_down = nn.Linear(d_model, kv_lora_rank, bias=False)
        self.kv_norm = nn.RMSNorm(kv_lora_rank, eps=1e-6)
        self.kv_up = nn.Linear(kv_lora_rank, 2 * d_model, bias=False)

    def forward(self, x):
        batch, tokens, _ = x.shape
        q = self.q_up(self.q_norm(self.q_down(x)))
        kv = self.kv_up(self.kv_norm(self.kv_down(x)))
        q, kv = (
            y.view(batch, tokens, self.n_heads, -1).transpose(1, 2)
            for y in (q, kv)
        )
        k, v = kv.chunk(2, dim=-1)
        weights = weigh(q @ k.mT / self.d_head**0.5, apart(x.shape[1]) >= 0)
        return self.o_proj((weights @ v).transpose(1, 2).flatten(2))


ALIBI = "a bias that falls with distance, slopes 2^-8h/H: ALiBi"
RIGHT = {
    SlidingWindow: ("variant", "a window of the last 3 keys"),
    WindowAround: ("variant", "a window of 3 keys to each side"),
    WindowOfSix: ("variant", "a window of the last 6 keys"),
    Alibi: ("variant", ALIBI),
    SoftCap: ("variant", "scores capped at 5"),
    Sinks: ("variant", "a sink for each head, which takes a share"),
    QKNorm: ("queries and keys", "after RMSNorm"),
    NormOfAllHeads: ("queries and keys", "after layer norm"),
    Latents: ("made from latents", ["keys and values"]),
    NormedLatents: ("made from latents", ["queries", "keys and values"]),
}


@pytest.mark.parametrize("kind", RIGHT, ids=lambda kind: kind.__name__)
def test_what_it_does_is_read_and_holds(kind):
    report = report_on(kind)
    assert report.holds, report
    name, said = RIGHT[kind]
    assert report.conventions[name] == said


class AlibiRises(Alibi):
    sign = 1


class CapAfterTheMask(SoftCap):
    def forward(self, x, mask=None):
        scores = self.scores(x)
        if mask is not None:
            scores = scores.masked_fill(~mask.bool(), -torch.inf)
        scores = torch.tanh(scores / self.softcap) * self.softcap
        return self.attend(x, scores.softmax(-1))


class SinksCutOffBefore(Sinks):
    def forward(self, x):
        scores, seen = self.scores(x), apart(x.shape[1]) >= 0
        scores = scores.masked_fill(~seen, -torch.inf)
        shape = (*scores.shape[:-1], 1)
        column = self.sinks.view(1, -1, 1, 1).expand(shape)
        beside = torch.cat([scores, column], dim=-1)
        return self.attend(x, beside[..., :-1].softmax(-1))


class UnscaledQKNorm(QKNorm):
    def scores(self, x):
        q = self.q_norm(self.in_heads(x, self.q_proj))
        k = self.k_norm(self.in_heads(x, self.k_proj))
        return q @ k.mT


class RootOfTheLatent(Latents):
    def root(self, latent):
        return latent.shape[-1] ** 0.5


class WindowOneShort(SlidingWindow):
    def forward(self, x):
        distance = apart(x.shape[1])
        seen = (distance >= 0) & (distance < self.window_size - 1)
        return self.attend(x, weigh(self.scores(x), seen))


class SlopesCutOff(Alibi):
    """With the slopes of four heads for three."""

    def __init__(self, d_model, n_heads):
        super().__init__(d_model, n_heads)
        most = 2 ** (n_heads - 1).bit_length()
        slopes = 2.0 ** (-8 * torch.arange(1, n_heads + 1) / most)
        self.register_buffer("slopes", slopes.view(-1, 1, 1))


class KeysNotNormed(QKNorm):
    def scores(self, x):
        q = self.q_norm(self.in_heads(x, self.q_proj))
        k = self.in_heads(x, self.k_proj)
        return q @ k.mT / self.d_head**0.5


class LatentsNotNormed(NormedLatents):
    def __init__(self, d_model, n_heads, q_lora_rank, kv_lora_rank):
        super().__init__(d_model, n_heads, q_lora_rank, kv_lora_rank)
        self.q_norm.forward = self.kv_norm.forward = lambda x: x


WRONG = {
    WindowOneShort: "the window is one key too short",
    SlopesCutOff: "slopes are the first of a larger power of two",
    KeysNotNormed: "the norm of the keys is left out",
    LatentsNotNormed: "the norm of the latents is left out",
    RootOfTheLatent: "the scale is 1/√d_latent, not 1/√d_head",
    AlibiRises: "the bias rises with the distance: its sign is wrong",
    CapAfterTheMask: "scores are capped after the mask",
    SinksCutOffBefore: "the sinks are left out",
    UnscaledQKNorm: "the scale is missing",
}


@pytest.mark.parametrize("kind", WRONG, ids=lambda kind: kind.__name__)
def test_what_goes_wrong_in_it_has_its_cause(kind):
    report = report_on(kind)
    assert report.verdict == "rejected", report
    assert report.cause == WRONG[kind]


class FirstKeysKept(SlidingWindow):
    """As in StreamingLLM."""

    def forward(self, x):
        tokens = x.shape[1]
        distance, place = apart(tokens), torch.arange(tokens)
        seen = (distance < self.window_size) | (place < 1)
        return self.attend(x, weigh(self.scores(x), seen & (distance >= 0)))


def test_a_window_that_keeps_more_is_accused_of_nothing():
    report = report_on(FirstKeysKept)
    assert report.verdict == "not judged"
    assert report.trouble.startswith("it has a window of 3 keys, or was")


class WindowForgotten(SlidingWindow):
    def forward(self, x):
        return self.attend(x, weigh(self.scores(x), apart(x.shape[1]) >= 0))


def test_a_window_that_changes_nothing_is_said():
    report = report_on(WindowForgotten)
    assert report.verdict == "holds where asked"
    assert report.not_asked["its window"] == (
        "of 3 keys: it changed nothing"
    )


def test_it_is_held_to_the_window_that_is_said():
    report = report_on(WindowOfSix, said(window=6))
    assert report.holds, report
    report = report_on(WindowOfSix, said(window=5))
    assert report.verdict == "rejected"
    assert report.cause == "the window is one key too long"


def test_sinks_that_are_said_must_be_there():
    report = report_on(Alibi, said(sinks=(0.0,)))
    assert report.verdict == "not judged"
    assert "expected a parameter for its sinks" in report.trouble


def said(**fields) -> Declared:
    return Declared(is_meant=True, variant=Variant(**fields))


# --- T5: a number for each bucket of distances ---------------------------


class T5Attention(Heads):
    """Eight buckets, four to a side: two near distances, and two ranges
    up to 20 = 2 (20 / 2), of which the second begins at the root of it."""

    def __init__(self, d_model, n_heads):
        super().__init__(d_model, n_heads)
        self.relative_attention_bias = nn.Embedding(8, n_heads)

    def distances(self, tokens):
        """How far each key is behind its query."""
        return apart(tokens)

    def buckets(self, tokens):
        distance = self.distances(tokens)
        far = abs(distance)
        bucket = far.clamp(max=1) + (far > 1) + (far >= (2 * 20) ** 0.5)
        return bucket + 4 * (distance < 0)

    def added(self, scores, bias):
        return scores * self.d_head**0.5 + bias

    def forward(self, x, mask=None):
        bias = self.relative_attention_bias(self.buckets(x.shape[1]))
        scores = self.added(self.scores(x), bias.permute(2, 0, 1))
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool)
        seen = seen if mask is None else mask[:, None, None]
        return self.attend(x, weigh(scores, seen))

    max_distance = 20


def test_t5s_bias_of_buckets_is_read_from_its_table():
    report = report_on(T5Attention)
    assert report.verdict == "holds", report
    bias = "of buckets of distances up to 20, on both sides"
    assert report.conventions["bias"] == bias
    assert report.conventions["scale"].startswith("none")


def test_what_goes_wrong_with_t5s_bias_is_named():
    class T5Backwards(T5Attention):
        def distances(self, tokens):
            return -apart(tokens)

    class T5OfOneHead(T5Attention):
        def added(self, scores, bias):
            return super().added(scores, bias[:1])

    backwards, of_one_head = map(report_on, (T5Backwards, T5OfOneHead))
    assert backwards.cause == (
        "the bias of distances is that of the opposite ones: its sign"
    )
    assert (
        of_one_head.cause == "one head's bias of distances serves for all"
    )
