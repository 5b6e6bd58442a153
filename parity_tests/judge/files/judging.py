"""Judging what a file defines, or a thing of this process, by its role.

>>> from parity_tests.judge import judge
>>> report = judge(my_attention)          # doctest: +SKIP
>>> report.holds, report.cause            # doctest: +SKIP
"""

import inspect
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from math import inf

from parity_tests.bounds.half_precision import FORMATS
from parity_tests.judge.attention.as_variant import AsVariant, as_told
from parity_tests.judge.attention.conventions import (
    INSIDE_FLOAT32,
    NOTHING_DECLARED,
    Declared,
)
from parity_tests.judge.attention.fast_exp import judge_by_its_exp
from parity_tests.judge.attention.function import AttentionFunction
from parity_tests.judge.attention.half_verdict import (
    expect_format,
    judge_in_half,
)
from parity_tests.judge.attention.variants import variant_of
from parity_tests.judge.candidate.host import Host
from parity_tests.judge.candidate.things import Thing
from parity_tests.judge.candidate.values import NO_NUMBERS
from parity_tests.judge.candidate.wire import BFLOAT16
from parity_tests.judge.classes.body import ClassBody
from parity_tests.judge.classes.building import Sizes, names_size
from parity_tests.judge.classes.function import takes_weights
from parity_tests.judge.classes.layer import ROLES, AttentionLayer
from parity_tests.judge.parts.built import READINGS, hosted_layer
from parity_tests.judge.parts.kept import (
    CacheSubject,
    cache_ways,
    takes_keys_and_values,
)
from parity_tests.judge.parts.positions import (
    OTHER_TABLE,
    VARIANTS,
    hosted_positions,
    is_sinusoidal,
)
from parity_tests.judge.parts.positions import ROLE as SINUSOIDAL
from parity_tests.judge.parts.rotary import RotarySubject
from parity_tests.judge.parts.rotary_ways import bases_told, rotary_ways
from parity_tests.judge.steps.activations import (
    ALTERNATIVES,
    FEED_FORWARDS,
    WORDS,
)
from parity_tests.judge.steps.cases import in_float32
from parity_tests.judge.steps.property import is_in_half
from parity_tests.judge.steps.spelling import hosted_step, is_narrow, tried
from parity_tests.judge.steps.step import ReluSubject, StepSubject
from parity_tests.judge.subject.forms import libraries_to_try
from parity_tests.judge.subject.languages import in_english
from parity_tests.judge.subject.roles import qkv_of
from parity_tests.judge.subject.rotary import rotary_names
from parity_tests.judge.verdict.doubt import VARIANT
from parity_tests.judge.verdict.loop import EXAMPLES, Budget, judge_subject
from parity_tests.judge.verdict.protocol import Broken, NotJudged, Raised
from parity_tests.judge.verdict.report import Report
from parity_tests.twins.finding import find_twins
from parity_tests.twins.gradients import backward, with_gradient

SINGLE = "float32"
ATTENTION = "scaled_dot_product_attention"
ALIASES = (
    *("attention", "sdpa", "scaled_dot_product", "dot_product_attention"),
    *("scaled_dot_product_attn", "scaled_attention"),
)
MASKS = ("causal_mask", "padding_mask", "causal_padding_mask")
STEP_ALIASES = {"layernorm": "layer_norm", "ffn": "feed_forward"}
MAKES = "(make|create|get|build|generate)"
# Steps of which a file has many names: functions or classes.
PARTS = {
    "rms_norm": r"\w*rms_?norm\w*",
    "silu": r"silu|swish",
    "swiglu": r"\w*swi_?glu\w*|(llama|qwen\d?|mistral)_?mlp",
    "repeat_heads": r"(repeat|expand)_?(kv|key_value|heads)\w*",
}
# The masks of a translator, which are made of ids, and others.
MASK_MAKERS = {
    "padding_mask": rf"{MAKES}_(src|source|padding)_mask",
    "causal_padding_mask": rf"{MAKES}_(trg|tgt|target|std)_mask",
    "causal_mask": rf"{MAKES}_causal_mask",
}
NO_PARTS = r"gated|backward|grad|config|rotate_(half|every)"
CACHE, CACHES = "key_value_cache", r"(kv|key_?value|dynamic|static)_?cache"
ROTARY = "rotary_embedding"
ROTARY_NAMES = (
    r"(\w*_)?rope(_\w+|d|embedd?ings?|s)?|\w*rotary\w*|precompute_freqs\w*"
)
LAYER_NORM_CLASS = r"(my|custom|simple|own)?_?layer_?norm(ali[sz]ation)?"
GATED_CLASS, GATED_SOURCE = r"feed_?forward|\w*mlp|ffn", r"silu|swish"
ATTENDS = r"atten|attn|sdpa|mha|\bswa\b|(?<!no)flash(?!card|light)"
COMPUTES = r"softmax|scaled_dot|exp\("
NOT_ATTENTION = r"mask|scores?$|weights?$|probs?$|backward|grad|bias|config"
NAMES_OF_CLASSES = r"attention|attn|^(mha|mqa|gqa|mla|swa)$"
NOT_CLASSES = r"^prepare|config|args$|mask$|output$|weights$"
# Which may be heads of another kind, too.
HEADS = r"(self|causal|masked|multi)?_?head(s|ed)?(_?(layer|block|module))?"


