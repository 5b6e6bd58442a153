"""The judge in bfloat16 and float16: verdicts, causes, and refusals."""

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
import torch

from parity_tests.bounds.half_precision import Profile
from parity_tests.judge import judge
from parity_tests.judge.attention import (
    all_properties,
    half_properties,
    numbers,
)
from parity_tests.judge.attention.conventions import Declared
from parity_tests.judge.attention.half_function import (
    HalfFunction,
    with_all_heads,
)
from parity_tests.judge.candidate.wire import Decoder, Encoder
from parity_tests.judge.files.judging import hosted
from parity_tests.judge.half.kernels import (
    EAGER,
    FUSED,
    TiledKernel,
    WholeKernel,
)
from parity_tests.judge.half.wrong_kernels import WRONG_KERNELS
from parity_tests.judge.mutants.attention_parts import Probe
from parity_tests.judge.subject.cases import AttentionCase

DTYPES = ("bfloat16", "float16")
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def eager(query, key, value, mask=None):
    """As each operation writes its result."""
    scores = query @ key.mT / query.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(-1) @ value


def fused(query, key, value, attn_mask=None):
    """PyTorch's own, which takes one path or another."""
    attend = torch.nn.functional.scaled_dot_product_attention
    return attend(query, key, value, attn_mask)


def of_kernel(kernel):
    """A kernel as a function whose arguments have names."""

    def attention(query, key, value, mask=None):
        return kernel(query, key, value, mask)

    return attention


def wrong(name, dtype="float16"):
    return of_kernel(WRONG_KERNELS[name].kernel(dtype))


# --- what is right holds -------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", [eager, fused])
def test_right_functions_of_pytorch_hold_with_their_gradients(
    function, dtype
):
    report = judge(function, dtype=dtype)
    assert report.verdict == "holds", str(report)
    names = {finding.name for finding in report.of("holds")}
    assert "gradients_are_the_exact_ones" in names
    assert max(finding.share for finding in report.findings) > 0.4


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("kind", "profile"), [(TiledKernel, FUSED), (WholeKernel, EAGER)]
)
def test_right_kernels_of_numpy_hold(kind, profile, dtype):
    kernel = kind(replace(profile, dtype=dtype))
    report = judge(of_kernel(kernel), dtype=dtype)
    assert report.verdict == "holds", str(report)


# --- what is wrong is rejected, and told ---------------------------------

CLEARLY_WRONG = (
    *("scale twice", "keys without length", "context not rescaled"),
    *("first key dropped", "padding in the sum", "keys in int8"),
)


@pytest.mark.slow
def test_a_wrong_kernel_is_no_misdeclared_one():
    declared = Declared(profile=FUSED)
    report = judge(
        wrong("first key dropped"),
        declared=declared,
        dtype="float16",
        examples=2,
    )
    cause = WRONG_KERNELS["first key dropped"].cause
    assert (report.verdict, report.cause) == ("rejected", cause)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CLEARLY_WRONG)
def test_wrong_kernels_are_rejected_with_their_causes(name, dtype):
    report = judge(wrong(name, dtype), dtype=dtype, examples=8)
    cause = WRONG_KERNELS[name].cause
    assert (report.verdict, report.cause) == ("rejected", cause)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_claimed_profile_that_is_wrong_is_found(dtype):
    claimed = Declared(profile=Profile())  # all in float32
    report = judge(eager, declared=claimed, dtype=dtype, examples=8)
    assert report.verdict == "rejected"
    assert report.cause.startswith("it rounds more than is said")
    claimed = Declared(profile=replace(EAGER, scaled_before="nothing"))
    report = judge(eager, declared=claimed, dtype=dtype, examples=8)
    assert report.verdict == "holds", str(report)
    assert report.conventions["roundings"].startswith("as said")


# --- what is refused, in one line ----------------------------------------


@pytest.mark.slow
def test_another_dtype_that_is_returned_is_told():
    def widening(query, key, value):
        return eager(query.float(), key.float(), value.float())

    report = judge(widening, dtype="bfloat16", examples=1)
    assert report.verdict == "rejected"
    assert report.cause == "it returned float32, expected bfloat16"


def test_a_dtype_that_is_not_taken_is_not_judged():
    def no_bfloat16(query, key, value):
        if query.dtype == torch.bfloat16:
            raise TypeError("float16 only")
        return eager(query, key, value)

    report = judge(no_bfloat16, dtype="bfloat16")
    assert report.verdict == "not judged"
    assert report.trouble.startswith(
        "in bfloat16, it raised TypeError: float16 only"
    )
    assert "\n" not in report.trouble


