"""Doubt: whether failures without a known cause prove a mistake.

A subject is asked in the way that names, docs and trials tell. Where it
never gave a right answer so, and no known mistake gives its numbers, it
may be something else, or want to be asked otherwise: nobody is accused.
"""

from itertools import chain, islice

from .diagnosis import output_for
from .protocol import Lost, Subject

VARIANT = (
    "it is right on no input, and no known mistake gives its numbers: it "
    "may be a variant, or want to be called in another way; with --as, "
    "which says what it is, it gets a verdict"
)
UNREAD_MASK = (
    "it is right where nothing is masked, never where something is, and no "
    "known mistake gives its numbers: its mask may mean something else; "
    "with --mask, which says what, it gets a verdict"
)

TELLING = 2  # stages of probes; in large numbers all weights are 0 or 1


def doubt_about(subject: Subject) -> str | None:
    """Why its failures may be those of the way it was asked; None where a
    right answer shows that it was understood, or where somebody said how
    it is to be asked."""
    if subject.is_meant and subject.mask_is_declared:
        return None
    try:
        right, wrong = sides(subject)
    except Lost:
        return None
    if not (right or subject.is_meant):
        return VARIANT
    if subject.mask_is_declared:
        return None
    masked = [probe for probe in right if probe.hides]
    only_masked = wrong and all(probe.hides for probe in wrong)
    return UNREAD_MASK if only_masked and not masked else None


def sides(subject: Subject) -> tuple[list, list]:
    """The probes that it answers rightly, and those that it does not."""
    right, wrong = [], []
    for probe in chain(*islice(subject.probes(), TELLING)):
        output = output_for(subject, probe)
        if output is not None:
            expected = subject.right(probe)
            is_right = subject.agree(output, expected, probe)
            (right if is_right else wrong).append(probe)
    return right, wrong
