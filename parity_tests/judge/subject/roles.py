"""Roles: what each parameter of an unknown function is for.

By its name first, in any spelling; then by its default, its annotation
and its place. What is left with a default is left alone, and that is said
(`left_at_defaults`); what is left without one is found by trial.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from parity_tests.judge.candidate.things import Parameter, Thing

from .caches import CACHE, CacheRoles, cache_roles
from .forms import KEY, TEXTS_LAST
from .languages import in_english

# Each matches a whole name in lower case, without what stands around it.
PATTERNS = {
    "query": r"x?q(uer(y|ies))?s?",
    "key": r"x?k(ey)?s?",
    "value": r"x?v(al(ue)?s?)?s?",
    "lengths": r"(valid|key|seq|text|src|context)?_?(len(gth)?s?)",
    "mask": r".*mask.*|m|.*bias|hidden|hide|visible|allowed|keep|seen|"
    r"blocked|padding|.*_pad|valid|may_attend|ignored|(is_?)?missing|"
    r"adj(acency)?(_?mat(rix)?)?|real|is_?(real|valid|token|padd(ing|ed))|"
    r"(real|valid)_(tokens?|items?|keys?|positions?)|"
    r"(non|not)_?(pad(ding|ded)?)(_?(tokens?|items?|positions?))?",
    "causal": r"(is_?)?causal|use_causal.*|mask_future\w*|autoregressive",
    "scale": r"(softmax_?|sm_?|qk_?)?scal(e|ing)(_factor)?",
    "d_head": r"d_?k|dk|d_?head|head_?dim|d_?model|dim|d|dim_k|"
    r"key_?dim|head_?size|d_?keys?|embed_?dim|depth|n_?features",
    "dropout": r".*drop.*|p|rate",
    "training": r"(is_?)?train(ing)?|train_mode",
    "heads": r"(num_?|n_?)(attention_?|attn_?)?heads?|heads?|h|nheads?",
    "temperature": r"temp(erature)?|root_?d_?k",
    "aside": r"(return|need)_?.*|(output|with|get|average|avg)_"
    r"(attn|attentions?|weights?|probs?|scores?|hidden|hidden_states).*|"
    r"verbose|debug|name|dtype|device|rng|generator|seed|eps(ilon)?",
    "context": r"context|memory|cond|y|kv|xa|encoder_.*|enc_.*|source|src",
}
# What is done beside plain attention: numbers, and arrays of heads.
KINDS = {
    "window": (
        r"((sliding|local|attention|attn|left)_?)*window"
        r"(_?(size|length|len|left))?"
    ),
    "cap": (
        r"((attention|attn|logits?|scores?|soft)_?)*cap(ping)?"
        r"(_?(value|factor))?"
    ),
    "slopes": r"(alibi_?)?slopes?",
    "sinks": (
        r"((attention|attn|learned|per_head)_?)*sinks?"
        r"(_?(logits?|weights?|bias|scores?))?|s_aux"
    ),
}
NUMBERS = ("window", "cap")
WIDTH_OF_A_HEAD = re.compile(
    r"d_?k|d_?head|(head|key)_?(dim|size)|dim_?(k|head)"
)
AROUND = re.compile(
    r"_(states?|layers?|tensors?|mat(rix)?|vec(tor)?s?|in|input|t|seq)$|"
    r"^(inputs?|in|the|my)_|_+$|\d+$"
)


def plain_name(name: str) -> str:
    """A name in lower case, without "_states" and the like."""
    short = name.lower().strip("_")
    return AROUND.sub("", short) or short


def has_role(name: str, role: str) -> bool:
    name = in_english(name)
    # "hidden" is a mask, "hidden_states" is none.
    name = name.lower() if role == "mask" else plain_name(name)
    return re.fullmatch(PATTERNS[role], name) is not None


def global_widths(thing: Thing) -> list[str]:
    """The globals that a function uses as the width of a head: "d_k"."""
    names = (name for name, _ in thing.sizes)
    return [n for n in names if WIDTH_OF_A_HEAD.fullmatch(n.lower())]


def is_adjacency(name: str) -> bool:
    """Whether a mask tells which nodes of a graph have an edge."""
    return re.search(r"(^|_)adj(acency)?", name.lower()) is not None


def is_dropout_mask(name: str) -> bool:
    """Whether a mask tells which weights are kept in training."""
    return re.search(r"drop.*mask|^keep$", name.lower()) is not None


def keeps_weights(names: Iterable[str], said: str) -> bool:
    """Whether what is called `keep` tells which weights are kept in
    training, not which tokens: a rate stands beside it, what is kept is
    scaled up, or the docs say so."""
    takes_rate = any(has_role(name, "dropout") for name in names)
    scaled_up = r"/\s*\(?\s*1(\.0?)?\s*-\s*[a-z_]|/\s*\(?[\w.]*keep_?p"
    says_so = r"\bkeep\b[^.\n]*drop|drop[^.\n]*\bkeep\b[^.\n]*\bmask"
    return takes_rate or bool(re.search(f"{scaled_up}|{says_so}", said))


def first_of(names: Iterable[str], role: str) -> str | None:
    return next((name for name in names if has_role(name, role)), None)


@dataclass(frozen=True)
class Beside:
    """An argument that tells what is done beside plain attention: its
    name, which of KINDS it is, whether it is off by default, and whether
    it is a pair: how far a window reaches back, and forward."""

    name: str
    kind: str
    is_off: bool
    is_pair: bool = False


def kind_of(name: str) -> str | None:
    """Which of KINDS an argument or a weight is, by its name.

    >>> kind_of("sliding_window"), kind_of("softcap"), kind_of("mask")
    ('window', 'cap', None)
    """
    lowered = name.lower().strip("_")
    kinds = (
        k for k, names in KINDS.items() if re.fullmatch(names, lowered)
    )
    return next(kinds, None)


def beside_of(parameters: Iterable[Parameter]) -> Iterator[Beside]:
    """Those arguments; one that is no number by default is left alone."""
    for each in parameters:
        kind, default = kind_of(each.name), each.default
        is_off = not each.required and default in (None, 0)
        is_number = type(default) in (int, float) and kind in NUMBERS
        if kind == "window" and default == "<tuple>":
            yield Beside(each.name, kind, is_off=True, is_pair=True)
        elif kind and (each.required or is_off or is_number):
            yield Beside(each.name, kind, is_off)


@dataclass(frozen=True)
class Roles:
    """The parameters of a function of query, key and value, by role."""

    tensors: tuple[str, str, str]
    masks: tuple[str, ...] = ()
    required_masks: tuple[str, ...] = ()
    lengths: str | None = None
    causal: str | None = None
    scale: str | None = None
    heads: str | None = None
    fixed: tuple[tuple[str, object], ...] = ()
    unknown: tuple[str, ...] = ()
    left_alone: tuple[str, ...] = ()
    cache: CacheRoles = field(default_factory=CacheRoles)
    beside: tuple[Beside, ...] = ()


def qkv_of(names: list[str]) -> tuple[str, str, str] | None:
    """Query, key and value by their names; None unless all are there."""
    tensors = [first_of(names, role) for role in ("query", "key", "value")]
    return None if None in tensors else tuple(tensors)


def roles_of(parameters: tuple[Parameter, ...]) -> Roles | None:
    """Roles by name, for a function of query, key and value.

    None for a function that takes fewer than three arguments.
    """
    named = {each.name: each for each in parameters if each.is_named}
    names = list(named)
    tensors = qkv_of(names)
    if tensors is None:
        aside = ("mask", "lengths", "causal")
        tensors = tuple(n for n in names if named[n].required)[:3]
        if len(tensors) < 3 or any(first_of(tensors, r) for r in aside):
            return None
    beside = tuple(beside_of(named[n] for n in names if n not in tensors))
    told = (*tensors, *(each.name for each in beside))
    others = [name for name in names if name not in told]
    causal = first_of(others, "causal")
    masks = tuple(n for n in others if has_role(n, "mask") and n != causal)
    cache = cache_roles(tuple(named[n] for n in others if n not in masks))
    known = (*masks, causal, *cache.names)
    left = [name for name in others if name not in known]
    lengths = first_of(left, "lengths")
    numbers = [n for n in left if not isinstance(named[n].default, bool)]
    scale = first_of(numbers, "scale")
    heads = first_of(left, "heads")
    required = [n for n in (*masks, lengths) if n and named[n].required]
    fixed, unknown = list(cache.at_rest.items()), []
    for name in left:
        each = named[name]
        if name in (lengths, scale if not each.required else None, heads):
            continue
        is_flag = each.annotation.endswith("bool")
        if has_role(name, "dropout") and not is_flag:
            if each.required or isinstance(each.default, float | int):
                fixed.append((name, 0.0))
        elif has_role(name, "training"):
            fixed.append((name, False))
        elif has_role(name, "d_head") and each.required:
            fixed.append((name, "d_head"))
        elif each.required:
            unknown.append(name)
    known = {lengths, scale, *dict(fixed)}
    left_alone = [
        n for n in left if n not in known and is_left_alone(named[n])
    ]
    return Roles(
        tensors,
        masks,
        tuple(required),
        lengths,
        causal,
        scale,
        heads if heads and named[heads].required else None,
        tuple(fixed),
        tuple(unknown),
        tuple(left_alone),
        cache,
        beside,
    )


def is_left_alone(parameter: Parameter) -> bool:
    """Whether another value than its default could give another answer,
    and none is tried. Dropout and training aside, and what is returned
    beside the output."""
    aside = ("dropout", "training", "aside")
    return not parameter.required and not any(
        has_role(parameter.name, role) for role in aside
    )


def left_at_defaults(names: tuple[str, ...]) -> dict[str, str]:
    """What a report says of arguments that were left alone.

    Without its cache, half of what a decoder does was not asked.
    """
    return dict(map(left_at_default, names))


def left_at_default(name: str) -> tuple[str, str]:
    if CACHE.search(name.lower()):
        return "its cache", f"{name} was left at its default"
    return f"its argument {name}", "left at its default"


def backward_not_called(thing: Thing) -> dict[str, str]:
    """What a report says of a backward by hand that was left alone.

    Without it, half of what is done in training was not asked.
    """
    if not thing.backward:
        return {}
    return {"its backward": f"{thing.backward} was not called"}


# --- what a docstring or an annotation says of a mask --------------------

ATTENDS = (
    r"(kept?|keeps?|see[ns]?|attend\w*|may|can|visible|valid|real|allow\w*|"
    r"tokens?(?=\s*(?:[.,;)]|$|and\b|else\b))|unmasked|look\w*|"
    r"use[ds]?\b(?! an?\b)|participat\w*|present|to keep|"
    r"takes? part|no padding|真实|有效|可见|可以?看|保留|参与)"
)
HIDES = (
    r"(hid\w*|mask\w*|ignor\w*|pad\w*|block\w*|forbid\w*|future|drop\w*|"
    r"exclud\w*|remov\w*|(?:not|never) (?:to )?(?:be )?"
    r"(?:attend|see|use|allow|look)\w*|may not|must not|cannot|disallow\w*|"
    r"填充|屏蔽|遮|忽略|无效|不可见|不能看|不参与)"
)
ONE = r"(?:true|\bones?\b|(?<![\d.])1(?:\.0?)?s?(?![\d.])|nonzero)"
ZERO = r"(?:false|\bzeros?\b|(?<![\d.])0(?:\.0?)?s?(?![\d.]))"
BETWEEN = (
    r"means?|marks?|is|are|for|where|at|to|if|indicates?|->|→|:|=|a|an|the|"
    r"every|positions?|pairs?|keys?|we|of|that|query|queries|one|it|to|be|"
    r"tokens?|entries|values?|attention|will|do|does|should|"
    r"表示|代表|意味着|标记|为|是|的|位置|处|\s"
)
MARKS = r"[\s=:`'*<>\[\]]*"  # as around `<pad>` and [PAD]
LINK = rf"{MARKS}(?:{BETWEEN})*{MARKS}"
# Of what is hidden or seen, said before its number.
IS_MARKED_BY = (
    r" (is|are) (indicated|marked|denoted|flagged|represented|encoded) "
    rf"(by|with|as) (an? )?{MARKS}"
)
# Further away, only words that cannot be meant of anything else.
PLAINLY_ATTENDS = (
    r"(kept\b|visible|valid|real\b|attend|takes? part|participat|seen\b)"
)
PLAINLY_HIDES = (
    r"(hidden|masked|ignor|pad|block|forbid|exclud|removed|"
    r"(not|never|no longer) (\w+ )?(attend|seen?|valid|visible|real|kept))"
)
# Right before a word, with small words between: "is not a <pad>".
DENIED = re.compile(
    r"(\b(not|no|non|unless|except|other than|all but|without)\b|!=|≠)"
    r"([\s`*'<\[-]|\b(an?|the|is|are|at|be|to|of|for|it|they|any|equal|"
    r"part|tokens?|positions?|items?|where|there)\b)*$"
)
ENTRY = r"\b(?!true\b|false\b)[a-z_]\w*\s*(?:\([^)]*\)\s*)?:"
NEARBY = r"(?:(?!\btrue\b|\bfalse\b)[^.;()])*"
MINUS = "[-\N{MINUS SIGN}]"
SELF_LOOPS = (
    r"\badd(ed|s)?\b(?=[^.]*self.?loop)|self.?loops?[^.]*?\badded\b"
)
LOW = rf"{MINUS}\s?(inf|1e\d|10[0_,]{{2,}}|∞)|\bfinfo\b|large negative"
FILLED = r"\b(fill\w*|sets?|replac\w*|becom\w*|gets?|assign\w*)\b"


def stated_meaning(text: str, name: str) -> str | None:
    """What is said of a mask: "attends", "hidden", "added", or None."""
    said = " ".join(" ".join(sentences_of(text.lower(), name)).split())
    entry = own_entry(said, name.lower())
    return meaning_in(entry) or meaning_in(said) or meaning_nearby(entry)


def meaning_in(said: str) -> str | None:
    """What is said right beside a number."""
    # Scores that are set to -inf say nothing of what the mask holds.
    own = re.sub(rf"{FILLED}[^.]*?{LOW}|{SELF_LOOPS}", "", said)
    if re.search(rf"\badd(ed|itive|s)?\b|{LOW}", own):
        return "added"
    for number, does, meaning in (
        (ONE, HIDES, "hidden"),
        (ONE, ATTENDS, "attends"),
        (ZERO, HIDES, "attends"),
        (ZERO, ATTENDS, "hidden"),
    ):
        marked = rf"\b{does}( \w+)?{IS_MARKED_BY}{number}"
        if re.search(rf"{number}{LINK}{does}|{marked}", said):
            return meaning
    return None


def comments_on(source: str, name: str) -> str:
    """The comments that begin with a mask's name, and what goes on under
    them; and those beside the mask in a signature.

    >>> comments_on("# mask = [n, n], 0 is padding\\n# x: tokens", "mask")
    'mask = [n, n], 0 is padding'
    """
    own = re.compile(
        rf"\W*{re.escape(name)}\b\W*([:=,(\[]|is\b|has\b|marks?\b)"
    )
    entry = (
        rf"\s*(def\b.*[(,]\s*)?{re.escape(name)}\s*([:=][^#]*)?[,)]*:?\s*"
    )
    comments, goes_on = [], False
    for line in source.split("\n"):
        code, sign, comment = line.partition("#")
        of_another = re.match(r"\s*\w+\s*[:=]", comment)
        if re.match(rf"\s*def \w+\((self, )?{re.escape(name)}\b", code):
            comment = re.sub(r"^\s*(?=[(\[])", f"{name}: ", comment)
        goes_on = bool(sign) and (
            own.match(comment) is not None
            or re.fullmatch(entry, code) is not None
            or (goes_on and not code.strip() and not of_another)
        )
        if goes_on:
            comments.append(comment.strip())
    return "\n".join(comments)


def own_entry(said: str, name: str) -> str:
    """What stands under a mask's own name, or before any name.

    >>> own_entry("x: tokens mask: bool causal: if true, all is", "mask")
    'mask: bool '
    """
    begins = [match.start() for match in re.finditer(ENTRY, said)]
    bounds = pairwise([0, *begins, len(said)])
    prose, *entries = [said[begin:end] for begin, end in bounds]
    own = [e for e in entries if re.match(rf"{re.escape(name)}\b", e)]
    return " ".join(own) or prose


def sentences_of(text: str, name: str) -> Iterator[str]:
    """The sentences that speak of a mask, and those that go on: "True:
    may be seen."."""
    goes_on = False
    for sentence in re.split(r"(?<=[^\d])\.\s|\n\s*\n", text):
        named = "mask" in sentence or name.lower() in sentence
        value = re.match(rf"\W*({ONE}|{ZERO})", sentence) is not None
        goes_on = named or (goes_on and value)
        if goes_on:
            yield sentence


