"""Calling a layer: `CalledLayer` gives inputs to what was built.

A `Way` says how: which body, in which sizes, how wide its tokens are, in
which forms masks are passed, and where the output is in what is returned.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from parity_tests.judge.attention.calling import (
    as_array,
    expect_array,
    part_at,
)
from parity_tests.judge.subject.forms import MaskForm, passed_masks
from parity_tests.judge.subject.roles import (
    stated_first,
    stated_rank,
)
from parity_tests.judge.subject.rotary import (
    Table,
    Turn,
    takes_the_whole,
)
from parity_tests.judge.verdict.protocol import Broken, attempt

from .body import TOKENS, ClassBody, drawn, second_sizes
from .building import (
    Sizes,
    configuration,
    names_size,
    takes,
    values_for_a_call,
)
from .cases import LayerCase
from .function import FunctionBody
from .images import from_image, to_image

TEXTS, WINDOWS = 2, 4  # of a trial
KEPT = 50  # draws of weights


@dataclass(frozen=True)
class Way:
    """A way to call a layer.

    `width(sizes)` is that of its tokens; `forms` are those in which a
    required mask may allow everything; `result` is the path to the output.
    Where it is `of_images`, tokens are the positions of an image; a
    rotary `table` is passed where it takes one. With `heads_apart`, what
    comes back has an axis for heads, after that for tokens.
    """

    body: ClassBody | FunctionBody
    sizes: Sizes
    width: Callable[[Sizes], int]
    forms: dict[str, MaskForm] = field(default_factory=dict)
    result: tuple = ()
    of_images: bool = False
    table: Table | None = None
    heads_apart: bool = False


class CalledLayer:
    """A layer that can be called, with weights that are drawn here.

    `sizes` are those in which it can be built; `batch_axes` how many axes
    there may be before the tokens, the likeliest first; `forms` those of
    its masks, as far as they are known.
    """

    def __init__(self, way: Way):
        self.body, self.width, self.result = way.body, way.width, way.result
        self.thing, self.host = way.body.thing, way.body.host
        self.sizes, self.forms = [way.sizes], dict(way.forms)
        self.of_images, self.table = way.of_images, way.table
        self.heads_apart = way.heads_apart
        self.pairs = ""  # of features, that a table turns together
        self.first_axis = stated_first(
            self.thing.docs, self.thing.source, self.body.roles.tokens
        )
        self.tokens_first = self.first_axis == "tokens"
        self.batch_axes = (1,) if self.of_images else (1, 0)
        self.texts = WINDOWS if way.sizes.window else TEXTS
        self.most_tokens = TOKENS
        self.precision = "float64"  # of a case where nothing else is said
        self.at_zero: tuple[str, ...] = ()  # weights that are not drawn
        self.arrays_of: dict[tuple, dict] = {}
        self.self_loops: tuple[str, ...] = ()  # masks of other tokens only
        self.blanks: tuple[str, ...] = ()  # masks that blank rows, too

    def explore(self) -> None:
        """Find out what else it takes: float64, other sizes, one text
        alone, more tokens, and whether tokens come first."""
        if not self.accepts() and self.accepts(dtype="float32"):
            self.precision = "float32"
        says_both = "batch_first" in self.thing.docs
        if says_both or self.first_axis is None:
            self.tokens_first = self.attends_along_the_first_axis_alone()
        self.order_is_open = self.tokens_first and not (
            says_both or self.first_axis
        )
        accepted = [n for n in self.batch_axes if self.accepts(axes=n)]
        stated = [n for n in accepted if n + 2 in self.stated_ranks()]
        self.batch_axes = tuple(stated or accepted) or self.batch_axes[:1]
        if self.body.has_sizes:
            others = second_sizes(self.sizes[0])
            self.sizes += [s for s in others if self.works(s)][:1]
        last = len(self.sizes) - 1
        self.most_tokens = next(
            (n for n in (40, 7, 5) if self.accepts(tokens=n, size=last)), 5
        )

    def stated_ranks(self) -> set[int | None]:
        """How many axes its tokens are said to have."""
        return {
            stated_rank(each, self.thing.docs, self.thing.source)
            for each in self.thing.signature
            if each.name in self.body.roles.tokens
        }

    def works(self, sizes: Sizes) -> bool:
        """Whether it can be built and called with other sizes."""
        before, self.sizes = self.sizes, [*self.sizes, sizes]
        try:
            built = len(before)
            # A group norm takes no channel of a single number.
            is_alone = {"texts": 1, "tokens": 1} if self.of_images else {}
            return self.accepts(size=built) and self.accepts(
                size=built, **is_alone
            )
        finally:
            self.sizes = before

    def attends_along_the_first_axis_alone(self) -> bool:
        """Whether a change of the first entry along the first axis reaches
        the others, and one along the second does not: then the first is
        the axis of tokens."""
        self.tokens_first = False
        case = self.case(axes=1)
        before, reached = attempt(self.of, case), []
        for rest in (np.s_[1:], np.s_[:, 1:]):
            changed = np.ones_like(case.x)
            changed[rest] = 0
            moved = replace(case, x=case.x + changed)
            after = attempt(self.of, moved)
            if before is None or after is None:
                return False
            reached.append(bool((before[rest] != after[rest]).any()))
        return reached == [True, False]

    def accepts(self, **how) -> bool:
        """Whether it takes such a case."""
        return self.gives_an_output(self.case(**how))

    def gives_an_output(self, case: LayerCase) -> bool:
        return attempt(self.of, case) is not None

    @property
    def tokens(self) -> int:
        """How many tokens a trial has."""
        return self.count_of(TOKENS, 0)

    def count_of(self, tokens: int, size: int) -> int:
        """As many tokens, or those of the window that it is made for."""
        window = self.sizes[size].window
        return prod(window) if window else tokens

    def tokens_at(self, size: int) -> int:
        """The most tokens that it takes, for the sizes of that index."""
        if self.sizes[size].window:
            return prod(self.sizes[size].window)
        if takes(self.thing, "context") and self.thing.is_class:
            return min(self.sizes[size].context, self.most_tokens)
        return self.most_tokens

    # --- cases and weights -----------------------------------------------

    def case(
        self,
        seed: int = 1,
        tokens: int = TOKENS,
        size: int = 0,
        axes: int | None = None,
        dtype: str | None = None,
        texts: int | None = None,
    ) -> LayerCase:
        """A case of normal numbers."""
        axes = self.batch_axes[0] if axes is None else axes
        tokens = self.count_of(tokens, size)
        batch = (texts or self.texts,) * axes
        shape = (*batch, tokens, self.width_at(size))
        x = np.random.default_rng(seed).normal(size=shape)
        loops = self.self_loops
        x = x.astype(dtype or self.precision)
        return LayerCase(x, seed, size, self_loops=loops)

    def width_at(self, size: int) -> int:
        """How wide tokens are, for the sizes of that index."""
        return self.width(self.sizes[size])

    def arrays(self, case: LayerCase) -> dict:
        """The weights of a case, the same object each time."""
        dtype = case.x.dtype.name
        key = (self.sizes[case.built], case.seed, dtype)
        if key not in self.arrays_of:
            if len(self.arrays_of) > KEPT:
                self.arrays_of.clear()
            parameters = self.body.parameters(self.sizes[case.built])
            arrays = drawn(parameters, case.seed, dtype)
            for name in self.at_zero:
                arrays[name] = np.zeros_like(arrays[name])
            self.arrays_of[key] = arrays
        return self.arrays_of[key]

    # --- calls -----------------------------------------------------------

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
        for name, constant in roles.fixed.items():
            named[name] = self.constant(name, constant, case)
        named |= self.rotary(case)
        named |= passed_masks(
            self.forms,
            case.masks,
            roles.required_masks,
            case.shape,
            case.x.dtype,
        )
        for name in roles.dropout_masks:
            named[name] = np.ones((1, *case.shape[-2:]), bool)
        if roles.causal:
            named[roles.causal] = case.causal
        return named

    def rotary(self, case: LayerCase) -> dict:
        """A rotary table at the positions of the tokens, where it takes
        one."""
        names = self.body.roles.rotary
        if not names:
            return {}
        whole = takes_the_whole(names[0], self.thing.source)
        rows = self.table.rows(
            self.d_head_at(case.built),
            case.positions(whole),
            case.x.dtype,
        )
        return dict(
            zip(names, rows if len(names) == 2 else [rows], strict=True)
        )

    def turn(self, case: LayerCase) -> Turn | None:
        """How the reference turns queries and keys, if it does."""
        if not (self.pairs and (case.turned or self.turns_inside)):
            return None
        d_head = self.d_head_at(case.built)
        return self.table.turn(d_head, self.pairs)

    @property
    def turns_inside(self) -> bool:
        """Whether it turns by a table that no call takes."""
        return self.table is not None and self.table.is_inside

    def d_head_at(self, size: int) -> int:
        """How wide a head is, for the sizes of that index."""
        sizes = self.sizes[size]
        return sizes.d_out // self.heads_of(sizes)

    def constant(self, name: str, constant, case: LayerCase):
        """An argument that is no array: a number, or a configuration."""
        sizes = self.sizes[case.built]
        if constant == "heads":
            return self.heads_of(sizes)
        if constant == "kv_heads":
            return values_for_a_call(sizes)["kv_heads"]
        if constant == "configuration":
            values = values_for_a_call(sizes)
            return configuration(self.thing, name, "", values)
        return constant

    def arranged(self, array: np.ndarray) -> np.ndarray:
        """Texts first or tokens first, as the layer is said to have it,
        or images."""
        if self.of_images and array.ndim == 3:
            return to_image(array)
        return array.swapaxes(0, 1) if self.turns(array) else array

    def arranged_back(self, array):
        """What came of arranged tokens, with its tokens before its
        features; what is no such array is left alone."""
        axes = getattr(array, "ndim", 0)
        if self.of_images:
            return from_image(array) if axes == 4 else array
        return self.arranged(array) if axes else array

    def output_from(self, array, case: LayerCase):
        """An output with its tokens before its features, of all heads."""
        array = self.arranged_back(array)
        heads = self.heads_of(self.sizes[case.built])
        expected = (*case.x.shape[:-1], heads)
        shape = getattr(array, "shape", ())
        if self.heads_apart and shape[:-1] == expected:
            return array.reshape(*shape[:-2], -1)
        return array

    def upstream(self, array: np.ndarray, case: LayerCase) -> np.ndarray:
        """A gradient of the output, in the output's own axes."""
        if self.heads_apart:
            heads = self.heads_of(self.sizes[case.built])
            array = array.reshape(*array.shape[:-1], heads, -1)
        return self.arranged(array)

    def turns(self, array: np.ndarray) -> bool:
        return self.tokens_first and array.ndim == 3

    def is_required(self, name: str) -> bool:
        return any(
            p.name == name and p.required for p in self.thing.signature
        )

    def reply(self, case: LayerCase, more=None, **how) -> dict:
        """What the host answers, to a call with `more` arguments. Raises
        Raised."""
        return self.body.run(
            self.sizes[case.built],
            self.arrays(case),
            self.arguments(case) | (more or {}),
            case.x.dtype.name,
            **how,
        )

    def of(self, case: LayerCase, **how) -> np.ndarray:
        """The output, checked. Raises Broken or Raised."""
        return self.read(self.reply(case, **how)["value"], case)

    def read(self, value, case: LayerCase, path=None) -> np.ndarray:
        path = self.result if path is None else path
        output = expect_array(as_array(part_at(value, path)))
        output = self.output_from(output, case)
        if output.shape[:-1] != case.x.shape[:-1]:
            raise Broken(
                f"returned shape {output.shape}, expected "
                f"{(*case.x.shape[:-1], *output.shape[-1:])}"
            )
        if output.dtype == np.float64 and case.x.dtype == np.float32:
            return output.astype(np.float32)
        return output

    def heads_of(self, sizes: Sizes) -> int:
        return sizes.heads if self.takes_heads else 1

    @property
    def takes_heads(self) -> bool:
        """Whether the constructor, or the call, takes the number, or
        weights show it."""
        configured = self.thing.is_class and takes(self.thing, "heads")
        return self.names_heads or configured

    @property
    def names_heads(self) -> bool:
        """Whether an argument is called so: then it has as many, or one,
        and no other number is tried."""
        named = names_size(self.thing.parameters, "heads")
        fixed = self.body.roles.fixed.values()
        return named or "heads" in fixed or self.body.has_heads
