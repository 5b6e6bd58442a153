"""What the site shows of a step: values, properties, and its mutants."""

import re

import mpmath
import numpy as np
import pytest

from numpy_ref import example
from numpy_ref.attention import softmax
from numpy_ref.layers import gelu
from parity_tests.judge.mutants.steps import MUTANTS
from parity_tests.judge.steps.all_properties import properties_of
from parity_tests.judge.verdict.protocol import Broken
from parity_tests.twins.case import Case
from parity_tests.twins.comparing import Comparison
from parity_tests.twins.finding import find_twins
from study.site import examples, shipped, values
from study.site.breaking import BREAKABLE, by_name, mutants_of
from study.site.builtins import BUILTINS, builtin_of, check
from study.site.directives import as_inline_html
from study.site.examples import example_of, says_little
from study.site.kept import Kept
from study.site.mutant_code import code_of
from study.site.proof import Light, lights, lights_of, remembering
from study.site.shipped import Shipped, shipped_against, shipped_bugs
from study.site.values import (
    gradients_of,
    inputs_of,
    steps_of,
    table,
    tables,
    values_of,
)

FRACTIONS = np.array(example.WEIGHTS, dtype=float)


def test_the_weights_shown_are_those_found_by_hand():
    comparison, exact = steps_of("masked_softmax")["weights"]
    assert np.allclose(comparison.ours, FRACTIONS, rtol=1e-15)
    assert str(exact.value[2, 0])[:12] == "0.1428571428"
    html = values_of("attention.py", "masked_softmax")["weights"]
    cells = re.findall(r"<td[^>]*>([^<]+)</td>", html)
    assert cells[8:12] == ["0.143", "0.286", "0.571", "0"]
    assert "rounding allows" in html


def test_a_seed_that_draws_no_example_is_passed_over(monkeypatch):
    (twin,) = (t for t in find_twins() if t.name == "ring_window_attention")
    tried, case = [], Case(twin, {"query": np.ones((2, 2))})

    def none_of_the_first_two(twin, number):
        tried.append(number)
        return [case] if len(tried) > 2 else []

    monkeypatch.setattr(examples, "telling_cases", none_of_the_first_two)
    assert examples.drawn(twin) is case
    assert len(set(tried)) == len(tried) == 3


def test_the_exact_value_has_twenty_right_digits():
    html = values_of("attention.py", "softmax")["weights"]
    digits, row, key = re.search(
        r"exactly ([\d.]+) at \[(\d),\s(\d)\]", html
    ).groups()
    with mpmath.workdps(60):
        scores = [mpmath.mpf(s) for s in example.SCORES[int(row)]]
        powers = [mpmath.exp(score) for score in scores]
        weight = powers[int(key)] / sum(powers)
        assert digits == mpmath.nstr(weight, 20)


def test_an_exact_value_below_zero_has_a_true_minus_sign():
    html = values_of("attention.py", "softmax")["shifted"]
    assert "exactly \N{MINUS SIGN}0.6931471805" in html


def test_the_inputs_shown_are_those_by_hand_and_a_layers_parameters():
    query = inputs_of("attention_scores")["query"]
    (first, *_) = re.findall(r'title="([^"]+)"', query)
    assert float(first) == pytest.approx(2**0.5 * np.log(2), rel=1e-15)
    assert list(inputs_of("linear")) == ["x", "weight", "bias"]


def test_a_result_that_a_loop_carries_on_is_shown():
    counted = values_of("", "sum_in_half")["total"]
    assert re.findall(r"<td[^>]*>([^<]+)</td>", counted) == ["256"]
    assert "equal; rounding allows 0<br>exactly 256.0 at" in counted
    assert "ids" in values_of("", "merge_all")


def test_a_half_has_the_digits_that_tell_it_and_what_it_lost():
    steps = values_of("", "attention_inside_float32")
    shown = {
        name: re.findall(r"<td[^>]*>([^<]+)</td>", html)
        for name, html in steps.items()
    }
    place = shown["context"].index("4.857")
    assert shown["context_rounded"][place] == "4.844"
    assert re.search(
        r"exactly 4\.8573\d+ at \[2,\s1\], off by 0\.01",
        steps["context_rounded"],
    )
    assert "off by" not in steps["context"]
    query = inputs_of("attention_inside_float32")["query"]
    assert ">0.9805<" in query


def test_an_input_of_which_a_property_says_nothing_is_not_counted():
    by_name = {
        light.property.name: light for light in lights_of("add_in_half")
    }
    of_float16 = by_name["small_sums_keep_the_last_of_their_bits"]
    assert 0 < of_float16.asked < by_name["terms_may_change_places"].asked


def test_what_has_no_error_is_not_said_to_have_a_share_of_one():
    def of(worst):
        return Light(properties_of("softmax")[0], 32, 0, 0, worst).error

    assert of(0.0) == "no error"
    assert " 1 % " in of(0.001)
    assert " 26 % " in of(0.26)