def meaning_nearby(said: str) -> str | None:
    """What the words after True or False mean, whichever come first.

    >>> meaning_nearby("true: the element takes part in attention")
    'attends'
    >>> meaning_nearby("false for the encoder's tokens that are real")
    'hidden'
    >>> meaning_nearby("true where tokens are not padding")
    'attends'
    """
    opposite = {"attends": "hidden", "hidden": "attends"}
    words = {"attends": PLAINLY_ATTENDS, "hidden": PLAINLY_HIDES}
    for value, after in re.findall(rf"\b(true|false)\b({NEARBY})", said):
        places = {
            meaning: match.start()
            for meaning, word in words.items()
            if (match := re.search(rf"\b{word}", after))
        }
        if places:
            meaning = min(places, key=places.get)
            if DENIED.search(after[: places[meaning]]):
                meaning = opposite[meaning]
            return meaning if value == "true" else opposite[meaning]
    return None


def stated_axes(text: str, name: str) -> str | None:
    """The axes that a docstring gives a mask, as one of `forms.AXES`:
    "mask (batch, query, key)", "mask: [b, 1, q, k]", or "mask (T,)"."""
    pattern = rf"\b{re.escape(name)}\b[`\s:=,\w]{{0,16}}[\[(]([^\])]*)[\])]"
    match = re.search(pattern, text, re.IGNORECASE)
    if match is None:
        return None
    axes = [part.strip().lower() for part in match[1].split(",")]
    is_one = len(axes) == 2 and not axes[1]
    ones = [part.startswith("1") for part in axes]
    of_texts = re.match(r"b|[nu]$|text|user", axes[0]) is not None
    if is_one:
        return None if of_texts else KEY
    if len(axes) == 4 and of_texts:
        return (
            "text, 1, 1, key" if all(ones[1:3]) else "text, 1, query, key"
        )
    if len(axes) == 3 and of_texts:
        return "text, 1, key" if ones[1] else "text, query, key"
    if len(axes) == 3 and re.match(r"b|text", axes[2]):
        return TEXTS_LAST
    if len(axes) == 2:
        of_keys = of_texts and axes[0] != axes[1]
        return "text, key" if of_keys else "query, key"
    return None


