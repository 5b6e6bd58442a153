"""Things: what a file defines, described in plain values.

Signatures, defaults, annotations and docstrings say how a function wants
to be called. A description never raises, whatever the thing does.
"""

import ast
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import pairwise
from textwrap import dedent

MOST = 20_000  # characters of a docstring or a source
CALLS = ("forward", "fwd", "__call__", "call", "attend", "compute", "apply")
MAKES_A_TABLE = re.compile(
    r"(?!apply|rotate|reshape).*(freqs|frequencies|rope|rotary|_cis|"
    r"cos_?(and_?)?sin|sin_?(and_?)?cos).*",
    re.I,
)
HOLDS_SIZES = re.compile(
    r"(config(uration)?|conf|cfg|args|arguments|(hyper|h)?_?param(eter)?s|"
    r"options|settings)$",
    re.I,
)
PASSED_ATTENTION = re.compile(
    r"((self|inner|base|core)_)?(attention|attn)"
    r"(_?(fn|func(tion)?|op|module|layer|mechanism))?",
    re.I,
)
CALLS_A_BASE = r"\bsuper\([^()]*\)\.(\w+)\("
BACKWARD = re.compile(
    r"_?(backward\w*|back_?prop\w*|bprop|bwd|vjp|"
    r"((compute|calculate|calc|get)_)?grad(ient)?s?)",
    re.I,
)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a signature.

    `default` is a number, a text, None, or `<its type>` for what is none
    of these; `kind` is "plain", "keyword only", "*" or "**".
    """

    name: str
    kind: str = "plain"
    required: bool = True
    default: object = None
    annotation: str = ""

    @property
    def is_named(self) -> bool:
        return self.kind in ("plain", "keyword only")


@dataclass(frozen=True)
class Thing:
    """A function, or a class: `call` is the signature of its method.

    `sizes` are the whole numbers among the globals that it uses;
    `library` is that of its arrays, as far as its globals tell; `helpers`
    are the sources of what else of its file it names, `calls` are those
    that its file makes of it, `literals` what the file gives by a name
    that it has: numbers, texts, switches; `backward` is the name of a
    method that computes gradients by hand, "" where there is none, and
    `back` is what that takes; `tables` are the functions of its file that
    make a rotary table, and `configurations` its classes that hold sizes,
    each with the arguments that it requires; `attentions` are the classes
    of query, key and value that a constructor may be passed an instance
    of; `makers` are the functions of its file for masks that its text
    names, each with its docstring and its source; `methods` are those of
    a cache: each with what it requires, and what it may be given;
    `caches` are the classes of caches that its file can make of nothing.
    """

    name: str
    kind: str
    parameters: tuple[Parameter, ...] = ()
    doc: str = ""
    source: str = ""
    library: str = "numpy"
    is_module: bool = False
    method: str = ""
    call: tuple[Parameter, ...] = ()
    call_doc: str = ""
    sizes: tuple[tuple[str, int], ...] = ()
    configurations: tuple[tuple[str, tuple[str, ...]], ...] = ()
    own: bool = True
    file: str = ""
    helpers: str = ""
    calls: tuple[str, ...] = ()
    literals: tuple[tuple[str, object], ...] = ()
    backward: str = ""
    back: tuple[Parameter, ...] = ()
    tables: tuple[tuple[str, tuple[str, ...]], ...] = ()
    attentions: tuple["Thing", ...] = ()
    makers: tuple[tuple[str, str, str], ...] = ()
    methods: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = ()
    caches: tuple[str, ...] = ()

    @property
    def is_class(self) -> bool:
        return self.kind == "class"

    @property
    def signature(self) -> tuple[Parameter, ...]:
        """What a call takes: of the function, or of the class's method."""
        return self.call if self.is_class else self.parameters

    @property
    def docs(self) -> str:
        return f"{self.doc}\n{self.call_doc}".strip()


def thing_from(plain: dict) -> Thing:
    """A description as it came over the wire."""
    known = {field.name for field in fields(Thing)}
    values = {name: part for name, part in plain.items() if name in known}
    for name in ("parameters", "call", "back"):
        values[name] = tuple(
            Parameter(**part.members) for part in values[name]
        )
    for name in (
        *("sizes", "configurations", "calls", "literals", "tables"),
        *("makers", "methods", "caches"),
    ):
        values[name] = tuple(map(freeze, values[name]))
    values["attentions"] = tuple(
        thing_from(vars(each)) for each in values.get("attentions", ())
    )
    return Thing(**values)


def freeze(value):
    return tuple(value) if isinstance(value, list) else value


