"""Building a class of attention: sizes, and arguments by their names.

Constructors are called by the names that courses and libraries use; what
a class insists on, such as d_in = d_out or a multiple of 8, is found by
trial.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

from parity_tests.judge.candidate.things import (
    Parameter,
    Thing,
    takes_attention,
)
from parity_tests.judge.candidate.values import CONFIGURATION
from parity_tests.judge.candidate.wire import Record
from parity_tests.judge.subject.beside import IN_WINDOWS
from parity_tests.judge.subject.languages import in_english
from parity_tests.judge.subject.roles import KINDS, is_left_alone
from parity_tests.judge.verdict.protocol import NotJudged

DROPPED = 0.5
REACH = 3  # of a sliding window, which most inputs show
WIDEST = 1024  # features
MOST_TEXTS = 256  # that a cache must have room for


@dataclass(frozen=True)
class Sizes:
    """The sizes of a layer; `context` is how many tokens it must take.
    Where it is made for windows of one size, `window` is how long they
    are along each axis, and `window_size` what says so; `reach` is what
    a sliding window is told, and `cap` what caps its scores."""

    d_in: int
    d_out: int
    heads: int
    context: int = 7
    window: tuple[int, ...] = ()
    window_size: int | tuple[int, ...] = 0
    reach: int = 0
    cap: float = 5.0

    @property
    def d_head(self) -> int:
        return self.d_out // self.heads

    def with_larger_windows(self) -> "Sizes":
        window = tuple(size + 1 for size in self.window)
        reach = self.reach and self.reach + 2
        is_pair = isinstance(self.window_size, tuple)
        return replace(
            self,
            window=window,
            reach=reach,
            window_size=window if is_pair else sum(window[:1]),
        )


# From the most telling on: different widths, equal ones, multiples of 64.
FIRST = (
    Sizes(10, 12, 3),
    Sizes(12, 12, 3),
    Sizes(64, 64, 4, 16),
    Sizes(256, 256, 4, 16),
)
SECOND = (
    Sizes(14, 32, 4, 40),
    Sizes(32, 32, 4, 40),
    Sizes(16, 16, 2, 40),
    Sizes(128, 128, 4, 40),
    Sizes(256, 256, 2, 40),
)

NAMES = {
    "temperature": r"temp(erature)?",
    "d_in": r"(d|dim|in|input)_?(in|input|dim|size|features?)|"
    r"in_ch(annels)?|(key|query|value)_?size|d_?x|n_?inputs?",
    "d_others": r"(d|dim)_?(context|cross|mem(ory)?|enc(oder)?|source|"
    r"src|cond)|(context|cross(_?att(entio)?n)?|enc(oder)?|mem(ory)?|"
    r"source|src|cond|feats?|image|img|vision|visual|region|text|txt|audio)"
    r"_?(feat(ure)?s?_?)?(dim|d|features|channels)",
    "d_value": r"d_?v|dim_?v|d_?values?|v_?dim|value_?dim",
    "d_head": r"d_?[kq]|dim_?(head|[kq])|(d_?)?head_?(dim|size)|d_?head|"
    r"query_pre_attn_scalar|"  # Gemma's, the root of which is its scale
    r"(dim|size)_?per_?head|d_?(key|value|query)s?|(qkv|key)_?dim|"
    r"(hidden|attention)_?head_?size",
    "heads": r"(num|n|nb|nr)_?(of_?)?(attention_?|attn_?|q_?|query_?)?"
    r"heads?|(a|att|attn)?_?heads?|n?h|nheads?|"
    r"heads?_?(num|count|number)",
    "kv_heads": r"((num|n|nb|nr)_?(of_?)?)?(key(_?value)?|kv)_?"
    r"(head|group)s?|(num|n|nb|nr)_?(of_?)?(key_?value|kv|query_?groups?)",
    "texts": r"(max_?)?(batch|bs|bsz|texts)(_?size)?",
    "reach": r"((sliding|local|attention|attn)_?)*window(_?(size|len|"
    r"length))?",
    "cap": KINDS["cap"],
    "latent": r"((q|kv|query|key_value)_?)?(lora_?rank|latent_?(dim|size)?|"
    r"rank|compress(ed|ion)?_?(dim|size))|d_?(c|latent)|dc(kv|q)?",
    "context": r"(context|block|max|seq|sequence|window)_?(length|len|size|"
    r"seq_?len(gth)?|position_?embeddings|positions)|n_?positions|"
    r"n_?ctx|ctx_?len|max_?seq(uence)?_?len(gth)?|max_?t|t_?max|seqlen|"
    r"max_?(tokens|n|context|pos(itions)?)",
    "dropped": r".*drop.*|pdrop|p|rate",
    "biased": r"(qkv_?|use_?|with_?|attn_?|attention_?|proj_?)?bias",
    "d_out": r"(d|dim|out|output|model|emb|embed|embd|embedding|embeddings|"
    r"hidden|hid|feature|features|n|num|proj|projection|a|att|attn|attention|"
    r"query)_?(out|output|model|dim|d|size|embd?|embed|hiddens?|features?|"
    r"units|channels|embedding)s?|d|e|k|c|dim|dmodel|embed|emb|width|units|"
    r"hidden|size|channels|all_head_size|n_?x|n_?state|n_?embd?",
}
# What is called so beside the other count of heads: as short as that.
BESIDE = {
    "heads": ("kv_heads", r"(num|n|nb|nr)_?(q|query|queries)|q_?heads?"),
    "kv_heads": ("heads", r"((num|n|nb|nr)_?(of_?)?)?groups?"),
}
FIXED = {
    "batch_first": True,
    "device": "cpu",
    "layer_idx": 0,
    "layer_id": 0,
    "layer_number": 0,
    "causal": False,
    "is_causal": False,
    "masked": False,
    "is_cross_attention": False,
}
# A scale that can be left out is wanted.
SWITCHED_ON = ("scale", "scaled", "use_scale", "with_scale")
SWITCHED_ON += ("mask_flag", "use_mask")  # and so is a mask
CONFIGURATIONS = (
    *("config", "cfg", "args", "params", "hparams", "conf", "c"),
    *("opts", "options", "settings"),
)

# Windows, as rows and columns or tokens alone, and how they are told.
WINDOWS = (
    ((2, 3), (2, 3)),
    ((3, 3), 3),
    ((3, 3), (3, 3)),
    ((5,), 5),
)


def in_windows(thing: Thing) -> bool:
    """Whether it seems to be made for windows of one size."""
    return (
        thing.is_class
        and IN_WINDOWS.search(thing.source) is not None
        and (takes(thing, "context") or takes(thing, "reach"))
    )


def sizes_of_globals(thing: Thing) -> Iterator[Sizes]:
    """Sizes for a class whose width is a global of its file, and perhaps
    the number of its heads."""
    told = heads_of_globals(thing)
    for name, width in thing.sizes:
        if size_named(name) not in ("d_in", "d_out") or width > WIDEST:
            continue
        may_be = (n for n in (*told, 4, 3, 2) if width % n == 0)
        yield Sizes(width, width, next(may_be, 1))


def heads_of_globals(thing: Thing) -> list[int]:
    """How many heads it has, as numbers of its file say."""
    return [
        n for name, n in thing.sizes if size_named(name) == "heads" and n
    ]


@cache  # asked of the same few names, thousands of times
def size_named(name: str) -> str | None:
    """Which size an argument is, by its name; None if it is unknown."""
    lowered = in_english(name).lower().strip("_")
    for size, pattern in NAMES.items():
        if re.fullmatch(pattern, lowered):
            return size
    return None


def sizes_named(
    names: Iterable[str], size: Callable = size_named
) -> dict[str, str | None]:
    """Which size each name is, by itself or beside the others.

    >>> sizes_named(["n_q", "n_kv"])
    {'n_q': 'heads', 'n_kv': 'kv_heads'}
    """
    alone = {name: size(name) for name in names}
    known = set(alone.values())
    return {
        name: told or beside(name, known) for name, told in alone.items()
    }


def beside(name: str, known: set[str | None]) -> str | None:
    """Which count of heads a name is beside the other, if that is known
    and no name is plainly this one."""
    return next(
        (
            size
            for size, (other, pattern) in BESIDE.items()
            if other in known and size not in known
            if re.fullmatch(pattern, name.lower().strip("_"))
        ),
        None,
    )


def sizes_of_arguments(thing: Thing) -> dict[str, str | None]:
    """Which size each argument of a constructor is, by its name; those
    of a group norm or a convolution are not of heads."""
    names = [each.name for each in thing.parameters]
    sizes = sizes_named(names)
    others = re.search(
        r"group_?norm|conv(\d|olution)", thing.source + thing.helpers, re.I
    )
    return {n: size_named(n) for n in names} if others else sizes


# Words of a name of which a configuration is asked for a size: one of
# each set, the most telling first.
WIDTHS = {"dim", "size", "width", "d", "features", "units", "channels"}
WORDS = (
    ("dropped", {"drop", "dropout"}),
    ("biased", {"bias"}),
    ("kv_heads", {"kv"}, {"heads", "groups"}),
    ("heads", {"heads", "nhead", "nheads"}),
    ("heads", {"head"}, {"n", "num", "nb", "number", "multi"}),
    ("d_head", {"head"}, WIDTHS),
    ("d_head", {"k", "key", "q", "query", "kv"}, WIDTHS),
    ("d_value", {"v", "value"}, WIDTHS),
    ("context", {"len", "length", "positions", "context", "block"}),
    ("d_in", {"in", "input"}, WIDTHS),
    ("d_out", {"embed", "embedding", "emb", "model"}, WIDTHS),
    ("d_out", {"hidden", "hidn", "hid"}, WIDTHS),
    ("d_out", {"attn", "attention", "encoder", "decoder"}, WIDTHS),
)
OF_OTHER_PARTS = {
    *("ff", "ffn", "mlp", "inner", "intermediate", "vocab", "layers"),
    *("image", "patch", "kernel"),
}


@cache  # as size_named
def size_asked(name: str) -> str | None:
    """Which size a configuration is asked for by this name, which may
    have more words than an argument's: "attn_embed_dim"."""
    words = set(
        re.sub(r"([a-z])([A-Z])", r"\1_\2", in_english(name))
        .lower()
        .split("_")
    )
    told = (
        size
        for size, *needed in WORDS
        if all(map(words.intersection, needed))
    )
    known = None if words & OF_OTHER_PARTS else next(told, None)
    return size_named(name) or known


