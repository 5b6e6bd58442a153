"""Properties of order: permutation, batches, memory layout."""

from dataclasses import replace

import numpy as np

from parity_tests.judge.subject.cases import AttentionCase

from .property import Comparisons, Property, contiguous, part_of


def keys_have_no_order(subject, case: AttentionCase) -> Comparisons:
    """Keys and values permuted together give the same output."""
    order = case.random().permutation(case.key.shape[-2])
    moved = replace(
        case,
        key=case.key[..., order, :],
        value=case.value[..., order, :],
        mask=case.rows[..., order],
    )
    got, other = subject.of(moved), subject.of(case)
    both = subject.exact(moved), subject.exact(case)
    yield subject.alike("context", got, other, *both)


def queries_are_answered_one_by_one(
    subject, case: AttentionCase
) -> Comparisons:
    """A query gets the same output in any order of queries, and alone."""
    got, exact = subject.of(case), subject.exact(case)
    order = case.random().permutation(case.query.shape[-2])
    at = np.s_[..., order, :]
    moved = replace(case, query=case.query[at], mask=case.rows[at])
    yield subject.alike(
        "queries in another order",
        subject.of(moved),
        got[at],
        part_of(exact, at),
    )
    if not subject.limits.square:
        at = np.s_[..., order[:1], :]
        alone = replace(case, query=case.query[at], mask=case.rows[at])
        output, right = subject.of(alone), part_of(exact, at)
        yield subject.alike("a query alone", output, got[at], right)


def batch_entries_do_not_meet(subject, case: AttentionCase) -> Comparisons:
    """A batch entry alone, or a head alone, gives the same output."""
    if case.query.ndim == 2:
        return
    got, exact = subject.of(case), subject.exact(case)
    index = case.seed % len(case.query)
    at = slice(index, index + 1)
    arrays = {name: array[at] for name, array in case.arrays.items()}
    arrays["mask"] = case.rows[at]
    alone = subject.of(AttentionCase(**arrays, seed=case.seed))
    right = part_of(exact, at)
    yield subject.alike("a batch entry alone", alone, got[at], right)


def features_have_no_order_and_no_sign(
    subject, case: AttentionCase
) -> Comparisons:
    """Features permuted and negated alike in queries and keys give the
    same output."""
    random, d_head = case.random(), case.query.shape[-1]
    order = random.permutation(d_head)
    signs = random.choice([-1, 1], d_head).astype(case.query.dtype)
    moved = replace(
        case,
        query=case.query[..., order] * signs,
        key=case.key[..., order] * signs,
    )
    got, other = subject.of(moved), subject.of(case)
    yield subject.alike("context", got, other, subject.exact(case))


def every_key_twice_changes_nothing(
    subject, case: AttentionCase
) -> Comparisons:
    """Every key and its value, given twice, give the same output."""
    if subject.limits.square:
        return
    moved = replace(
        case,
        key=np.concatenate([case.key] * 2, axis=-2),
        value=np.concatenate([case.value] * 2, axis=-2),
        mask=np.concatenate([case.rows] * 2, axis=-1),
    )
    got, other = subject.of(moved), subject.of(case)
    both = subject.exact(moved), subject.exact(case)
    yield subject.alike("context", got, other, *both)


def the_memory_layout_does_not_matter(
    subject, case: AttentionCase
) -> Comparisons:
    """Strided and transposed arrays give what their copies give."""
    got, copied = subject.of(case), subject.of(contiguous(case))
    yield subject.alike("context", got, copied, subject.exact(case))


PROPERTIES = (
    Property(keys_have_no_order, ("free masks",)),
    Property(queries_are_answered_one_by_one, ("free masks",)),
    Property(batch_entries_do_not_meet),
    Property(features_have_no_order_and_no_sign),
    Property(every_key_twice_changes_nothing, ("free masks",)),
    Property(the_memory_layout_does_not_matter),
)