def described(name: str, thing, own: bool = True) -> Thing | None:
    """A function or a class; None if it cannot even be looked at."""
    if inspect.isclass(thing):
        return described_class(name, thing, own)
    function = guarded(inspect.unwrap, thing, default=thing)
    return Thing(
        name,
        "function",
        parameters_of(thing),
        text_of(getattr_or(thing, "__doc__")),
        source_of(function),
        library_of(function),
        sizes=sizes_of(function),
        own=own,
        file=file_of(function),
        helpers=helpers_of(function),
        tables=tables_of(function),
        makers=makers_named(source_of(function), function),
        caches=caches_beside(function),
    )


def described_class(name: str, kind: type, own: bool) -> Thing | None:
    method = next((m for m in CALLS if calls_with(kind, m)), "")
    function = getattr_or(kind, method) if method else None
    is_module = any(
        getattr_or(base, "__module__") == "torch.nn.modules.module"
        for base in guarded(inspect.getmro, kind, default=())
    )
    create = getattr_or(kind, "__init__")
    first, *call = parameters_of(function) or (None,)
    attentions = attentions_for(kind)
    backward = backward_of(kind)
    used = [f for f in (create, function) if inspect.isfunction(f)]
    return Thing(
        name,
        "class",
        parameters_to_build(kind),
        text_of(getattr_or(kind, "__doc__")),
        text_of(f"{source_of(kind)}\n\n{inherited_source(kind)}".strip()),
        "torch" if is_module else library_of(*used),
        is_module,
        method,
        tuple(call) if first else (),
        text_of(getattr_or(function, "__doc__")),
        tuple({pair for each in used for pair in sizes_of(each)}),
        configurations_of(create),
        own,
        file_of(create),
        text_of(
            "\n".join(
                dict.fromkeys(
                    [
                        *map(helpers_of, used),
                        *(f"{a.source}\n{a.helpers}" for a in attentions),
                    ]
                )
            )
        ),
        backward=backward,
        back=parameters_of(getattr_or(kind, backward))[1:],
        tables=tables_of(create),
        attentions=attentions,
        makers=makers_named(source_of(kind), function),
        methods=methods_of(kind) if is_called_cache(name) else (),
        caches=caches_beside(create),
    )


def is_called_cache(name: str) -> bool:
    return "cache" in name.lower()


def caches_beside(function) -> tuple[str, ...]:
    """The classes of caches that the file of a function has, and that
    require nothing."""
    visible = getattr_or(function, "__globals__")
    if not isinstance(visible, dict):
        return ()
    return tuple(
        name
        for name, each in list(visible.items())
        if is_called_cache(name)
        and inspect.isclass(each)
        and not any(p.required for p in parameters_to_build(each))
    )


def methods_of(kind: type) -> tuple:
    """The methods that a class has of its file, each with the names of
    what it requires, and of what it may be given."""
    return tuple(
        (
            name,
            tuple(p.name for p in parameters if p.required),
            tuple(
                p.name for p in parameters if p.is_named and not p.required
            ),
        )
        for name in guarded(dir, kind, default=())
        if not name.startswith("_") and has_own(kind, name)
        for parameters in [parameters_of(getattr_or(kind, name))[1:]]
    )


def inherited_source(kind: type) -> str:
    """The methods that a class inherits from others of its file, and those
    that it calls though it has its own; constructors may be called."""
    first, *bases = guarded(inspect.getmro, kind, default=(kind,))
    called = {"__init__", *re.findall(CALLS_A_BASE, source_of(kind))}
    taken, methods = set(vars(first)), []
    for base in bases:
        if getattr_or(base, "__module__") != getattr_or(kind, "__module__"):
            continue
        methods += [
            method
            for name, method in vars(base).items()
            if inspect.isfunction(method)
            and (name in called or name not in taken)
        ]
        taken |= set(vars(base))
    sources = (text_of(guarded(inspect.getsource, m)) for m in methods)
    return "\n\n".join(map(dedent, sources))


def backward_of(kind: type) -> str:
    """The method that computes its gradients by hand, "" if it has none;
    that of a library's class is not its own."""
    names = [
        name
        for name in guarded(dir, kind, default=())
        if BACKWARD.fullmatch(name) and has_own(kind, name)
    ]
    return min(
        names, key=lambda name: (name != "backward", name), default=""
    )


def has_own(kind: type, method: str) -> bool:
    """Whether a method is no library's, and is not there for a library to
    call, as that of an `autograd.Function`."""
    function = getattr_or(kind, method)
    if not inspect.isfunction(function):
        return False
    bases = guarded(inspect.getmro, kind, default=())
    modules = [getattr_or(each, "__module__") for each in bases]
    by_autograd = "torch.autograd.function" in modules
    return not by_autograd and "site-packages" not in file_of(function)


