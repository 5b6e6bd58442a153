"""Doubt: nobody is rejected for having been misunderstood."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn

from parity_tests.judge import judge
from parity_tests.judge.attention.conventions import Declared
from parity_tests.judge.files.judging import (
    ATTENTION,
    NOTHING_DECLARED,
    hosted,
    judge_thing,
)
from parity_tests.judge.verdict.diagnosis import causes_of
from parity_tests.judge.verdict.doubt import (
    UNREAD_MASK,
    VARIANT,
    doubt_about,
)
from parity_tests.judge.verdict.loop import Budget, explained
from parity_tests.judge.verdict.property import Property, same
from parity_tests.judge.verdict.protocol import Lost
from parity_tests.judge.verdict.report import (
    FAILS,
    Failure,
    Finding,
    Report,
)


def judged(thing, name, role=ATTENTION, declared=NOTHING_DECLARED):
    return judge_thing(*hosted(thing, name), role, declared, Budget(4))


# --- by all that the judge does ------------------------------------------


def of_cubed_weights(query, key, value):
    """No mistake that is known, and wrong on all inputs."""
    scores = query @ key.mT / query.shape[-1] ** 0.5
    return torch.softmax(scores, -1) ** 3 @ value


class WithASink(nn.Module):
    """A variant: each query may also attend to nothing."""

    def __init__(self, d_in, d_out):
        super().__init__()
        self.query = nn.Linear(d_in, d_out)
        self.key = nn.Linear(d_in, d_out)
        self.value = nn.Linear(d_in, d_out)

    def forward(self, x):
        query, key, value = self.query(x), self.key(x), self.value(x)
        powers = (query @ key.mT / query.shape[-1] ** 0.5).exp()
        return powers @ value / (1 + powers.sum(-1, keepdim=True))


def of_softened_masks(query, key, value, mask=None):
    """What its mask does not show counts for half of what it would."""
    scores = query @ key.mT / query.shape[-1] ** 0.5
    powers = (scores - scores.amax(-1, keepdim=True)).exp()
    if mask is not None:
        powers = powers * (mask.to(scores.dtype) + 1) / 2
    return powers / powers.sum(-1, keepdim=True) @ value


def wrong_on_wide_values(query, key, value):
    scores = query @ key.mT / query.shape[-1] ** 0.5
    return torch.softmax(scores, -1) @ value + (value.shape[-1] > 3) * 0.3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["attention", "scaled_dot_product"])
def test_what_is_just_called_attention_is_taken_at_its_word(name):
    report = judged(of_cubed_weights, name)
    assert (report.verdict, report.cause) == ("rejected", None)


@pytest.mark.slow
def test_another_name_may_be_that_of_a_variant():
    report = judged(of_cubed_weights, "cubic_attention")
    assert (report.verdict, report.doubt) == ("not judged", VARIANT)
    assert report.failed
    assert not report
    assert VARIANT in str(report)


@pytest.mark.slow
def test_a_layer_that_may_be_a_variant_is_not_judged():
    report = judged(WithASink, "WithASink", "self_attention")
    assert (report.verdict, report.doubt) == ("not judged", VARIANT)


@pytest.mark.slow
def test_what_is_said_to_be_attention_is_rejected():
    meant = Declared(is_meant=True)
    report = judged(WithASink, "WithASink", "self_attention", meant)
    assert report.verdict == "rejected"
    assert judge(of_cubed_weights).verdict == "rejected"  # by whoever calls


@pytest.mark.slow
def test_one_right_answer_shows_that_it_was_understood():
    report = judged(wrong_on_wide_values, "of_tiles")
    assert (report.verdict, report.cause) == ("rejected", None)


@pytest.mark.slow
def test_a_mask_that_was_never_right_may_mean_something_else():
    report = judged(of_softened_masks, "attention")
    assert (report.verdict, report.doubt) == ("not judged", UNREAD_MASK)
    said = Declared(mask="True may attend")
    report = judged(of_softened_masks, "attention", declared=said)
    assert report.verdict == "rejected"


# --- by a subject of two numbers -----------------------------------------


@dataclass(frozen=True)
class Two:
    """A probe of which the right answer is twice its number."""

    number: float
    hides: bool = False


@dataclass
class Doubling:
    """A subject; its answers to probes, and what its mutants give."""

    answers: dict
    known: dict = field(default_factory=dict)
    is_meant: bool = False
    mask_is_declared: bool = False
    name: str = "doubling"
    kind: str = "number"
    when_random: str = "random"

    def probes(self):
        return [[*self.answers]]

    def answer(self, probe):
        answer = self.answers[probe]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def right(self, probe):
        return 2 * probe.number

    def changes(self, probe):
        return False

    def mutants(self, probes):
        yield from self.known.items()

    def agree(self, output, expected, probe):
        return output == expected

    def other_cause(self):
        return None

    def properties(self):
        return [Property(doubles)]


OPEN, HIDING, THREE = Two(1), Two(2, hides=True), Two(3)


@pytest.mark.parametrize(
    ("answers", "doubt"),
    [
        ({OPEN: 3, HIDING: 5}, VARIANT),
        ({OPEN: 2, HIDING: 5}, UNREAD_MASK),
        ({OPEN: 3, HIDING: 4}, None),
        ({OPEN: 2, HIDING: 5, Two(3, hides=True): 6}, None),
        ({OPEN: 2, THREE: 5, HIDING: 5}, None),
        ({OPEN: 2, HIDING: 4}, None),  # its gradients may be wrong
        ({OPEN: Lost("gone"), HIDING: 5}, None),
    ],
)
def test_what_is_in_doubt(answers, doubt):
    assert doubt_about(Doubling(answers)) == doubt


def test_what_is_said_leaves_no_doubt():
    never_right, only_masked = {OPEN: 3}, {OPEN: 2, HIDING: 5}
    assert doubt_about(Doubling(never_right, is_meant=True)) is None
    said = Doubling(only_masked, mask_is_declared=True)
    assert doubt_about(said) is None
    said = Doubling(only_masked, is_meant=True)
    assert doubt_about(said) == UNREAD_MASK


def failed_report():
    failure = Failure(THREE, None, "it differs")
    finding = Finding("doubles", "It doubles.", FAILS, 1, failure=failure)
    return Report("doubling", "number", (finding,))


def doubles(subject, case):
    """It doubles."""
    got = np.asarray(subject.answer(case))
    yield same("number", got, np.asarray(6), np.asarray(0))


def test_several_mistakes_that_give_the_same_are_all_named():
    """They prove that it is wrong, if not how."""
    squares = {"it squares": lambda _: 9, "it triples": lambda _: 9}
    subject = Doubling({THREE: 9}, squares)
    report = explained(subject, failed_report())
    assert report.verdict == "rejected"
    assert report.cause is None
    assert report.known == "one of these: it squares; it triples"
    assert causes_of(subject) == set(squares)
