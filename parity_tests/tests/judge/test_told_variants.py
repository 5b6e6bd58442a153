"""Attention that is told what it is, by arguments or by whoever asks, is
held to that: a window, a cap, ALiBi's slopes, sinks."""

import numpy as np
import pytest
import torch
from torch.nn.attention.flex_attention import flex_attention

from parity_tests.judge.attention.conventions import Declared
from parity_tests.judge.files.judging import hosted, judge_thing
from parity_tests.judge.mutants.variant_parts import (
    attention_as,
    mistakes_in,
)
from parity_tests.judge.subject.cases import AttentionCase
from parity_tests.judge.subject.roles import kind_of
from parity_tests.judge.subject.variants import Variant
from parity_tests.judge.verdict.loop import Budget

slow = pytest.mark.slow


def report_on(function, **declared):
    host, thing = hosted(function, None)
    role, budget = "scaled_dot_product_attention", Budget(8, shrunk=0)
    return judge_thing(host, thing, role, Declared(**declared), budget)


def scores_of(q, k):
    return q @ k.mT / q.shape[-1] ** 0.5


def apart(q, k):
    queries, keys = q.shape[-2], k.shape[-2]
    last = torch.arange(keys - queries, keys)
    return last[:, None] - torch.arange(keys)


def weighed(scores, seen, v):
    return scores.masked_fill(~seen, -torch.inf).softmax(-1) @ v


# --- right ones, with arguments of their own -----------------------------


def swa(q, k, v, window):
    distance = apart(q, k)
    return weighed(
        scores_of(q, k), (distance >= 0) & (distance < window), v
    )


def window_before(q, k, v, window_size=256):
    distance = apart(q, k)
    seen = (distance >= 0) & (distance <= window_size)
    return weighed(scores_of(q, k), seen, v)


def window_around(q, k, v, attention_window=8):
    return weighed(
        scores_of(q, k), apart(q, k).abs() <= attention_window // 2, v
    )


def window_or_none(q, k, v, sliding_window=None, is_causal=True):
    distance = apart(q, k)
    seen = distance >= 0 if is_causal else distance == distance
    if sliding_window is not None:
        seen = seen & (distance < sliding_window)
    return weighed(scores_of(q, k), seen, v)


def capped(q, k, v, mask=None, softcap=None):
    scores = scores_of(q, k)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    return (
        scores.softmax(-1) @ v if mask is None else weighed(scores, mask, v)
    )


def with_slopes(q, k, v, alibi_slopes):
    distance = apart(q, k)
    scores = scores_of(q, k) - alibi_slopes[:, None, None] * distance
    return weighed(scores, distance >= 0, v)


def with_sinks(q, k, v, sinks):
    """As transformers has it for GPT-OSS."""
    scores = scores_of(q, k)
    column = sinks.reshape(1, -1, 1, 1).expand(*scores.shape[:-1], 1)
    beside = torch.cat([scores, column], dim=-1)
    shifted = beside - beside.max(dim=-1, keepdim=True).values
    return shifted.softmax(-1)[..., :-1] @ v


def back_and_forward(q, k, v, window_size=(-1, -1)):
    """As in flash-attention: how many keys before and after the own."""
    distance, (back, forward) = apart(q, k), window_size
    seen = torch.ones_like(distance, dtype=torch.bool)
    seen = seen & (distance <= back) if back >= 0 else seen
    seen = seen & (-distance <= forward) if forward >= 0 else seen
    return weighed(scores_of(q, k), seen, v)


RIGHT = {
    swa: "a window of the last window keys",
    window_before: (
        "a window of the query's own key and window_size before it"
    ),
    window_around: ("a window of attention_window // 2 keys to each side"),
    window_or_none: "a window of the last sliding_window keys",
    capped: "scores capped at softcap",
    with_slopes: (
        "a bias that falls with distance, times alibi_slopes: ALiBi"
    ),
    with_sinks: "a sink for each head, sinks, which takes a share",
    back_and_forward: (
        "a window of the query's own key and window_size before it"
    ),
}


@slow
@pytest.mark.parametrize("function", RIGHT, ids=lambda f: f.__name__)
def test_what_its_arguments_tell_is_passed_and_holds(function):
    report = report_on(function)
    assert report.holds, report
    assert report.conventions["variant"] == RIGHT[function]
    names = {finding.name for finding in report.findings}
    # At rest it is plain attention, and asked as that.
    assert {"equals_the_definition", "equals_its_definition"} <= names


def flash_attn(q, k, v, causal=True, alibi_slopes=None, softcap=0.0):
    """With knobs that nobody turns."""
    scores = scores_of(q, k)
    return weighed(scores, (apart(q, k) >= 0) | (not causal), v)


