"""Reading a layer: which of its weights are for what.

The reference must be given the same weights. Names say which is which, or
else trial: the reading that gives the layer's own numbers is the one.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np

from parity_tests.judge.mutants.class_parts import (
    MUTANTS,
    SCALES,
    layer_of_heads,
)
from parity_tests.judge.subject.beside import (
    TABLE,
    Buckets,
    Distances,
    has_cosines,
    may_scale,
    scales_of,
)
from parity_tests.judge.subject.intentions import (
    builds_causal_mask,
    has_a_diagonal,
    is_causal_by_default,
    is_meant_unscaled,
    is_off,
    numbers_in,
    speaks_of_buckets,
)
from parity_tests.judge.subject.roles import is_said_to_be_causal
from parity_tests.judge.subject.rotary import (
    PAIRS,
    tables_inside,
    turns_inside,
)
from parity_tests.judge.subject.variants import REACHES, Variant
from parity_tests.judge.subject.weights import (
    QKV,
    Recipe,
    Weights,
    groups_of,
    recipes,
    weights,
)
from parity_tests.judge.verdict.diagnosis import alike
from parity_tests.judge.verdict.protocol import NotJudged, Raised, attempt

from .around import SurroundedLayer
from .building import heads_of_globals, names_size
from .calling import Way
from .cases import LayerCase
from .variants import (
    own_sinks,
    qk_norms_to_try,
    reading_as_variant,
    tokens_that_show,
)

EPSILONS = (1e-5, 1e-6, 1e-12, 1e-8, 1e-7, 1e-3)
HEADS = (2, 3, 4, 8)  # to be tried where no argument is called so
MOST_HEADS = 64  # where no configuration can have them either
Reading = tuple[Recipe, bool]  # and whether it is causal
MISFITS = (ValueError, KeyError, TypeError, IndexError)
# What a buffer is called that plain attention has not.
ODD = re.compile(r"rel|pos|rot|freq|cos|sin|alibi|slope|gate|decay|memory")
ACTIVATION = re.compile(
    r"\b(?:F|nn|functional|torch|np|jax)\.(?:\w+\.)*"
    r"((?:leaky_?)?relu|[gse]elu|silu|tanh|sigmoid|softplus|mish)\b",
    re.I,
)


class ReadLayer(SurroundedLayer):
    """A layer whose weights can be read by a recipe.

    `causal` tells whether no token sees a later one; `heads_at` how many
    heads it has at an index of its sizes, where the recipe does not say.
    """

    def __init__(self, way: Way, role: str, said: Variant | None = None):
        """`said` is what it is said to do beside plain attention. Raises
        NotJudged where it cannot be read."""
        super().__init__(way)
        self.name, self.kind, self.said = self.thing.name, role, said
        self.explore()
        self.heads_at: dict[int, int] = {}
        source = f"{self.thing.source}\n{self.thing.helpers}"
        self.causal_by_default = {
            name
            for name in self.body.roles.masks
            if is_causal_by_default(source, name)
        }
        self.recipe, self.causal = self.recognised()
        self.batch_axes, self.other_axes = self.axes_it_is_for()
        try:
            for built in range(1, len(self.sizes)):
                self.heads_at[built] = self.heads_for(built)
            self.in_float64 = not self.has_float32_inside()
        except MISFITS as error:
            raise NotJudged(
                "its weights do not fit each other at other sizes"
            ) from error

    def axes_it_is_for(self) -> tuple[tuple, tuple]:
        """The numbers of batch axes with which it is asked, and others.

        Where nothing says that it takes a text alone, and a batch is
        right, a text that it takes for something else is not asked.
        """
        cases = {axes: self.case(axes=axes) for axes in self.batch_axes}
        right = [
            axes
            for axes, case in cases.items()
            if self.gives(self.recipe, self.causal, case, self.of(case))
        ]
        if self.batch_axes[0] not in right:
            return self.batch_axes, ()
        others = (axes for axes in self.batch_axes if axes not in right)
        return tuple(right), tuple(others)

    def weights(
        self,
        case: LayerCase,
        recipe: Recipe | None = None,
        arrays: dict | None = None,
    ) -> Weights:
        """The weights by the recipe, as the reference takes them."""
        heads = self.heads_of(self.sizes[case.built])
        read = self.at(case.built, recipe or self.recipe)
        plain = weights(read, arrays or self.arrays(case), heads)
        is_self = read.served == "own" and case.key is None
        served = QKV if is_self or read.served == "all" else QKV[:1]
        bias = plain.bias
        if bias is not None:  # which may be that of a longer text
            bias = bias[..., : case.shape[-2], : case.shape[-1]]
        more = {"served": served, "bias": bias}
        return replace(plain, turn=self.turn(case), **more)

    def at(self, built: int, recipe: Recipe) -> Recipe:
        """The same recipe for other sizes, with which a list of heads is
        of another length."""
        if self.heads_at.get(built):
            recipe = replace(recipe, heads=self.heads_at[built])
        parameters = self.body.parameters(self.sizes[built])
        recipe = replace(recipe, groups=groups_of(parameters))
        if recipe.reach:
            window = REACHES[recipe.reach](self.sizes[built].reach) + 1
            variant = replace(recipe.variant, window=window)
            recipe = replace(recipe, variant=variant)
        if isinstance(recipe.distances, Distances):
            window = self.sizes[built].window
            distances = replace(recipe.distances, window=window)
            recipe = replace(recipe, distances=distances)
        if built == 0 or len(recipe.query) == 1:
            return recipe
        others = recipes(parameters)
        read = {r.layout: r for r in others if len(r.query) > 1}
        return replace(read[recipe.layout], **recipe.around)

    def heads_for(self, built: int) -> int:
        """How many heads it has at other sizes: as many, or so many that
        each is as wide as before. 0 for what the recipe says."""
        count = self.recipe.heads
        if count is None or count == 1:
            return 0
        case = self.case(size=built)
        alone = replace(self.recipe, heads=1)
        width = len(self.weights(self.case(), alone).query[0]) // count
        features = len(self.weights(case, alone).query[0])
        built_with = self.sizes[built].heads
        for heads in (count, features // width, built_with):
            trial = replace(self.recipe, heads=heads)
            if features % heads == 0 and self.gives(
                trial, self.causal, case, self.of(case)
            ):
                return heads
        return 0

    def has_float32_inside(self) -> bool:
        """Whether float64 comes out right to float32's digits only, or
        not at all."""
        if self.precision == "float32":
            return True
        cases = [self.case(size=built) for built in range(len(self.sizes))]
        apart = [np.abs(self.of(c) - self.plain(c)).max() for c in cases]
        return bool(1e-11 < max(apart) < 1e-5)

    def plain(
        self,
        case: LayerCase,
        causal=None,
        recipe=None,
        mutant=layer_of_heads,
    ) -> np.ndarray:
        """The output of the reference, or of a mutant, in plain NumPy,
        for trials."""
        layer = partial(mutant, self.weights(case, recipe))
        causal = self.causal_for(case) if causal is None else causal
        return case.output_of(layer, causal)

    def causal_for(self, case: LayerCase) -> bool:
        """Whether no token sees a later one: a mask that is passed may
        stand in place of the causal one."""
        replaced = self.causal_by_default.intersection(case.masks)
        return self.causal and not replaced

    def recognised(self) -> Reading:
        """How its weights are read, and whether it is causal: by trial, or
        else by their names. Raises NotJudged where neither tells."""
        if joined := self.joined_with_its_tokens():
            raise NotJudged(
                f"it seems to attend to {joined} and its own tokens, "
                "joined, which the judge does not know"
            )
        case = self.case(tokens=tokens_that_show(self))
        try:
            output = self.of(case)
        except Raised as error:
            raise NotJudged(f"it {error}") from error
        inside, gate = self.inside(case), self.gate(case)
        parameters = self.body.parameters(self.sizes[0])
        ways = qk_norms_to_try(parameters, self.epsilons(), self.thing)
        plain = [
            replace(each, gate=gate, qk_norm=norms)
            for norms, each in product(ways, [*recipes(parameters)])
        ]
        stated = self.should_be_causal()
        found = self.read_by_trial(case, output, plain, inside, stated)
        if self.sizes[0].reach and not found:
            raise NotJudged(
                f"it has a window of {self.sizes[0].reach} keys, or was "
                "told so, and uses it in a way that the judge does not "
                "recognise"
            )
        recipe, causal = found or self.read_by_names(
            case, output, plain, inside
        )
        return recipe, causal or stated

    def read_by_trial(
        self, case: LayerCase, output, plain: list[Recipe], inside, stated
    ) -> Reading | None:
        """The reading that gives its own numbers: that of the right layer,
        or of a known mistake where it has more than projections. Raises
        NotJudged for scores of another kind."""
        gate = plain[0].gate if plain else None
        tables = self.tables_of_distances()
        beside = self.learned_beside(gate, tables)
        ways = beside if tables else [*beside, {}]
        read = [replace(r, **way) for way, r in product(ways, plain)]
        likely = [recipe for recipe in plain if recipe.by_name] or plain
        options = (True, False) if stated else (False, True)
        readings = [*self.readings(read, options, inside)]
        is_plain = not (self.said or own_sinks(self))
        found = is_plain and self.reading_with_masks(case, readings)
        if found:
            recipe, causal = found
            return self.with_nearest_epsilon(recipe, causal, case), causal
        likeliest = [*self.readings(likely, options, inside)]
        if found := reading_as_variant(self, case, output, likeliest):
            return found
        if not self.body.roles.rotary and turns_inside(self.thing):
            return self.turned_reading(likeliest)
        self.refuse_other_scores([way for way in beside if way["learned"]])
        if beside or any(r.qk_norm or any(r.latents) for r in likely):
            first = [
                replace(r, **way)
                for way in beside or [{}]
                for r in (likely if not beside else likely[:1])
            ]
            trials = [*self.readings(first, options, inside)]
            if found := self.wrong_reading(case, output, trials):
                return found
        return self.reading_without(tables, likeliest) if tables else None

    def read_by_names(
        self, case: LayerCase, output, plain: list[Recipe], inside
    ) -> Reading:
        """The first reading by name, by which it is then judged. Raises
        NotJudged where names say nothing, or where it has weights of
        another kind."""
        parameters = self.body.parameters(self.sizes[0])
        labels = {label for label, _, _ in parameters}
        named = [recipe for recipe in plain if recipe.by_name]
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
        are_alike = np.ptp(output, axis=-2).max(initial=0) == 0
        has_norm = "norm" in inside[0] and not are_alike
        if has_norm and not fitting[0].norm:
            raise NotJudged(
                "it seems to have a norm without weights, which the judge "
                "does not know"
            )
        recipe = self.likeliest(fitting[0], inside, case)
        buffers = self.body.buffers(self.sizes[0])
        others = sorted(labels - recipe.labels())
        others += [b for b in buffers if ODD.search(b.lower())]
        others += dict.fromkeys(ACTIVATION.findall(self.thing.source))
        if others:
            raise NotJudged(
                f"it has {', '.join(others)}, which plain attention has "
                "not, so it may be a variant"
            )
        return recipe, self.looks_causal(case)

    def joined_with_its_tokens(self) -> str | None:
        """The other tokens that its source joins with those that it is
        called with, if it takes any: its keys are then of both."""
        tokens = self.body.roles.tokens.items()
        others = [name for name, use in tokens if use == "context"]
        own = [name for name, use in tokens if use == "x"]
        pairs = [*product(others, own), *product(own, others)]
        names = "|".join(rf"{a}\s*,\s*{b}" for a, b in pairs)
        joins = rf"cat\w*\(\s*[\[(]\s*({names})\s*[\])]"
        is_joined = pairs and re.search(joins, self.thing.source)
        return others[0] if is_joined else None

    def refuse_other_scores(self, learned: list[dict]) -> None:
        """Raises NotJudged for scores of another kind, that are known and
        not asked."""
        if has_cosines(self.thing):
            raise NotJudged(
                "it seems to make unit vectors of its queries and keys, so "
                "that scores are cosines, which the judge does not know"
            )
        if learned and has_a_diagonal(self.thing):
            raise NotJudged(
                "it seems to hide each token from itself, beside a scale "
                "that is learned, as in locality self-attention, which the "
                "judge does not know"
            )

    def readings(self, read, options, inside) -> Iterator[Reading]:
        """All variants of recipes, each causal or not."""
        for recipe, causal in product(read, options):
            for trial in self.variants(recipe, inside):
                yield trial, causal

    def reading_with_masks(
        self, case: LayerCase, readings: list[Reading]
    ) -> Reading | None:
        """The first reading that gives the layer's own numbers, with masks
        that are required allowing all as they were passed at first, or as
        their opposite: where -1e9 hides all, nothing shows that by a NaN.
        """
        first = self.forms
        opposite = {name: form.opposite for name, form in first.items()}
        for forms in (first, opposite)[: 1 + (first != opposite)]:
            self.forms = forms
            output = attempt(self.of, case)
            if output is None:
                continue
            if found := self.reading_of(case, output, readings):
                return found
        self.forms = first
        return None

    def reading_of(
        self, case: LayerCase, output, readings, mutants=(layer_of_heads,)
    ) -> Reading | None:
        """The first reading by which the right layer, or one of these
        mutants, gives the layer's own numbers. A recipe that does not fit
        the weights is tried with the first of them alone."""
        for mutant in mutants:
            fitting = []
            for recipe, causal in readings:
                found = self.plain_or_none(case, causal, recipe, mutant)
                if found is not None and alike(output, found):
                    return recipe, causal
                if found is not None or self.fits(case, recipe):
                    fitting.append((recipe, causal))
            readings = fitting
        return None

    def wrong_reading(
        self, case: LayerCase, output, readings: list[Reading]
    ) -> Reading | None:
        """The first reading by which a known mistake gives the layer's
        own numbers. A scale that is learned may begin at any number, so
        it is no mistake."""
        others = {n: m for n, m in MUTANTS.items() if n not in SCALES}
        learned = [r for r in readings if r[0].learned]
        fixed = [r for r in readings if not r[0].learned]
        for some, mutants in ((learned, others), (fixed, MUTANTS)):
            known = tuple(mutants.values())
            with np.errstate(all="ignore"):
                found = self.reading_of(case, output, some, known)
            if found:
                return found
        return None

    def reading_without(
        self, tables: tuple[str, ...], readings: list[Reading]
    ) -> Reading:
        """How it is read with all numbers for distances at 0, the right
        one or a wrong one. Raises NotJudged where these are not added to
        the scores, as far as can be seen, or nothing gives its numbers."""
        case = self.case()
        first = np.broadcast_to(case.x[..., :1, :], case.x.shape)
        same = replace(case, x=first)  # of which any weights give one mean
        with_numbers = self.of(same)
        self.at_zero = tables
        self.arrays_of.clear()
        if alike(self.of(same), with_numbers):
            output = self.of(case)
            right = self.reading_of(case, output, readings)
            found = right or self.wrong_reading(case, output, readings[:1])
            if found:
                return found
        raise NotJudged(
            f"it has {', '.join(tables)}, numbers for the relative "
            "positions of tokens, which it uses in a way that the judge "
            "does not recognise"
        )

    def tables_of_distances(self) -> tuple[str, ...]:
        """The tables of a layer that is made for windows of one size, or
        has buckets of distances."""
        parameters = self.body.parameters(self.sizes[0])
        names = (label for label, _, _ in parameters if TABLE.search(label))
        is_known = self.sizes[0].window or speaks_of_buckets(self.thing)
        return tuple(names) if is_known else ()

    def learned_beside(
        self, gate: str | None, tables: tuple[str, ...]
    ) -> list[dict]:
        """What may be learned beside the projections: a scale of scores,
        or numbers for the distances in a window."""
        sizes = self.sizes[0]
        parameters = self.body.parameters(sizes)
        scales = [
            label
            for label, shape, _ in parameters
            if may_scale(shape, sizes.heads) and label != gate
        ]
        distances: list = [
            Distances(label, sizes.window, backwards)
            for label, backwards in product(tables, (False, True))
        ]
        if not sizes.window:
            far = (128, *map(int, numbers_in(self.thing)))
            ways = product(tables, dict.fromkeys(far), (True, False))
            distances = [Buckets(*way) for way in ways]
        ways = product(
            [*scales_of(scales), *([] if scales else [None])],
            [*distances, *([] if distances else [None])],
        )
        return [
            {"learned": learned, "distances": each}
            for learned, each in ways
            if learned or each
        ]

    def turned_reading(self, readings: list[Reading]) -> Reading:
        """The same of a layer that turns queries and keys by their
        positions itself, maybe in float32: the right one tells by which
        table, or else a mutant, with the likeliest reading. Raises
        NotJudged where nothing gives its numbers."""
        case = self.case(dtype="float32")
        output = attempt(self.of, case)
        first = (recipe for recipe, _ in readings[:1])
        likeliest = [*product(first, (True, False))]
        ways = (
            ((layer_of_heads,), readings),
            (tuple(MUTANTS.values()), likeliest),
        )
        tables = [*tables_inside(self.thing)]
        for (mutants, some), self.table, self.pairs in product(
            ways if output is not None else (), tables, PAIRS
        ):
            with np.errstate(all="ignore"):
                found = self.reading_of(case, output, some, mutants)
            if found:
                return found
        raise NotJudged(
            "it seems to turn queries and keys by their positions, in a "
            "way that the judge does not recognise"
        )

    def with_nearest_epsilon(
        self, recipe: Recipe, causal: bool, case: LayerCase
    ) -> Recipe:
        """The epsilon of its norms, by features that hardly differ: of
        others, all that are small look the same."""
        faint, norms = replace(case, x=case.x * 1e-4), recipe.qk_norm
        has_norm = norms or "norm" in recipe.inside
        output = attempt(self.of, faint) if has_norm else None
        if output is None:
            return recipe
        variants = [replace(recipe, epsilon=each) for each in EPSILONS]
        if norms:
            variants = [
                replace(recipe, qk_norm=replace(norms, epsilon=each))
                for each in (*EPSILONS, None)
            ]
        return min(
            variants,
            key=lambda each: np.abs(
                self.plain(faint, causal, each) - output
            ).max(initial=0),
        )

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
        except MISFITS:
            return False

    def should_be_causal(self) -> bool:
        """Whether it is meant to be: as its name, its role or its docs
        say, or a mask that it builds, or a length that can be good for
        nothing else."""
        said = "causal" in f"{self.kind} {self.name}".lower()
        has_length = self.thing.is_class and names_size(
            self.thing.parameters, "context"
        )
        roles = self.body.roles
        is_free = not (roles.masks or self.sizes[0].window)
        if said or (has_length and is_free):
            return True
        if roles.causal is None and builds_causal_mask(
            self.thing, when_built=not roles.masks
        ):
            return True
        free = not (roles.masks or roles.causal or is_off(self.thing))
        return free and is_said_to_be_causal("", self.thing.docs)

    def likeliest(self, recipe: Recipe, insides, case) -> Recipe:
        """The first variant that leaves as much as the layer does where
        it is emptied; else the first of all."""
        variants = list(self.variants(recipe, insides, self.epsilons()))
        with self.emptied(case):
            left = attempt(self.of, case)
            for each in variants if left is not None else ():
                if self.gives(each, False, case, left):
                    return each
        return variants[0]

    def epsilons(self) -> tuple[float, ...]:
        """Those of a norm, from the likeliest on: the source has it."""
        source = self.thing.source
        written = re.findall(r"\beps\w*\s*=\s*([\d.]+e-?\d+)", source)
        said = (e for e in EPSILONS if e in map(float, written))
        return tuple(dict.fromkeys((*said, *EPSILONS)))

    def variants(
        self, recipe: Recipe, insides, epsilons=EPSILONS
    ) -> Iterator[Recipe]:
        """The recipe, with the numbers of heads it may have, and with
        what may be around it."""
        told = heads_of_globals(self.thing)
        heads: tuple = (None, 1) if self.takes_heads else (*told, 1)
        if not self.names_heads:
            named = [n for _, n in self.thing.sizes if 1 < n <= MOST_HEADS]
            others = () if self.takes_heads else range(5, MOST_HEADS + 1)
            heads = (*heads, *dict.fromkeys((*named, *HEADS, *others)))
        for inside, count in product(insides, heads):
            has_norm = "norm" in inside
            if has_norm and not recipe.norm:
                continue
            tried = epsilons if has_norm else EPSILONS[:1]
            ways = product(
                tried, self.scales(recipe), self.servings(inside)
            )
            for epsilon, unscaled, served in ways:
                yield replace(
                    recipe,
                    inside=inside,
                    heads=count,
                    epsilon=epsilon,
                    unscaled=unscaled,
                    served=served,
                )

    def servings(self, inside: str) -> tuple[str, ...]:
        """Whether a norm at the beginning serves queries only, where other
        tokens must be passed as well."""
        required = len([*filter(self.is_required, self.body.roles.tokens)])
        may = inside.startswith("norm first") and required > 1
        return ("all", "queries") if may else ("all",)

    def scales(self, recipe: Recipe) -> tuple[bool, ...]:
        """Whether its scores may be unscaled: where it says so, or as in
        SAGAN, where attention over an image comes with a gate; or where a
        scale is learned."""
        by_design = self.of_images and recipe.gate is not None
        is_meant = by_design or is_meant_unscaled(self.thing)
        is_meant = is_meant or recipe.learned is not None
        return (True, False) if is_meant else (False,)

    def gives(
        self, recipe: Recipe, causal, case, output, mutant=layer_of_heads
    ) -> bool:
        """Whether this reading gives the layer's own numbers."""
        found = self.plain_or_none(case, causal, recipe, mutant)
        return found is not None and alike(output, found)

    def plain_or_none(self, case, causal, recipe, mutant):
        """What the reference gives by a recipe; None where that does not
        fit the weights."""
        try:
            return self.plain(case, causal, recipe, mutant)
        except MISFITS:
            return None

    def fits(self, case: LayerCase, recipe: Recipe) -> bool:
        """Whether the weights can be taken by a recipe."""
        try:
            self.weights(case, recipe)
        except MISFITS:
            return False
        return True