def have_one_shape(text: str, names: tuple[str, ...]) -> bool:
    """Whether a docstring gives all of these arrays one shape: "q, k, v:
    (batch, heads, tokens, features)"."""
    joint = r"[`\s]*(?:,|and|,\s*and)[`\s]*"
    pattern = joint.join(rf"\b{re.escape(name)}\b" for name in names)
    return re.search(rf"{pattern}[`\s:=\w]{{0,16}}[(\[]", text) is not None


SHAPE = r"[(\[]([^()\[\]\n]*,[^()\[\]\n]*)[)\]]"
AXIS_NAME = r"[`\s]*[\w+*./-]+( \w+){0,2}[`\s]*"
END_OF_ENTRY = r"->|→|\n\s*\n|[\n;,.]\s*\w+\s*(?::|=\s*[(\[])"


def stated_rank(parameter: Parameter, docs: str, source: str) -> int | None:
    """How many axes an array has, by what is said of it: "x: (batch,
    tokens, d_model)", or `Float[Array, "batch tokens d_model"]`; None
    where that is open."""
    name, annotation = parameter.name, parameter.annotation
    shapes = re.findall(r"[\"']([\w\s.*#]+)[\"']\]", annotation)[:1]
    shapes = [shape.split() for shape in shapes]
    said = f"{docs}\n{comments_on(source, name)}"
    for match in re.finditer(rf"\b{re.escape(name)}\b[^\n(\[]*", said):
        entry, *_ = re.split(END_OF_ENTRY, said[match.end() :])
        shapes += [s.split(",") for s in re.findall(SHAPE, entry)]
    shapes = [
        shape
        for shape in shapes
        if all(re.fullmatch(AXIS_NAME, axis) for axis in shape)
    ]
    is_open = any("..." in a or a[0] in "*#" for s in shapes for a in s)
    ranks = {len(shape) for shape in shapes}
    return ranks.pop() if len(ranks) == 1 and not is_open else None