def source_of(thing) -> str:
    """Its source, with the comments above it."""
    above = text_of(guarded(inspect.getcomments, thing))
    return text_of(above + text_of(guarded(inspect.getsource, thing)))


def calls_with(kind: type, method: str) -> bool:
    """Whether the class has a method of its own to be called with."""
    function = getattr_or(kind, method)
    if not inspect.isfunction(function):
        return False
    module = text_of(getattr_or(function, "__module__"))
    return not module.startswith("torch.nn.modules.module")


def parameters_to_build(kind: type) -> tuple[Parameter, ...]:
    """Of a class's constructor, and of those that it passes what it does
    not name on to: `super().__init__(*args, **kwargs)`."""
    own = parameters_of(kind)
    creating = [
        vars(each)["__init__"]
        for each in guarded(inspect.getmro, kind, default=())
        if "__init__" in vars(each)
    ]
    for create, inherited in pairwise(creating):
        given = passed_on(create)
        if given is None or not is_defined_in(file_of(create), inherited):
            break
        taken = parameters_of(inherited)[1:]  # all but self
        names = {each.name for each in own}.union(given)
        own = tuple(p for p in own if p.is_named)
        own += tuple(p for p in taken if p.name not in names)
    return own


def passed_on(create) -> set[str] | None:
    """What a constructor gives to that of its base beside all that it does
    not name; None where it does not pass that on by name."""
    source = dedent(text_of(guarded(inspect.getsource, create)))
    tree = guarded(ast.parse, source)
    for node in ast.walk(tree) if tree else ():
        called = (
            ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        )
        if re.fullmatch(r"super\(.*\)\.__init__", called):
            names = {each.arg for each in node.keywords}
            by_place = [
                a for a in node.args if not isinstance(a, ast.Starred)
            ]
            return (
                names - {None} if None in names and not by_place else None
            )
    return None


def parameters_of(thing) -> tuple[Parameter, ...]:
    """Of a function, or of a class's constructor."""
    signature = guarded(inspect.signature, thing)
    if signature is None:
        return ()
    kinds = {
        inspect.Parameter.VAR_POSITIONAL: "*",
        inspect.Parameter.VAR_KEYWORD: "**",
        inspect.Parameter.KEYWORD_ONLY: "keyword only",
    }
    empty = inspect.Parameter.empty
    return tuple(
        Parameter(
            name,
            kinds.get(parameter.kind, "plain"),
            parameter.default is empty
            and parameter.kind not in list(kinds)[:2],
            None
            if parameter.default is empty
            else plain(parameter.default),
            ""
            if parameter.annotation is empty
            else annotation_of(parameter.annotation),
        )
        for name, parameter in signature.parameters.items()
    )


def plain(value):
    """A default as a plain value, or the name of its type."""
    if value is None or type(value) in (bool, int, float, str):
        return value[:200] if type(value) is str else value
    return f"<{type(value).__name__}>"


def annotation_of(annotation) -> str:
    if isinstance(annotation, str):
        return annotation[:200]
    name = getattr_or(annotation, "__name__")
    module = text_of(getattr_or(annotation, "__module__"))
    if isinstance(annotation, type) and isinstance(name, str):
        return f"{module}.{name}"[:200]
    return text_of(guarded(repr, annotation))[:200]


def library_of(*functions: Callable) -> str:
    """torch, jax or numpy: by the annotations and by what it names.

    What a function names itself comes before what else its file imports:
    a file often holds NumPy beside PyTorch.
    """
    notes = [getattr_or(each, "__annotations__") for each in functions]
    texts = [
        annotation_of(note)
        for each in notes
        if isinstance(each, dict)
        for note in list(each.values())
    ]
    if any("torch" in text for text in texts):
        return "torch"
    visible = [getattr_or(each, "__globals__") for each in functions]
    visible = [each for each in visible if isinstance(each, dict)]
    named = {
        name
        for each in functions
        for name in names_in(getattr_or(each, "__code__"))
    }
    own = libraries_in(
        value
        for each in visible
        for name, value in list(each.items())
        if name in named
    )
    around = libraries_in(
        v for each in visible for v in list(each.values())
    )
    for libraries in (own, around):
        for library in ("torch", "jax", "numpy"):
            if library in libraries:
                return library
    return "numpy"


def names_in(code) -> set[str]:
    """The globals and attributes that code names, functions in it too."""
    if not inspect.iscode(code):
        return set()
    inner = map(names_in, code.co_consts)
    return set(code.co_names).union(*inner)


