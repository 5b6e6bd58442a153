"""A class as a step: `RMSNorm(dim, eps)`, `LayerNorm`, `SwiGLU(dim, d_ff)`.

An instance is built in the sizes of each case, by the names of the
constructor's arguments; it is given the case's weights, and called.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from itertools import count

import numpy as np

from parity_tests.judge.candidate.things import Parameter, Thing
from parity_tests.judge.candidate.wire import Record
from parity_tests.judge.classes.building import Sizes as LayerSizes
from parity_tests.judge.classes.building import (
    configuration,
    is_configured,
    names_asked,
    values_of,
)
from parity_tests.judge.steps.cases import StepCase
from parity_tests.judge.steps.probes import plain_cases
from parity_tests.judge.steps.property import generator_for
from parity_tests.judge.steps.spelling import (
    GATED,
    ORDERS,
    SYNONYMS,
    WRITTEN_IN,
    HostedStep,
    Spelling,
    gated_by_name,
    likeliest,
    one_added,
    tried,
)
from parity_tests.judge.subject.forms import libraries_to_try
from parity_tests.judge.verdict.protocol import (
    Broken,
    NotAsked,
    NotJudged,
    Raised,
    answered,
    attempt,
)

EPSILON = rf"(\w*_)?({SYNONYMS['epsilon']})"
WIDTH_WITHIN = (
    r"(d|dim|size)?_?(ff|ffn|ffw|mlp|hidden|inner|inter|intermediate|h)"
    r"_?(dim|size|features|d|units)?|d_?ff"
)
LEFT_OUT = {"multiple_of": 1, "bias": False, "use_bias": False}
OTHERS = {"hidden_act": "silu", "mlp_bias": False, "dtype": None}
NORMS = ("rms_norm", "layer_norm")
WEIGHT = r"weight|scale|gamma|g|gain|w|alpha"


# A parameter's label, to the parts of the reference that it holds, one
# after the other along the outputs, and to whether it is for x W.
Weights = dict[str, tuple[tuple[str, ...], bool]]


class HostedLayer(HostedStep):
    """A class, asked as a step is; what has no weight of the reference,
    such as a bias, is 0."""

    def __init__(self, *parts, **options):
        super().__init__(*parts, **options)
        self.weights: Weights = {}
        self.instances: dict = {}
        self.asked: dict = {}  # inner widths, by what is made of them

    def changed(self, weights: Weights | None = None, **parts):
        own = {"spelling": self.spelling, "axes": self.axes} | parts
        layer = HostedLayer(self.host, self.thing, self.library, **own)
        layer.weights = self.weights if weights is None else weights
        layer.asked = self.asked
        return layer

    def instance(self, arguments: dict) -> tuple[str, dict]:
        """An instance in the sizes of the arguments, and the shapes of
        its parameters. Raises Raised."""
        sizes, dtype = sizes_of(arguments), arguments["x"].dtype.name
        sizes["d_ff"] = self.asked.get(sizes["d_ff"], sizes["d_ff"])
        key = (*sizes.values(), dtype)
        if key not in self.instances:
            name = f"{self.thing.name}#{next(COUNT)}"
            given = constructor(self.thing, sizes)
            how = {"instance": name, "dtype": dtype}
            made = answered(self.host.build(self.thing.name, given, how))
            shapes = {label: s for label, s, _ in made["parameters"]}
            self.instances[key] = name, shapes
        return self.instances[key]

    def adapted(self, case: StepCase) -> StepCase:
        """A case as it can be asked: also of the inner width that the
        class makes of its own."""
        case = super().adapted(case)
        made = attempt(self.inner_width, case)
        if not made:
            return case
        self.asked.setdefault(made, sizes_of(case)["d_ff"])
        return with_width(case, made)

    def inner_width(self, case: StepCase) -> int | None:
        """How wide it is made inside, where that is not as asked."""
        wanted, (_, shapes) = sizes_of(case)["d_ff"], self.instance(case)
        for label, (paths, turned) in self.weights.items():
            if paths[0] == "gate.weight" or paths[0] == "up.weight":
                made = shapes[label][-1 if turned else 0] // len(paths)
                return None if made == wanted else made
        return None

    def answer(self, arguments: dict, **how) -> dict:
        if not self.takes(arguments):
            raise NotAsked(f"it takes {sorted(self.axes)} axes")
        named = self.spelling.named(arguments)
        params, dtype = named.pop("params"), arguments["x"].dtype
        instance, shapes = self.instance(arguments)
        arrays = {
            label: self.array(label, shape, params).astype(dtype)
            for label, shape in shapes.items()
        }
        answered(self.host.assign(instance, arrays))
        how = {"library": self.library} | how
        return answered(self.host.call(instance, named, how))

    def array(self, label: str, shape, params) -> np.ndarray:
        """The numbers of one parameter."""
        paths, turned = self.weights.get(label, ((), False))
        if not paths:
            return np.zeros(shape)
        parts = [reduce(getattr, p.split("."), params) for p in paths]
        whole = np.concatenate(parts)
        if whole.size != np.prod(shape):
            made = " by ".join(map(str, shape))
            raise NotAsked(f"it makes its {label} {made}")
        return (whole.T.copy() if turned else whole).reshape(shape)

    def inputs_after(self, arguments: dict) -> dict:
        """The arguments as they are after a call."""
        back = self.answer(arguments, back=True)["back"]
        paths = self.spelling.paths.items()
        own = next(name for name, path in paths if path == "x")
        return dict(arguments) | {"x": np.asarray(back[own])}

    def not_asked(self) -> dict[str, str]:
        """What of it was set to 0."""
        labels = {n for _, made in self.instances.values() for n in made}
        others = sorted(labels - self.weights.keys())
        why = "the reference has none; it was asked with zeros"
        return {"its bias": why} if others else {}


COUNT = count(1)  # of all instances


def sizes_of(arguments: dict) -> dict:
    """What an instance is built by: the widths, and epsilon."""
    params = arguments["params"]
    gate = getattr(params, "gate", None)
    return {
        "d_model": arguments["x"].shape[-1],
        "d_ff": len(gate.weight) if gate else None,
        "epsilon": arguments.get("epsilon"),
    }


def with_width(case: StepCase, width: int) -> StepCase:
    """The case with weights of another inner width."""
    random, params = generator_for(case), case["params"]
    d_model, dtype = case["x"].shape[-1], case["x"].dtype

    def drawn(layer, *shape):
        numbers = random.integers(-16, 17, shape) * 0.07
        return replace(layer, weight=numbers.astype(dtype))

    own = {
        name: drawn(getattr(params, name), *shape)
        for name, shape in zip(
            GATED,
            ((width, d_model), (width, d_model), (d_model, width)),
            strict=True,
        )
    }
    return StepCase(case.name, case | {"params": replace(params, **own)})


# --- constructors --------------------------------------------------------


def constructor(thing: Thing, sizes: dict) -> dict:
    """The arguments of a constructor. Raises NotJudged for one that is
    needed and unknown."""
    arguments: dict = {}
    for each in thing.parameters:
        if not each.is_named:
            continue
        value = value_for(thing, each, sizes, taken=arguments)
        if value is not None:
            arguments[each.name] = value
        elif each.required:
            raise NotJudged(
                f"{thing.name} is built from {each.name}, of which the "
                "judge does not know what it is"
            )
    return arguments


def value_for(thing: Thing, each: Parameter, sizes: dict, taken: dict):
    """What one argument is given; None where it keeps its default."""
    name = each.name.lower()
    if is_configured(thing, each):
        return configured(thing, each, sizes)
    if re.fullmatch(EPSILON, name):
        return sizes["epsilon"]
    if name in LEFT_OUT:
        return LEFT_OUT[name]
    if "drop" in name:
        return 0.0 if each.required else None
    is_within = sizes["d_ff"] and re.fullmatch(WIDTH_WITHIN, name)
    if is_within and taken:
        return sizes["d_ff"]
    if each.required and not taken:
        return sizes["d_model"]
    return None


def configured(thing: Thing, each: Parameter, sizes: dict) -> Record:
    """A configuration with the widths under all of their names."""
    d_model = sizes["d_model"]
    values = values_of(LayerSizes(d_model, d_model, 1), d_model, False)
    record = configuration(thing, each.name, each.annotation, values)
    asked = set(re.findall(r"\w+", thing.source))
    members = record.members | OTHERS
    for name in asked:
        if re.fullmatch(EPSILON, name.lower()):
            members[name] = sizes["epsilon"] or 1e-5
    within = [n for n in asked if re.fullmatch(WIDTH_WITHIN, n.lower())]
    widths = [n for n in asked if n in record.members and n not in within]
    is_plain = any(record.members[n] == d_model for n in widths)
    for name in within if sizes["d_ff"] else ():
        clear = re.search("ff|mlp|inter|inner", name.lower())
        if clear or (is_plain and name != "hidden_size"):
            members[name] = sizes["d_ff"]
    return Record(record.record_name, False, **members)


# --- ways to call, and which weights are which ---------------------------


def hosted_layer(
    host, thing: Thing, role: str, library=None
) -> HostedLayer:
    """The class as a step, built and read as fits best: the first way
    that gives the reference's values, else the likeliest of those that
    give any. Raises NotJudged where none does."""
    accepted, trouble = [], None
    for way in ways_to_ask(host, thing, role, library):
        try:
            layer, right = tried(way, role)
        except (NotAsked, NotJudged, Raised, Broken) as error:
            trouble = trouble or error
            continue
        if right:
            return layer
        accepted.append(layer)
    if accepted:
        return likeliest(accepted, role)
    said = isinstance(trouble, NotJudged | NotAsked | None)
    why = str(trouble or "") if said else f"it {trouble}"
    raise NotJudged(why or f"its weights are not those of {role}")


def ways_to_ask(host, thing, role, library) -> Iterator[HostedLayer]:
    """Each way to call it, and to read its weights."""
    first = next(c for c in plain_cases(role) if tells(c))
    for own_library in libraries_to_try(thing, library):
        for spelling in calls_of(thing, role):
            layer = HostedLayer(host, thing, own_library, spelling)
            try:
                _, shapes = layer.instance(layer.adapted(first))
            except (NotJudged, Raised):
                continue
            for weights, says in READINGS[role](shapes, first):
                own = replace(spelling, says=spelling.says | says)
                yield layer.changed(weights=weights, spelling=own)


def tells(case: StepCase) -> bool:
    """Whether all widths of a case are different ones."""
    sizes = sizes_of(case)
    return sizes["d_model"] > 1 and sizes["d_ff"] != sizes["d_model"]


def calls_of(thing: Thing, role: str) -> Iterator[Spelling]:
    """How an instance is called: with x, and perhaps epsilon."""
    names = [each.name for each in thing.call if each.is_named]
    if not names:
        return
    plain = Spelling({names[0]: "x", "params": "params"})
    if role not in NORMS:
        yield plain
        return
    by_call = [n for n in names[1:] if re.fullmatch(EPSILON, n.lower())]
    if by_call:
        plain.paths[by_call[0]] = "epsilon"
    fixed = [{}] if by_call or takes_epsilon(thing) else WRITTEN
    for each in fixed:
        spelling = replace(plain, fixed=each)
        yield spelling
        if role == "rms_norm":
            yield from one_added(spelling)


WRITTEN = [{"epsilon": each} for each in WRITTEN_IN["epsilon"]]


def takes_epsilon(thing: Thing) -> bool:
    """Whether its constructor does, or asks a configuration for it."""
    return any(
        re.fullmatch(EPSILON, each.name.lower())
        or any(
            re.fullmatch(EPSILON, asked.lower())
            for asked in names_asked(thing.source, each.name)
        )
        for each in thing.parameters
    )


def of_a_norm(shapes: dict, case: StepCase) -> Iterator[tuple]:
    """The one weight of a norm, which may have none."""
    width = case["x"].shape[-1]
    fitting = [n for n, s in shapes.items() if np.prod(s) == width]
    fitting.sort(key=lambda n: not re.search(WEIGHT, n.split(".")[-1]))
    for label in fitting:
        yield {label: (("weight",), False)}, {}


def of_a_layer_norm(shapes: dict, case: StepCase) -> Iterator[tuple]:
    """Its gain and its bias, which names tell, or trials."""
    width = case["x"].shape[-1]
    fitting = [n for n, s in shapes.items() if np.prod(s) == width]
    if len(fitting) != 2:
        return
    fitting.sort(key=lambda n: not re.search(WEIGHT, n.split(".")[-1]))
    for gain, bias in (fitting, fitting[::-1]):
        yield {gain: (("weight",), False), bias: (("bias",), False)}, {}


def of_a_gate(shapes: dict, case: StepCase) -> Iterator[tuple]:
    """The matrices of a SwiGLU: three, or two of which one holds the gate
    and what is gated. Which is which tell names, or trials."""
    width = case["x"].shape[-1]
    matrices = {n: tuple(s) for n, s in shapes.items() if len(s) == 2}
    names = {n: n.removesuffix(".weight") for n in matrices}
    if len(matrices) == 2:
        yield from of_a_joined_gate(matrices, width)
    if len(matrices) != 3:
        return
    told = gated_by_name(list(names.values()))
    for order in [told] if told else orders_of(names.values()):
        parts = {label: order[name] for label, name in names.items()}
        weights = {
            label: ((f"{part}.weight",), is_turned(part, shape, width))
            for (label, part), shape in zip(
                parts.items(), matrices.values(), strict=True
            )
        }
        gate = next(n for n, part in order.items() if part == "gate")
        yield weights, {} if told else {"its gate": gate}


def orders_of(names) -> Iterator[dict[str, str]]:
    every = list(names)
    for order in ORDERS:
        yield dict(zip((every[i] for i in order), GATED, strict=True))


def is_turned(part: str, shape: tuple, width: int) -> bool:
    """Whether a matrix is for x W: then its first axis is what comes in,
    as wide as a token but for the way back."""
    return shape[1 if part == "down" else 0] == width


def of_a_joined_gate(matrices: dict, width: int) -> Iterator[tuple]:
    """Two matrices, one with the gate and what is gated side by side."""
    (wide, narrow) = sorted(
        matrices, key=lambda n: -matrices[n][0] * matrices[n][1]
    )
    back = ("down.weight",), is_turned("down", matrices[narrow], width)
    for first, second in (GATED[:2], GATED[1::-1]):
        paths = f"{first}.weight", f"{second}.weight"
        turned = is_turned("gate", matrices[wide], width)
        says = {
            "its gate": "first half" if first == "gate" else "second half"
        }
        yield {wide: (paths, turned), narrow: back}, says


READINGS = {
    "rms_norm": of_a_norm,
    "layer_norm": of_a_layer_norm,
    "swiglu": of_a_gate,
}
