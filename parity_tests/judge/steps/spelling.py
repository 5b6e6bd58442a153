"""Spelling: a step under other argument names, or in another form.

`layer_norm(x, gamma, beta, eps)` is the reference's `layer_norm(x, params,
epsilon)`. Which argument is which is found by name and by place, and by
trial on drawn inputs; what a function does not take has one value.
"""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, is_dataclass, replace
from functools import partial, reduce
from itertools import product
from math import prod

import numpy as np

from parity_tests.judge.attention.calling import part_at, result_path
from parity_tests.judge.candidate.things import Thing
from parity_tests.judge.candidate.wire import BFLOAT16
from parity_tests.judge.mutants.steps import MUTANTS
from parity_tests.judge.subject.caches import POSITION
from parity_tests.judge.subject.forms import (
    LENGTHS,
    MaskForm,
    libraries_to_try,
)
from parity_tests.judge.subject.roles import has_role, stated_rank
from parity_tests.judge.verdict.protocol import (
    Broken,
    NotAsked,
    NotJudged,
    Raised,
    attempt,
)
from parity_tests.twins.gradients import backward

from .cases import StepCase, in_float32
from .outputs import as_expected, of_our_class
from .probes import plain_cases
from .property import BACKWARD, Gradient, twin_of
from .step import agree, reference

# What an argument may be called that the reference calls otherwise.
SYNONYMS = {
    "epsilon": r"eps(ilon)?",
    "rate": r"p|rate|dropout(_?p|_rate)?|drop",
    "temperature": r"temp(erature)?|t|tau",
    "heads": r"(num_?|n_?)?heads?|h",
    "targets": r"targets?|labels?|y",
    "logits": r"logits?|preds?|predictions?|x",
    "ignored": r"ignore(d|_index)?|pad(ding)?_id",
    "ids": r"ids|idx|tokens?|token_ids|input_ids|x",
    "mask": r"(attn_?)?mask",
    "scores": r"scores?|x|z|logits?|attn",
    "repeats": r"(n|num)?_?(rep|repeat|kv_?group|key_value_group|group)s?"
    r"(_?size)?|n_?repeats?|times|groups?",
}
MATRIX = (
    r"(w|weights?|kernel|gamma|g|gain|alpha|scale).*|.*(weight|_w|kernel)"
)
BIAS = r"(b|bias|beta|shift|offset).*|.*(bias|_b)"
AXIS = r"axis|dim"
# Values of an argument that a function may have written into itself.
WRITTEN_IN = {
    "epsilon": (1e-5, 1e-6, 1e-12, 1e-8),
    "ignored": (-100,),
    "temperature": (1.0,),
    "past": (0,),
    "rate": (0.0,),
}


@dataclass(frozen=True)
class Spelling:
    """How the arguments of a step are passed to a function.

    `paths` maps the function's own names to values of the reference:
    "x", or "params.weight"; `keys` those of one dict of parameters, which
    is the argument `holder`. `fixed` are arguments of the reference that
    it does not take; `others` its own that the reference has not. With
    `turned`, matrices are for x W. `says` are conventions that it has in
    this spelling.
    """

    paths: dict[str, str]
    fixed: dict[str, object] = field(default_factory=dict)
    others: dict[str, object] = field(default_factory=dict)
    holder: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    turned: bool = False
    make: Callable | None = None
    read: Callable | None = None
    adapt: Callable | None = None
    result: tuple = ()
    says: dict[str, str] = field(default_factory=dict)

    def named(self, arguments: dict) -> dict:
        """The arguments under the function's own names."""
        for name, value in self.fixed.items():
            if name == "ignored":
                if np.any(arguments["targets"] == arguments["ignored"]):
                    raise NotAsked("it ignores no target")
            elif arguments[name] != value:
                raise NotAsked(f"its {name} is {value}")
        if self.make is not None:
            return self.make(arguments) | self.others
        named = {
            name: self.value(arguments, path)
            for name, path in self.paths.items()
        }
        if self.holder:
            named[self.holder] = {
                key: self.value(arguments, path)
                for key, path in self.keys.items()
            }
        return named | self.others

    def value(self, arguments: dict, path: str):
        first, *rest = path.split(".")
        value = reduce(getattr, rest, arguments[first])
        is_matrix = rest and getattr(value, "ndim", 0) == 2
        return value.T.copy() if is_matrix and self.turned else value

    def adapted(self, case: StepCase) -> StepCase:
        """A case as it can be asked: with what is written into it."""
        if self.adapt is not None:
            return self.adapt(case)
        changed = dict(case)
        for name, value in self.fixed.items():
            if name == "ignored":
                targets = changed["targets"]
                ignored = targets == changed["ignored"]
                changed["targets"] = np.where(ignored, 0, targets)
            else:
                changed[name] = value
        return StepCase(case.name, changed)