def libraries_in(values) -> set[str]:
    """The packages from which these modules, functions and classes are."""
    names = set()
    for value in values:
        module = getattr_or(value, "__module__")
        own = getattr_or(value, "__name__")
        text = text_of(own if inspect.ismodule(value) else module)
        names.add(text.split(".")[0])
    return names


def sizes_of(function) -> tuple[tuple[str, int], ...]:
    """The whole numbers among the globals that a function uses."""
    plain = guarded(inspect.unwrap, function, default=function)
    used = guarded(inspect.getclosurevars, plain)
    if used is None:
        return ()
    return tuple(
        (name, value)
        for name, value in used.globals.items()
        if type(value) is int
    )


def configurations_of(create) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The classes of configurations that the constructor's file has, by
    their names, and what each requires."""
    visible = getattr_or(create, "__globals__")
    if not isinstance(visible, dict):
        return ()
    return tuple(
        (name, tuple(p.name for p in parameters_of(each) if p.required))
        for name, each in list(visible.items())
        if inspect.isclass(each) and HOLDS_SIZES.search(name)
    )


def takes_attention(parameter: Parameter) -> bool:
    """Whether an argument of a constructor is an attention, by its name."""
    named = PASSED_ATTENTION.fullmatch(parameter.name) is not None
    return named and parameter.required


def attentions_for(kind: type) -> tuple[Thing, ...]:
    """The classes of its file, called with query, key and value, of which
    its constructor may take an instance: it has an argument for one."""
    create = getattr_or(kind, "__init__")
    visible = getattr_or(create, "__globals__")
    takes_one = any(map(takes_attention, parameters_of(kind)))
    if not takes_one or not isinstance(visible, dict):
        return ()
    others = [
        described_class(name, each, True)
        for name, each in list(visible.items())
        if inspect.isclass(each)
        and each is not kind
        and re.search(r"attention|attn|dot_?product", name, re.I)
        and not any(map(takes_attention, parameters_of(each)))
    ]
    return tuple(t for t in others if takes_query_key_value(t))


def takes_query_key_value(thing: Thing) -> bool:
    """Whether it is called with these three first."""
    letters = [each.name.lower()[:1] for each in thing.call[:3]]
    return sorted(letters) == ["k", "q", "v"]


def tables_of(function) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The functions of a file that make a rotary table, by their names,
    and what each requires."""
    visible = getattr_or(function, "__globals__")
    if not isinstance(visible, dict):
        return ()
    return tuple(
        (name, tuple(p.name for p in parameters_of(each) if p.required))
        for name, each in list(visible.items())
        if MAKES_A_TABLE.fullmatch(name) and inspect.isfunction(each)
    )


def makers_named(source: str, function) -> tuple:
    """The functions for masks, of the file of a function, that a source
    names: each with its docstring and its own source."""
    visible = getattr_or(function, "__globals__")
    if not isinstance(visible, dict):
        return ()
    words = set(re.findall(r"\w*mask\w*", source))
    return tuple(
        (name, text_of(getattr_or(each, "__doc__")), source_of(each))
        for name, each in list(visible.items())
        if name in words
        and each is not function
        and inspect.isfunction(each)
        and is_defined_in(file_of(function), each)
    )


def helpers_of(function) -> str:
    """The sources of other functions and classes of its file that it
    names."""
    visible = getattr_or(function, "__globals__")
    if not isinstance(visible, dict):
        return ""
    named = names_in(getattr_or(function, "__code__"))
    helpers = [visible[name] for name in sorted(named & visible.keys())]
    sources = [
        text_of(guarded(inspect.getsource, helper))
        for helper in helpers
        if is_defined_in(file_of(function), helper)
    ]
    return text_of("\n".join(sources))


def is_defined_in(file: str, helper) -> bool:
    """Whether a helper is a function or a class of that file."""
    if inspect.isclass(helper):
        helper = getattr_or(helper, "__init__")
    return inspect.isfunction(helper) and file_of(helper) == file


def file_of(function) -> str:
    """The file that defines a function, "" where it is unknown."""
    code = getattr_or(function, "__code__")
    return text_of(getattr_or(code, "co_filename"))


def text_of(value) -> str:
    return value[:MOST] if isinstance(value, str) else ""


def getattr_or(thing, name: str):
    """An attribute, None if there is none, or if getting it raises."""
    return guarded(getattr, thing, name, None)


def guarded(function: Callable, *values, default=None):
    """A call of foreign code, which may raise anything."""
    try:
        return function(*values)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return default
