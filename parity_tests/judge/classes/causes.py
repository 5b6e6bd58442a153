"""Causes: which mutants of a layer can be told apart, and how."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from parity_tests.judge.attention.conventions import BY_AUTOGRAD
from parity_tests.judge.mutants.attention_parts import (
    NUMBERS,
    mutants_of_one_mask,
)
from parity_tests.judge.mutants.backward_parts import BACKWARD_MUTANTS
from parity_tests.judge.mutants.class_parts import (
    MUTANTS,
    SCALES,
    TURNINGS,
    last_rows,
    layer_of_heads,
)
from parity_tests.judge.mutants.variant_parts import mistakes_in
from parity_tests.judge.subject.forms import LENGTHS, OF_KEYS
from parity_tests.judge.subject.weights import recipes
from parity_tests.judge.verdict.protocol import attempt

from .cases import (
    LOUD,
    cached_cases,
    crossed,
    later_keys,
    masked_by,
    with_masks,
)
from .derivatives import CLOSE_IN_FLOAT32, gradient_of_tokens, upstream_for


def probes_of(layer) -> list[list]:
    """Plain inputs; then other tokens and masks; then loud ones."""
    variant = layer.recipe.variant
    window = (variant and variant.window) or 0
    plain = [
        layer.case(seed, min(tokens, layer.most_tokens), size)
        for size in range(len(layer.sizes))
        for seed in (11, 12)
        for tokens in (max(5, window + 2), 3)
    ]
    first, names = plain[:2], layer.understood[:2]
    others = [crossed(c, layer.cross) for c in first if layer.cross]
    together = [names] if len(names) > 1 else []
    for chosen in [[name] for name in names] + together:
        others += [with_masks(layer, c, *chosen) for c in plain[:4]]
    if layer.body.roles.causal:
        masked = [c for c in others if c.masks]
        others += [replace(c, causal=True) for c in first + masked]
    if layer.pairs and not layer.turns_inside:
        others += [replace(c, turned=True) for c in plain]
    others += cached_cases(layer)
    loud = [
        masked_by(layer, replace(c, x=c.x * LOUD), later_keys(layer, c))
        for c in first
    ]
    return [plain, others, loud]


def mutants_of(layer, probes) -> Iterator:
    """All mutants that apply, for each reading that names allow."""
    parameters = layer.body.parameters(layer.sizes[0])
    own, probe = layer.recipe, probes[0]
    readings = [own] + [
        replace(recipe, **own.around, heads=own.heads)
        for recipe in recipes(parameters)
        if recipe.by_name
        and layer.fits_shapes(recipe, probe, layer.plain(probe))
    ]
    for name, mutant in possible(layer).items():
        if own.learned and name in SCALES:
            continue
        for recipe in dict.fromkeys(readings):
            yield name, partial(output_of, layer, mutant, recipe)
    variant = layer.weights(probe).variant
    for name, mistake in mistakes_in(variant) if variant else ():
        mutant = partial(layer_of_heads, varied=mistake)
        yield name, partial(output_of, layer, mutant, own)
    of_keys = {
        name: layer.forms[name].axes in (*OF_KEYS, LENGTHS)
        for name in layer.understood[:2]
    }
    for name, parts, changed in mutants_of_one_mask(of_keys, alone=of_keys):
        mutant = partial(layer_of_heads, **parts)
        given = partial(output_of, layer, mutant, own)
        yield name, partial(given_other_masks, given, changed)
    if layer.causal:
        yield LATER_ROWS, partial(given_last_rows, layer)


def output_of(layer, mutant, recipe, probe):
    """What the layer would give with this mistake, read by this recipe."""
    read = layer.weights(probe, recipe)
    return probe.output_of(partial(mutant, read), layer.causal_for(probe))


def given_last_rows(layer, probe):
    """What it would give with the last rows of the mask that it keeps."""
    rows = last_rows(layer.sizes[probe.built].context)
    mutant = partial(layer_of_heads, visible=rows)
    return output_of(layer, mutant, layer.recipe, probe)


def given_other_masks(given, changed, probe):
    return given(replace(probe, masks=changed(probe.masks)))


LATER_ROWS = "the rows of the causal mask are those of later tokens"
OF_QK_NORMS = ("the norm of the keys", "the norm of the queries")
OF_QK_NORMS += ("the norms of",)
OF_TEXTS = ("masks are repeated", "the mask of another")


def possible(layer) -> dict:
    """The mutants that can be told apart by what it can be asked."""
    read = layer.weights(layer.case())
    several = read.heads > 1
    both = bool(layer.body.roles.causal and layer.understood)
    grouped = read.key_heads < read.heads
    widths = read.width_in != len(read.query[0])
    of_a_width = roots_of_widths(layer, read.width_in)
    axes = {layer.forms[name].axes for name in layer.understood}
    of_pairs = not axes <= {*OF_KEYS, LENGTHS}
    return {
        name: mutant
        for name, mutant in MUTANTS.items()
        if (several or not ("heads" in name or "d_model" in name))
        and (len(layer.understood) > 1 or "two masks" not in name)
        and (layer.understood or not name.startswith(OF_TEXTS))
        and (of_pairs or "mask is transposed" not in name)
        and (both or "another mask" not in name)
        and (layer.cross or "'s tokens" not in name)
        and (layer.cross or "number of queries" not in name)
        and (widths or "√d_in" not in name)
        and (any(read.latents) or "latent" not in name)
        and (read.qk_norm or not name.startswith(OF_QK_NORMS))
        and name not in of_a_width
        and (1 in layer.batch_axes or "batch" not in name)
        and (grouped or "key heads are" not in name)
        and (layer.pairs or name not in TURNINGS)
        and (read.bias is not None or "bias of distances" not in name)
    }


def roots_of_widths(layer, width: int) -> list[str]:
    """The mutants of a scale whose number is the root of the width of its
    tokens, where that is always the same, and where its source has no
    such number: then it is the width that is meant."""
    widths = {layer.width_at(built) for built in range(len(layer.sizes))}
    written = re.findall(r"(?<![\w.])\d+", layer.thing.source)
    return [
        f"the scale is 1/{number}, whatever the width"
        for number in NUMBERS
        if widths == {width} == {number**2}
        and not {str(number), str(width)} & {*written}
    ]


def cause_of_cut_gradients(layer) -> str | None:
    """A gradient that does not arrive."""
    if layer.gradients_by != BY_AUTOGRAD:
        return None
    keys = [part for part in layer.recipe.key if part.chunk is None]
    # They move all scores of a query alike.
    biases_of_keys = {f"parameter {part.bias}" for part in keys}
    cut = [
        name
        for name, part in layer.gradients(layer.case(), np.ones).items()
        if name not in biases_of_keys
        and (part is None or not np.any(np.abs(part) > 1e-12))
    ]
    return f"no gradient reaches {', '.join(sorted(cut))}" if cut else None


def cause_of_wrong_backward(layer) -> str | None:
    """The one mutant that gives what its own backward gives."""
    if not layer.way_back.is_asked:
        return None
    cases = [layer.case(size=built) for built in range(len(layer.sizes))]
    sent = [(case, upstream_for(layer, case)) for case in cases]
    got = [attempt(layer.sent_back, *each) for each in sent]
    known = BACKWARD_MUTANTS | {None: {}}  # the right one, too
    alike_to = [
        name
        for name, parts in known.items()
        if all(
            are_close(back, gradient_of_tokens(layer, *each, **parts))
            for back, each in zip(got, sent, strict=True)
        )
    ]
    return alike_to[0] if len(alike_to) == 1 else None


def are_close(got: np.ndarray | None, gradient: np.ndarray) -> bool:
    """Whether what came back, if anything, is this gradient."""
    if got is None or got.shape != gradient.shape:
        return False
    bound = CLOSE_IN_FLOAT32 * np.abs(gradient).max()
    return np.allclose(got, gradient, 0, bound)
