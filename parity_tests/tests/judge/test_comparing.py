"""A function beside a given reference: right, wrong, and both wrong."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from parity_tests.judge.attention.conventions import NOTHING_DECLARED
from parity_tests.judge.attention.function import AttentionFunction
from parity_tests.judge.attention.property import steps
from parity_tests.judge.candidate.host import Host
from parity_tests.judge.files.comparing import (
    PROPERTIES,
    BesideAReference,
    common,
    compare_with,
    measured_factor,
    named_reference,
    thing_called,
)
from parity_tests.judge.files.remote import Remote
from parity_tests.judge.subject.cases import Range, beyond_a_tile
from parity_tests.judge.verdict.loop import Budget
from parity_tests.judge.verdict.protocol import Lost, NotJudged

pytestmark = pytest.mark.slow  # each judges two functions


def kernel(query, key, value, attn_mask=None, is_causal=False):
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask, is_causal=is_causal
    )


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def plain(query, key, value):
    root = query.dtype.type(query.shape[-1]) ** 0.5
    return softmax(query @ key.swapaxes(-2, -1) / root) @ value


def hidden(value, key, query, mask=None):
    """Where the mask is True, a key is hidden."""
    root = query.dtype.type(query.shape[-1]) ** 0.5
    scores = query @ key.swapaxes(-2, -1) / root
    if mask is not None:
        scores = np.where(mask, -np.inf, scores)
    highest = scores.max(axis=-1, keepdims=True)
    powers = np.exp(scores - np.where(np.isinf(highest), 0, highest))
    total = powers.sum(axis=-1, keepdims=True)
    return powers / np.where(total == 0, 1, total) @ value


def unscaled(query, key, value):
    return softmax(query @ key.swapaxes(-2, -1)) @ value


def unscaled_by_einsum(q, k, v):
    weights = softmax(np.einsum("...qd,...kd->...qk", q, k))
    return np.einsum("...qk,...kd->...qd", weights, v)


def causal_form(query, key, value, causal=False):
    """Right, if it were not causal by one token too many."""
    scores = query @ key.swapaxes(-2, -1) / query.shape[-1] ** 0.5
    if causal:
        visible = np.tri(*scores.shape[-2:], 1, dtype=bool)
        scores = np.where(visible, scores, -np.inf)
    return softmax(scores).astype(value.dtype) @ value


def last_tile_lost(query, key, value):
    return plain(query, key[..., :64, :], value[..., :64, :])


def always_causal(query, key, value):
    scores = query @ key.swapaxes(-2, -1) / query.shape[-1] ** 0.5
    visible = np.tri(*scores.shape[-2:], dtype=bool)
    scores = np.where(visible, scores, -np.inf)
    return softmax(scores).astype(value.dtype) @ value


def causal_on_demand(query, key, value, causal=False):
    attention = always_causal if causal else plain
    return attention(query, key, value)


def compared(function, reference, host=Host):
    """The report on a function, beside a reference of this process."""
    hosts = Host.of("mine", function), host.of("theirs", reference)
    mine, theirs = hosts[0].describe("mine"), hosts[1].describe("theirs")
    budget = Budget(examples=10)
    return compare_with(
        hosts[0], mine, hosts[1], theirs, NOTHING_DECLARED, budget
    )


def failed(report) -> list[str]:
    return [finding.name for finding in report.failed]


def test_a_right_function_equals_pytorch_s_kernel():
    report = compared(plain, kernel)
    assert report.verdict == "holds", report
    assert report.kind == "attention, beside the reference theirs"
    assert [f.verdict for f in report.findings] == ["holds", "holds"]
    assert all(finding.compared >= 8 for finding in report.findings)
    assert not any(finding.unchecked for finding in report.findings)
    assert report.not_asked == {
        "gradients": "only outputs are compared",
        "masks": "it takes none",
        "a causal form": "not both have one",
    }


def test_each_is_called_as_it_wants_to_be_called():
    report = compared(hidden, kernel)
    assert report.verdict == "holds", report
    assert "masks" not in report.not_asked
    assert report.conventions["mask"] == "True is masked"
    remark = "mask: True is masked; the reference's: True may attend"
    assert remark in report.remarks


def test_a_wrong_function_is_rejected_with_its_cause():
    report = compared(unscaled, kernel)
    assert report.verdict == "rejected"
    assert report.cause == "the scale is missing"
    assert "equals_the_given_reference" in failed(report)
    assert report.failed[0].failure.case.query.size <= 8


def test_what_is_wrong_beyond_a_tile_alone_is_found():
    report = compared(last_tile_lost, plain)
    assert failed(report) == ["it_equals_the_reference_beyond_a_tile"]


def test_causal_forms_are_compared_where_both_have_one():
    report = compared(causal_form, kernel)
    expected = ["its_causal_form_equals_that_of_the_reference"]
    assert failed(report) == expected
    failure = report.failed[0].failure
    first = failure.comparison.theirs[..., 0, :]  # it sees itself alone
    np.testing.assert_array_equal(first, failure.case.value[..., 0, :])
    assert compared(causal_on_demand, kernel).verdict == "holds"


def test_both_get_numbers_that_16_bits_hold():
    def half(query, key, value):
        if query.dtype != torch.bfloat16:
            raise TypeError("bfloat16 only")
        return kernel(query, key, value)

    queries = []

    def watched(query, key, value):
        queries.append(query)
        return kernel(query, key, value)

    subject = BesideAReference(*map(attention_of_one, (half, watched)))
    case = beyond_a_tile(subject.limits)[4]
    queries.clear()
    assert subject.compared("context", case, AttentionFunction.of).holds
    assert torch.equal(queries[0], queries[0].bfloat16().float())


def test_every_property_can_fail():
    reports = [
        compared(unscaled, kernel),
        compared(last_tile_lost, plain),
        compared(causal_form, kernel),
    ]
    names = {name for report in reports for name in failed(report)}
    assert names == {each.name for each in PROPERTIES}


def test_a_reference_of_another_kind_is_what_counts():
    report = compared(unscaled_by_einsum, unscaled)
    assert report.verdict == "holds", report
    assert not any(finding.unchecked > 1 for finding in report.findings)
    remark = "the reference itself is not softmax(Q Kᵀ / √d) V"
    assert remark in report.remarks
    report = compared(plain, unscaled)
    assert report.verdict == "rejected"
    assert report.cause is None
    assert remark in report.remarks


def times_the_root(query, key, value):
    root = query.dtype.type(query.shape[-1]) ** 0.5
    return softmax(query @ key.swapaxes(-2, -1) * root) @ value


def averaged(query, key, value):
    mean = value.mean(axis=-2, keepdims=True)
    return np.repeat(mean, query.shape[-2], axis=-2)


def attention_of_one(function) -> AttentionFunction:
    host = Host.of("it", function)
    return AttentionFunction(host, host.describe("it"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("d_head", [1, 3, 128])
@pytest.mark.parametrize(
    ("reference", "power"),
    [
        (plain, 0),
        (kernel, 0),
        (unscaled, 1),
        (times_the_root, 2),
        (averaged, 0),  # without scores, nothing can be measured
    ],
)
def test_how_large_the_scores_of_a_reference_are_is_measured(
    reference, power, d_head, dtype
):
    subject = attention_of_one(reference)
    factor = measured_factor(subject, d_head, np.dtype(dtype))
    assert factor == pytest.approx(d_head ** (power / 2))


def test_bounds_are_those_of_scores_as_large_as_the_reference_s():
    subject = BesideAReference(*map(attention_of_one, (plain, unscaled)))
    case = beyond_a_tile(subject.limits)[4]  # of 65 features
    scale = case.query.shape[-1] ** 0.5
    larger = replace(case, query=case.query * case.query.dtype.type(scale))
    bound, right = subject.bound(case), 2 * error(subject, larger)
    np.testing.assert_allclose(bound, right, rtol=1e-3)
    assert (bound != 2 * error(subject, case)).any()


def error(subject, case):
    """That of attention itself."""
    return steps(subject, case)["context"].error


def test_a_function_that_is_always_causal_meets_a_causal_mask():
    report = compared(always_causal, kernel)
    assert report.verdict == "holds", report
    report = compared(always_causal, plain)
    assert report.verdict == "not judged"
    assert "masks that the reference takes as well" in report.trouble


def test_a_mask_that_the_reference_lacks_is_said_to_be_unasked():
    report = compared(kernel, plain)
    assert report.verdict == "holds where asked"
    assert report.not_asked["its mask"] == "the reference takes none"


def test_what_is_left_alone_is_said_to_be_unasked():
    def two_masks(query, key, value, mask=None, valid_lens=None, cap=0):
        if valid_lens is not None:
            shown = torch.arange(key.shape[-2]) < valid_lens[:, None]
            shown = shown.reshape(len(shown), *[1] * (query.ndim - 2), -1)
            mask = shown if mask is None else mask & shown
        return kernel(query, key, value, mask)

    report = compared(two_masks, kernel)
    assert report.verdict == "holds", report
    assert "the mask valid_lens" in report.not_asked
    assert "its argument cap" in report.not_asked


def test_what_the_reference_cannot_answer_is_said_and_not_held_against():
    def few_keys(query, key, value):
        if key.shape[-2] > 64:
            return plain(query, key, value) * np.nan
        if key.shape[-2] > 32:
            raise MemoryError("too many keys")
        return plain(query, key, value)

    report = compared(plain, few_keys)
    assert report.verdict == "holds"
    (remark, *_) = report.remarks
    count = "the reference gave no answer to 6 of 18 inputs: it "
    assert remark.startswith(count)


def test_a_reference_may_change_its_inputs():
    def in_place(query, key, value):
        context = plain(query, key, value)
        value += 1
        return context

    assert compared(plain, in_place).verdict == "holds"
    assert compared(in_place, plain).verdict == "holds"


class LostHost(Host):
    """A host that answers a few calls, and then no more."""

    answered, most = 0, 0

    def call(self, target, arguments, how):
        self.answered += 1
        if self.answered > self.most:
            raise Lost("the process ended with code 3")
        return super().call(target, arguments, how)


@pytest.mark.parametrize("calls", [5, 80])
def test_a_reference_that_is_lost_is_not_held_against_the_function(
    calls, monkeypatch
):
    monkeypatch.setattr(LostHost, "most", calls)
    report = compared(plain, plain, host=LostHost)
    assert report.verdict == "not judged"
    assert report.trouble == "the reference: the process ended with code 3"


def test_a_reference_that_is_lost_after_the_verdict_changes_nothing(
    monkeypatch,
):
    monkeypatch.setattr(LostHost, "most", 10**6)
    remarks = BesideAReference.remarks

    def lost_now(subject):
        monkeypatch.setattr(LostHost, "most", 0)
        return remarks(subject)

    monkeypatch.setattr(BesideAReference, "remarks", lost_now)
    assert compared(unscaled, plain, host=LostHost).verdict == "rejected"


def broken(query, key, value):
    raise KeyError("no")


class OfAClass(torch.nn.Module):
    def forward(self, query, key, value):
        return kernel(query, key, value)


@pytest.mark.parametrize(
    ("function", "reference", "trouble"),
    [
        (broken, plain, "it raised KeyError: 'no'"),
        (plain, broken, "the reference: it raised KeyError: 'no'"),
        (plain, OfAClass, "the reference: expected a function of query, "),
        (OfAClass, plain, "classes are not compared with a reference"),
        (plain, lambda a, b: a, "the reference: expected a query, a key"),
    ],
)
def test_what_cannot_be_compared_says_why(function, reference, trouble):
    report = compared(function, reference)
    assert report.verdict == "not judged"
    assert trouble in report.trouble


NO_ROOT = """
import numpy as np
def attention(q, k, v):
    scores = q @ k.swapaxes(-2, -1) / q.shape[-1]
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True) @ v
"""


def test_two_files_are_compared_in_a_process_each(tmp_path):
    paths = tmp_path / "mine.py", tmp_path / "other.py"
    paths[0].write_text(NO_ROOT)
    paths[1].write_text(NO_ROOT.replace("[-1]", "[-1] ** 0.5", 1))
    path, name = named_reference(f"{paths[1]}:attention")
    with Remote(paths[0]) as host, Remote(path) as reference_host:
        (thing,) = host.load(str(paths[0]), 20)["things"]
        things = reference_host.load(str(path), 20)["things"]
        report = compare_with(
            host,
            thing,
            reference_host,
            thing_called(name, things, path),
            NOTHING_DECLARED,
            Budget(examples=5),
        )
    assert report.verdict == "rejected"
    assert report.cause == "the scale is 1/d, not 1/√d, as if applied twice"
    assert "output = attention(q=q, k=k, v=v)" in (
        report.failed[0].failure.script
    )


# --- the range that both take --------------------------------------------


def test_the_common_range_is_what_both_take():
    first = Range((0, 1), ("float32",), square=True, mask_axes="any")
    second = Range((1, 2), masks=("open",), mask_axes="text, key")
    assert common(first, second) == Range(
        (1,), ("float32",), ("open",), square=True, mask_axes="text, key"
    )
    narrow = [Range(narrow=name) for name in ("float16", "bfloat16")]
    assert common(*narrow).narrow == "bfloat16"
    assert common(Range(), narrow[0]).narrow == "float16"


@pytest.mark.parametrize(
    ("one", "other", "trouble"),
    [
        ({"batch_axes": (0,)}, {"batch_axes": (2,)}, "expected batch axes"),
        ({"dtypes": ("float32",)}, {"dtypes": ("float64",)}, "a precision"),
        ({"masks": ("open",)}, {"masks": ("causal",)}, "expected masks"),
    ],
)
def test_an_empty_range_is_not_judged(one, other, trouble):
    with pytest.raises(NotJudged, match=trouble):
        common(Range(**one), Range(**other))


# --- FILE:FUNCTION -------------------------------------------------------


def test_a_reference_is_named_by_file_and_function(tmp_path):
    path = tmp_path / "other.py"
    path.write_text("")
    assert named_reference(f"{path}:attention") == (path, "attention")


@pytest.mark.parametrize(
    "text", ["", "other.py", ":attention", "other.py:", "other.py:a b"]
)
def test_what_does_not_name_a_function_of_a_file_is_refused(text):
    with pytest.raises(ValueError, match="to be FILE:FUNCTION, as in"):
        named_reference(text)


def test_a_file_of_a_reference_that_is_missing_is_refused():
    with pytest.raises(ValueError, match=r"a file, got 'absent\.py'"):
        named_reference("absent.py:attention")


def test_a_function_that_the_file_lacks_is_refused(tmp_path):
    things = [Host.of("plain", plain).describe("plain")]
    path = tmp_path / "other.py"
    assert thing_called("plain", things, path) is things[0]
    text = r"expected a function attend in other\.py, got plain"
    with pytest.raises(ValueError, match=text):
        thing_called("attend", things, path)
    with pytest.raises(ValueError, match=r"in other\.py, got nothing"):
        thing_called("attend", [], path)
