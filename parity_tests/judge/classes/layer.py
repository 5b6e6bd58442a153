"""`AttentionLayer`: attention with weights, as a subject.

A class, or a function that takes its weights, is built at two sizes at
least; its weights are drawn here and read by a recipe, so that the
reference can be given the same. What it insists on is found by trial.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from parity_tests.judge.attention.caches import cache_not_asked
from parity_tests.judge.attention.calling import (
    as_array,
    expect_array,
    part_at,
)
from parity_tests.judge.attention.conventions import (
    BY_AUTOGRAD,
    INSIDE_FLOAT32,
    NOTHING_DECLARED,
    REFUSED,
    WHERE_NO_MASK,
    Declared,
)
from parity_tests.judge.candidate.things import Thing
from parity_tests.judge.subject.beside import Buckets
from parity_tests.judge.subject.forms import AT_ONCE
from parity_tests.judge.subject.intentions import (
    NO_DISTANCE,
    UNSEEN,
    speaks_of_alibi,
    speaks_of_causal,
)
from parity_tests.judge.subject.masks import not_understood
from parity_tests.judge.subject.roles import left_at_defaults
from parity_tests.judge.verdict.diagnosis import alike
from parity_tests.judge.verdict.protocol import NotAsked, Raised

from .backward import backward_not_asked, way_back
from .beginning import (
    begins_right,
    cause_of_its_first_scale,
    first_scales,
    mistakes_at_first,
)
from .building import left_alone, switched_on, takes
from .cases import LayerCase, layer_cases
from .causes import (
    cause_of_cut_gradients,
    cause_of_wrong_backward,
    mutants_of,
    probes_of,
)
from .conventions import (
    blanks,
    cross_of,
    gradients_of,
    has_square_masks,
    ignores_its_table,
    masks_of,
    names_the_mask,
    self_loops_of,
    served_by_its_norm,
)
from .decoding import DecodingLayer
from .finding import way_to_call
from .properties import has_distances, properties_of

ROLES = ("self_attention", "causal_attention", "multi_head_attention")
AROUND = {
    "residual": "a residual",
    "residual, norm last": "a residual, then layer norm",
    "norm last": "layer norm at the end",
    "norm first": "layer norm at the beginning",
    "norm first, residual": "layer norm at the beginning, and a residual",
}


class AttentionLayer(DecodingLayer):
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
        way, said = way_to_call(host, thing, declared), declared.variant
        super().__init__(way, role, said)
        self.is_meant = declared.is_meant
        self.mask_is_declared = declared.mask is not None
        self.dtypes = ("float64", "float32")[not self.in_float64 :]
        self.masks = masks_of(self, declared)
        self.forms |= {m.name: m.form for m in self.masks if m.form}
        self.self_loops = self_loops_of(self)
        self.blanks = tuple(n for n in self.understood if blanks(self, n))
        self.cross = cross_of(self)
        self.recipe = replace(self.recipe, served=served_by_its_norm(self))
        self.square_masks = has_square_masks(self)
        self.causal_names_the_mask = names_the_mask(self)
        self.gradients_by = gradients_of(self)
        self.way_back = way_back(self)

    @property
    def understood(self) -> list[str]:
        return [each.name for each in self.masks if each.is_understood]

    def gradients(self, case: LayerCase, upstream_of) -> dict | None:
        """Of all tokens and parameters, for a gradient of the output."""
        shape = (*case.x.shape[:-1], self.plain(case).shape[-1])
        upstream = upstream_of(shape).astype(case.x.dtype)
        tokens = self.tokens_passed(case)
        gradients = self.reply(
            case,
            upstream=self.upstream(upstream, case),
            result=list(self.result),
            of=tokens,
            parameters=True,
        )["gradients"]
        return gradients and {
            n: self.arranged_back(part)
            if n in tokens and part is not None
            else part
            for n, part in gradients.items()
        }

    def returned_back(self, case: LayerCase, upstream: np.ndarray):
        """What its backward returns for a gradient of the output, right
        after the forward of an instance that was never called."""
        self.renew(case)
        return self.reply(
            case,
            upstream=self.upstream(upstream, case),
            by_hand=self.thing.backward,
        )["back"]

    def renew(self, case: LayerCase) -> None:
        sizes = self.sizes[case.built]
        self.body.renew(sizes, case.x.dtype.name)

    def sent_back(self, case: LayerCase, upstream) -> np.ndarray:
        """The gradient of the tokens, by its own backward. Raises
        Broken."""
        back = self.returned_back(case, upstream)
        return self.gradient_in(back, self.way_back.path)

    def gradient_in(self, back, path: tuple) -> np.ndarray:
        """The gradient of the tokens at a path. Raises Broken."""
        return self.arranged_back(
            expect_array(as_array(part_at(back, path)))
        )

    def tokens_passed(self, case: LayerCase) -> list[str]:
        """The arguments of a call that are tokens."""
        tokens = self.body.roles.tokens
        return [name for name in self.arguments(case) if name in tokens]

    # --- as a subject ----------------------------------------------------

    def properties(self):
        return properties_of(self)

    def cases(self):
        return layer_cases(self)

    def not_asked(self) -> dict[str, str]:
        missing = not_understood(self.masks)
        if not self.masks and not self.causal:
            missing["masks"] = "it takes none"
        if not self.cross:
            missing["cross-attention"] = (
                "it attends to its own tokens only"
                if len(self.body.roles.tokens) < 2 or self.causal
                else "it takes no other tokens"
            )
        if self.order_is_open:
            missing["its layout"] = (
                "nothing says whether texts or tokens come first; it was "
                "asked with tokens first, along which it attends"
            )
        if self.other_axes:
            missing["a text without a batch"] = (
                "it takes it for something else, and nothing says that it "
                "takes it"
            )
        if self.self_loops:
            missing["a token masked from itself"] = (
                "it always attends to itself, as its source adds self loops"
            )
        if self.blanks:
            missing["rows of tokens that are masked"] = (
                "they come out as zeros"
            )
        if self.square_masks:
            missing["a mask of other tokens"] = (
                "its masks are of as many keys as queries"
            )
        if self.gradients_by != BY_AUTOGRAD:
            missing["gradients"] = self.gradients_by
            missing |= backward_not_asked(self)
        if self.body.roles.causal:
            missing["its causal form with fewer queries than keys"] = (
                "layers are not asked for it"
            )
            if self.causal_names_the_mask:
                missing["its causal form beside another mask"] = (
                    f"{self.body.roles.causal} says what the mask is"
                )
        elif not self.causal:
            missing["a causal form"] = "it has none"
            if not self.masks and speaks_of_causal(self.thing):
                missing["its causal mask"] = UNSEEN
        if self.recipe.learned and not (
            begins_right(self) or mistakes_at_first(self)
        ):
            missing["where its scale begins"] = (
                f"{', '.join(f'{n:.4g}' for n in first_scales(self) or ())}"
                " may be meant"
            )
        if self.sizes[0].reach and not has_distances(self.recipe):
            missing["its window"] = (
                f"of {self.sizes[0].reach} keys: it changed nothing"
            )
        if self.sizes[0].window:
            missing["other numbers of tokens"] = (
                "it takes those of its window only"
            )
        if self.at_zero:
            missing["its bias of distances"] = (
                f"{', '.join(self.at_zero)} was set to 0: which number is "
                "for which distance was not recognised"
            )
        elif not has_distances(self.recipe) and speaks_of_alibi(self.thing):
            missing["its bias of distances"] = NO_DISTANCE
        if any(form.axes == AT_ONCE for form in self.forms.values()):
            missing["its layout"] = (
                "it takes the same window of all images together, and "
                "nothing says that they stand so"
            )
        if self.table and not self.pairs:
            missing["its rotary embedding"] = (
                "its table changed nothing"
                if ignores_its_table(self)
                else "which features its table turns together was not "
                "recognised"
            )
        if len(self.sizes) < 2:
            missing["other sizes"] = "it can be built in one size only"
        if self.thing.is_class and not takes(self.thing, "dropped"):
            missing["dropout"] = "it takes no rate"
        built = left_alone(self.thing) if self.thing.is_class else ()
        called = self.body.roles.left_alone
        missing |= left_at_defaults((*built, *called))
        return missing | cache_not_asked(
            self.body.roles.cache, self.cache, self.thing.source
        )

    def plain_conventions(self) -> dict[str, object]:
        """What was detected, for a report."""
        formed = [str(each) for each in self.masks[:1] if each.form]
        causal = "always" if self.causal else self.body.roles.causal
        if self.causal and self.causal_by_default:
            causal = WHERE_NO_MASK
        detected = {
            "arrays": self.body.library,
            "mask": next(iter(formed), "none"),
            "causal": causal or "none",
            "weights": self.recipe.layout,
            "batch_axes": list(self.batch_axes),
        }
        if self.cross:
            detected["cross_attention"] = [
                name
                for name, role in self.body.roles.tokens.items()
                if role in ("key", "value", "context")
            ]
        if not self.in_float64:
            accepted = self.precision == "float64"
            detected["float64"] = INSIDE_FLOAT32 if accepted else REFUSED
        if self.tokens_first:
            detected["layout"] = "tokens, batch, features"
        if given := switched_on(self.thing):
            detected["given"] = [f"{name}=True" for name in given]
        if self.heads_apart:
            detected["layout"] = "batch, tokens, heads, d_head"
        if self.of_images:
            detected["layout"] = "batch, channels, rows, columns"
        if self.table:
            detected["rotary"] = self.table.name
            if self.pairs:
                detected["rotary"] += f"; pairs are {self.pairs}"
        if self.cache:
            detected["cache"] = self.cache.names
        if self.recipe.inside:
            around = AROUND[self.recipe.inside]
            if self.cross and self.recipe.served != "all":
                around += ", of its own tokens only"
            if self.recipe.groups:
                around = around.replace("layer norm", "group norm")
            detected["around"] = around
        if self.recipe.variant:
            detected["variant"] = str(self.weights(self.case()).variant)
        if isinstance(self.recipe.distances, Buckets):
            detected["bias"] = str(self.recipe.distances)
        if norms := self.recipe.qk_norm:
            kind = "RMSNorm" if norms.by_root else "layer norm"
            detected["queries and keys"] = f"after {kind}"
        if any(self.recipe.latents):
            made = ("queries", "keys and values")
            latents = zip(made, self.recipe.latents, strict=True)
            from_latents = [name for name, latent in latents if latent]
            detected["made from latents"] = from_latents
        if self.recipe.gate:
            detected["gate"] = self.recipe.gate
        if self.recipe.unscaled:
            detected["scale"] = "none, as it is meant"
        if self.recipe.learned:
            beside = "" if self.recipe.unscaled else ", beside 1/√d_head"
            detected["scale"] = f"learned: {self.recipe.learned}{beside}"
        if self.sizes[0].window:
            detected["windows"] = [
                " by ".join(map(str, sizes.window)) for sizes in self.sizes
            ]
        if self.body.has_sizes:
            detected["sizes"] = [
                f"{s.d_in} to {s.d_out} features in {s.heads} heads"
                for s in self.sizes
            ]
        return detected

    # --- for the diagnosis -----------------------------------------------

    def probes(self) -> list[list]:
        return probes_of(self)

    def answer(self, probe) -> np.ndarray:
        return self.of(probe)

    def right(self, probe):
        return self.plain(probe)

    def inputs_after(self, case: LayerCase) -> dict:
        """The inputs before and after a call, by their own names."""
        before = self.arguments(case)
        back = self.reply(case, back=True)["back"]
        return {
            name: (value, np.asarray(back[name]))
            for name, value in before.items()
            if isinstance(value, np.ndarray) and value.dtype.kind != "c"
        }

    def changes(self, probe) -> bool:
        try:
            pairs = self.inputs_after(probe).values()
        except (Raised, NotAsked):
            return False
        return not all(np.array_equal(*p, equal_nan=True) for p in pairs)

    def agree(self, output, expected, probe) -> bool:
        digits = "float64" if self.in_float64 else "float32"
        return alike(output.astype(digits), np.asarray(expected))

    def mutants(self, probes) -> Iterator:
        return mutants_of(self, probes)

    def other_cause(self) -> str | None:
        return (
            cause_of_cut_gradients(self)
            or cause_of_wrong_backward(self)
            or cause_of_its_first_scale(self)
        )
