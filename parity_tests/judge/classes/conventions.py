"""The conventions of a layer: its masks, other tokens, its gradients.

What names and docstrings do not say is found by trial.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from numpy_ref.masks import causal_mask
from parity_tests.judge.attention.conventions import (
    BY_AUTOGRAD,
    NO_GRADIENTS,
    NOT_DIFFERENTIATED,
    Declared,
)
from parity_tests.judge.mutants.class_parts import (
    OTHER_LAYOUT,
    TURNINGS,
    layer_of_heads,
    turning,
)
from parity_tests.judge.subject.forms import (
    AT_ONCE,
    IN_TURN,
    LENGTHS,
    OF_KEYS,
    expressible,
)
from parity_tests.judge.subject.intentions import has_a_diagonal
from parity_tests.judge.subject.masks import (
    SHARED,
    MaskFinding,
    find_masks,
)
from parity_tests.judge.subject.rotary import PAIRS
from parity_tests.judge.verdict.diagnosis import alike
from parity_tests.judge.verdict.protocol import FAILED_TRIAL, attempt

from .cases import crossed
from .finding import tables_for


def masks_of(layer, declared: Declared) -> list[MaskFinding]:
    """The forms of its masks, the first to be asked first."""
    axes = 1 if 1 in layer.batch_axes else 0
    return find_masks(
        layer.thing,
        layer.body.roles,
        declared.mask,
        axes,
        (layer.tokens, layer.tokens),
        partial(seen_through, layer, layer.case(axes=axes)),
        partial(widened, layer),
    )


def widened(layer, finding: MaskFinding) -> MaskFinding:
    """The form for masks that differ from text to text, or from window to
    window of an image."""
    finding = of_each_text(layer, finding)
    if layer.sizes[0].window and finding.form.axes == "text, query, key":
        return of_each_window(layer, finding)
    return finding


def of_each_text(layer, finding: MaskFinding) -> MaskFinding:
    """The form for a mask that differs from text to text, where the
    layer takes such masks; they are then what it is asked with.

    There are more texts than tokens: a layer that cuts its mask to so many
    rows and columns would cut texts off.
    """
    if finding.form.axes not in SHARED or 1 not in layer.batch_axes:
        return finding
    tokens = layer.tokens
    case = layer.case(axes=1, texts=tokens + 2)
    mask = np.tri(tokens, dtype=bool)
    mask = np.stack([mask, *[np.ones_like(mask)] * (tokens + 1)])
    mask[1, 1:, 0] = False
    accepted = []
    for axes in ("text, query, key", "text, 1, query, key"):
        form = replace(finding.form, axes=axes)
        seen = attempt(seen_through, layer, case, finding.name, form, mask)
        if seen is None or np.isnan(seen).any():
            continue
        if np.array_equal(seen, mask):
            return replace(finding, form=form)
        accepted.append(form)
    shared = replace(finding.form, axes="query, key")
    return replace(finding, form=[*accepted, shared][0])


def of_each_window(layer, finding: MaskFinding) -> MaskFinding:
    """The form for masks of the windows of an image, where there are more
    images: they go round the windows of each, or each is for the same
    window of all images."""
    case = layer.case()
    mask = np.tri(layer.tokens, dtype=bool)
    mask = np.stack([mask, *[np.ones_like(mask)] * (layer.texts - 1)])
    for axes in (IN_TURN, AT_ONCE):
        own = expressible(mask, axes, case.shape)
        form = replace(finding.form, axes=axes)
        seen = attempt(seen_through, layer, case, finding.name, form, own)
        if seen is not None and np.array_equal(seen, own):
            return replace(finding, form=form)
    return finding


def seen_through(layer, case, name, form, mask) -> np.ndarray:
    """Which token's output moves when which other token does; NaN where
    one is returned.

    Where key and value are arguments, only the value is moved.
    """
    masked = replace(case, masks={name: mask})
    before_forms, layer.forms = layer.forms, layer.forms | {name: form}
    apart = "value" in layer.body.roles.tokens.values()
    try:
        if apart:
            masked = replace(masked, value=case.x)
        before = layer.of(masked)
        if not np.isfinite(before).all():
            return np.full(mask.shape, np.nan)
        moved = []
        for index in range(layer.tokens):
            other = case.x.copy()
            other[..., index, :] += 1
            changed = {"value" if apart else "x": other}
            after = layer.of(replace(masked, **changed))
            moved.append((before != after).any(axis=-1))
    finally:
        layer.forms = before_forms
    seen = np.stack(moved, axis=-1)
    if not apart:  # a token always moves itself
        seen = np.where(np.eye(layer.tokens, dtype=bool), mask, seen)
    if layer.causal:
        seen = seen | mask & ~np.tri(layer.tokens, dtype=bool)
    if form.axes in (*OF_KEYS, LENGTHS):
        blank = are_blank(before, ~mask[..., 0, :])
        seen = np.where(blank[..., None], mask, seen)
    return seen


def are_blank(output: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Which rows of tokens that are hidden came out as zeros."""
    return hidden & ~output.any(axis=-1)


def blanks(layer, name: str) -> bool:
    """Whether tokens that a mask of keys hides get rows of zeros."""
    if layer.forms[name].axes not in (*OF_KEYS, LENGTHS):
        return False
    case = layer.case(axes=max(layer.batch_axes))
    mask = np.broadcast_to(np.arange(case.shape[-1]) < 3, case.shape)
    output = attempt(layer.of, replace(case, masks={name: mask}))
    hidden = ~mask[..., 0, :]
    return output is not None and np.array_equal(
        are_blank(output, hidden), hidden
    )