class HostedStep:
    """A function of a host, under the argument names of the reference.

    `axes` are how many its first array may have; any number, if empty.
    """

    def __init__(
        self,
        host,
        thing: Thing,
        library: str,
        spelling: Spelling,
        axes: frozenset[int] = frozenset(),
    ):
        self.host, self.thing = host, thing
        self.library, self.spelling = library, spelling
        self.axes = axes

    @property
    def says(self) -> dict[str, str]:
        """Conventions that it has, as it is asked."""
        return self.spelling.says

    def not_asked(self) -> dict[str, str]:
        return {}

    def __call__(self, **arguments):
        answer = self.answer(arguments)
        value = part_at(answer["value"], self.spelling.result)
        read = self.spelling.read
        return value if read is None else read(value, arguments)

    def with_result(self, path: tuple | None) -> "HostedStep":
        """The same, with its result at that path."""
        if path is None or path == self.spelling.result:
            return self
        return self.changed(spelling=replace(self.spelling, result=path))

    def changed(self, **parts) -> "HostedStep":
        own = {"spelling": self.spelling, "axes": self.axes} | parts
        return HostedStep(self.host, self.thing, self.library, **own)

    def adapted(self, case: StepCase) -> StepCase:
        """A case as it can be asked."""
        case = self.spelling.adapted(case)
        return in_float32(case) if self.library == "jax" else case

    def takes(self, arguments: dict) -> bool:
        """Whether it takes arrays of so many axes."""
        return not self.axes or axes_of(arguments) in self.axes

    def inputs_after(self, arguments: dict) -> dict:
        """The arguments as they are after a call."""
        before = self.spelling.named(arguments)
        back = self.answer(arguments, back=True)["back"]
        after = dict(arguments)
        for name, path in self.spelling.paths.items():
            if name not in before or "." in path:
                continue
            if isinstance(before[name], np.ndarray):
                after[path] = np.asarray(back[name])
            elif is_dataclass(arguments[path]):
                after[path] = of_our_class(back[name], arguments[path])
        return after

    def answer(self, arguments: dict, **how) -> dict:
        if not self.takes(arguments):
            raise NotAsked(f"it takes {sorted(self.axes)} axes")
        named = self.spelling.named(arguments)
        how = {"library": self.library, "narrow": narrow_of(named)} | how
        answer = self.host.call(self.thing.name, named, how)
        if "error" in answer:
            raise Raised(answer["error"])
        return answer


def narrow_of(named: dict) -> str:
    """The type of 16 bits that NumPy itself has not, if a value has it."""
    dtypes = {value.dtype.name for value in arrays_of(named)}
    return BFLOAT16 if BFLOAT16 in dtypes else ""


def arrays_of(named: dict) -> Iterator[np.ndarray]:
    return (v for v in named.values() if isinstance(v, np.ndarray))


def hosted_step(host, thing: Thing, role: str, library=None) -> HostedStep:
    """The function as a step, in the spelling that fits best.

    That is the first that gives the reference's values; else the likeliest
    of those that give any. Raises NotJudged where none does.
    """
    accepted, trouble = [], None
    for own_library in libraries_to_try(thing, library):
        for spelling in spellings(thing, role):
            trial = HostedStep(host, thing, own_library, spelling)
            try:
                trial, right = tried(trial, role)
            except NotAsked:
                continue
            except (Raised, Broken) as error:
                trouble = trouble or str(error)
                continue
            if right:
                return trial
            accepted.append(trial)
    if accepted:
        return likeliest(accepted, role)
    names = ", ".join(signature_of(role))
    got = ", ".join(each.name for each in thing.parameters)
    why = f": it {trouble}" if trouble else ""
    raise NotJudged(f"expected the arguments ({names}), got ({got}){why}")