@slow
def test_what_is_off_and_changes_nothing_is_left_alone():
    report = report_on(flash_attn)
    assert report.holds, report
    assert "variant" not in report.conventions
    for name in ("alibi_slopes", "softcap"):
        assert report.not_asked[f"its argument {name}"] == (
            "left at its default"
        )


# --- wrong ones ----------------------------------------------------------


def sinks_left_out(q, k, v, sinks):
    return scores_of(q, k).softmax(-1) @ v


def sinks_of_the_first(q, k, v, sinks):
    return with_sinks(q, k, v, sinks[:1].expand(q.shape[-3]))


def cap_after_the_mask(q, k, v, mask, softcap):
    scores = scores_of(q, k).masked_fill(~mask, -torch.inf)
    return (softcap * torch.tanh(scores / softcap)).softmax(-1) @ v


def cap_before_the_scale(q, k, v, mask, softcap):
    scores = softcap * torch.tanh(q @ k.mT / softcap)
    return weighed(scores / q.shape[-1] ** 0.5, mask, v)


def not_multiplied_again(q, k, v, mask, softcap):
    return weighed(torch.tanh(scores_of(q, k) / softcap), mask, v)


def rising(q, k, v, slopes):
    distance = apart(q, k)
    scores = scores_of(q, k) + slopes[:, None, None] * distance
    return weighed(scores, distance >= 0, v)


def bias_scaled(q, k, v, slopes):
    distance = apart(q, k)
    scores = q @ k.mT - slopes[:, None, None] * distance
    return weighed(scores / q.shape[-1] ** 0.5, distance >= 0, v)


def sinks_scaled(q, k, v, sinks):
    return with_sinks(q, k, v, sinks / q.shape[-1] ** 0.5)


def one_key_more(q, k, v, window):
    """Each query sees `window` keys, its own included."""
    distance = apart(q, k)
    return weighed(
        scores_of(q, k), (distance >= 0) & (distance <= window), v
    )


def not_causal_in_a_window(q, k, v, window=None, is_causal=False):
    distance = apart(q, k)
    seen = torch.ones_like(distance, dtype=torch.bool)
    if window is not None:
        seen = distance.abs() < window
    elif is_causal:
        seen = distance >= 0
    return weighed(scores_of(q, k), seen, v)


def window_ignored(q, k, v, window):
    return weighed(scores_of(q, k), apart(q, k) >= 0, v)


WRONG = {
    sinks_left_out: "the sinks are left out",
    sinks_of_the_first: "all heads have the sink of the first",
    cap_after_the_mask: "scores are capped after the mask",
    cap_before_the_scale: "scores are capped before they are scaled",
    not_multiplied_again: "scores are not multiplied by the cap again",
    rising: "the bias rises with the distance: its sign is wrong",
    bias_scaled: (
        "the bias is scaled, too: it is added before the division"
    ),
    sinks_scaled: "a sink's score is scaled, too",
    one_key_more: "the window is one key too long",
    not_causal_in_a_window: (
        "causal is dropped beside a window of window - 1 keys to each side"
    ),
    window_ignored: "there is no window",
}


@slow
@pytest.mark.parametrize("function", WRONG, ids=lambda f: f.__name__)
def test_what_it_makes_wrong_of_them_has_a_cause(function):
    report = report_on(function)
    assert report.verdict == "rejected", report
    assert report.cause == WRONG[function]


def gradient_doubled(q, k, v, window):
    """Right in all its numbers, and wrong in what it sends back."""
    return swa(2 * q - q.detach(), k, v, window)


def back_and_own(q, k, v, window):
    """A token sees itself and the `window` tokens before it."""
    return window_before(q, k, v, window)


@slow
def test_what_is_wrong_at_rest_is_wrong():
    report = report_on(gradient_doubled)
    assert report.verdict == "rejected", report
    failed = {finding.name for finding in report.failed}
    assert failed
    assert all("gradient" in name for name in failed)


@slow
def test_a_window_beside_the_own_key_is_no_mistake():
    assert report_on(back_and_own).holds


def with_first_keys(q, k, v, window=4, first=2):
    """As in StreamingLLM."""
    distance, place = apart(q, k), torch.arange(k.shape[-2])
    seen = (distance >= 0) & ((distance < window) | (place < first))
    return weighed(scores_of(q, k), seen, v)


def dilated(q, k, v, window=3, dilation=2):
    distance = apart(q, k)
    seen = (distance >= 0) & (distance < window * dilation)
    return weighed(scores_of(q, k), seen & (distance % dilation == 0), v)


