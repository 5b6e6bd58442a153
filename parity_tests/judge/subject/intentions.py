"""Causal by intention: whether a source builds a causal mask of its own.

That no token sees a later one is seen by trial. A causal mask that is
built and hides nothing is not: then the source says what was meant.
"""

import ast
import re
from collections.abc import Iterator
from textwrap import dedent

from parity_tests.judge.candidate.calls import last_name
from parity_tests.judge.candidate.things import Thing

from .roles import CAUSAL

TRIANGLES = ("tri", "tril", "triu")
AHEAD = r"causal|look_?ahead|subsequent|future|autoregressive"
MASK_AHEAD = re.compile(rf"({AHEAD}).*mask|mask.*({AHEAD})", re.I)
SWITCH = re.compile(rf"{AHEAD}|decoder|^masked$", re.I)
SPOKEN = re.compile(
    rf"({CAUSAL})(?!\s*=\s*False)|look[-_ ]?ahead|subsequent_mask|"
    r"future (tokens?|positions?|inputs?|words?|keys?)",
    re.I,
)
UNSCALED = re.compile(
    r"\b(no|not|never) ((be|to|is|are|any|divided|by) )*"
    r"(scal(es?|ed|ing)\b(?! (is )?(need|necess))|(1 ?/ ?)?(sqrt|√))|"
    r"\bunscaled\b",
    re.I,
)
DIAGONAL = re.compile(
    r"\b(eye|identity|(fill_)?diagonal_?|diag_embed|diag|"
    r"add_(remaining_)?self_?loops?)\("
)
ALIBI = re.compile(r"alibi|(?<!negative_)(?<![a-z])slopes?(?![a-z])", re.I)
NO_DISTANCE = (
    "its source speaks of ALiBi, and it gives the numbers of attention "
    "without any"
)
UNSEEN = "its source speaks of one, and later tokens reach earlier outputs"

Definition = ast.FunctionDef | ast.ClassDef


def builds_causal_mask(thing: Thing, when_built: bool = True) -> bool:
    """Whether a function or class makes a triangle, or what it calls a
    causal mask, whatever its arguments; for a class also when an instance
    is built."""
    if has_switch(thing):
        return False
    own, *_ = [*definitions(thing.source), None]
    if own is None:
        return False
    called = ("__init__", thing.method) if when_built else (thing.method,)
    known = {each.name: each for each in definitions(thing.helpers)}
    return builds(own, called, known)


def has_switch(thing: Thing) -> bool:
    """Whether an argument may tell if it is causal."""
    arguments = (*thing.parameters, *thing.call)
    return any(SWITCH.search(each.name) for each in arguments)


def is_off(thing: Thing) -> bool:
    """Whether its constructor makes it causal on demand only: such an
    argument is False by default."""
    return any(
        SWITCH.search(each.name) and each.default is False
        for each in thing.parameters
    )


def definitions(source: str) -> list[Definition]:
    """The functions and classes of a source; none of one that is cut."""
    try:
        body = ast.parse(dedent(source)).body
    except (SyntaxError, ValueError, RecursionError):
        return []
    return [each for each in body if isinstance(each, Definition)]


def builds(
    own: Definition, called: tuple[str, ...], known: dict[str, Definition]
) -> bool:
    """Whether a definition builds a causal mask; `known` are those that
    it may call, of which one with a switch says nothing."""
    bodies = [own]
    if isinstance(own, ast.ClassDef):
        methods = {f.name: f for f in own.body if isinstance(f, Definition)}
        bodies = [methods[name] for name in called if name in methods]
        known = known | {
            n: f for n, f in methods.items() if n not in called
        }
    for node in (node for body in bodies for node in always_run(body)):
        if makes_a_mask(node):
            return True
        helper = known.get(last_name(getattr(node, "func", None)))
        if helper is None or switched(helper):
            continue
        rest = {n: f for n, f in known.items() if f is not helper}
        if builds(helper, ("__init__", "forward", "__call__"), rest):
            return True
    return False


def makes_a_mask(node: ast.AST) -> bool:
    """Whether it calls for a triangle, or names a causal mask."""
    if isinstance(node, ast.Call):
        name = last_name(node.func)
        return name in TRIANGLES or MASK_AHEAD.search(name) is not None
    names = map(last_name, getattr(node, "targets", ()))
    is_value = not isinstance(getattr(node, "value", None), ast.Constant)
    return is_value and any(map(MASK_AHEAD.search, names))