def test_code_and_math_in_a_claim_are_shown_as_such():
    assert as_inline_html("`a` < b") == "<code>a</code> &lt; b"
    html = as_inline_html(r"$\tfrac12 < x$.")
    assert html.startswith("<math")
    assert html.endswith("</math>.")
    assert "\\" not in html


@pytest.mark.parametrize(
    "name", ["multi_head_attention", "encoder_block", "decoder"]
)
def test_an_example_has_several_positions_and_a_key_for_each(name):
    case = example_of(name)
    positions, features = case.arguments["x"].shape
    assert min(positions, features) > 1
    assert case.arguments["mask"].any(axis=-1).all()


def test_inputs_that_say_little_are_known():
    assert says_little(np.array([[True], [False]]))
    assert says_little(np.ones((1, 9)))
    assert says_little(np.ones((7, 1)))
    assert not says_little(np.array([[True, False]]))
    assert not says_little(np.ones((2, 3)))
    assert not says_little(np.ones(1))


def test_two_sides_that_differ_are_not_shown(monkeypatch):
    def apart(calls):
        yield Comparison("softmax[0]/weights", *np.ones((2, 1)), 1, 0.5, 2)

    monkeypatch.setattr(values, "compare", apart)
    with pytest.raises(AssertionError, match=r"softmax.*differs"):
        steps_of.__wrapped__("softmax")


@pytest.mark.slow
@pytest.mark.parametrize("twin", find_twins(), ids=str)
def test_each_step_has_an_example_and_a_value_for_each_name(twin):
    shown = values_of("", twin.name)
    assert shown.keys() == steps_of(twin.name).keys()


def test_of_a_large_array_a_part_is_shown():
    assert table(np.zeros((9, 2))).count("<tr>") == 7
    assert table(np.zeros((2, 9))).count("<td>…</td>") == 2
    assert tables(np.zeros((5, 2, 2))).count("<table") == 4
    assert "nothing" in tables(np.zeros((0, 3)))


@pytest.mark.slow
def test_lights_are_kept_until_what_they_depend_on_changes(tmp_path):
    calls = []

    def wrong(scores):
        calls.append(scores)
        return softmax(scores) * 2

    expected = lights(wrong, "softmax")
    assert any(light.worst > 1 for light in expected)

    def asks(revision, of):
        calls.clear()
        kept = Kept(tmp_path, revision)
        assert kept.lights(wrong, "softmax", of) == expected
        return bool(calls)

    assert asks("now", "a cause")
    assert not asks("now", "a cause")
    assert asks("now", "another cause")
    assert not asks("now", "a cause")
    assert asks("then", "a cause")
    assert not asks("then", "a cause")
    for path in tmp_path.iterdir():
        path.write_text("no JSON")
    assert asks("then", "a cause")


def test_a_result_is_computed_once_for_each_name_and_revision(tmp_path):
    computed = []

    def result(revision, of):
        def compute():
            computed.append((revision, of))
            return {"value": [revision, None, 0.1]}

        return Kept(tmp_path, revision).result(of, compute)

    for revision, of in (("now", "a"), ("now", "b"), ("then", "a")):
        for _ in range(2):
            assert result(revision, of) == {"value": [revision, None, 0.1]}
    assert computed == [("now", "a"), ("now", "b"), ("then", "a")]


def test_the_lights_of_a_right_step_are_on_and_those_of_a_wrong_one_off():
    own = lights_of("softmax")
    assert all(light.holds and light.asked > 30 for light in own)
    assert max(light.worst for light in own) > 0.1
    twice = lights(lambda scores: softmax(softmax(scores)), "softmax")
    failing = {light.claim for light in twice if light.failed}
    assert any(claim.startswith("One weight divided") for claim in failing)
    assert "The inputs are unchanged after the call." not in failing


TURNED_OTHERWISE = {
    "it turns backwards: the sign of the sines is wrong",
    "nothing is turned",
}
# What keeps every property, and has other values: the judge asks for the
# exact ones, or for the convention.
UNTOLD = {
    "rotary_halves": TURNED_OTHERWISE,
    "rotary_neighbours": TURNED_OTHERWISE,
    "swiglu": {
        "the gate: it is a ReLU",
        "the gate: it is a GELU with a sigmoid, x / (1 + exp(-1.702 x))",
        "the gate: it is multiplied by tanh, not by the sigmoid",
        "the activation is left out",
    },
}


def test_what_is_asked_again_is_computed_once():
    computed = []

    def total(array, scale=1.0):
        computed.append(array.shape)
        return scale * array.sum()

    again, one = remembering(total), np.arange(6.0).reshape(2, 3)
    assert [again(one), again(one.copy()), again(one + 1)] == [15, 15, 21]
    assert [again(one, scale=2.0), again(one.T)] == [30, 15]
    assert computed == [(2, 3), (2, 3), (2, 3), (3, 2)]