@slow
@pytest.mark.parametrize("function", [with_first_keys, dilated])
def test_what_does_more_with_its_arguments_is_accused_of_nothing(function):
    report = report_on(function)
    assert report.verdict == "not judged"
    assert report.trouble.startswith(
        "it takes window, and does not with it"
    )


# --- what is said ---------------------------------------------------------


def five_keys(q, k, v):
    return swa(q, k, v, 5)


@slow
def test_who_says_a_window_is_told_which_one_it_has():
    said = {"is_meant": True, "variant": Variant(window=5)}
    assert report_on(five_keys, **said).holds
    report = report_on(five_keys, **said | {"variant": Variant(window=4)})
    assert report.verdict == "rejected"
    assert report.cause == (
        "it has a window of the last 5 keys, not a window of the last 4 "
        "keys"
    )


@slow
def test_who_says_sinks_where_none_are_taken_is_told():
    report = report_on(five_keys, variant=Variant(sinks=(0.0,)))
    assert report.verdict == "not judged"
    assert report.trouble == (
        "expected an argument for its sinks, such as sinks, got (q, k, v)"
    )


@slow
def test_a_window_that_is_said_goes_where_it_is_taken():
    said = {"is_meant": True, "variant": Variant(window=40)}
    assert report_on(swa, **said).holds
    report = report_on(window_before, **said)
    assert report.cause == "the window is one key too long"


# --- the parts ------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *[
            (n, "window")
            for n in ("window", "sliding_window", "left_window")
        ],
        *[(n, "cap") for n in ("softcap", "attn_logit_softcapping", "cap")],
        *[(n, "slopes") for n in ("slopes", "alibi_slopes")],
        *[(n, "sinks") for n in ("sinks", "sink_logits", "s_aux", "sink")],
        *[(n, None) for n in ("num_sinks", "capacity", "windows", "bias")],
        ("context_window", None),
    ],
)
def test_names_tell_what_an_argument_is(name, kind):
    assert kind_of(name) == kind


def by_flex_attention(variant: Variant, case: AttentionCase) -> np.ndarray:
    """The same variant, by PyTorch's own composable attention."""
    tensors = [torch.from_numpy(a)[None] for a in case.qkv]
    past = case.key.shape[-2] - case.query.shape[-2]
    slopes = torch.from_numpy(variant.slopes(3)[:, 0, 0].copy())

    def score(score, batch, head, query, key):
        distance = past + query - key
        score = variant.cap * torch.tanh(score / variant.cap)
        score = score - slopes[head] * distance
        hidden = (distance < 0) | (distance >= variant.window)
        return torch.where(hidden, -torch.inf, score)

    return flex_attention(*tensors, score_mod=score)[0].numpy()


def drawn(seed: int = 0) -> AttentionCase:
    random = np.random.default_rng(seed)
    query = 3 * random.normal(size=(3, 4, 5))
    key, value = random.normal(size=(2, 3, 6, 5))
    return AttentionCase(query, key, value, np.array(True))


VARIANT = Variant(3, 2.0, ((0.5, 0.25, 0.125), "signed"), "earlier")


def test_a_variant_is_what_flex_attention_makes_of_it():
    case = drawn()
    expected = by_flex_attention(VARIANT, case)
    assert np.allclose(VARIANT.exact(case).value, expected, atol=1e-12)
    assert np.allclose(attention_as(VARIANT, case), expected, atol=1e-12)


def test_sinks_are_keys_whose_values_are_zeros():
    case, sinks = drawn(), (1.0, -2.0, 0.5)
    query, key, value = (torch.from_numpy(array) for array in case.qkv)
    column = torch.tensor(sinks)[:, None, None].expand(3, 4, 1)
    scores = torch.cat([scores_of(query, key), column.double()], dim=-1)
    nothing = torch.zeros(3, 1, 5, dtype=torch.double)
    expected = scores.softmax(-1) @ torch.cat([value, nothing], dim=-2)
    variant = Variant(sinks=sinks)
    assert np.allclose(variant.exact(case).value, expected, atol=1e-12)
    assert np.allclose(attention_as(variant, case), expected, atol=1e-12)


def test_every_mistake_is_told_from_the_right_one_and_from_the_others():
    variant, case = (
        Variant(
            3,
            2.0,
            ((0.5, 0.25, 0.125), "signed"),
            "both",
            sinks=(1.0, 2.0, 0.5),
        ),
        drawn(),
    )
    outputs = {None: attention_as(variant, case)}
    outputs |= {
        n: attention_as(variant, case, m) for n, m in mistakes_in(variant)
    }
    assert len(outputs) == 24
    for name, output in outputs.items():
        alike = [n for n, o in outputs.items() if np.allclose(o, output)]
        assert alike == [name] or {*alike} == {
            "the window reaches to both sides",
            None,
        }