def tried(step: HostedStep, role: str) -> tuple[HostedStep, bool]:
    """The step, with the path to its result; whether its values are the
    reference's, where it gives any. Raises what all calls raise.

    Inputs for which its result has not even as many axes as it should
    have are not taken, if there are others.
    """
    right, trouble = {}, None  # whether, by axes; None for a misfit
    for case in trials(role):
        case = with_kept(step.adapted(case))
        expected = reference(role)(**case)
        try:
            value = step.answer(case)["value"]
        except (NotAsked, Raised) as error:
            trouble = trouble or error
            if role in OF_ANY_AXES:
                right.setdefault(axes_of(case), None)
            continue
        axes = axes_of(case)
        if step.spelling.read is None and isinstance(expected, np.ndarray):
            step = step.with_result(result_path(value, expected.shape))
        try:
            got = as_expected(step(**case), expected)
        except Broken:
            part = part_at(value, step.spelling.result)
            fits = np.ndim(part) == np.ndim(expected)
            right[axes] = False if fits else right.get(axes)
            continue
        right[axes] = right.get(axes, True) and agree(got, expected)
    if not right or (trouble and not any_fits(right)):
        raise trouble
    taken = {axes for axes, result in right.items() if result is not None}
    if (
        role in OF_ANY_AXES
        and OF_TEXTS in taken
        and not all(right.values())
    ):
        taken = {OF_TEXTS}
    if taken and len(taken) < len(right):
        step = step.changed(axes=frozenset(taken))
    return step, all(right[axes] for axes in taken or right)


def likeliest(accepted: list, role: str):
    """The first of these steps that gives what a known mutant gives, where
    several may be meant; else the first of all."""
    if len(accepted) > 1 and role in (*VARIED, *OF_ROWS, "swiglu"):
        for step in accepted:
            if any(gives(step, role, m) for m in MUTANTS[role].values()):
                return step
    return accepted[0]


def gives(step: HostedStep, role: str, mutant: Callable) -> bool:
    """Whether a step gives what a mutant gives, on some plain cases."""
    cases = [step.adapted(case) for case in trials(role)]
    for case in filter(step.takes, cases):
        with np.errstate(all="ignore"):
            expected = attempt(mutant, *deepcopy(list(case.values())))
        output = attempt(lambda taken: step(**taken), dict(case))
        if (
            output is None
            or expected is None
            or not agree(output, expected)
        ):
            return False
    return True


# Steps of texts and heads, which may insist on both.
OF_ANY_AXES = ("repeat_heads", "split_heads", "merge_heads")
OF_TEXTS = 4  # axes: of texts, heads, positions and features


def trials(role: str) -> list[StepCase]:
    """Some plain cases; of steps that may insist on their axes, one of
    each number of axes as well."""
    first, rest = plain_cases(role)[1:9], plain_cases(role)[9:]
    if role not in OF_ANY_AXES:
        return first
    others = {axes_of(case): case for case in rest}
    return [*first, *others.values()]


def any_fits(right: dict) -> bool:
    return any(result is not None for result in right.values())


def is_narrow(step: HostedStep, role: str) -> bool:
    """Whether it computes in float32 whatever it gets: what float32
    cannot tell apart gets the same output, to the last bit."""
    narrow = []
    for case in map(with_kept, map(step.adapted, trials(role))):
        arrays = [
            (n, v) for n, v in case.items() if isinstance(v, np.ndarray)
        ]
        if not arrays:
            return False
        name, x = arrays[0]
        rounded = x.astype(np.float32).astype(x.dtype)
        if x.dtype != np.float64 or np.array_equal(rounded, x):
            continue
        outputs = [
            attempt(lambda taken: step(**taken), {**case, name: value})
            for value in (x, rounded)
        ]
        if not all(isinstance(each, np.ndarray) for each in outputs):
            return False
        narrow.append(np.array_equal(*outputs))
    return bool(narrow) and all(narrow)