def judge(
    thing: Callable,
    name: str | None = None,
    declared: Declared = NOTHING_DECLARED,
    examples: int = EXAMPLES,
    seed: int = 0,
    deadline: float = inf,
    dtype: str = "",
) -> Report:
    """Judge attention: a function, a class, or a PyTorch module.

    A function takes a query, a key and a value, or tokens and weights.
    `declared` are conventions that need not be detected; `seed` is that
    of all inputs. No input is begun after `deadline`, in seconds of
    `time.monotonic`. `dtype` is "bfloat16" or "float16" for a verdict in
    that format, which only a function of query, key and value gets.
    """
    if dtype not in ("", SINGLE, *FORMATS):
        names = ", ".join((SINGLE, *FORMATS))
        raise ValueError(
            f"expected dtype to be one of {names}, got {dtype}"
        )
    budget = Budget(examples, seed, deadline=deadline)
    declared = replace(declared, is_meant=True)
    host, described = hosted(thing, name)
    has_weights = described.is_class or is_a_layer(described)
    role = role_of(described) if has_weights else ATTENTION
    reports = judge_in_dtypes(
        host, described, role, declared, budget, (dtype,) if dtype else ()
    )
    return next(reports)


def hosted(thing, name: str | None) -> tuple[Host, Thing]:
    """A host of one thing of this process, and its description.

    A module that is built already is judged in its own sizes, on copies.
    """
    is_plain = inspect.isclass(thing) or not hasattr(thing, "parameters")
    kind = thing if is_plain else type(thing)
    name = name or getattr(kind, "__name__", type(thing).__name__)
    host = Host.of(name, kind)
    described = host.describe(name)
    if is_plain:
        return host, described
    host.things[name] = lambda: deepcopy(thing)
    sizes = [(n, v) for n, v in vars(thing).items() if type(v) is int]
    return host, replace(described, parameters=(), sizes=tuple(sizes))


# --- candidates of a file ------------------------------------------------


def judge_candidates(
    host, things: list[Thing], role: str | None, declared, budget: Budget
) -> Iterator[Report]:
    """Judge what a file defines, one after the other.

    A report with `trouble` and no findings is "not judged". Raises Lost
    where the process of the file has ended, and NotJudged where there is
    nothing to be judged.
    """
    for thing, its_role in candidates(things, role):
        yield judge_thing(host, thing, its_role, declared, budget)


def candidates(
    things: list[Thing], role: str | None = None
) -> list[tuple[Thing, str]]:
    """What can be judged, and the role it is judged in.

    With `role`, the last one that can have this role. Raises NotJudged
    if there is none.
    """
    public = [thing for thing in things if not thing.name.startswith("_")]
    if role is not None:
        return [in_role(public, role)]
    for role_told in (role_by_name, role_by_source):
        roles = [(thing, role_told(thing)) for thing in public]
        known = [(thing, its_role) for thing, its_role in roles if its_role]
        if known:
            return without_helpers(known)
    defined = ", ".join(thing.name for thing in public) or "nothing"
    raise NotJudged(
        "expected a function named like one of the reference's, or a "
        f"class of attention, got {defined}; say what it is with --as"
    )