def sizes_asked(names: Iterable[str]) -> dict[str, str | None]:
    """Which size each of the names is that a configuration is asked for."""
    return sizes_named(names, size_asked)


def takes(thing: Thing, size: str) -> bool:
    """Whether the constructor takes such a size, or a configuration that
    it asks for it, as far as can be seen."""
    others = []
    for each in thing.parameters:
        if not is_configured(thing, each):
            others.append(each)
            continue
        names = names_asked(thing.source, each.name)
        if not names or size in sizes_asked(names).values():
            return True
    if size == "dropped":  # which an attention that is passed on may do
        others += (p for each in thing.attentions for p in each.parameters)
    return names_size(others, size)


def names_size(parameters: Iterable[Parameter], size: str) -> bool:
    """Whether one of them is called like that size."""
    names = [each.name for each in parameters]
    return size in sizes_named(names).values()


def is_unknown(thing: Thing, parameter: Parameter) -> bool:
    """Whether nothing says that it is a size or a configuration."""
    return (
        parameter.is_named
        and sizes_of_arguments(thing)[parameter.name] is None
        and not is_an_attention(thing, parameter)
        and not is_configured(thing, parameter)
    )


def is_an_attention(thing: Thing, parameter: Parameter) -> bool:
    """Whether an argument takes an attention, of a class of its file."""
    return bool(thing.attentions) and takes_attention(parameter)