def axes_of(arguments: dict) -> int:
    """How many axes the first array has."""
    return np.ndim(next(arrays_of(arguments), 0))


def signature_of(role: str) -> list[str]:
    return list(with_kept(plain_cases(role)[0]))


def with_kept(case: StepCase) -> StepCase:
    """The arguments of a gradient, with what its step has kept."""
    if not case.name.endswith(BACKWARD):
        return case
    twin = twin_of(case.name)
    gradient = Gradient(twin.name, twin.reference, backward(twin))
    return StepCase(case.name, gradient.with_kept(case))


# --- which spellings there may be ----------------------------------------


def spellings(thing: Thing, role: str) -> Iterator[Spelling]:
    """Ways to pass the arguments, from the likeliest on: of a loss, with
    tokens of any axes or in rows, as is said or else in this order."""
    for spelling in plain_spellings(thing, role):
        if role not in OF_ROWS:
            yield spelling
            continue
        ranks = {
            stated_rank(each, thing.docs, thing.source)
            for each in thing.parameters
            if spelling.paths.get(each.name) == "logits"
        }
        in_rows = replace(spelling, adapt=partial(rows_of, spelling))
        own = replace(in_rows, says=spelling.says | ROWS)
        yield from (own,) if 2 in ranks else (spelling, own)


def rows_of(spelling: Spelling, case: StepCase) -> StepCase:
    """The case with a row for each token, whatever text it is of."""
    case = replace(spelling, adapt=None).adapted(case)
    logits, targets = case["logits"], case["targets"]
    rows = {
        "logits": logits.reshape(-1, logits.shape[-1]),
        "targets": targets.reshape(-1),
    }
    return StepCase(case.name, case | rows)


def plain_spellings(thing: Thing, role: str) -> Iterator[Spelling]:
    """Ways to pass the arguments as they are."""
    special = SPECIAL.get(role)
    named = [each for each in thing.parameters if each.is_named]
    required = [each.name for each in named if each.required]
    names = [each.name for each in named]
    wanted = signature_of(role)
    if set(wanted) <= set(names) and set(required) <= set(wanted):
        yield Spelling({name: name for name in wanted})
    if special is not None:
        yield from special(thing, names, required)
    for spelling in by_leaves(thing, role, names, required):
        yield from (spelling, *VARIED.get(role, lambda _: ())(spelling))
    if len(required) <= len(wanted) <= len(names):
        yield Spelling(dict(zip(names, wanted, strict=False)))


def by_leaves(thing, role, names, required) -> Iterator[Spelling]:
    """Parameters one by one, or in a dict; and what is written in."""
    case = with_kept(plain_cases(role)[1])
    params = [n for n, value in case.items() if is_dataclass(value)]
    scalars = [n for n in case if n not in params]
    paths, left = {}, list(names)
    for place, name in enumerate(scalars):
        pattern = SYNONYMS.get(name, re.escape(name))
        own = next(
            (n for n in left if re.fullmatch(pattern, n.lower())), None
        )
        if own is None and place == 0 and left:
            own = left[0]
        if own is not None:
            paths[own] = name
            left.remove(own)
    missing = [n for n in scalars if n not in paths.values()]
    if any(name not in WRITTEN_IN for name in missing):
        return
    others = {n: -1 for n in left if re.fullmatch(AXIS, n)}
    left = [n for n in left if n in required and n not in others]
    holder, keys = "", {}
    if params:
        flat = paths_in(params[0], case[params[0]])
        if len(left) == 1 and len(flat) > 1:
            holder = left[0]
            used = re.findall(rf"{holder}\[['\"](\w+)['\"]\]", thing.source)
            keys = matched(list(dict.fromkeys(used)), flat)
            if not keys:
                return
        else:
            own = [n for n in names if n not in paths and n not in others]
            pairs = matched(own, flat)
            if not pairs:
                return
            paths |= pairs
    if any(n not in paths and n != holder for n in left):
        return
    for values in product(*(WRITTEN_IN[name] for name in missing)):
        fixed = dict(zip(missing, values, strict=True))
        for turned in (False, True) if params else (False,):
            yield Spelling(paths, fixed, others, holder, keys, turned)