def without_helpers(
    known: list[tuple[Thing, str]],
) -> list[tuple[Thing, str]]:
    """Without what an attention of the file has parts of a Llama for: it
    is judged with them."""
    attentions = [t for t, role in known if role in (*ROLES, ATTENTION)]
    sources = "\n".join(f"{t.source}\n{t.helpers}" for t in attentions)
    used = set(re.findall(r"\w+", sources))
    for thing in attentions:
        if rotary_names(thing.signature):  # it is asked with that table
            used |= {maker for maker, _ in thing.tables}
    return [
        (thing, role)
        for thing, role in known
        if role not in (*PARTS, ROTARY, CACHE) or thing.name not in used
    ]


def in_role(things: list[Thing], role: str) -> tuple[Thing, str]:
    """The last class, for a role of classes; else the last function, of
    attention one that takes query, key and value."""
    role = ATTENTION if role in ALIASES else role
    classes = [thing for thing in things if thing.is_class]
    fitting = functions = [thing for thing in things if not thing.is_class]
    if role in ROLES:
        fitting = classes or functions
    elif role == ATTENTION:
        with_qkv = [
            thing
            for thing in functions
            if qkv_of([each.name for each in thing.parameters])
        ]
        fitting = with_qkv or functions or classes
    if not fitting:
        defined = ", ".join(thing.name for thing in things) or "nothing"
        raise NotJudged(
            f"expected a function or class for {role}, got {defined}"
        )
    return fitting[-1], role


def role_by_name(thing: Thing) -> str | None:
    """The role of a function or a class by its name; None if unknown."""
    lowered = in_english(thing.name).lower()
    if (part := part_by_name(thing, lowered)) is not None:
        return part
    if thing.is_class:
        attends = re.search(NAMES_OF_CLASSES, lowered)
        if re.search(NOT_CLASSES, lowered):
            return None
        if re.fullmatch(HEADS, lowered):
            source = (thing.source + thing.helpers).lower()
            attends = re.search(rf"{COMPUTES}|{ATTENDS}", source)
        return role_of(thing) if attends and thing.method else None
    if lowered in ALIASES:
        return ATTENTION
    attends = re.search(ATTENDS, lowered)
    if attends and not re.search(NOT_ATTENTION, lowered):
        if is_a_layer(thing):
            return role_of(thing)
        if has_arguments_of_its_step(thing):  # and no others
            return ATTENTION if lowered == ATTENTION else thing.name
        if qkv_of([each.name for each in thing.parameters]):
            return ATTENTION
    known = judged_names()
    lowered = STEP_ALIASES.get(lowered, lowered)
    return next((n for n in (thing.name, lowered) if n in known), None)


def part_by_name(thing: Thing, lowered: str) -> str | None:
    """Which step of a Llama it is, by its name; for a feed-forward class,
    by its source as well."""
    if re.search(NO_PARTS, lowered):
        return None
    is_named = thing.is_class and re.search(CACHES, lowered)
    if is_named and takes_keys_and_values(thing):
        return CACHE
    if thing.is_class and not thing.method:
        return None
    if is_rotary(thing, lowered):
        return ROTARY
    if is_sinusoidal(thing, lowered):
        return SINUSOIDAL
    every = PARTS | MASK_MAKERS
    told = (n for n, names in every.items() if re.fullmatch(names, lowered))
    part = next(told, None)
    if not thing.is_class:
        return part
    if re.fullmatch(LAYER_NORM_CLASS, lowered):
        return "layer_norm"
    is_gated = re.fullmatch(GATED_CLASS, lowered) and re.search(
        GATED_SOURCE, thing.source.lower()
    )
    return "swiglu" if is_gated else part if part in READINGS else None


def is_rotary(thing: Thing, lowered: str) -> bool:
    """Whether it turns tokens, or makes a table for it, by its name: not
    a step of the reference with its arguments, and no attention."""
    if not re.fullmatch(ROTARY_NAMES, lowered):
        return False
    is_other = re.search(rf"{ATTENDS}|{NOT_CLASSES}", lowered)
    return not (is_other or has_arguments_of_its_step(thing))


