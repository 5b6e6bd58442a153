"""Caches: a decoder is asked call by call, and what is not understood of
its cache is left alone, and said."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from parity_tests.judge.attention.conventions import NOTHING_DECLARED
from parity_tests.judge.files.judging import judge_candidates
from parity_tests.judge.files.remote import Limits, Remote
from parity_tests.judge.mutants.attention_parts import CACHES
from parity_tests.judge.verdict.loop import Budget

from .test_classes import failed, judged

pytestmark = pytest.mark.slow  # each is judged whole

DECODING = "decoding_with_its_cache_is_the_same_as_all_at_once"


class Decoder(nn.Module):
    """One head with a cache, the parts of which may be replaced."""

    def __init__(self, d_in, d_out):
        super().__init__()
        self.q_proj = nn.Linear(d_in, d_out)
        self.k_proj = nn.Linear(d_in, d_out)
        self.v_proj = nn.Linear(d_in, d_out)

    def joined(self, past, new):
        """Keys and values that are attended to, and those to be kept."""
        both = [
            torch.cat(pair, dim=1) for pair in zip(past, new, strict=True)
        ]
        return both, both

    def seen(self, queries, keys):
        return torch.ones(queries, keys, dtype=torch.bool).tril(
            keys - queries
        )

    def forward(self, x, past=None):
        new = self.k_proj(x), self.v_proj(x)
        (key, value), kept = (
            (new, new) if past is None else self.joined(past, new)
        )
        scores = self.q_proj(x) @ key.mT / key.shape[-1] ** 0.5
        seen = self.seen(*scores.shape[1:])
        weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
        return weights @ value, tuple(kept)


def test_what_the_others_are_made_of_holds_and_its_cache_is_named():
    report = judged(Decoder)
    assert report.verdict == "holds", report
    assert report.conventions["cache"] == ("past",)
    assert DECODING in {finding.name for finding in report.of("holds")}
    assert not any("cache" in what for what in report.not_asked)


def cat(*pair):
    return torch.cat(pair, dim=1)


# What is attended to, and what is kept, by what was kept and what is new.
JOINED = {
    "the cache is not looked at": lambda old, new: (new, new),
    "the cache keeps the last call's keys and values only": (
        lambda old, new: (
            [cat(*pair) for pair in zip(old, new, strict=True)],
            new,
        )
    ),
    "a new token does not see itself: it comes into the cache too late": (
        lambda old, new: (
            old,
            [cat(*pair) for pair in zip(old, new, strict=True)],
        )
    ),
    "new keys and values go before those of the cache": lambda old, new: (
        [[cat(*pair) for pair in zip(new, old, strict=True)]] * 2
    ),
    "new keys go before those of the cache, new values after": (
        lambda old, new: [[cat(new[0], old[0]), cat(old[1], new[1])]] * 2
    ),
    "new values go before those of the cache, new keys after": (
        lambda old, new: [[cat(old[0], new[0]), cat(new[1], old[1])]] * 2
    ),
    "cached keys serve for cached values, too": (
        lambda old, new: [[cat(old[0], new[0]), cat(old[0], new[1])]] * 2
    ),
    "cached values serve for cached keys, too": (
        lambda old, new: [[cat(old[1], new[0]), cat(old[1], new[1])]] * 2
    ),
    "cached keys and values are swapped": (
        lambda old, new: [[cat(old[1], new[0]), cat(old[0], new[1])]] * 2
    ),
}


@pytest.mark.parametrize("cause", CACHES)
def test_each_mistake_with_a_cache_is_named(cause):
    class Mistaken(Decoder):
        def joined(self, past, new):
            return JOINED[cause](past, new)

    report = judged(Mistaken)
    assert failed(report) == [DECODING]
    assert report.cause == cause


# --- several new tokens --------------------------------------------------


def test_tokens_that_see_each_other_beside_a_cache_hold_where_asked():
    class Mask(Decoder):
        """A causal mask of the first call only."""

        def seen(self, queries, keys):
            mine = torch.ones(queries, keys, dtype=torch.bool)
            return mine.tril() if queries == keys else mine

    report = judged(Mask)
    assert report.verdict == "holds where asked", report
    assert "each sees the later ones" in report.not_asked["its cache"]


def test_one_new_token_at_a_time_is_asked_alone_where_it_is_said():
    class Triangle(Decoder):
        def seen(self, queries, keys):
            mine = torch.ones(queries, keys, dtype=torch.bool)
            return mine.tril() if queries > 1 else mine

    class Said(Triangle):
        """Causal attention; with a cache, for one new token at a time."""

    wrong, right = judged(Triangle), judged(Said)
    assert failed(wrong) == [DECODING]
    assert wrong.cause.startswith("the cache is forgotten")
    assert right.verdict == "holds", right
    said = right.not_asked["its cache with several new tokens"]
    assert said == "it says that it takes one at a time"


def test_a_layer_that_takes_one_new_token_only_is_asked_with_one():
    class One(Decoder):
        def joined(self, past, new):
            if new[0].shape[1] > 1:
                raise ValueError("one new token")
            return super().joined(past, new)

    report = judged(One)
    assert report.verdict == "holds", report
    said = report.not_asked["its cache with several new tokens"]
    assert said == "it takes one at a time"


# --- what is not understood ----------------------------------------------


class Unprojected(Decoder):
    """What comes back beside the output are no keys and values."""

    def forward(self, x, past=None):
        output, (key, value) = super().forward(x)
        return output, (key + 1, value - 1)


class WholeAgain(Decoder):
    """With a cache it wants all tokens again, and answers the last."""

    def forward(self, x, past=None):
        if past is None:
            return super().forward(x)
        output, kept = super().forward(x)
        return output[:, len(past[0][0]) :], kept


class Refuses(Decoder):
    """Its cache is of another kind than what comes back."""

    def forward(self, x, past=None):
        if past is not None:
            raise TypeError("expected a DynamicCache")
        return super().forward(x)


class InPlace(nn.Module):
    """Keys and values are written into tensors of a fixed length."""

    def __init__(self, dim, n_heads, max_batch_size=8, max_seq_len=40):
        super().__init__()
        self.n_heads = n_heads
        self.wq, self.wk, self.wv, self.wo = (
            nn.Linear(dim, dim) for _ in range(4)
        )
        shape = max_batch_size, max_seq_len, dim
        self.cache_k, self.cache_v = torch.zeros(shape), torch.zeros(shape)

    def forward(self, x, start_pos=0):
        batch, new, _ = x.shape
        end = start_pos + new
        held = self.written(batch, start_pos, end, self.wk(x), self.wv(x))
        query, key, value = (
            each.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for each in (self.wq(x), *held)
        )
        seen = torch.ones(new, end, dtype=torch.bool).tril(start_pos)
        scores = query @ key.mT / key.shape[-1] ** 0.5
        weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
        return self.wo((weights @ value).transpose(1, 2).flatten(2))

    def written(self, batch, start_pos, end, *new):
        for held, each in zip(
            (self.cache_k, self.cache_v), new, strict=True
        ):
            held[:batch, start_pos:end] = each
        return self.cache_k[:batch, :end], self.cache_v[:batch, :end]


class Padded(Decoder):
    """What it keeps has room for more, and `t` says where it goes on."""

    def forward(self, x, past=None, t=0):
        end, (key, value) = t + x.shape[1], (self.k_proj(x), self.v_proj(x))
        held = past or torch.zeros(2, len(x), 40, key.shape[2]).to(x)
        held = [each.clone() for each in held]
        held[0][:, t:end], held[1][:, t:end] = key, value
        key, value = held[0][:, :end], held[1][:, :end]
        scores = self.q_proj(x) @ key.mT / key.shape[-1] ** 0.5
        seen = self.seen(*scores.shape[1:])
        weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
        return weights @ value, tuple(held)


class Counted(InPlace):
    """How many tokens there were is told by a name that tells nothing."""

    def forward(self, x, use_cache=False, i=0):
        return super().forward(x, i)


@pytest.mark.parametrize(
    "kind", [Unprojected, WholeAgain, Refuses, Padded, Counted]
)
def test_a_cache_that_is_not_understood_is_not_judged(kind):
    report = judged(kind)
    assert report.verdict == "holds where asked", report
    name = "use_cache" if kind is Counted else "past"
    said = report.not_asked["its cache"]
    assert said == f"{name} was left at its default"


def test_a_position_without_a_cache_is_an_argument_like_any_other():
    class SelfAttention(Decoder):
        def forward(self, x, offset=0):
            scores = self.q_proj(x) @ self.k_proj(x).mT
            weights = scores / scores.new_tensor(self.width) ** 0.5
            return weights.softmax(-1) @ self.v_proj(x)

        @property
        def width(self):
            return self.q_proj.out_features

    report = judged(SelfAttention)
    assert report.verdict == "holds", report
    assert report.not_asked["its argument offset"] == "offset was always 0"


def test_a_switch_that_changes_nothing_is_no_cache():
    class MultiHeadAttention(Decoder):
        def forward(self, x, use_cache=False):
            return super().forward(x)[0]

    report = judged(MultiHeadAttention)
    assert report.verdict == "holds where asked", report
    said = report.not_asked["its cache"]
    assert said == "use_cache was left at its default"


def test_a_cache_of_a_layer_without_a_causal_mask_is_asked_as_well():
    class SelfAttention(Decoder):
        """New tokens see all that came, and each other."""

        def seen(self, queries, keys):
            return torch.ones(queries, keys, dtype=torch.bool)

    class NewOnly(SelfAttention):
        def joined(self, past, new):
            return new, new

    right, wrong = judged(SelfAttention), judged(NewOnly)
    assert right.verdict == "holds", right
    assert failed(wrong) == [DECODING]
    assert wrong.cause == "the cache is not looked at"


# --- tensors that were made before ---------------------------------------


def test_tensors_that_are_plain_attributes_are_as_precise_as_weights():
    report = judged(InPlace)
    assert report.verdict == "holds", report
    assert "float64" not in report.conventions
    assert report.conventions["cache"] == ("start_pos",)


def test_an_attribute_that_is_a_type_is_no_tensor():
    class Typed(InPlace):
        def __init__(self, dim, n_heads):
            super().__init__(dim, n_heads, 256)
            self.dtype = torch.float32

    assert judged(Typed).verdict == "holds"


def test_a_cache_that_is_written_at_the_wrong_place_is_rejected():
    class AtTheFirst(InPlace):
        def written(self, batch, start_pos, end, *new):
            for held, each in zip(
                (self.cache_k, self.cache_v), new, strict=True
            ):
                held[:batch, : end - start_pos] = each
            return self.cache_k[:batch, :end], self.cache_v[:batch, :end]

    report = judged(AtTheFirst)
    assert failed(report) == [DECODING]


def test_a_cache_is_asked_in_float32_where_that_is_inside():
    class Inside32(Decoder):
        def joined(self, past, new):
            return super().joined(
                past, [each.float().to(each) for each in new]
            )

        def forward(self, x, past=None):
            output, kept = super().forward(x.float().to(x), past)
            return output.float().to(x), kept

    report = judged(Inside32)
    assert report.verdict == "holds", report
    assert "float64" in report.conventions


# --- a script ------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("past_without_offset", "kept_and_not_counted"),
        "numpy_backward_like_a_sigmoid",
        "cache_object_turned_anew",
    ],
)
def test_a_script_makes_all_calls_one_after_the_other(name, tmp_path):
    folder = Path(__file__).parent / "street" / "more"
    path, script = folder / f"{name}.py", tmp_path / "script.py"
    with Remote(path, Limits(60)) as host:
        things = host.load(str(path), 20.0)["things"]
        (report,) = judge_candidates(
            host, things, None, NOTHING_DECLARED, Budget(5)
        )
    script.write_text(report.failed[0].failure.script, encoding="utf-8")
    printed = subprocess.run(
        [sys.executable, script],
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    *_, said = script.read_text("utf-8").strip().split("# ")
    got, expected = said.split(", expected ")
    assert float(printed) == pytest.approx(float(got))
    assert float(got) != pytest.approx(float(expected))
