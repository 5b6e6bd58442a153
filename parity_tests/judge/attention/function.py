"""`AttentionFunction`: a function of query, key and value, as a subject.

It is called with arrays of ours and a boolean mask, whatever its own
conventions are; and what it returns is checked before anything else is
done with it.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from parity_tests.bounds.rounding import Bounded, Rounding
from parity_tests.judge.candidate.things import Thing
from parity_tests.judge.mutants.attention_parts import (
    BEYOND_TILES,
    MUTANTS,
    attention,
    in_parts,
    joined,
    mutants_of_one_mask,
    visible,
)
from parity_tests.judge.subject.cases import (
    AttentionCase,
    Range,
    attention_cases,
    causal,
    mask_along,
)
from parity_tests.judge.subject.forms import OF_KEYS
from parity_tests.judge.subject.intentions import (
    UNSEEN,
    builds_causal_mask,
    is_causal_by_default,
    speaks_of_causal,
)
from parity_tests.judge.subject.masks import not_understood
from parity_tests.judge.subject.roles import (
    aligns_last,
    backward_not_called,
    gives_zeros,
    global_widths,
    have_one_shape,
    is_dropout_mask,
    is_said_to_be_causal,
    left_at_defaults,
)
from parity_tests.judge.verdict.diagnosis import alike
from parity_tests.judge.verdict.property import Property
from parity_tests.judge.verdict.protocol import (
    Broken,
    NotAsked,
    Raised,
    attempt,
)
from parity_tests.twins.comparing import Comparison

from .all_properties import PROPERTIES
from .caches import cache_not_asked, cache_of
from .calling import (
    DIVISOR,
    IN_ORDER,
    ONE_QUERY,
    TELLING,
    Caller,
    arrays_within,
    calling_of,
    expect_array,
    heads_of,
)
from .conventions import (
    ADDED,
    BY_AUTOGRAD,
    FIRST,
    HIDING,
    INSIDE_FLOAT32,
    LAST,
    NO_GRADIENTS,
    NOT_DIFFERENTIATED,
    NOT_TESTED,
    NOTHING_DECLARED,
    WHERE_NO_MASK,
    Conventions,
    Declared,
    alignment,
    always_causal,
    axes_where_it_hides,
    behind_the_mask,
    causal_with_mask,
    float32_inside,
    fully_masked_row,
    kinds_of_masks,
    mask_of_numbers,
    masks_of,
    raw_mask,
    scale_to_pass,
    takes_fewer_key_heads,
    widens,
)
from .decoding import FunctionDecoder, cached_cases
from .probes import of_two_masks, probes
from .property import equals_exact, exact_of, same, steps
from .variants import (
    long_cases,
    may_have_a_long_window,
    no_window_hides_a_key,
)


def without_idle(caller: Caller, limits: Range) -> Caller:
    """Without the arguments of variants that are off by default, and
    change nothing, or raise, where they are passed: they are left alone.
    """
    roles, arrays = caller.calling.roles, arrays_within(limits)
    at_rest, idle = attempt(caller, *arrays), []
    for each in roles.beside:
        given = {each.kind: TELLING[each.kind]}
        passed = attempt(caller, *arrays, given=given)
        is_same = passed is None or np.array_equal(
            at_rest, passed, equal_nan=True
        )
        if each.is_off and is_same:
            idle.append(each)
    beside = tuple(each for each in roles.beside if each not in idle)
    left = (*roles.left_alone, *(each.name for each in idle))
    return caller.changed(
        roles=replace(roles, beside=beside, left_alone=left)
    )


def leaves_keys_out(caller: Caller, limits: Range) -> bool:
    """Whether it is said to take as many keys as queries, and leaves out
    the last of more."""
    thing, tensors = caller.thing, caller.calling.roles.tensors
    if limits.square or not have_one_shape(thing.docs, tensors):
        return False
    query, key, value = arrays_within(limits)
    moved = value.copy()
    moved[..., -1, :] += 1
    outputs = [attempt(caller, query, key, v) for v in (value, moved)]
    return np.array_equal(*outputs)


TAKING_NUMBERS = ("True may attend", "True is masked", "added")


class AttentionFunction:
    """A function under judgement, its conventions detected."""

    kind = "attention"
    when_random = "the output is random, as with dropout"

    def __init__(
        self,
        host,
        thing: Thing,
        declared: Declared = NOTHING_DECLARED,
        library: str | None = None,
        narrow: tuple[str, ...] = IN_ORDER,
    ):
        """Raises NotJudged where there is no way to call it; `narrow` as
        in `calling_of`."""
        self.name, self.declared = thing.name, declared
        self.is_meant = declared.is_meant
        self.exp_roundings: dict[str, int] = {}  # where it was measured
        self.mask_is_declared = declared.mask is not None
        library = library or declared.arrays
        caller, limits = calling_of(host, thing, library, narrow)
        if leaves_keys_out(caller, limits):
            limits = replace(limits, square=True)
        caller = without_idle(caller, limits)
        self.masks = masks_of(caller, limits, declared)
        self.square_masks = [m.name for m in self.masks if m.form is None]
        if self.square_masks:
            own_tokens = replace(limits, square=True)
            found = masks_of(caller, own_tokens, declared)
            if all(each.is_understood for each in found):
                self.masks, limits = found, own_tokens
        self.mask = next(iter(self.understood), None)
        forms = {m.name: m.form for m in self.masks if m.form is not None}
        for finding in self.masks[:1]:
            axes = axes_where_it_hides(caller, limits, finding)
            limits = replace(limits, batch_axes=axes)
        self.two_masks, self.axes_of_both = self.detect_two(caller, limits)
        self.scale = scale_to_pass(caller, limits)
        self.caller = caller.changed(
            forms=caller.calling.forms | forms,
            fixed=caller.calling.fixed | self.passed_scale(caller),
        )
        self.without_masks: Caller | None = None
        if self.is_causal_by_default():
            self.without_masks = self.caller
            self.caller = self.given_a_mask(self.caller)
        self.conventions = self.detect(self.caller, limits)
        self.decoder, roles = FunctionDecoder(self), caller.calling.roles
        can_keep = roles.cache.holders and not limits.narrow
        self.cache = (
            cache_of(self.decoder, roles.cache) if can_keep else None
        )

    # --- conventions -----------------------------------------------------

    @property
    def understood(self) -> list[str]:
        """The masks that it can be asked with."""
        return [each.name for each in self.masks if each.is_understood]

    def passed_scale(self, caller: Caller) -> dict[str, str]:
        """Its scale, where it has none unless one is passed."""
        name = caller.calling.roles.scale
        return {} if self.scale is None else {name: self.scale}

    def is_causal_by_default(self) -> bool:
        """Whether it makes a causal mask where it is passed none, and no
        switch says whether it does."""
        thing, roles = self.caller.thing, self.caller.calling.roles
        is_free = self.mask and self.mask not in roles.required_masks
        is_free = is_free and roles.causal is None
        source = f"{thing.source}\n{thing.helpers}"
        return bool(is_free) and is_causal_by_default(source, self.mask)

    def given_a_mask(self, caller: Caller) -> Caller:
        """Passed a mask that allows all where no other one is."""
        roles = caller.calling.roles
        required = (*roles.required_masks, self.mask)
        return caller.changed(roles=replace(roles, required_masks=required))

    def detect_two(self, caller: Caller, limits: Range) -> tuple:
        """The two masks that it is asked with at once, in the order of its
        arguments, and the batch axes with which both work."""
        of_keys = [n for n in self.understood if not is_dropout_mask(n)]
        if len(of_keys) < 2:
            return [], ()
        names = [each.name for each in caller.thing.parameters]
        first, second = of_keys[:2]
        finding = next(m for m in self.masks if m.name == second)
        axes = axes_where_it_hides(caller, limits, finding)
        return sorted((first, second), key=names.index), axes

    def detect(self, caller: Caller, limits: Range) -> Conventions:
        """Conventions, detected one after the other."""
        roles, docs = caller.calling.roles, caller.thing.docs
        finding = next((m for m in self.masks if m.name == self.mask), None)
        form = finding.form if finding else None
        by, aligned = "none", NOT_TESTED
        if self.without_masks is not None:
            by = WHERE_NO_MASK
        if roles.causal:
            by = f"the argument {roles.causal}"
            aligned = alignment(self.causally, limits)
        elif form is None and (
            always_causal(self, limits)
            or is_said_to_be_causal(caller.thing.name, docs)
            or builds_causal_mask(caller.thing)
        ):
            by = "always"
            aligned = alignment(self, limits)
            limits = replace(limits, square=True)
        if aligned != NOT_TESTED and aligns_last(docs):
            aligned = LAST
        if self.scale is not None:
            scaled = f"none unless it is passed; {self.scale} is"
        else:
            scaled = NOT_TESTED
        limits = replace(
            limits,
            masks=kinds_of_masks(form, by == "always"),
            mask_axes=form.axes if form else "any",
            narrow=caller.calling.narrow,
            few_sizes=caller.calling.library == "jax",
        )
        conventions = Conventions(
            caller.calling.library,
            caller.calling.layout,
            str(finding) if finding else "none",
            by,
            self.declared.alignment or aligned,
            scale=scaled,
            limits=limits,
        )
        return self.detect_more(conventions, form)

    def detect_more(self, conventions: Conventions, form) -> Conventions:
        """What shows in numbers: of 16 bits, too few to tell."""
        if narrow := conventions.limits.narrow:
            asked = f"not taken; asked in {narrow}"
            return replace(conventions, float32=asked)
        return self.detect_numbers(self.detect_behind(conventions, form))

    def detect_behind(self, conventions: Conventions, form) -> Conventions:
        """What a mask does beside masking."""
        if form is None:
            return conventions
        limits, docs = conventions.limits, self.caller.thing.docs
        detected = {}
        if form.axes == "any" and form.meaning in TAKING_NUMBERS:
            numbers = mask_of_numbers(self.caller, limits, self.mask)
            detected["mask_of_numbers"] = numbers
        detected["fully_masked_row"] = (
            self.declared.fully_masked_row
            or ("zeros" if gives_zeros(docs) else None)
            or fully_masked_row(self, limits)
        )
        for name in ("key", "value"):
            behind = behind_the_mask(self, limits, name)
            detected[f"nan_in_masked_{name}"] = behind
        if self.caller.calling.roles.causal:
            both = causal_with_mask(self.causally, limits)
            detected["causal_and_mask"] = both
        if detected["fully_masked_row"] != "zeros":
            # What it does then is a convention, which is reported.
            masks = tuple(k for k in limits.masks if k != "fully masked")
            limits = replace(limits, masks=masks)
        return replace(conventions, limits=limits, **detected)

    def detect_numbers(self, conventions: Conventions) -> Conventions:
        """Precisions, gradients, and fewer heads of keys."""
        limits, caller, detected = conventions.limits, self.caller, {}
        if "float32" in limits.dtypes and widens(caller, limits):
            wider = "returned as float64, as np.sqrt of an int makes it"
            detected["float32"] = wider
        always = conventions.causal == "always"
        two = len(limits.dtypes) > 1 and not always
        if two and float32_inside(caller, limits):
            limits = replace(limits, dtypes=("float32",))
            detected["float64"] = INSIDE_FLOAT32
        if takes_fewer_key_heads(caller, limits):
            neighbours = "each serves neighbouring heads of queries"
            detected["fewer_key_heads"] = neighbours
        alone = caller.calling.layout == ONE_QUERY
        if caller.calling.library == "torch" and not alone:
            detected["gradients"] = self.detect_gradients(limits)
        return replace(conventions, limits=limits, **detected)

    def detect_gradients(self, limits: Range) -> str:
        query, key, value = arrays_within(limits)
        shape = (*query.shape[:-1], value.shape[-1])
        upstream = np.ones(shape, query.dtype)
        try:
            parts = self.gradients(upstream, query, key, value, None)
        except Raised as error:
            return f"none: {error}"
        return BY_AUTOGRAD if parts is not None else NO_GRADIENTS

    # --- calls -----------------------------------------------------------

    def __call__(
        self, query, key, value, mask=None, **options
    ) -> np.ndarray:
        """The output, checked. Raises Broken or Raised."""
        masks = self.by_name(mask)
        return self.with_masks(query, key, value, masks, **options)

    def by_name(self, mask) -> dict:
        takes = mask is not None and self.mask is not None
        return {self.mask: mask} if takes else {}

    def of(self, case: AttentionCase) -> np.ndarray:
        return self(**case.arrays)

    def causally(self, query, key, value, mask=None) -> np.ndarray:
        return self(query, key, value, mask, causal=True)

    def with_masks(
        self, query, key, value, masks: dict, **options
    ) -> np.ndarray:
        """With several masks, by their names."""
        output = self.caller(query, key, value, masks, **options)
        return self.valid(output, query, value)

    def of_no_mask(self, query, key, value) -> np.ndarray:
        """Without any mask, where it then has one of its own."""
        output = self.without_masks(query, key, value, {})
        return self.valid(output, query, value)

    def random_masks(self, case: AttentionCase) -> dict[str, np.ndarray]:
        """One for each of its two masks. Raises NotAsked where they do
        not both work with so many batch axes."""
        shape = case.rows.shape
        if len(shape) - 2 not in self.axes_of_both:
            raise NotAsked(f"one of its masks takes no {len(shape)} axes")
        forms = self.caller.calling.forms
        return {
            name: mask_along(
                forms[name].axes,
                shape,
                np.random.default_rng([case.seed, index]),
            )
            for index, name in enumerate(self.two_masks)
        }

    def with_bias(self, query, key, value, bias) -> np.ndarray:
        call = raw_mask(self.caller, self.mask)
        return self.valid(call(query, key, value, bias), query, value)

    def arguments(self, case, masks: dict | None = None) -> dict:
        """What the call takes; the masks by their own names."""
        masks = self.by_name(case.mask) if masks is None else masks
        return self.caller.arguments(*case.qkv, masks)

    def after_itself(self, first: AttentionCase, second: AttentionCase):
        """The output for the second input, in the objects of the first."""
        for case in (first, second):
            named = self.arguments(case)
            returned = self.caller.answer(named, reuse=True)["value"]
        output = self.caller.output(returned, second.query)
        return self.valid(output, second.query, second.value)

    def inputs_after(self, case, masks: dict | None = None) -> dict:
        """The inputs as they are after a call, by their own names."""
        named = self.arguments(case, masks)
        arrays = [n for n, v in named.items() if isinstance(v, np.ndarray)]
        before = {name: named[name].copy() for name in arrays}
        back = self.caller.answer(named, back=True)["back"]
        return {n: (before[n], np.asarray(back[n])) for n in arrays}

    def gradients(self, upstream, query, key, value, mask):
        """Of query, key and value, by autograd; None if it has none."""
        masks, calling = self.by_name(mask), self.caller.calling
        tensors = calling.roles.tensors
        gradients = self.caller.answer(
            self.caller.arguments(query, key, value, masks),
            upstream=calling.arranged(upstream),
            result=list(calling.result),
            of=list(tensors),
        )["gradients"]
        if gradients is None:
            return None
        parts = []
        for name, array in zip(tensors, (query, key, value), strict=True):
            part = gradients[name]
            if part is None:
                part = np.zeros_like(calling.arranged(array))
            parts.append(calling.arranged_back(part, heads_of(array)))
        return parts

    def valid(self, output, query, value) -> np.ndarray:
        """The output, if it is a valid one; raises Broken if not."""
        shape, dtype = (*query.shape[:-1], value.shape[-1]), value.dtype
        if expect_array(output).shape != shape:
            raise Broken(f"returned shape {output.shape}, expected {shape}")
        if self.caller.calling.narrow and output.dtype.kind in "fV":
            return output.astype(dtype)
        if output.dtype == np.float64 and dtype == np.float32:
            return output.astype(dtype)  # wider: reported, but not wrong
        if output.dtype != dtype:
            raise Broken(f"returned {output.dtype}, expected {dtype}")
        return output

    # --- bounds ----------------------------------------------------------

    def exact(self, case: AttentionCase) -> Bounded:
        """The exact output, with how far a right one may be from it."""
        return steps(self, case)["context"]

    def exact_gradients(
        self, upstream: np.ndarray, case: AttentionCase
    ) -> list[Bounded]:
        """Those of query, key and value."""
        exact = exact_of(
            "scaled_dot_product_attention_backward",
            {"d_context": upstream} | case.arrays,
            self.rounding(upstream.dtype),
        )
        found = []
        for name in ("query", "key", "value"):
            part = exact[f"d_{name}"]
            more = 8 * part.rounding.u * np.abs(part.value)
            found.append(replace(part, error=part.error + more))
        return found

    def near(self, path: str, got, exact: Bounded) -> Comparison:
        """What it returned, with the exact value."""
        return equals_exact(path, got, exact)

    def alike(self, path: str, got, other, *exact: Bounded) -> Comparison:
        """Two outputs that should be the same, within the sum of the
        errors of both; of one, twice."""
        first, second = exact if len(exact) == 2 else 2 * exact
        return same(path, got, other, first.error + second.error)

    def held(self, array: np.ndarray) -> np.ndarray:
        """The nearest numbers of its format: floats, as they are."""
        return array

    def rounding(self, dtype: np.dtype) -> Rounding:
        """How it may round in a precision, its exp included."""
        rounding = Rounding.of(dtype)
        measured = self.exp_roundings.get(dtype.name)
        if measured is None:
            return rounding
        return replace(rounding, exp_roundings=measured)

    # --- as a subject ----------------------------------------------------

    @property
    def host(self):
        return self.caller.host

    @property
    def limits(self) -> Range:
        return self.conventions.limits

    def cases(self):
        return attention_cases(self.limits)

    def offers(self) -> dict[str, bool]:
        """What a property may need, and whether it is there."""
        conventions, roles = self.conventions, self.caller.calling.roles
        free = "random" in self.limits.masks
        own_form = roles.causal or conventions.causal == "always"
        meaning = self.form.meaning if self.form else ""
        takes_numbers = conventions.mask_of_numbers in (ADDED, HIDING)
        return {
            "all queries": conventions.layout != ONE_QUERY,
            "masks": free,
            "free masks": "causal" not in self.limits.masks or free,
            "causal": bool(own_form),
            "causal or masks": bool(free or own_form),
            "two masks": bool(self.two_masks),
            "both at once": conventions.causal_and_mask == "both at once",
            "causal without a mask": conventions.causal == WHERE_NO_MASK,
            "zeros": conventions.fully_masked_row == "zeros",
            "no mask": self.mask is None
            or self.mask not in roles.required_masks,
            "booleans": meaning.startswith("True"),
            "numbers": takes_numbers,
            "numbers are added": conventions.mask_of_numbers == ADDED,
            "scale": roles.scale is not None and self.scale != DIVISOR,
            "gradients": conventions.gradients == BY_AUTOGRAD,
            "cache": self.cache is not None,
            "two dtypes": len(self.limits.dtypes) > 1,
            "fewer key heads": self.takes_fewer_key_heads,
        }

    @property
    def takes_fewer_key_heads(self) -> bool:
        return self.conventions.fewer_key_heads != NOT_TESTED

    @property
    def form(self):
        return self.caller.calling.forms.get(self.mask)

    def properties(self) -> Iterator[Property]:
        offers = self.offers()
        for each in PROPERTIES:
            if all(offers[need] for need in each.needs):
                yield each
        if may_have_a_long_window(self.caller):
            yield Property(no_window_hides_a_key, inputs=long_cases)

    def not_asked(self) -> dict[str, str]:
        """What a reader could take to be asked, and why it was not."""
        conventions = self.conventions
        missing = not_understood(self.masks)
        if not self.masks:
            missing["masks"] = "it takes none"
        if self.square_masks and not missing:
            missing["other keys than queries"] = (
                f"the mask {self.square_masks[0]} takes as many of each"
            )
        for name in self.understood[2:]:
            missing[f"the mask {name}"] = (
                "only two masks are asked at a time"
            )
        if conventions.causal == "none":
            missing["a causal form"] = "it has none"
            if not self.masks and speaks_of_causal(self.caller.thing):
                missing["its causal mask"] = UNSEEN
        elif conventions.alignment not in (LAST, FIRST):
            missing["fewer queries than keys"] = conventions.alignment
        if not self.takes_fewer_key_heads:
            missing["fewer key heads"] = "it does not take them"
        if conventions.gradients not in (BY_AUTOGRAD, NOT_TESTED):
            missing["gradients"] = conventions.gradients
        if conventions.arrays in NOT_DIFFERENTIATED:
            missing["gradients"] = NOT_DIFFERENTIATED[conventions.arrays]
        if conventions.gradients != BY_AUTOGRAD:
            missing |= backward_not_called(self.caller.thing)
        calling = self.caller.calling
        for name in calling.roles.unknown:
            given = calling.fixed.get(name)
            missing[f"other values of {name}"] = (
                f"what it means is not known; it was given {given}"
            )
        for name in global_widths(self.caller.thing):
            missing[f"other values of the global {name}"] = (
                "it is what the width of a head is"
            )
        roles = calling.roles
        missing |= left_at_defaults(roles.left_alone)
        return missing | cache_not_asked(
            roles.cache, self.cache, self.caller.thing.source
        )

    # --- for the diagnosis -----------------------------------------------

    def probes(self) -> list[list]:
        plain, *others = probes(self)
        cached = [each.probe for each in cached_cases(self)]
        return [plain, list(of_two_masks(self)), cached, *others]

    def answer(self, probe) -> np.ndarray:
        """On copies, so that the next call gets the same inputs."""
        if probe.parts:
            outputs = self.decoder.decoded(probe, self.cache)
            return np.concatenate(outputs, axis=-2)
        arrays = probe.query, probe.key, probe.value
        copies = [array.copy() for array in arrays]
        if probe.causal and self.conventions.causal == WHERE_NO_MASK:
            return self.of_no_mask(*copies)
        has_form = self.caller.calling.roles.causal is not None
        is_causal, masks = probe.causal and has_form, self.masks_of(probe)
        return self.with_masks(*copies, masks, causal=is_causal)

    def masks_of(self, probe) -> dict:
        """The masks of a probe, by their names."""
        if probe.second_mask is None:
            return self.by_name(probe.mask)
        return dict(zip(self.two_masks, probe.masks, strict=True))

    def changes(self, probe) -> bool:
        arrays = probe.query, probe.key, probe.value, probe.mask
        case = AttentionCase(*arrays)
        try:
            pairs = self.inputs_after(case, self.masks_of(probe)).values()
        except (NotAsked, Raised):
            return False
        return not all(np.array_equal(a, b) for a, b in pairs)

    def right(self, probe) -> np.ndarray:
        return in_parts(attention, probe)

    def mutants(self, probes) -> Iterator:
        """All mutants; without those of two masks if it takes one, and
        those of a batch if it takes none."""
        both = self.conventions.causal_and_mask == "both at once"
        batch = self.limits.batch_axes[-1] > 0
        for name, mutant in (MUTANTS | BEYOND_TILES).items():
            if not both and "another mask" in name:
                continue
            if self.limits.square and "number of queries" in name:
                continue  # there are as many keys
            if not self.takes_fewer_key_heads and "key heads are" in name:
                continue
            if batch or "batch" not in name:
                yield name, partial(in_parts, mutant)
        forms = self.caller.calling.forms
        of_keys = {n: forms[n].axes in OF_KEYS for n in self.two_masks}
        for name, parts, changed in mutants_of_one_mask(
            of_keys, alone=self.two_masks[:1]
        ):
            mutant = partial(attention, **parts)
            yield name, partial(self.given_other_masks, mutant, changed)

    def given_other_masks(self, mutant, changed, probe) -> np.ndarray:
        masks = {
            name: np.broadcast_to(mask, probe.shape)
            for name, mask in self.masks_of(probe).items()
        }
        masks = tuple(changed(masks).values())
        return mutant(replace(probe, mask=joined(masks), second_mask=None))

    def agree(self, output, expected, probe) -> bool:
        """Equal, but for rounding and for fully masked rows."""
        if probe.parts:  # in which no row is fully masked
            return alike(output, np.asarray(expected))
        sees_any = visible(probe).any(axis=-1, keepdims=True)
        if expected is None or output.shape != expected.shape:
            return False
        return alike(
            np.where(sees_any, output, 0), np.where(sees_any, expected, 0)
        )

    def other_cause(self) -> str | None:
        """What a fully masked row gets, if zeros were declared; or what
        is wrong with gradients."""
        return self.cause_of_rows() or self.cause_of_gradients()

    def cause_of_gradients(self) -> str | None:
        """A gradient that is missing, or that lacks the scale."""
        if self.conventions.gradients != BY_AUTOGRAD:
            return None
        query, key, value = arrays_within(self.limits)
        case = AttentionCase(query, key, value, np.array(True))
        if self.conventions.causal == "always":
            case = causal(case)
        shape = (*case.query.shape[:-1], value.shape[-1])
        upstream = case.random().integers(1, 4, shape).astype(query.dtype)
        got = self.gradients(upstream, **case.arrays | {"mask": None})
        exact = exact_of(
            "scaled_dot_product_attention_backward",
            {"d_context": upstream} | case.arrays,
        )
        right = [exact[f"d_{n}"].value for n in ("query", "key", "value")]
        same = [alike(a, b) for a, b in zip(got, right, strict=True)]
        none = [not np.any(a) for a in got]
        if all(map(max, same, none)) and any(none):
            names = ("queries", "keys", "values")
            cut = [
                n for n, a in zip(names, got, strict=True) if not a.any()
            ]
            return f"no gradient reaches the {' and '.join(cut)}"
        root = query.shape[-1] ** 0.5
        if same[2] and all(alike(got[i], right[i] * root) for i in (0, 1)):
            return "the gradients of queries and keys lack the scale"
        return None

    def cause_of_rows(self) -> str | None:
        if self.conventions.fully_masked_row != "zeros" or not self.mask:
            return None
        got = fully_masked_row(self, self.limits)
        if got not in ("NaN", "the mean of all values"):
            return None
        return f"a fully masked row gets {got}, not zeros"