def has_arguments_of_its_step(thing: Thing) -> bool:
    """Whether it has the name and the arguments of a step."""
    names = [each.name for each in thing.parameters]
    step = next((t for t in find_twins() if t.name == thing.name), None)
    return step is not None and names == list(
        inspect.signature(step.reference).parameters
    )


def is_a_layer(thing: Thing) -> bool:
    """Whether a function takes weights of its own: not those of the
    reference, as a step that has its name and its arguments does."""
    return not has_arguments_of_its_step(thing) and takes_weights(thing)


def role_by_source(thing: Thing) -> str | None:
    """The role of what is not called attention, but has a softmax."""
    if not re.search(COMPUTES, thing.source.lower()):
        return None
    if thing.is_class:
        return role_of(thing) if thing.method else None
    takes_qkv = qkv_of([each.name for each in thing.parameters])
    return ATTENTION if takes_qkv else None


def role_of(thing: Thing) -> str:
    """One of ROLES, by the name and by whether it takes heads."""
    name = in_english(thing.name).lower().replace("_", "")
    parameters = (*thing.parameters, *thing.call)
    if "multihead" in name or names_size(parameters, "heads"):
        return "multi_head_attention"
    return "causal_attention" if "causal" in name else "self_attention"


def judged_names() -> set[str]:
    """The names of the reference's functions, and of their gradients."""
    gradients = {backward(twin).__name__ for twin in with_gradient()}
    return {twin.name for twin in find_twins()} | gradients


# --- one thing -----------------------------------------------------------


def judge_in_dtypes(
    host,
    thing: Thing,
    role: str,
    declared: Declared,
    budget: Budget,
    dtypes: tuple[str, ...] = (),
) -> Iterator[Report]:
    """A verdict in each of these precisions; where none is said, in wider
    ones, or, where these are refused, in each of 16 bits that it takes."""
    for dtype in dtypes or (SINGLE,):
        own = "" if dtype == SINGLE else dtype
        report = judge_thing(host, thing, role, declared, budget, own)
        yield report
    found = [name for name in FORMATS if report.kind.endswith(f"in {name}")]
    if dtypes or not found:
        return
    for other in FORMATS:
        if other not in found:
            report = judge_thing(host, thing, role, declared, budget, other)
            if report.findings:
                yield report


def judge_thing(
    host,
    thing: Thing,
    role: str,
    declared: Declared,
    budget: Budget,
    dtype: str = "",
) -> Report:
    """Judge one thing in its role; `dtype` is one of 16 bits, or "" for
    wider ones."""
    kind = f"attention in {dtype}" if dtype else role
    try:
        put_on_device(host, thing, declared)
        if dtype:
            return judge_half(host, thing, role, dtype, declared, budget)
        has_weights = thing.is_class or is_a_layer(thing)
        if has_weights and role in (*ROLES, ATTENTION):
            return judge_layer(host, thing, role, declared, budget)
        if role == ATTENTION:
            return judge_attention(host, thing, declared, budget)
        if role == ROTARY:
            return judge_rotary(host, thing, declared, budget)
        if role == CACHE:
            return judge_cache(host, thing, declared, budget)
        return judge_hosted_step(host, thing, role, declared, budget)
    except (Broken, NotJudged, Raised) as error:
        said = isinstance(error, NotJudged)
        trouble = str(error) if said else f"it {error}"
        return Report(thing.name, kind, trouble=trouble)


def put_on_device(host, thing: Thing, declared: Declared) -> None:
    """Put inputs on the device that is named, if one is. Raises NotJudged
    where that cannot be."""
    device = declared.device
    if not device:
        return
    if device == "meta":
        raise NotJudged(f"{NO_NUMBERS}: nothing can be compared")
    library = libraries_to_try(thing, declared.arrays)[0]
    if library == "numpy" and device != "cpu":
        raise NotJudged(
            f"expected a tensor or an array of JAX for --device {device}, "
            "got NumPy's, which are on no device"
        )
    answer = host.put_on(device, library)
    if "error" in answer:
        text = answer["error"]["text"].partition("\n")[0]
        raise NotJudged(f"expected a device called {device}, got: {text}")