# --- what else a docstring says ------------------------------------------

LAST_QUERIES = re.compile(
    r"last (n |few )?(query|queries|tokens?)|(bottom|lower).?right|"
    r"quer(y|ies) (are|is|stands?) (at )?the (last|end)|"
    r"new(est)? (query|queries|tokens?)"
)
SIZE = r"\b(seq\w*|time|tokens|len(gth)?\w*|\w+_len(gth)?|t|l|s|n)"
TEXTS = r"\b(n?_?batch\w*|b|n|bs|bsz|texts)"
# A third axis of tokens would be that of a mask, or of weights.
NO_THIRD = rf"(?!\s*({SIZE}|{TEXTS})\W)"
ORDERS = {"tokens": (SIZE, TEXTS), "texts": (TEXTS, SIZE)}
ORDER_IN_A_WORD = {
    "tokens": r"\b((lnd|tbc|lbd|tnc|sbh|lne)|"
    r"(seq(uence)?|time|tokens?)[- ](first|major))\b",
    "texts": r"\b((nld|btc|bld|ntc|bsh|nle)|batch[- ](first|major))\b",
}
ZEROS = re.compile(
    r"(fully masked|may attend to nothing|attends? to nothing|no keys?|"
    r"nothing to attend)[^.]*(zeros?|\b0\b)"
)