def is_configuration(parameter: Parameter) -> bool:
    name = parameter.name.lower()
    annotated = "config" in parameter.annotation.lower()
    return annotated or (name in CONFIGURATIONS and name != "c")


def is_configured(thing: Thing, parameter: Parameter) -> bool:
    """Whether a constructor's argument is a configuration: by its name,
    or as the class reads a width or a number of heads from it."""
    asked = names_asked(thing.source, parameter.name)
    telling = {"d_in", "d_out", "heads"} & set(map(size_asked, asked))
    return is_configuration(parameter) or (
        parameter.required and bool(telling)
    )


@cache
def names_asked(source: str, configuration: str) -> tuple[str, ...]:
    """The names that a class asks its configuration for, by its source.

    >>> names_asked("C.width + C['heads'] + C.get('bias', 0)", "C")
    ('width', 'heads', 'bias')
    """
    own = rf"\b(?:{configuration}|{unmangled(configuration)})"
    entry = r"[\"'](\w+)[\"']"
    asked = rf"{own}(?:\.(\w+)\b(?!\()|\[{entry}\]|\.get\({entry})"
    return tuple("".join(found) for found in re.findall(asked, source))


def unmangled(name: str) -> str:
    """A name as the source of a class has it, where two underscores begin
    it.

    >>> unmangled("_Attention__config")
    '__config'
    """
    return re.sub(r"^_[a-zA-Z]\w*?(?=__[a-zA-Z])", "", name)