def judge_half(
    host,
    thing: Thing,
    role: str,
    dtype: str,
    declared: Declared,
    budget: Budget,
) -> Report:
    """Judge a function, or a class without weights, in 16 bits."""
    if thing.is_class and (instances := without_weights(host, thing)):
        host, thing = instances, instances.as_function()
    if thing.is_class or is_a_layer(thing) or role != ATTENTION:
        raise NotJudged(
            f"expected a function of query, key and value for {dtype}, got "
            f"{role}, which is asked in wider floats"
        )
    declared = replace(declared, is_meant=True)
    return judge_in_half(host, thing, dtype, declared, budget)


def judge_attention(
    host, thing: Thing, declared: Declared, budget: Budget
) -> Report:
    """Judge a function of query, key and value.

    What is wrong as plain attention may be a variant of it: then it is
    judged as that, unless it was said to be plain. A known mistake is
    its cause where it is wrong as a variant, too.
    """
    is_said = declared.is_meant
    if is_called_attention(thing):
        declared = replace(declared, is_meant=True)
    subject = AttentionFunction(host, thing, declared)
    if narrow := subject.limits.narrow:
        return judge_in_half(host, thing, narrow, declared, budget)
    beside = subject.caller.calling.roles.beside
    if declared.variant or beside:
        return judge_told(subject, declared, budget)
    report, variant = judge_by_its_exp(subject, budget), None
    conventions = subject.conventions.plain()
    if report.failed and not report.trouble:
        variant = variant_of(subject)
    if variant and is_said:
        cause = f"it is not plain attention: it has {variant}"
        report = replace(report, cause=cause, doubt=None)
    elif variant:
        as_variant = judge_subject(AsVariant(subject, variant), budget)
        if as_variant.holds or not report.cause:
            report = as_variant
            conventions |= {"variant": str(variant)}
    return replace(report, conventions=conventions)


def judge_told(subject, declared: Declared, budget: Budget) -> Report:
    """Judge a function that is told by its arguments, or said to be, more
    than plain attention: first as plain attention, where its arguments
    can be at rest, then as the variant."""
    beside, plain = subject.caller.calling.roles.beside, None
    can_rest = all(b.is_off or b.kind != "cap" for b in beside)
    if not declared.variant and can_rest:
        plain = judge_by_its_exp(subject, budget)
    conventions = subject.conventions.plain()
    if plain is not None and plain.failed and not plain.doubt:
        return replace(plain, conventions=conventions)
    way = as_told(subject, declared.variant)
    report = judge_subject(way, budget)
    is_open = declared.variant and report.failed and not beside
    if is_open and (found := variant_of(subject)):
        cause = f"it has {found}, not {way.variant}"
        report = replace(report, cause=cause, doubt=None)
    if not (way.is_found or declared.variant or report.cause):
        names = " and ".join(each.name for each in beside)
        return Report(
            subject.name,
            subject.kind,
            trouble=f"it takes {names}, and does not with it what the "
            "judge knows, nor a known mistake: it may do more",
            conventions=conventions,
        )
    conventions |= {"variant": way.said}
    if plain and plain.holds:
        report = replace(
            report,
            findings=(*plain.findings, *report.findings),
            not_asked=plain.not_asked | own(report.not_asked),
        )
    return replace(report, conventions=conventions)


def own(not_asked: dict[str, str]) -> dict[str, str]:
    """What was not asked of a variant, where plain attention was asked,
    too."""
    plain = ("properties of plain attention", "queries that see no key")
    return {n: why for n, why in not_asked.items() if n not in plain}


def is_called_attention(thing: Thing) -> bool:
    """Whether its name says no more than scaled dot-product attention."""
    name = thing.name.lower().replace("_", "")
    return name in {each.replace("_", "") for each in (ATTENTION, *ALIASES)}


def judge_layer(
    host, thing: Thing, role: str, declared: Declared, budget: Budget
) -> Report:
    """Judge attention with weights: a class, or a function of them.

    A class without weights is judged as a function.
    """
    if thing.is_class and (instances := without_weights(host, thing)):
        function = instances.as_function()
        return judge_attention(instances, function, declared, budget)
    layer = AttentionLayer(host, thing, role, declared)
    report = judge_subject(layer, budget)
    return replace(report, conventions=layer.plain_conventions())