def paths_in(name: str, value) -> list[str]:
    """The dotted names of the arrays of a dataclass."""
    if not is_dataclass(value):
        return [name]
    return [
        path
        for own, part in vars(value).items()
        for path in paths_in(f"{name}.{own}", part)
    ]


def matched(names: list[str], leaves: list[str]) -> dict[str, str]:
    """Names of weights and biases, in order, to those of the reference;
    nothing where their numbers do not fit."""
    weights = [n for n in names if re.fullmatch(MATRIX, n.lower())]
    biases = [
        n
        for n in names
        if n not in weights and re.fullmatch(BIAS, n.lower())
    ]
    ours = [leaf for leaf in leaves if not leaf.endswith("bias")]
    our_biases = [leaf for leaf in leaves if leaf.endswith("bias")]
    if len(weights) != len(ours) or len(biases) != len(our_biases):
        return {}
    return dict(zip(weights + biases, ours + our_biases, strict=True))


# --- masks, which have forms of their own --------------------------------


def causal_masks(thing, names, required) -> Iterator[Spelling]:
    """`causal_mask(size)`, or `causal_mask(size, past, device)`: of
    booleans, numbers, or numbers to be added."""
    past = next((n for n in names if POSITION.fullmatch(n.lower())), None)
    places = {n: "cpu" for n in required if n.lower() == "device"}
    sizes = [n for n in required if n not in (*places, past)]
    if not names or len(sizes) > 1:
        return
    size = sizes[0] if sizes else names[0]

    def make(arguments):
        given = {size: arguments["queries"]}
        return given | ({past: arguments["past"]} if past else {})

    def of_all_keys(case):
        """Its keys are those of the past, and of its own queries."""
        before = case["past"] if past else 0
        counts = {"keys": case["queries"] + before, "past": before}
        return StepCase(case.name, case | counts)

    yield Spelling(
        {}, {}, places, make=make, read=as_square_mask, adapt=of_all_keys
    )


def as_square_mask(value, arguments):
    """A mask as booleans, True where the first key may be attended to.

    The last query sees the first key, whatever a mask is made of. For one
    query, None may stand for a mask that hides nothing.
    """
    shape = arguments["queries"], arguments["keys"]
    if value is None and arguments["queries"] == 1:
        return np.ones(shape, bool)
    mask = np.asarray(value)
    if mask.size != shape[0] * shape[1]:
        raise Broken(f"returned shape {mask.shape}, expected {shape}")
    mask = mask.reshape(shape)
    return mask == mask[-1, 0]


def padding_masks(thing, names, required) -> Iterator[Spelling]:
    """`padding_mask(ids, pad_id)`: from ids, in place of lengths; or from
    lengths, in another form."""
    if not names or len(required) > 2:
        return
    if has_role(names[0], "lengths"):
        yield from padding_masks_of_lengths(names)
        return

    def make(arguments):
        lengths, keys = arguments["lengths"], arguments["keys"]
        visible = np.arange(keys) < lengths[..., None]
        return padded_ids(thing, names, visible)

    yield from (Spelling({}, make=make, read=read) for read in MASK_READERS)


def padded_ids(thing, names, visible: np.ndarray) -> dict:
    """Ids of tokens that are visible and of padding, and the id of that
    where it is an argument."""
    pad = next(
        (n for n in names[1:] if re.search(r"pad|ignore", n.lower())), None
    )
    default = next(
        (p.default for p in thing.parameters if p.name == pad), 0
    )
    pad_id = default if isinstance(default, int) else 0
    ids = np.where(visible, pad_id + 5, pad_id)
    return {names[0]: ids} | ({pad: pad_id} if pad else {})