def arguments_for(
    thing: Thing,
    sizes: Sizes,
    head: int,
    biased: bool = True,
    guesses: tuple[str, ...] = (),
    values_apart: bool = False,
    optional: tuple[str, ...] = (),
) -> dict:
    """The constructor's arguments; `head` is what a head's width is, and
    `guesses` which sizes arguments of unknown names may be. Values have
    a width of their own where they stand `values_apart`. Sizes that are
    None by default are given if they are among the `optional`.

    Raises NotJudged for an argument without a default that is unknown.
    """
    values = values_of(sizes, head, biased)
    if values_apart:
        values["d_value"] += 2
    sizes_told = sizes_of_arguments(thing)
    if first_width := first_of_two_widths(thing):
        sizes_told[first_width] = "d_in"
    arguments, unknown = {}, []
    for each in thing.parameters:
        name, size = each.name.lower(), sizes_told[each.name]
        if not each.is_named:
            continue
        if is_configured(thing, each):
            arguments[each.name] = configuration(
                thing, each.name, each.annotation, values
            )
        elif is_an_attention(thing, each):
            arguments[each.name] = an_attention(thing, sizes, head, biased)
        elif name in FIXED and (each.required or name == "batch_first"):
            arguments[each.name] = FIXED[name]
        elif each.name in switched_on(thing):
            arguments[each.name] = True
        elif size == "biased":
            arguments[each.name] = biased
        elif size and (
            each.required or is_number(each) or each.name in optional
        ):
            arguments[each.name] = values[size]
        elif each.required:
            unknown.append(each)
    for index, each in enumerate(unknown):
        if index < len(guesses):
            arguments[each.name] = values[guesses[index]]
        else:
            arguments[each.name] = by_annotation(thing, each, values)
    return arguments


PLAIN = re.compile(r"full|scaled|dot|plain|vanilla", re.I)


def an_attention(
    thing: Thing, sizes: Sizes, head: int, biased: bool
) -> Record:
    """An attention of the file, to be made for a constructor: one that is
    called plain before others."""
    every = sorted(
        thing.attentions, key=lambda each: not PLAIN.search(each.name)
    )
    arguments = arguments_for(every[0], sizes, head, biased)
    return Record(every[0].name, False, **arguments)


def values_of(sizes: Sizes, head: int, biased: bool = True) -> dict:
    """What each size of NAMES is, with heads of this width."""
    return {
        "temperature": head**0.5,
        "d_in": sizes.d_in,
        "d_others": sizes.d_in,  # other tokens, to attend to
        "d_out": sizes.d_out,
        "d_value": head,
        "d_head": head,
        "heads": sizes.heads,
        "kv_heads": sizes.heads // 2 if sizes.heads % 2 == 0 else 1,
        "texts": MOST_TEXTS,
        "context": sizes.window_size or sizes.context,
        "reach": sizes.window_size or sizes.reach or sizes.context,
        "cap": sizes.cap,
        "latent": sizes.d_out // 2,
        "dropped": DROPPED,
        "biased": biased,
    }


def values_for_a_call(sizes: Sizes) -> dict:
    """What a function is given that has no state of training: it drops
    nothing."""
    return values_of(sizes, sizes.d_head) | {"dropped": 0.0}


# Widths of tokens, which are here as wide as the queries'.
OF_TOKENS = r"q|k|v|context|cross|mem|enc|src"


def first_of_two_widths(thing: Thing) -> str | None:
    """The first of several arguments that are called like widths of the
    model: its tokens may be as wide as that, and are of another width."""
    sizes = {each.name: size_named(each.name) for each in thing.parameters}
    widths = [name for name, size in sizes.items() if size == "d_out"]
    has_two = len(widths) > 1 and "d_in" not in sizes.values()
    of_tokens = any(re.match(OF_TOKENS, name) for name in widths)
    return widths[0] if has_two and not of_tokens else None


GUESSES = ("d_out", "context", "heads", "d_in", "dropped")


def guesses_for(thing: Thing) -> Iterator[tuple[str, ...]]:
    """What sizes the constructor's unknown arguments may be."""
    count = sum(
        each.required
        and is_unknown(thing, each)
        and each.name.lower() not in FIXED
        for each in thing.parameters
    )
    yield ()
    if 0 < count < 3:
        yield from product(GUESSES, repeat=count)


def optional_sizes(thing: Thing) -> Iterator[tuple[str, ...]]:
    """Which sizes that are None by default to give: none of them; then,
    for a class that needs one, the widths of the model, or all."""
    sizes = {
        each.name: size_named(each.name)
        for each in thing.parameters
        if not each.required and each.default is None and each.is_named
    }
    known = tuple(name for name, size in sizes.items() if size)
    widths = tuple(n for n in known if sizes[n] in ("d_in", "d_out"))
    yield from dict.fromkeys(((), widths, known))