def without_weights(host, thing: Thing) -> "PerWidth | None":
    """A host of the instances of a class that has no weights; None for
    any other class."""
    names = qkv_of([each.name for each in thing.call])
    if names is None:
        return None
    try:
        instances = PerWidth(host, thing, names[0])
        return instances if instances.has_no_weights() else None
    except (NotJudged, Raised):
        return None


class PerWidth:
    """Instances of a class without weights, called as one function.

    A constructor may take the width of a head, or its root; so there is
    an instance for each width.
    """

    def __init__(self, host, thing: Thing, query: str):
        self.host, self.thing, self.query = host, thing, query
        self.put_on = host.put_on
        self.body = ClassBody(host, thing, thing.library)
        self.body.values_apart = False

    @property
    def log(self) -> list | None:
        """The calls of its instances, while somebody wants them."""
        return self.host.log

    @log.setter
    def log(self, calls: list | None) -> None:
        self.host.log = calls

    def has_no_weights(self) -> bool:
        return not self.body.build(Sizes(4, 4, 1))[1]

    def as_function(self) -> Thing:
        return replace(
            self.thing, kind="function", parameters=self.thing.call
        )

    def call(self, name: str, arguments: dict, how: dict) -> dict:
        width = arguments[self.query].shape[-1]
        instance, *_ = self.body.build(Sizes(width, width, 1))
        return self.host.call(instance, arguments, how)


def judge_rotary(
    host, thing: Thing, declared: Declared, budget: Budget
) -> Report:
    """Judge what turns tokens by their positions, or makes a table."""
    ways = rotary_ways(host, thing, declared.arrays)
    bases = bases_told(thing)
    subject = RotarySubject(thing, ways, bases, declared.is_meant)
    report = judge_subject(subject, budget)
    return replace(report, conventions=subject.conventions())


def judge_cache(
    host, thing: Thing, declared: Declared, budget: Budget
) -> Report:
    """Judge a class that keeps keys and values."""
    ways = cache_ways(host, thing, declared.arrays)
    subject = CacheSubject(thing, ways, declared.is_meant)
    report = judge_subject(subject, budget)
    return replace(report, conventions=subject.conventions())


def in_single(adapted: Callable) -> Callable:
    """The cases, adapted, with float32 in place of float64."""
    return lambda case: in_float32(adapted(case))


def judge_hosted_step(
    host, thing: Thing, role: str, declared: Declared, budget: Budget
) -> Report:
    """Judge a function as one step of the reference, or as a gradient."""
    if thing.is_class and role not in (*READINGS, SINUSOIDAL):
        raise NotJudged(f"expected a function for {role}, got a class")
    if role in judged_names() and is_in_half(role):
        expect_format(BFLOAT16)
    as_step = hosted_layer if thing.is_class else hosted_step
    if role == SINUSOIDAL and not has_arguments_of_its_step(thing):
        as_step = hosted_positions
    subject, conventions, narrow = None, {}, {}
    for name in ALTERNATIVES.get(role, (role,)):
        step = as_step(host, thing, name, declared.arrays)
        adapted = step.adapted
        if name in PARTS and is_narrow(step, name):
            adapted = in_single(step.adapted)
            narrow = {"float64": INSIDE_FLOAT32}
        own = StepSubject(step, name, adapted=adapted)
        subject = subject or own
        if tried(step, name)[1]:
            subject = own
            if name in WORDS:
                conventions = {"activation": WORDS[name]}
            break
    else:
        if role in FEED_FORWARDS:
            relu = ReluSubject(subject.function, role)
            if relu.fits():
                subject, conventions = relu, {"activation": "ReLU"}
    named = role not in PARTS or re.fullmatch(
        PARTS[role], in_english(thing.name).lower()
    )
    if role in MASKS or not named:  # which have many forms, or was guessed
        subject.is_meant = declared.is_meant
    report = judge_subject(subject, budget)
    if report.failed and not (report.cause or named or subject.is_meant):
        report = replace(report, doubt=VARIANT)
    is_open = as_step is hosted_positions and not declared.is_meant
    if is_open and (report.cause or "").startswith(VARIANTS):
        report = replace(report, cause=None, doubt=OTHER_TABLE)
    conventions |= getattr(subject.function, "says", {}) | narrow
    return replace(
        report, name=thing.name, kind=role, conventions=conventions
    )