def test_bfloat16_without_ml_dtypes_names_the_extra(monkeypatch):
    monkeypatch.setattr(
        "parity_tests.judge.attention.half_verdict.find_spec",
        lambda name: None,
    )
    report = judge(eager, dtype="bfloat16")
    assert report.verdict == "not judged"
    assert "attention-twice[half]" in report.trouble


def test_an_unknown_dtype_is_an_error():
    with pytest.raises(ValueError, match="expected dtype to be one of"):
        judge(eager, dtype="float8")


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("meta", "on the device meta, outputs hold no numbers"),
        ("nowhere", "expected a device called nowhere, got: "),
    ],
)
def test_a_device_without_numbers_or_that_is_not_there(device, said):
    report = judge(eager, declared=Declared(device=device))
    assert report.verdict == "not judged"
    assert report.trouble.startswith(said)
    assert "\n" not in report.trouble


def test_numpy_is_on_no_device():
    def attention(query, key, value):
        return np.asarray(query)

    report = judge(attention, declared=Declared(device="cuda"))
    assert "which are on no device" in report.trouble


@pytest.mark.slow
def test_inputs_go_to_a_device_and_outputs_come_back():
    declared = Declared(device="cpu")
    report = judge(eager, declared=declared, dtype="float16", examples=3)
    assert report.verdict == "holds", str(report)


@pytest.mark.slow
def test_a_function_that_refuses_float32_is_asked_in_16_bits():
    def attention(query, key, value):
        if query.dtype == torch.float32 or query.dtype == torch.float64:
            raise TypeError("16 bits only")
        return eager(query, key, value)

    report = judge(attention, examples=5)
    assert report.kind == "attention in bfloat16"
    assert report.verdict == "holds", str(report)


def test_nan_where_raw_products_overflow_is_no_wrong_number():
    """It is counted, and not compared; the report says how many."""
    host, thing = hosted(eager, None)
    declared = Declared(profile=EAGER)
    subject = HalfFunction(host, thing, "float16", declared)
    large = np.full((2, 4), 200, np.float32)  # products of 160,000
    case = AttentionCase(large, large, large, np.array(True))
    assert np.isnan(subject.of(case)).all()
    (compared,) = numbers.equals_the_definition(subject, case)
    assert compared.holds
    assert subject.unknown["overflow"] == 8
    assert "65,504" in subject.not_asked()["where numbers overflow"]


# --- parts ---------------------------------------------------------------


def test_every_property_is_asked_in_half_or_has_a_reason():
    asked = {each.name for each in half_properties.PROPERTIES}
    every = {each.name for each in all_properties.PROPERTIES}
    skipped = set(half_properties.NOT_IN_HALF)
    assert every <= asked | skipped
    assert not asked & skipped
    assert skipped <= every


def test_bfloat16_crosses_the_wire_with_its_strides():
    array = np.arange(12).reshape(3, 4).astype(BFLOAT16).T
    encoder = Encoder()
    head = encoder.encoded(array)
    decoded = Decoder(bytearray(b"".join(encoder.buffers))).decoded(head)
    assert decoded.dtype == BFLOAT16
    assert decoded.strides == array.strides
    assert np.array_equal(decoded, array)


@pytest.mark.slow
def test_a_file_gets_a_verdict_in_each_dtype(tmp_path):
    from study.check.judged import Request, judge_file

    path = tmp_path / "kernel.py"
    path.write_text(
        "def attention(query, key, value):\n"
        "    scores = query @ key.mT / query.shape[-1] ** 0.5\n"
        "    return scores.softmax(-1) @ value\n"
        "import torch\n"
    )
    request = Request(dtypes=DTYPES, examples=5)
    judged = judge_file(path, request)
    kinds = [report["kind"] for report in judged.reports]
    assert kinds == ["attention in bfloat16", "attention in float16"]
    assert judged.verdict == "holds", judged.reports


def test_a_probe_of_fewer_key_heads_has_a_bound_of_all_heads():
    random = np.random.default_rng(0)
    query = random.normal(size=(2, 4, 5, 3))
    key, value = random.normal(size=(2, 2, 2, 5, 3))
    probe = Probe(query, key, value, np.array(True))
    got, keys, values = with_all_heads(probe)
    assert got is query
    for head, served in enumerate((0, 0, 1, 1)):
        assert np.array_equal(keys[:, head], key[:, served])
        assert np.array_equal(values[:, head], value[:, served])