CAUSAL = (
    r"(?<!non)(?<!non[-_ ])(?<!not )(?<!not a )(?<!no )(?<!without )"
    r"(causal|autoregressive)"
)


def is_said_to_be_causal(name: str, docs: str) -> bool:
    """Whether a function is called causal, or says that it is."""
    lowered = f"{name} {docs}".lower()
    return re.search(CAUSAL, lowered) is not None


def aligns_last(docs: str) -> bool:
    """Whether fewer queries are said to be the last ones."""
    return LAST_QUERIES.search(docs.lower()) is not None


def stated_first(
    docs: str, source: str = "", names: Iterable[str] = ()
) -> str | None:
    """Which axis of its tokens comes first, "tokens" or "texts"; None
    where nothing tells.

    Docstrings, and comments on the arguments `names`, go before how the
    source takes the shapes of these apart.
    """
    comments = (comments_on(source, name) for name in names)
    said = "\n".join([docs, *comments]).lower()
    code = source.lower()
    named = "|".join(re.escape(name.lower()) for name in names)
    every = rf"\s*=\s*({named})\.(shape|size\()"
    first = rf"\s*=\s*({named})\.(shape\[0\]|size\(0\))"
    ways = (
        (said, r"[\[(]\s*{0}\s*,\s*{1}\s*," + NO_THIRD + r"[\w/* ]+[\])]"),
        (said, r"{0} [x×] {1} [x×] \w+"),
        (said, r"{2}"),
        (code, rf"{{0}}\s*,\s*{{1}}\s*,\s*\w+{every}"),
        (code, rf"(?!n\b){{0}}{first}"),
    )
    for text, way in ways[: None if named else 3]:
        for which, axes in ORDERS.items():
            pattern = way.format(*axes, ORDER_IN_A_WORD[which])
            if re.search(pattern, text):
                return which
    return None


def gives_zeros(docs: str) -> bool:
    """Whether a fully masked row is said to get zeros."""
    return ZEROS.search(" ".join(docs.lower().split())) is not None