def self_loops_of(layer) -> tuple[str, ...]:
    """The masks that hide no token from itself, as its source wants it."""
    if not has_a_diagonal(layer.thing):
        return ()
    return tuple(n for n in layer.understood if shows_itself(layer, n))


def shows_itself(layer, name: str) -> bool:
    """Whether a mask that shows the first token only lets the last one
    move its own output, and not as a residual does."""
    case = layer.case(axes=max(layer.batch_axes))
    first = np.broadcast_to(np.arange(case.shape[-1]) == 0, case.shape)
    masked = replace(case, masks={name: first})
    other = case.x.copy()
    other[..., -1, :] += 1
    before, after = (
        attempt(layer.of, each)
        for each in (masked, replace(masked, x=other))
    )
    if before is None or after is None or not np.isfinite(before).all():
        return False
    moved = (before[..., -1, :] != after[..., -1, :]).any()
    return bool(moved) and not alike(before, layer.plain(masked))


def pairs_of(layer) -> str:
    """Which features its rotary table turns together: those with which
    the reference gives its numbers, or one of the mutants of turning. The
    table is then of the form for which that is so. "" where no form gives
    them, or where it takes no table."""
    roles = layer.body.roles
    if not roles.rotary:
        return ""
    case, first = replace(layer.case(), turned=True), layer.table
    for table in (first, *tables_for(layer)):
        layer.table = table
        output = attempt(layer.of, case)
        for pairs in PAIRS if output is not None else ():
            if is_turned_by(layer, case, pairs, output):
                return pairs
    layer.table = first
    return ""


def ignores_its_table(layer) -> bool:
    """Whether the numbers of its rotary table change nothing."""
    case = layer.case()
    plain, turned = (
        attempt(layer.of, replace(case, turned=each))
        for each in (False, True)
    )
    if plain is None or turned is None:
        return False
    return np.array_equal(plain, turned)


def is_turned_by(layer, case, pairs: str, output: np.ndarray) -> bool:
    """Whether such pairs give its output, in the right turning or in a
    wrong one that is known. A table in the layout of other pairs may be
    of another form than is meant."""
    ways = {"": turning} | TURNINGS
    if not layer.table.is_sure:
        ways.pop(OTHER_LAYOUT)
    turn = layer.table.turn(layer.d_head_at(case.built), pairs)
    read = replace(layer.weights(case), turn=turn)
    return any(
        alike(
            output,
            case.output_of(
                partial(layer_of_heads, read, turning=part), layer.causal
            ),
        )
        for part in ways.values()
    )


def cross_of(layer) -> str:
    """Which tokens may differ: "", "key" (and value), or "value"."""
    tokens = layer.body.roles.tokens.values()
    if layer.causal or len(tokens) < 2:
        return ""
    for trial in ("value", "key") if "value" in tokens else ("key",):
        if layer.gives_an_output(crossed(layer.case(), trial)):
            return trial
    return ""


def served_by_its_norm(layer) -> str:
    """Which tokens a norm at its beginning serves: others to attend to may
    come with a norm of their own."""
    recipe = layer.recipe
    is_open = layer.cross and recipe.served == "all"
    if is_open and recipe.inside.startswith("norm first"):
        case = crossed(layer.case(), layer.cross)
        output, own = layer.of(case), replace(recipe, served="own")
        if layer.gives(own, layer.causal, case, output):
            return "own"
    return recipe.served


def has_square_masks(layer) -> bool:
    """Whether its masks are of its own tokens only: with other tokens to
    attend to, which it takes or not, the last of them is not hidden."""
    first = layer.understood[:1]
    if not (layer.cross and first):
        return False
    if layer.blanks:
        return True
    if layer.forms[first[0]].axes not in SHARED:
        return False
    case = crossed(layer.case(), layer.cross)
    mask = np.ones(case.shape[-2:], bool)
    mask[:, -1] = False
    masked = replace(case, masks={first[0]: mask})
    key = case.key.copy()
    key[..., -1, :] += 1
    try:
        before, after = layer.of(masked), layer.of(replace(masked, key=key))
    except FAILED_TRIAL:
        return True
    return not np.array_equal(before, after)


def names_the_mask(layer) -> bool:
    """Whether its causal form must be given a causal mask as well, as
    with the hint `is_causal` of `nn.MultiheadAttention`."""
    if not (layer.body.roles.causal and layer.understood):
        return False
    case = replace(layer.case(), masks={}, causal=True)
    masks = {layer.understood[0]: causal_mask(*case.shape[-2:])}
    alone, together = (
        layer.gives_an_output(each)
        for each in (case, replace(case, masks=masks))
    )
    return together and not alone


def gradients_of(layer) -> str:
    """BY_AUTOGRAD, or why there are none."""
    if layer.body.library in NOT_DIFFERENTIATED:
        return NOT_DIFFERENTIATED[layer.body.library]
    if not layer.thing.is_module:
        return "not of functions"
    try:
        parts = layer.gradients(layer.case(), np.ones)
    except FAILED_TRIAL as error:
        return f"none: {error}"
    return BY_AUTOGRAD if parts is not None else NO_GRADIENTS
