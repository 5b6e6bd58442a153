"""`AttentionLayer`: attention with weights, as a subject.

A class, or a function that takes its weights, is built at two sizes at
least; its weights are drawn here and read by a recipe, so that the
reference can be given the same. What it insists on is found by trial.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np

from parity_tests.judge.attention.calling import (
    as_array,
    part_at,
    paths_of,
    shape_of,
)
from parity_tests.judge.attention.conventions import (
    FAILED_TRIAL,
    INSIDE_FLOAT32,
    NOTHING_DECLARED,
    Declared,
    MaskFinding,
    find_form,
    stated_of,
)
from parity_tests.judge.attention.function import (
    DECLARED_MASKS,
    NO_GRADIENTS,
    is_plain,
    rank_of,
)
from parity_tests.judge.candidate.things import Thing
from parity_tests.judge.mutants.class_parts import (
    MUTANTS,
    layer_of_heads,
)
from parity_tests.judge.subject.forms import (
    LENGTHS,
    MEANINGS,
    MaskForm,
    axes_to_try,
    libraries_to_try,
)
from parity_tests.judge.subject.roles import (
    is_said_to_be_causal,
    puts_tokens_first,
    stated_axes,
)
from parity_tests.judge.subject.weights import (
    Recipe,
    recipes,
    weights,
)
from parity_tests.judge.verdict.diagnosis import alike
from parity_tests.judge.verdict.protocol import (
    Broken,
    NotAsked,
    NotJudged,
    Raised,
)

from .body import (
    ClassBody,
    FunctionBody,
    drawn,
    second_sizes,
)
from .building import Sizes, size_named, takes
from .cases import LayerCase, later_keys, layer_cases, with_masks
from .properties import LOUD, properties_of

ROLES = ("self_attention", "causal_attention", "multi_head_attention")
TOKENS, TEXTS = 5, 2  # of a trial
EPSILONS = (1e-5, 1e-6, 1e-12, 1e-8)


class AttentionLayer:
    """A layer under judgement, its conventions detected."""

    when_random = "the output is random: dropout stays on at evaluation"

    def __init__(
        self,
        host,
        thing: Thing,
        role: str,
        declared: Declared = NOTHING_DECLARED,
    ):
        """Raises NotJudged where it cannot be built, called or read."""
        self.name, self.kind, self.declared = thing.name, role, declared
        self.thing = thing
        self.tokens_first = puts_tokens_first(thing.docs)
        self.body, first, self.width, self.result = working_body(
            host, thing, declared
        )
        self.arrays_of: dict[tuple, dict] = {}
        self.forms: dict[str, MaskForm] = dict(self.body.open_forms)
        self.sizes = [first]
        if "batch_first" in thing.docs:  # which then says both
            self.tokens_first = self.attends_along_the_first_axis()
        self.sizes += [s for s in self.more_sizes() if self.works(s)][:1]
        self.batch_axes = tuple(n for n in (1, 0) if self.takes_axes(n))
        self.most_tokens = next(
            (n for n in (40, 7, 5) if self.takes_tokens(n)), 5
        )
        self.heads_at: dict[int, int] = {}
        self.recipe, self.causal = self.recognised()
        self.in_float64 = not self.has_float32_inside()
        self.dtypes = (
            ("float64", "float32") if self.in_float64 else ("float32",)
        )
        for built in range(1, len(self.sizes)):
            self.heads_at[built] = self.heads_for(built)
        self.masks = self.detect_masks()
        self.forms |= {m.name: m.form for m in self.masks if m.form}
        self.cross = self.detect_cross()
        self.gradients_by = self.detect_gradients()

    # --- calls -----------------------------------------------------------

    @property
    def host(self):
        return self.body.host

    def arrays(self, case: LayerCase) -> dict:
        """The weights of a case, the same object each time."""
        dtype = case.x.dtype.name
        key = (self.sizes[case.built], case.seed, dtype)
        if key not in self.arrays_of:
            if len(self.arrays_of) > 50:
                self.arrays_of.clear()
            parameters = self.body.parameters(self.sizes[case.built])
            self.arrays_of[key] = drawn(parameters, case.seed, dtype)
        return self.arrays_of[key]

    def weights(self, case: LayerCase, recipe: Recipe | None = None):
        """The weights by the recipe, as the reference takes them."""
        heads = self.heads_of(self.sizes[case.built])
        read = self.at(case.built, recipe or self.recipe)
        return weights(read, self.arrays(case), heads)

    def has_float32_inside(self) -> bool:
        """Whether float64 comes out right to float32's digits only."""
        cases = [self.case(size=built) for built in range(len(self.sizes))]
        apart = [np.abs(self.of(c) - self.plain(c)).max() for c in cases]
        return bool(1e-11 < max(apart) < 1e-5)

    def heads_for(self, built: int) -> int:
        """How many heads it has at other sizes: as many, or so many that
        each is as wide as before. 0 for what the recipe says."""
        count = self.recipe.heads
        if count is None or count == 1:
            return 0
        case = self.case(size=built)
        width = len(self.weights(self.case()).query[0]) // count
        features = len(self.weights(case).query[0])
        for heads in (count, features // width):
            trial = replace(self.recipe, heads=heads)
            if features % heads == 0 and self.gives(
                trial, self.causal, case, self.of(case)
            ):
                return heads
        return 0

    def at(self, built: int, recipe: Recipe) -> Recipe:
        """The same recipe for other sizes, with which a list of heads is
        of another length."""
        if self.heads_at.get(built):
            recipe = replace(recipe, heads=self.heads_at[built])
        if built == 0 or len(recipe.query) == 1:
            return recipe
        read = {
            other.layout: other
            for other in recipes(self.body.parameters(self.sizes[built]))
            if len(other.query) > 1
        }
        return replace(
            read[recipe.layout],
            inside=recipe.inside,
            norm=recipe.norm,
            epsilon=recipe.epsilon,
        )

    def heads_of(self, sizes: Sizes) -> int:
        return sizes.heads if self.takes_heads else 1

    @property
    def takes_heads(self) -> bool:
        """Whether the constructor, or the call, takes the number."""
        configured = self.thing.is_class and takes(self.thing, "heads")
        return self.names_heads or configured

    @property
    def names_heads(self) -> bool:
        """Whether an argument is called so: then it has as many, or one,
        and no other number is tried."""
        named = any(
            size_named(each.name) == "heads"
            for each in self.thing.parameters
        )
        return named or "heads" in self.body.roles.fixed.values()

    def arguments(self, case: LayerCase) -> dict:
        """What the call takes, in its own form. Raises NotAsked."""
        roles, named = self.body.roles, {}
        sources = {
            "x": case.x,
            "query": case.x,
            "key": case.keys,
            "context": case.keys,
            "value": case.values,
        }
        is_self = case.key is None and case.value is None
        for name, source in roles.tokens.items():
            optional = source == "context" and not self.is_required(name)
            if not (is_self and optional):
                named[name] = self.arranged(sources[source].copy())
        for name, form in self.forms.items():
            mask = case.masks.get(name)
            if mask is None and name in roles.required_masks:
                mask = np.ones(case.shape[-2:], bool)
            if mask is not None:
                named[name] = form.passed(mask, case.shape, case.x.dtype)
        for name in roles.dropout_masks:
            named[name] = np.ones((1, *case.shape[-2:]), bool)
        for name, constant in roles.fixed.items():
            heads = self.heads_of(self.sizes[case.built])
            named[name] = heads if constant == "heads" else constant
        if roles.causal:
            named[roles.causal] = case.causal
        return named

    def arranged(self, array: np.ndarray) -> np.ndarray:
        """Texts first or tokens first, as the layer is said to have it."""
        return array.swapaxes(0, 1) if self.turns(array) else array

    def turns(self, array: np.ndarray) -> bool:
        return self.tokens_first and array.ndim == 3

    def is_required(self, name: str) -> bool:
        return any(
            p.name == name and p.required for p in self.thing.signature
        )

    def reply(self, case: LayerCase, **how) -> dict:
        """What the host answers. Raises Raised."""
        return self.body.run(
            self.sizes[case.built],
            self.arrays(case),
            self.arguments(case),
            case.x.dtype.name,
            **how,
        )

    def of(self, case: LayerCase, **how) -> np.ndarray:
        """The output, checked. Raises Broken or Raised."""
        return self.read(self.reply(case, **how)["value"], case)

    def read(self, value, case: LayerCase) -> np.ndarray:
        output = as_array(part_at(value, self.result))
        if isinstance(output, np.ndarray):
            output = self.arranged(output)
        else:
            kind = getattr(output, "kind", type(output).__name__)
            raise Broken(f"returned {kind}, expected an array")
        if output.shape[:-1] != case.x.shape[:-1]:
            raise Broken(
                f"returned shape {output.shape}, expected "
                f"{(*case.x.shape[:-1], output.shape[-1])}"
            )
        if output.dtype == np.float64 and case.x.dtype == np.float32:
            return output.astype(np.float32)
        return output

    def plain(
        self, case: LayerCase, causal=None, recipe=None
    ) -> np.ndarray:
        """The reference's output in plain NumPy, for trials."""
        causal = self.causal if causal is None else causal
        return layer_of_heads(
            self.weights(case, recipe), case.tokens(causal)
        )

    def case(
        self, seed=1, tokens=TOKENS, size=0, axes=None, dtype="float64"
    ) -> LayerCase:
        """A case of normal numbers."""
        axes = self.batch_axes[0] if axes is None else axes
        shape = (TEXTS,) * axes + (tokens, self.width_at(size))
        x = np.random.default_rng(seed).normal(size=shape)
        return LayerCase(x.astype(dtype), seed, size)

    def width_at(self, size: int) -> int:
        """How wide tokens are, for the sizes of that index."""
        return self.width(self.sizes[size])

    # --- trials ----------------------------------------------------------

    def more_sizes(self) -> Iterator[Sizes]:
        if self.body.has_sizes:
            yield from second_sizes(self.sizes[0])

    def works(self, sizes: Sizes) -> bool:
        """Whether it can be built and called with other sizes."""
        before, self.sizes = self.sizes, [*self.sizes, sizes]
        try:
            self.of(self.case(size=len(before), axes=1))
        except (*FAILED_TRIAL, NotJudged):
            return False
        finally:
            self.sizes = before
        return True

    def attends_along_the_first_axis(self) -> bool:
        """Whether a change of one entry along the first axis reaches the
        others: then that is the axis of tokens."""
        self.tokens_first = False
        case = self.case(axes=1)
        other = case.x.copy()
        other[0] += 1
        try:
            before, after = self.of(case), self.of(replace(case, x=other))
        except FAILED_TRIAL:
            return False
        return bool((before[1:] != after[1:]).any())

    def takes_axes(self, axes: int) -> bool:
        try:
            self.of(self.case(axes=axes))
        except FAILED_TRIAL:
            return False
        return True

    def takes_tokens(self, tokens: int) -> bool:
        try:
            self.of(self.case(tokens=tokens, size=len(self.sizes) - 1))
        except FAILED_TRIAL:
            return False
        return True

    def tokens_at(self, size: int) -> int:
        """The most tokens that it takes, for the sizes of that index."""
        if takes(self.thing, "context") and self.thing.is_class:
            return min(self.sizes[size].context, self.most_tokens)
        return self.most_tokens

    def recognised(self) -> tuple[Recipe, bool]:
        """How its weights are read, and whether it is causal.

        Where no reading gives its numbers, the first one by name is kept;
        it is then judged by that. Raises NotJudged where names say
        nothing either, or where it has weights of another kind.
        """
        case = self.case()
        try:
            output = self.of(case)
        except Raised as error:
            raise NotJudged(f"it {error}") from error
        inside = self.inside(case)
        parameters = self.body.parameters(self.sizes[0])
        read = list(recipes(parameters))
        for recipe, causal in product(read, self.causal_options()):
            for trial in self.variants(recipe, inside):
                if self.gives(trial, causal, case, output):
                    return trial, causal
        named = [recipe for recipe in read if recipe.by_name]
        labels = {label for label, _, _ in parameters}
        if not named:
            got = ", ".join(sorted(labels)) or "none"
            raise NotJudged(
                "expected weights named like W_query, W_key and W_value, "
                f"or c_attn or qkv, got {got}; no reading of them gives "
                "its numbers"
            )
        fitting = [r for r in named if self.fits_shapes(r, case, output)]
        if not fitting:
            raise NotJudged("its weights do not fit each other")
        recipe = next(self.variants(fitting[0], inside[:1]))
        others = sorted(labels - recipe.labels())
        others += [b for b in self.body.buffers(self.sizes[0]) if is_odd(b)]
        if others:
            raise NotJudged(
                f"it has {', '.join(others)}, which plain attention has "
                "not, so it may be a variant"
            )
        causal = self.causal_options()[0] or self.looks_causal(case)
        return recipe, causal

    def looks_causal(self, case: LayerCase) -> bool:
        """Whether it has a triangle among its buffers, or no later token
        reaches an earlier one."""
        buffers = self.body.buffers(self.sizes[0])
        if any(re.search(r"tri|mask|causal", b.lower()) for b in buffers):
            return True
        later, earlier = case.x.copy(), case.x.copy()
        later[..., -1, :] += 1
        earlier[..., 0, :] += 1
        by_later, by_earlier = (
            self.of(replace(case, x=x)) != self.of(case)
            for x in (later, earlier)
        )
        reaches_back = by_later[..., :-1, :].any()
        return bool(by_earlier[..., 1:, :].any() and not reaches_back)

    def fits_shapes(self, recipe, case, output) -> bool:
        """Whether this reading gives an output of that shape at all."""
        try:
            return self.plain(case, False, recipe).shape == output.shape
        except (ValueError, KeyError, TypeError, IndexError):
            return False

    def causal_options(self) -> tuple[bool, ...]:
        """Whether it should be causal: as its name or its role says, or
        as a length does that can be good for nothing else."""
        said = "causal" in f"{self.kind} {self.name}".lower()
        length = self.thing.is_class and any(
            size_named(each.name) == "context"
            for each in self.thing.parameters
        )
        roles = self.body.roles
        if said or (length and not roles.masks):
            return (True,)
        free = not roles.masks and roles.causal is None
        if free and is_said_to_be_causal("", self.thing.docs):
            return (True,)
        return (False, True)

    def inside(self, case: LayerCase) -> tuple[str, ...]:
        """What is around the attention: a residual or a layer norm.

        With all matrices zero, attention gives nothing, and what is
        around it is left.
        """
        parameters = self.body.parameters(self.sizes[0])
        arrays = self.arrays(case)
        empty = {
            label: array
            if owner.endswith("Norm") or "norm" in label.lower()
            else np.zeros_like(array)
            for (label, _, owner), array in zip(
                parameters, arrays.values(), strict=True
            )
        }
        key = (self.sizes[case.built], case.seed, case.x.dtype.name)
        self.arrays_of[key] = empty
        try:
            left = self.of(case)
        except FAILED_TRIAL:
            return ("",)
        finally:
            self.arrays_of[key] = arrays
        if not np.abs(left).max(initial=0) > 1e-9:
            return ("", "norm first")
        if left.shape == case.x.shape and np.allclose(left, case.x):
            return ("residual", "norm first, residual")
        return ("residual, norm last", "norm last")

    def variants(self, recipe: Recipe, insides) -> Iterator[Recipe]:
        """The recipe, with the numbers of heads it may have, and with
        what may be around it."""
        heads: tuple = (None, 1) if self.takes_heads else (1,)
        if not self.names_heads:
            globals_of = [n for _, n in self.thing.sizes if 1 < n <= 64]
            heads = (*heads, *dict.fromkeys(globals_of), 2, 3, 4, 8)
        for inside, count in product(insides, heads):
            if not recipe.norm:
                if "norm" not in inside:
                    yield replace(recipe, inside=inside, heads=count)
                continue
            for epsilon in EPSILONS if "norm" in inside else EPSILONS[:1]:
                yield replace(
                    recipe, inside=inside, heads=count, epsilon=epsilon
                )

    def gives(self, recipe: Recipe, causal, case, output) -> bool:
        """Whether this reading gives the layer's own numbers."""
        try:
            expected = self.plain(case, causal, recipe)
        except (ValueError, KeyError, TypeError, IndexError):
            return False
        return alike(output, expected)

    # --- conventions -----------------------------------------------------

    def detect_masks(self) -> list[MaskFinding]:
        """The forms of its masks, the first to be asked first."""
        roles, findings = self.body.roles, []
        axes = 1 if 1 in self.batch_axes else 0
        case = self.case(axes=axes)
        for name in [*roles.masks, *filter(None, [roles.lengths])]:
            said = DECLARED_MASKS.get(self.declared.mask or "")
            said = said or stated_of(self.thing, name)

            def visible(form: MaskForm, mask, name=name) -> np.ndarray:
                return self.seen_through(case, name, form, mask)

            tried = axes_to_try(axes, name, name == roles.lengths)
            first = stated_axes(self.thing.docs, name)
            tried = sorted(tried, key=lambda each, f=first: each != f)
            shape = TOKENS, TOKENS
            finding = find_form(name, visible, shape, tried, said)
            if axes and finding.hides:
                finding = self.of_each_text(finding, visible)
            findings.append(finding)
        return sorted(findings, key=rank_of)

    def of_each_text(self, finding: MaskFinding, visible) -> MaskFinding:
        """The form for a mask that differs from text to text, where the
        layer takes such masks; they are then what it is asked with."""
        if finding.form.axes not in ("any", "all axes", "query, key"):
            return finding
        mask = np.tri(TOKENS, dtype=bool) | np.eye(TOKENS, dtype=bool)
        mask = np.stack([mask, np.ones_like(mask)])
        mask[1, 1:, 0] = False
        accepted = []
        for axes in ("text, query, key", "text, 1, query, key"):
            form = replace(finding.form, axes=axes)
            try:
                seen = visible(form, mask)
            except FAILED_TRIAL:
                continue
            if np.array_equal(seen, mask):
                return replace(finding, form=form)
            accepted.append(form)
        shared = replace(finding.form, axes="query, key")
        return replace(finding, form=[*accepted, shared][0])

    def seen_through(self, case, name, form, mask) -> np.ndarray:
        """Which token's output moves when which other token does.

        Where key and value are arguments, only the value is moved.
        """
        masked = replace(case, masks={name: mask})
        before_forms, self.forms = self.forms, self.forms | {name: form}
        apart = "value" in self.body.roles.tokens.values()
        try:
            if apart:
                masked = replace(masked, value=case.x)
            before = self.of(masked)
            if not np.isfinite(before).all():
                raise Broken("returned a NaN")
            moved = []
            for index in range(TOKENS):
                other = case.x.copy()
                other[..., index, :] += 1
                changed = {"value" if apart else "x": other}
                after = self.of(replace(masked, **changed))
                moved.append((before != after).any(axis=-1))
        finally:
            self.forms = before_forms
        seen = np.stack(moved, axis=-1)
        if not apart:  # a token always moves itself
            seen = seen & ~np.eye(TOKENS, dtype=bool) | mask & np.eye(
                TOKENS, dtype=bool
            )
        if self.causal:
            seen = seen | mask & ~np.tri(TOKENS, dtype=bool)
        return seen

    @property
    def understood(self) -> list[str]:
        return [
            each.name
            for each in self.masks
            if each.form is not None and (each.hides or is_plain(each))
        ]

    def detect_cross(self) -> str:
        """Which tokens may differ: "", "key" (and value), or "value"."""
        tokens = self.body.roles.tokens.values()
        if self.causal or len(tokens) < 2:
            return ""
        for trial in ("value", "key"):
            if trial == "value" and "value" not in tokens:
                continue
            try:
                self.of(self.crossed(self.case(), trial))
            except FAILED_TRIAL:
                continue
            return trial
        return ""

    def crossed(self, case: LayerCase, which: str) -> LayerCase:
        """The case with other, and more, tokens to attend to."""
        generator = np.random.default_rng(case.seed + 1)
        shape = (*case.x.shape[:-2], case.x.shape[-2] + 2, case.x.shape[-1])
        key, value = generator.normal(size=(2, *shape)).astype(case.x.dtype)
        value = value if which == "value" else None
        return replace(case, key=key, value=value, masks={})

    def detect_gradients(self) -> str:
        if self.body.library != "torch" or not self.thing.is_module:
            return "NumPy has none" if self.body.library != "torch" else ""
        try:
            parts = self.gradients(self.case(), np.ones)
        except FAILED_TRIAL as error:
            return f"none: {error}"
        return "by autograd" if parts is not None else NO_GRADIENTS

    def gradients(self, case: LayerCase, upstream_of) -> dict | None:
        """Of all tokens and parameters, for a gradient of the output."""
        shape = (*case.x.shape[:-1], self.plain(case).shape[-1])
        upstream = upstream_of(shape).astype(case.x.dtype)
        tokens = [
            n for n in self.arguments(case) if n in self.body.roles.tokens
        ]
        answer = self.reply(
            case,
            upstream=self.arranged(upstream),
            result=list(self.result),
            of=tokens,
            parameters=True,
        )
        if answer["gradients"] is None:
            return None
        return {
            name: self.arranged(part)
            if name in tokens and part is not None
            else part
            for name, part in answer["gradients"].items()
        }

    # --- as a subject ----------------------------------------------------

    def properties(self):
        return properties_of(self)

    def cases(self):
        return layer_cases(self)

    def not_asked(self) -> dict[str, str]:
        missing = {}
        for finding in self.masks:
            if finding.name not in self.understood:
                missing["its mask"] = (
                    f"{finding.name} was not understood; --mask may say "
                    "what it means"
                )
        if not self.masks and not self.causal:
            missing["masks"] = "it takes none"
        if not self.cross:
            missing["cross-attention"] = (
                "it attends to its own tokens only"
                if len(self.body.roles.tokens) < 2 or self.causal
                else "it takes no other tokens"
            )
        if self.gradients_by != "by autograd":
            missing["gradients"] = self.gradients_by or "not of functions"
        if self.body.roles.causal:
            missing["fewer queries than keys"] = "not of layers"
        elif not self.causal:
            missing["a causal form"] = "it has none"
        if len(self.sizes) < 2:
            missing["other sizes"] = "it can be built in one size only"
        if self.thing.is_class and not takes(self.thing, "dropped"):
            missing["dropout"] = "it takes no rate"
        return missing

    def plain_conventions(self) -> dict[str, object]:
        """What was detected, for a report."""
        finding = next(iter(self.masks), None)
        mask = "none"
        if finding is not None and finding.form is not None:
            mask = str(finding.form)
            if not finding.hides:
                mask += ", as it seems to be meant"
            elif mask.startswith("added") and not finding.stated:
                mask += "; ones and zeros would hide nothing"
        sizes = [f"{s.d_in} to {s.d_out} in {s.heads}" for s in self.sizes]
        detected = {
            "arrays": self.body.library,
            "mask": mask,
            "causal": "always" if self.causal else "none",
            "weights": self.recipe.layout,
            "batch_axes": list(self.batch_axes),
        }
        if not self.in_float64:
            detected["float64"] = INSIDE_FLOAT32
        if self.tokens_first:
            detected["layout"] = "tokens, batch, features"
        if self.recipe.inside:
            detected["around"] = WORDS[self.recipe.inside]
        if self.body.has_sizes:
            detected["sizes"] = sizes
        return detected

    # --- for the diagnosis -----------------------------------------------

    def probes(self) -> list[list]:
        plain = [
            self.case(seed, min(tokens, self.most_tokens), size)
            for size in range(len(self.sizes))
            for seed in (11, 12)
            for tokens in (5, 3)
        ]
        crossed = [
            self.crossed(c, self.cross) for c in plain[:2] if self.cross
        ]
        masked = []
        for names in (self.understood[:1], self.understood[1:2]):
            masked += [
                with_masks(self, c, *names) for c in plain[:2] if names
            ]
        if len(self.understood) > 1:
            masked += [
                with_masks(self, c, *self.understood[:2]) for c in plain[:2]
            ]
        loud = [
            replace(c, x=c.x * LOUD, masks=later_keys(self, c))
            for c in plain[:2]
        ]
        own = []
        if self.body.roles.causal:
            own = [replace(c, causal=True) for c in plain[:2] + masked]
        return [plain, crossed + masked + own, loud]

    def answer(self, probe) -> np.ndarray:
        return self.of(probe)

    def right(self, probe):
        return self.plain(probe)

    def changes(self, probe) -> bool:
        try:
            before = self.arguments(probe)
            back = self.body.run(
                self.sizes[probe.built],
                self.arrays(probe),
                self.arguments(probe),
                probe.x.dtype.name,
                back=True,
            )["back"]
        except (Raised, NotAsked):
            return False
        return not all(
            np.array_equal(value, back[name], equal_nan=True)
            for name, value in before.items()
            if isinstance(value, np.ndarray)
        )

    def mutants(self, probes) -> Iterator:
        """All mutants that apply, for each reading that names allow."""
        parameters = self.body.parameters(self.sizes[0])
        shaped = [
            recipe
            for recipe in recipes(parameters)
            if recipe.by_name
            and self.fits_shapes(recipe, probes[0], self.plain(probes[0]))
        ]
        readings = [self.recipe] + [
            replace(r, inside=self.recipe.inside, heads=self.recipe.heads)
            for r in shaped
        ]
        for name, mutant in self.possible().items():
            for recipe in dict.fromkeys(readings):
                yield name, self.as_mutant(mutant, recipe)

    def as_mutant(self, mutant, recipe):
        def output(probe):
            return mutant(
                self.weights(probe, recipe), probe.tokens(self.causal)
            )

        return output

    def possible(self) -> dict:
        """The mutants that can be told apart by what it can be asked."""
        several = self.weights(self.case()).heads > 1
        read = self.weights(self.case())
        both = bool(self.body.roles.causal and self.understood)
        grouped = read.key_heads < read.heads
        widths = read.width_in != len(read.query[0])
        return {
            name: mutant
            for name, mutant in MUTANTS.items()
            if (several or not ("heads" in name or "d_model" in name))
            and (len(self.understood) > 1 or "two masks" not in name)
            and (self.understood or "mask of another" not in name)
            and (both or "another mask" not in name)
            and (self.cross or "'s tokens" not in name)
            and (widths or "√d_in" not in name)
            and (1 in self.batch_axes or "batch" not in name)
            and (grouped or "key heads are" not in name)
        }

    def agree(self, output, expected, probe) -> bool:
        return alike(output, np.asarray(expected))

    def other_cause(self) -> str | None:
        """A gradient that does not arrive."""
        if self.gradients_by != "by autograd":
            return None
        got = self.gradients(self.case(), np.ones)
        cut = sorted(n for n, part in got.items() if not has_any(part))
        cut = [n for n in cut if n not in self.without_gradient()]
        if not cut:
            return None
        return f"no gradient reaches {', '.join(cut)}"

    def without_gradient(self) -> set[str]:
        """The biases of keys, which move all scores of a query alike."""
        return {
            f"parameter {part.bias}"
            for part in self.recipe.key
            if part.bias and part.chunk is None
        }


def has_any(part) -> bool:
    return part is not None and bool(np.any(np.abs(part) > 1e-12))


WORDS = {
    "residual": "a residual",
    "residual, norm last": "a residual, then layer norm",
    "norm last": "layer norm at the end",
    "norm first": "layer norm at the beginning",
    "norm first, residual": "layer norm at the beginning, and a residual",
}


ODD = re.compile(r"rel|pos|rot|freq|cos|sin|alibi|slope|gate|decay|memory")


def is_odd(buffer: str) -> bool:
    """Whether a buffer is of something that plain attention has not."""
    return ODD.search(buffer.lower()) is not None


# A docstring that gives a matrix two equal sizes: "W_Q: (d, d)".
SQUARE = re.compile(r"[wW]\w*[^\n]*\((\w+),\s*\1\)")


# --- finding a body ------------------------------------------------------


def working_body(host, thing: Thing, declared: Declared):
    """A body that gives an output, its first sizes, the width of tokens
    for any sizes, and the path to the output. Raises NotJudged."""
    troubles: dict[str, None] = {}
    for body in bodies(host, thing, declared):
        for sizes in body.choices():
            try:
                fitting = accepted(body, sizes, troubles)
            except (NotJudged, Raised) as error:
                own = isinstance(error, NotJudged)
                trouble = str(error) if own else f"it {error}"
                troubles.setdefault(trouble, None)
                continue
            if fitting is not None:
                return body, sizes, *fitting
    raise NotJudged(next(iter(troubles), "it gave no output"))


def bodies(host, thing: Thing, declared: Declared):
    if thing.is_class:
        libraries = libraries_to_try(thing, declared.arrays)
        for library in libraries[:1] if thing.is_module else libraries:
            yield ClassBody(host, thing, library)
        return
    named = thing.name.replace("_", "").lower()
    takes_heads = any(
        size_named(each.name) == "heads" for each in thing.parameters
    )
    if "multihead" in named and not takes_heads:
        names = ", ".join(each.name for each in thing.parameters)
        raise NotJudged(
            f"expected the number of heads among its arguments: ({names})"
        )
    libraries = libraries_to_try(thing, declared.arrays)
    shapes = (takes_heads, True)
    if re.search(SQUARE, thing.docs):
        shapes = (True, False)
    for library, square in product(libraries, shapes):
        yield FunctionBody(host, thing, library, square)


def accepted(body, sizes: Sizes, troubles):
    """The width of tokens and the path to the output, if there is one."""
    parameters = body.parameters(sizes)
    widths = {n for _, shape, _ in parameters for n in shape}
    own = [n for n in widths if n not in (sizes.d_in, sizes.d_out)]
    options = {
        "d_in": lambda s: s.d_in,
        "d_out": lambda s: s.d_out,
    } | {f"own {n}": (lambda s, n=n: n) for n in sorted(own)}
    for forms in open_forms(body.roles):
        for width in options.values():
            path = path_of(
                body, sizes, width(sizes), forms, widths, troubles
            )
            if path is not None:
                body.open_forms = forms
                return width, path
    return None


def open_forms(roles) -> Iterator[dict[str, MaskForm]]:
    """Forms in which required masks may allow everything."""
    required = roles.required_masks
    if not required:
        yield {}
        return
    for axes, meaning in product(
        axes_to_try(1, required[0], False), MEANINGS
    ):
        forms = dict.fromkeys(required, MaskForm(meaning, axes))
        if roles.lengths in forms:
            forms[roles.lengths] = MaskForm("True may attend", LENGTHS)
        yield forms


def path_of(body, sizes, width, forms, widths, troubles) -> tuple | None:
    """Where the output is in what is returned; None if there is none."""
    arrays = drawn(body.parameters(sizes), 0, "float32")
    for batch in ((TEXTS,), ()):
        x = np.random.default_rng(0).normal(size=(*batch, TOKENS, width))
        x = x.astype("float32")
        required = {p.name for p in body.thing.signature if p.required}
        named = {
            name: x.copy()
            for name, source in body.roles.tokens.items()
            if source != "context" or name in required
        }
        shape = (*batch, TOKENS, TOKENS)
        try:
            for name, form in forms.items():
                open_mask = np.ones(shape[-2:], bool)
                named[name] = form.passed(open_mask, shape, x.dtype)
            for name in body.roles.dropout_masks:
                named[name] = np.ones((1, TOKENS, TOKENS), bool)
            for name, constant in body.roles.fixed.items():
                heads = sizes.heads
                named[name] = heads if constant == "heads" else constant
            answer = body.run(sizes, arrays, named, "float32")
        except (Raised, NotAsked) as error:
            troubles.setdefault(f"it {error}", None)
            continue
        for path, part in paths_of(answer["value"]):
            array = as_array(part)
            got = getattr(array, "shape", ())
            # Anything as wide as there are tokens could be the weights.
            wide = got and (got[-1] != TOKENS or TOKENS in widths)
            if got[:-1] == x.shape[:-1] and wide:
                # A NaN may come from the wrong form of a mask.
                if np.isfinite(array).all() or not forms:
                    return path
                troubles.setdefault("it returned a NaN", None)
        troubles.setdefault(
            f"it returned {shape_of(answer['value'])}, expected "
            f"{TOKENS} tokens",
            None,
        )
    return None