def causal_padding_masks(thing, names, required) -> Iterator[Spelling]:
    """`make_trg_mask(ids, pad_id)`: from ids, in place of a mask."""
    if not names or len(required) > 2 or names == ["attention_mask"]:
        return

    def make(arguments):
        return padded_ids(thing, names, arguments["attention_mask"])

    def of_texts(case):
        """Its ids have two axes: of texts, and of tokens."""
        mask = case["attention_mask"]
        own = mask.reshape(prod(mask.shape[:-1]), mask.shape[-1])
        return StepCase(case.name, case | {"attention_mask": own})

    def read(value, arguments, visible):
        texts, tokens = arguments["attention_mask"].shape
        shape = texts, tokens, tokens
        mask = np.asarray(value)
        if mask.size != np.prod(shape):
            raise Broken(f"returned shape {mask.shape}, expected {shape}")
        return visible(mask.reshape(shape))

    for each in VISIBLE:
        own = partial(read, visible=each)
        yield Spelling({}, make=make, read=own, adapt=of_texts)


def padding_masks_of_lengths(names) -> Iterator[Spelling]:
    """`padding_mask(lengths, n)`, if it has not the reference's arguments:
    then it has its form as well. The number of keys may be left out."""
    if names == ["lengths", "keys"]:
        return

    def make(arguments):
        lengths = arguments["lengths"]
        if np.ndim(lengths) != 1:
            raise NotAsked("it takes a length for each text")
        return dict(zip(names, (lengths, arguments["keys"]), strict=False))

    yield from (Spelling({}, make=make, read=read) for read in MASK_READERS)


def as_padding_mask(value, arguments, visible: Callable, keys_first: bool):
    """A mask of keys as booleans, True where a key may be attended to."""
    lengths, keys = arguments["lengths"], arguments["keys"]
    mask = np.asarray(value)
    if mask.size != lengths.size * keys:
        raise Broken(
            f"returned shape {mask.shape}, expected a number for each of "
            f"{lengths.size * keys} tokens"
        )
    along = mask.shape[0 if keys_first else -1] if mask.ndim else 1
    if along != keys:
        raise Broken(f"returned {mask.shape}, expected {keys} keys in it")
    mask = mask.reshape(keys, -1).T if keys_first else mask
    return visible(mask).reshape(*lengths.shape, 1, keys)


VISIBLE = (
    lambda mask: mask.astype(bool),
    lambda mask: ~mask.astype(bool),
    lambda mask: mask > -1,  # of numbers that are added
)
MASK_READERS = [
    partial(as_padding_mask, visible=visible, keys_first=keys_first)
    for keys_first, visible in product((False, True), VISIBLE)
]


def by_weights(thing, names, required) -> Iterator[Spelling]:
    """`softmax_backward(d_weights, weights)`: of what softmax gave, in
    place of what it got; in either order."""
    if len(names) < 2 or len(required) > 2:
        return
    for first, second in (names[:2], names[1::-1]):

        def make(arguments, first=first, second=second):
            weights = reference("softmax")(arguments["scores"])
            return {first: arguments["d_weights"], second: weights}

        yield Spelling({}, make=make)


def masks_by_lengths(thing, names, required) -> Iterator[Spelling]:
    """`masked_softmax(scores, valid_lengths)`: how many keys are seen, in
    place of a mask."""
    if len(names) < 2 or not has_role(names[1], "lengths"):
        return
    form = MaskForm("True may attend", LENGTHS)

    def make(arguments):
        scores, mask = arguments["scores"], arguments["mask"]
        own = form.passed(mask, scores.shape, scores.dtype)
        return {names[0]: scores, names[1]: own}

    def with_lengths(case):
        """Two texts or more, each with a length of its own."""
        scores = case["scores"]
        scores = scores.reshape(-1, *scores.shape[-2:])
        if len(scores) < 2:
            scores = np.concatenate([scores, scores[:, ::-1]])
        texts, _, keys = scores.shape
        counts = 1 + (texts + 2 * np.arange(texts)) % keys
        mask = np.arange(keys) < counts[:, None, None]
        return StepCase(case.name, {"scores": scores, "mask": mask})

    yield Spelling({}, make=make, adapt=with_lengths)


# --- steps of a Llama ----------------------------------------------------