def switched_on(thing: Thing) -> tuple[str, ...]:
    """The constructor's arguments that are False by default, and True
    here."""
    return tuple(
        each.name
        for each in thing.parameters
        if each.name.lower() in SWITCHED_ON and each.default is False
    )


def left_alone(thing: Thing) -> tuple[str, ...]:
    """The constructor's arguments that keep their defaults, though others
    could give other answers."""
    return tuple(
        each.name
        for each in thing.parameters
        if is_unknown(thing, each)
        and is_left_alone(each)
        and each.name not in ("batch_first", *switched_on(thing))
    )


def is_number(parameter: Parameter) -> bool:
    """Whether the default is a number that may be another one."""
    return type(parameter.default) in (int, float)  # which no bool is


def by_annotation(thing: Thing, parameter: Parameter, values: dict):
    """A value for an unknown argument, by its annotation alone."""
    by_kind = {"int": values["d_out"], "float": 0.0, "bool": False}
    for kind, value in by_kind.items():
        if kind in parameter.annotation.split(".")[-1]:
            return value
    raise NotJudged(
        f"{thing.name} is built from {parameter.name}, of which the judge "
        "does not know what it is; a default for it, or a name such as "
        "d_model, num_heads or dropout, would let it be judged"
    )


# The names under which configurations are asked for sizes.
ASKED = {
    "d_in": ("d_in", "input_dim", "in_dim"),
    "d_out": (
        *("d_out", "d_model", "dim", "n_embd", "embed_dim", "emb_dim"),
        *("embedding_dim", "hidden_size", "hidden_dim", "emb_size"),
        *("n_embed", "embed_size", "model_dim", "dmodel", "num_hiddens"),
        "width",
    ),
    "d_head": ("d_head", "head_dim", "head_size", "d_k", "d_v", "dim_head"),
    "heads": (
        *("num_attention_heads", "num_heads", "n_heads", "heads", "n_head"),
        *("h", "nhead", "num_attn_heads"),
    ),
    "kv_heads": ("num_key_value_heads", "n_kv_heads", "num_kv_heads"),
    "context": (
        *("context_length", "block_size", "max_len", "max_seq_len"),
        *("context_size", "seq_len", "n_positions", "n_ctx", "ctx_len"),
        *("max_position_embeddings", "max_sequence_length"),
        "max_seq_length",
    ),
    "texts": ("max_batch_size", "batch_size"),
    "dropped": (
        *("dropout", "dropout_p", "p_drop", "attn_pdrop", "resid_pdrop"),
        *("drop_rate", "dropout_rate", "attn_dropout", "attention_dropout"),
        *("attention_probs_dropout_prob", "hidden_dropout_prob", "pdrop"),
    ),
    "biased": ("bias", "qkv_bias", "use_bias", "attention_bias"),
}


def configuration(
    thing: Thing, name: str, annotation: str, values: dict
) -> Record:
    """Sizes under all of their names: the file's own configuration class
    if one is annotated or there is only one, else one of ours. What is no
    size is as the file gives it."""
    sizes = {
        name: values[size]
        for size, names in ASKED.items()
        for name in names
    }
    own, required = own_configuration(thing, annotation)
    given = dict(thing.literals)
    for asked, size in sizes_asked(names_asked(thing.source, name)).items():
        if size is not None:
            sizes[asked] = values[size]
        elif asked in given and own == CONFIGURATION:
            sizes.setdefault(asked, given[asked])
    for each in required:  # a number, also where attention has no use of it
        size = size_asked(each)
        other = given.get(each, values["d_out"])
        sizes.setdefault(each, values[size] if size else other)
    return Record(own, False, **sizes)


def own_configuration(
    thing: Thing, annotation: str
) -> tuple[str, tuple[str, ...]]:
    """The file's configuration class, and what it requires: one that is
    annotated, or the only one that is called so."""
    annotated = [n for n in thing.configurations if n[0] in annotation]
    called = [
        n
        for n in thing.configurations
        if n[0].lower().endswith(("config", "conf", "cfg"))
    ]
    if annotated or len(called) == 1:
        return (annotated or called)[0]
    return CONFIGURATION, ()


def width_of_a_head(thing: Thing, sizes: Sizes, of_all: bool) -> int:
    """What a head's width may be: of one head of several, or of all.

    Beside a width of the model it is another one.
    """
    is_one = takes(thing, "heads") or takes(thing, "d_out")
    return sizes.d_head if is_one and not of_all else sizes.d_out