def switched(definition: Definition) -> bool:
    """Whether an argument of it, or of a method, may be a switch."""
    return any(
        SWITCH.search(node.arg) or "mask" in node.arg
        for node in ast.walk(definition)
        if isinstance(node, ast.arg)
    )


def is_causal_by_default(source: str, mask: str) -> bool:
    """Whether a causal mask is made where no mask is passed: "if mask is
    None: mask = torch.tril(…)"."""
    own = re.escape(mask)
    made = rf"\bif {own} is None:\s*{own} = [^\n]*"
    found = re.search(made, source)
    kinds = rf"{'|'.join(TRIANGLES)}|{AHEAD}"
    return (
        found is not None and re.search(kinds, found[0], re.I) is not None
    )


def always_run(node: ast.AST) -> Iterator[ast.AST]:
    """What is below a node, without what is run on a condition only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If | ast.IfExp | ast.BoolOp):
            continue
        yield child
        yield from always_run(child)


def is_meant_unscaled(thing: Thing) -> bool:
    """Whether its docs or a comment say that scores are not scaled, or it
    is T5's attention, which has the scale in its first weights."""
    comments = re.findall(r"#[^\n]*", thing.source)
    said = "\n".join([thing.docs, *comments])
    is_t5 = re.search(r"t5", thing.name, re.I) or re.search(
        r"\bd_kv\b", thing.source
    )
    return is_t5 is not None or UNSCALED.search(said) is not None


def speaks_of_buckets(thing: Thing) -> bool:
    """Whether its source speaks of buckets, as T5's does of distances."""
    return "bucket" in f"{thing.source}{thing.helpers}".lower()


def has_a_diagonal(thing: Thing) -> bool:
    """Whether its source has a diagonal, as one joins it to a mask so that
    each token attends to itself, or never does."""
    return DIAGONAL.search(thing.source + thing.helpers) is not None


def speaks_of_alibi(thing: Thing) -> bool:
    """Whether its name or its source says ALiBi, and no argument does."""
    arguments = (*thing.parameters, *thing.call)
    return ALIBI.search(thing.source) is not None and not any(
        ALIBI.search(each.name) for each in arguments
    )


OWN_KEY_COUNTS = re.compile(
    r"includ\w+ (itself|its own|the (current|query))|"
    r"(itself|\bown( \w+)?|current( \w+)?) (is |being )?included|"
    r"counting (itself|its own)|"
    r"(window\w*|\bw\b)`* ?- ?1\b|"
    r"\blast `*(\w*window\w*|w)`* (keys|tokens|positions)|"
    r"\bof `*(\w*window\w*|w)`* keys, (its own|itself)",
    re.I,
)
WINDOWED = re.compile(r"window|local|band", re.I)
HALVES = re.compile(r"// ?2|>> ?1|/ ?2\b")


def reaches_of(thing: Thing, told: object = None) -> list[str]:
    """How far a window may reach that an argument tells, as keys of
    `variants.REACHES`: as its docs say, or whoever asks; a half only where
    the source has one."""
    docs = " ".join(thing.docs.split())
    if told or OWN_KEY_COUNTS.search(docs):
        return ["w - 1"]
    halves = HALVES.search(f"{thing.source}{thing.helpers}")
    return ["w - 1", "w", *(["w // 2"] if halves else [])]


def speaks_of_a_window(thing: Thing) -> bool:
    """Whether its name or its source speaks of one."""
    said = f"{thing.name}{thing.source}{thing.helpers}"
    return WINDOWED.search(said) is not None


def numbers_in(thing: Thing) -> list[float]:
    """The numbers above 0 in a source, each once."""
    found = re.findall(
        r"(?<![\w.])\d+(?:\.\d*)?(?:e-?\d+)?",
        f"{thing.source}\n{thing.helpers}",
    )
    return [*dict.fromkeys(float(n) for n in found if float(n) > 0)]


def speaks_of_causal(thing: Thing) -> bool:
    """Whether a name or a comment in the source says causal."""
    return SPOKEN.search(thing.source) is not None and not has_switch(thing)