ONE_ADDED = {"its weight": "1 is added to it, as in Gemma"}
HEADS_LAST = {"its layout": "(positions, heads, features)"}


def one_added(spelling: Spelling) -> tuple[Spelling, ...]:
    """The same with a weight to which the function adds 1: it is passed
    less by that, and is put on a grid on which this rounds nothing."""

    def make(arguments):
        less = with_weight(arguments, lambda weight: weight - 1)
        return replace(spelling, make=None).named(less)

    def adapt(case):
        return with_weight(spelling.adapted(case), on_a_grid)

    own = {"make": make, "adapt": adapt, "says": ONE_ADDED}
    kept = {n: p for n, p in spelling.paths.items() if p == "x"}
    return (replace(spelling, paths=kept, **own),)


def on_a_grid(weight: np.ndarray) -> np.ndarray:
    return np.rint(weight * 2**10) / 2**10


def with_weight(arguments, change: Callable):
    """A case, or arguments, with another weight in the parameters."""
    params = arguments["params"]
    changed = replace(params, weight=change(params.weight))
    parts = dict(arguments) | {"params": changed}
    name = getattr(arguments, "name", None)
    return StepCase(name, parts) if name else parts


GATED = ("gate", "up", "down")
# Where names do not tell, from the likeliest on: as in Llama, w1 is the
# gate, w3 is gated and w2 leads back.
ORDERS = ((0, 2, 1), (0, 1, 2), (1, 0, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0))
GATED_NAMES = {
    "gate": r".*gate.*|w_?g|wg.*",
    "up": r".*up.*|w_?u",
    "down": r".*(down|out).*|w_?[do]",
}


def gated_by_name(names: list[str]) -> dict[str, str] | None:
    """Which is the gate, which is gated, which leads back, where names
    tell."""
    told = {
        part: [n for n in names if re.fullmatch(pattern, n.lower())]
        for part, pattern in GATED_NAMES.items()
    }
    if len(told["gate"]) != 1 or len(names) != len(GATED):
        return None
    (gate,) = told["gate"]
    down = [n for n in told["down"] if n != gate]
    rest = [n for n in names if n not in (gate, *down)]
    if len(down) != 1 or len(rest) != 1:
        return None
    return {gate: "gate", rest[0]: "up", down[0]: "down"}


def gated_weights(thing, names, required) -> Iterator[Spelling]:
    """`swiglu(x, w1, w2, w3)`: its matrices one by one, in any order."""
    first, *others = required or names
    if len(others) != len(GATED):
        return
    told = gated_by_name(others)
    orders = (
        [told]
        if told
        else [
            dict(zip((others[i] for i in order), GATED, strict=True))
            for order in ORDERS
        ]
    )
    for order, turned in product(orders, (False, True)):
        paths = {n: f"params.{part}.weight" for n, part in order.items()}
        gate = next(n for n, part in order.items() if part == "gate")
        yield Spelling(
            {first: "x"} | paths, turned=turned, says={"its gate": gate}
        )


def heads_after_positions(spelling: Spelling) -> tuple[Spelling, ...]:
    """The same with heads along the axis before the features."""

    def make(arguments):
        swapped = arguments | {"x": arguments["x"].swapaxes(-3, -2)}
        return replace(spelling, make=None).named(swapped)

    def read(value, arguments):
        return np.asarray(value).swapaxes(-3, -2)

    own = {"make": make, "read": read, "says": HEADS_LAST}
    return (replace(spelling, paths={}, **own),)


OF_ROWS = ("cross_entropy", "smoothed_cross_entropy")
OF_ROWS += ("cross_entropy_backward", "smoothed_cross_entropy_backward")
ROWS = {"its tokens": "in rows, of all texts"}
VARIED = {"rms_norm": one_added, "repeat_heads": heads_after_positions}
SPECIAL = {
    "swiglu": gated_weights,
    "causal_mask": causal_masks,
    "padding_mask": padding_masks,
    "causal_padding_mask": causal_padding_masks,
    "masked_softmax": masks_by_lengths,
    "softmax_backward": by_weights,
}
