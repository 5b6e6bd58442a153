"""A fast exp: attention whose exp is worse than a library's.

The bounds allow an exp 8 u. Where a property has failed by no more than a
worse exp explains, exp is measured (`bounds/exponentials.py`), and all is
asked anew within the bounds that take what was seen. Only if all holds
then is it reported, as a convention. A kernel that is right pays nothing.
"""

from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np

from parity_tests.bounds.exponentials import (
    MOST_ROUNDINGS,
    exp_roundings,
)
from parity_tests.bounds.rounding import FUNCTION_ROUNDINGS
from parity_tests.judge.verdict.loop import Budget, judge_subject
from parity_tests.judge.verdict.protocol import Lost, attempt
from parity_tests.judge.verdict.report import Finding, Report

from .calling import ONE_QUERY


def judge_by_its_exp(subject, budget: Budget) -> Report:
    """The report; where another exp explains all that fails, that of all
    properties within its bounds."""
    report = judge_subject(subject, budget)
    if report.trouble or not report.failed:
        return report
    if not all(map(may_be_its_exp, report.failed)):
        return report
    with suppress(Lost):
        subject.exp_roundings = found = roundings_of(subject)
        anew = judge_subject(subject, budget) if found else report
        if anew.holds:
            conventions = subject.conventions
            subject.conventions = replace(conventions, exp=in_words(found))
            return anew
    subject.exp_roundings = {}
    return report


def may_be_its_exp(failed: Finding) -> bool:
    """Whether a value is off by no more than an exp explains: an error of
    a weight grows no faster than what exp is off by."""
    compared = failed.failure.comparison
    most = MOST_ROUNDINGS / FUNCTION_ROUNDINGS
    return compared is not None and compared.share <= most


def roundings_of(subject) -> dict[str, int]:
    """What its exp is off by in each precision, where that is more than a
    library's. None is seen through a causal mask, or query by query."""
    limits, alone = subject.limits, subject.caller.calling.layout
    if limits.square or alone == ONE_QUERY:
        return {}
    axes = limits.batch_axes[-1:] if limits.few_sizes else limits.batch_axes
    masks = (False, True) if "random" in limits.masks else (False,)
    found = {}
    for dtype in limits.dtypes:
        most = max(
            exp_roundings(partial(context, subject, count, masked), dtype)
            for count in axes
            for masked in masks
        )
        if most > FUNCTION_ROUNDINGS:
            found[dtype] = most
    return found


def context(subject, axes: int, masked: bool, *arrays) -> np.ndarray:
    """Its output for (tokens, features), asked with so many axes before
    these, and with a mask that hides nothing; NaN if it gives none."""
    query, key, value = (array[(None,) * axes] for array in arrays)
    shape = (*query.shape[:-1], key.shape[-2])
    mask = np.ones(shape, bool) if masked else None
    output = attempt(subject, query, key, value, mask)
    if output is None:
        return np.full((len(arrays[0]), value.shape[-1]), np.nan)
    return output[(0,) * axes]


def in_words(found: dict[str, int]) -> str:
    """As in "off by 14 u in float32 (8 assumed)"."""
    each = ", ".join(f"{n} u in {dtype}" for dtype, n in found.items())
    return f"off by {each} ({FUNCTION_ROUNDINGS} assumed)"