@pytest.mark.slow
@pytest.mark.parametrize("name", BREAKABLE)
def test_every_known_mutant_breaks_a_property(name):
    shown = {mutant.cause for mutant in mutants_of(name)}
    assert shown == MUTANTS[name].keys() - UNTOLD.get(name, set())


@pytest.mark.parametrize(
    ("step", "cause", "code"),
    [
        (
            *("softmax", "the softmax is applied twice"),
            "lambda scores: softmax(softmax(scores))",
        ),
        (
            *("attention_scores", "the scale is 1/8, whatever the width"),
            "number = 8\n"
            "factor = lambda probe, number=number: 1 / number\n"
            "lambda query, key, factor=factor: (\n"
            "    query @ key.swapaxes(-2, -1) * "
            "factor(Probe(query, key, key))\n"
            ")",
        ),
        (
            *("cross_entropy", "the logarithm is missing"),
            "change = softmax\ntake = negative\n"
            "def loss(logits, targets, ignored):",
        ),
        (
            *(
                "layer_norm",
                "the norm runs along the first axis, not the features",
            ),
            "partial(normed, axis=0)\n\ndef normed(x, params, epsilon, ",
        ),
    ],
)
def test_a_mutants_code_is_that_which_runs(step, cause, code):
    assert code_of(MUTANTS[step][cause]).startswith(code)


def test_what_a_mutant_was_made_with_is_shown_too():
    cut = code_of(MUTANTS["add_in_half"]["it is cut off, not rounded"])
    assert cut.startswith("partial(added, to=partial(taken_by, trunc))\n")
    assert cut.count("def taken_by") == cut.count("def step_at") == 1
    named = "the scale is left out"
    scale = code_of(MUTANTS["attention_inside_float32"][named])
    first = "partial(attention, scale=lambda query: 1.0)\n"
    assert scale.startswith(first)


def test_helpers_of_a_mutant_are_shown_once_and_others_not():
    code = code_of(
        MUTANTS["masked_softmax"]["the softmax runs over the batch"]
    )
    assert code.count("def weigh") == code.count("def normalised") == 1
    named = "the heads are split by reshape, without a transpose"
    split = code_of(MUTANTS["split_heads"][named])
    assert split.count("def split_by_reshape") == 1
    assert "def softmax" not in code


@pytest.mark.slow
def test_the_code_of_every_mutant_is_found():
    codes = [code_of(m) for step in MUTANTS.values() for m in step.values()]
    assert min(codes, key=len) == "exp"
    assert all("\n " not in code[:2] for code in codes)


def test_where_a_mutant_raises_an_error_nothing_else_is_said_of_it():
    def never(scores):
        raise Broken("no")

    unchanged = lights(never, "softmax")[-1]
    assert unchanged.is_off
    assert (unchanged.failed, unchanged.invalid) == (0, unchanged.asked)
    assert unchanged.verdict == f"no answer on {unchanged.asked} of " + (
        f"{unchanged.asked} inputs"
    )


@pytest.mark.parametrize(
    "step", sorted({bug.step for bug in shipped_bugs()})
)
def test_each_shipped_bug_breaks_a_property(step):
    broken = shipped_against(step)
    known = {bug.mutant for bugs in broken.values() for bug in bugs}
    assert known == {b.mutant for b in shipped_bugs() if b.step == step}
    assert broken.keys() <= {each.name for each in properties_of(step)}


def test_a_shipped_bug_that_breaks_nothing_is_refused(monkeypatch):
    right = {"gelu": {"nothing is wrong": gelu}}
    bug = Shipped("gelu", "nothing is wrong", "", "")
    monkeypatch.setattr(shipped, "MUTANTS", right)
    monkeypatch.setattr(shipped, "shipped_bugs", lambda: (bug,))
    with pytest.raises(AssertionError, match="breaks no property"):
        shipped_against("gelu")


def test_an_error_that_a_mutant_raises_is_said_to_break_it():
    with pytest.raises(Broken, match=r"axes don.t match"):
        by_name(lambda scores: scores.transpose(0, 1, 2), "softmax")(
            scores=np.zeros((2, 2))
        )


def test_a_gradient_is_shown_beside_autograds():
    steps = gradients_of("softmax")
    comparison, exact = steps["d_scores"]
    # A row of gradients of softmax sums to 0.
    assert np.abs(comparison.ours.sum(axis=-1)).max() < 1e-15
    assert comparison.difference <= comparison.bound
    with mpmath.workdps(50):
        assert abs(exact.value.sum()) < 1e-40
    assert values_of("", "softmax_backward").keys() == {"d_scores"}


@pytest.mark.parametrize("name", BUILTINS)
def test_each_built_in_gives_what_the_step_gives(name):
    assert builtin_of(name)["convention"].endswith(".")


def test_a_built_in_that_gives_something_else_is_refused():
    with pytest.raises(AssertionError, match="differs"):
        check("softmax", "torch.softmax(scores, dim=0)")
    with pytest.raises(AssertionError, match="differs"):
        check("causal_mask", "torch.ones(queries, keys).triu() > 0")
